// Reads WordNet's files: lines of fields separated by spaces, after a licence whose lines begin with two
// spaces.

import HSAESupport

struct WordNetFile {
  let path: String
  private let bytes: [UInt8]

  init(folder: String, name: String) throws(Failure) {
    path = Path.join(folder, name)
    guard Path.exists(path) else {
      throw .missing(
        "\(path): WordNet is not installed here. Install it (Debian: apt-get install wordnet-base, or"
          + " HSAE_WORDNET=1 scripts/setup.sh), or name its folder with --wordnet.")
    }
    bytes = try MappedFile(path: path).copy()
  }

  /// Calls `body` with the fields of every line after the licence.
  func forEachEntry(_ body: (Fields) throws(Failure) -> Void) throws(Failure) {
    var start = 0
    var line = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      line += 1
      if end > start, bytes[start] != 0x20 {
        try body(Fields(bytes[start..<end], path: path, line: line))
      }
      start = end + 1
    }
  }

  struct Fields {
    private let fields: [ArraySlice<UInt8>]
    private let path: String
    private let line: Int

    init(_ bytes: ArraySlice<UInt8>, path: String, line: Int) {
      // A gloss follows "|".
      let end = bytes.firstIndex(of: 0x7C) ?? bytes.endIndex
      fields = bytes[..<end].split(separator: 0x20)
      self.path = path
      self.line = line
    }

    func text(_ index: Int) throws(Failure) -> Substring {
      guard fields.indices.contains(index) else { throw failure("field \(index + 1) is missing") }
      return Substring(decoding: fields[index], as: UTF8.self)
    }

    func integer(_ index: Int, radix: Int = 10) throws(Failure) -> Int {
      let text = try text(index)
      guard let value = Int(text, radix: radix), value >= 0, value <= Int(Int32.max) else {
        throw failure("field \(index + 1) is \"\(text.prefix(40))\" and should be a number")
      }
      return value
    }

    func failure(_ what: String) -> Failure {
      .data("\(path): line \(line): \(what); give WordNet 3.0's files.")
    }
  }
}
