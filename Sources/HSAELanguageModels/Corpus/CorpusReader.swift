// Documents from files: plain text and JSON Lines, compressed or not, one after another in a fixed
// order. Bad content is counted and passed over (`CorpusSummary`), never fatal; memory is bounded by
// the longest line that is taken.

public import HSAESupport

/// The documents of corpus files, in the order of the files and of their lines.
///
/// Text is taken as it is, but for a byte order mark at a file's beginning and line ends. What is not
/// UTF-8 is skipped and counted.
public final class CorpusReader: DocumentSource {
  /// What was found so far.
  public private(set) var summary = CorpusSummary()

  private let paths: [String]
  private let format: CorpusFormat
  private var nextPath = 0
  private var file: GzipFile?
  private var piece: [UInt8] = []
  private var position = 0
  private var line = 0
  private var isTooLong = false

  /// A reader of the files that `paths` stand for (see `CorpusFormat.files(at:)`).
  public init(paths: [String], format: CorpusFormat = CorpusFormat()) throws(Failure) {
    self.paths = try CorpusFormat.files(at: paths)
    self.format = format
  }

  /// The next document; nil after the last.
  public func next() throws(Failure) -> Document? {
    while true {
      guard let file = try opened() else { return nil }
      let isJSON = CorpusFormat.isJSONLines(file.path)
      let isWhole = !isJSON && format.unit == .file
      guard let bytes = try isWhole ? rest(of: file) : nextLine(of: file) else {
        if let damage = file.damage { summary.add(.damagedFile, at: "\(file.path), \(damage)") }
        self.file = nil
        continue
      }
      if let document = isJSON ? fromJSON(bytes) : plain(bytes, isWhole: isWhole) {
        summary.documents += 1
        summary.bytes += document.text.count
        return document
      }
    }
  }

  /// The file being read: the present one, or the next that is not empty.
  private func opened() throws(Failure) -> GzipFile? {
    if let file { return file }
    while nextPath < paths.count {
      let file = try GzipFile(path: paths[nextPath])
      nextPath += 1
      summary.files += 1
      try file.read(into: &piece)
      (position, line) = (0, 0)
      if piece.isEmpty, file.damage == nil {
        summary.add(.emptyFile, at: file.path)
        continue
      }
      if piece.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
      self.file = file
      return file
    }
    return nil
  }

  // MARK: Pieces of a file

  /// The next line of at most the longest length, without its end; nil at the end of the file.
  private func nextLine(of file: GzipFile) throws(Failure) -> [UInt8]? {
    var bytes: [UInt8] = []
    var hasAny = false
    isTooLong = false
    while true {
      if position == piece.count {
        try file.read(into: &piece)
        position = 0
        if piece.isEmpty {
          // What a damaged file has of its last line is no line.
          guard hasAny, file.damage == nil else { return nil }
          break
        }
      }
      hasAny = true
      let end = piece[position...].firstIndex(of: UInt8(ascii: "\n")) ?? piece.count
      if !isTooLong {
        bytes += piece[position..<end]
        if bytes.count > format.maximumBytes {
          isTooLong = true
          bytes = []
        }
      }
      let isLine = end < piece.count
      position = isLine ? end + 1 : end
      if isLine { break }
    }
    line += 1
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    return bytes
  }

  /// All that is left of the file, up to the longest length; nil if nothing is.
  private func rest(of file: GzipFile) throws(Failure) -> [UInt8]? {
    var bytes: [UInt8] = []
    isTooLong = false
    while !piece.isEmpty {
      if !isTooLong { bytes += piece[position...] }
      if bytes.count > format.maximumBytes {
        isTooLong = true
        // Not through the middle of a character.
        var end = format.maximumBytes
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        bytes.removeSubrange(end...)
        piece = []
        position = 0
        return bytes
      }
      try file.read(into: &piece)
      position = 0
    }
    return bytes.isEmpty ? nil : bytes
  }

  // MARK: Documents

  private var place: String { "\(paths[nextPath - 1]), line \(line)" }

  private func plain(_ bytes: [UInt8], isWhole: Bool) -> Document? {
    let place = isWhole ? paths[nextPath - 1] : place
    if isTooLong { summary.add(isWhole ? .shortened : .tooLong, at: place) }
    if isTooLong, !isWhole { return nil }
    if bytes.allSatisfy(isSpace) {
      summary.add(.blank, at: place)
      return nil
    }
    // Zero bytes are UTF-8, but no text: most likely UTF-16 or a binary file.
    guard !bytes.contains(0),
      unsafe bytes.withUnsafeBytes({ unsafe String(validating: $0, as: UTF8.self) }) != nil
    else {
      summary.add(.notUTF8, at: place)
      return nil
    }
    return Document(text: bytes, language: nil, title: nil, topic: nil)
  }

  private func fromJSON(_ bytes: [UInt8]) -> Document? {
    if isTooLong {
      summary.add(.tooLong, at: place)
      return nil
    }
    if bytes.allSatisfy(isSpace) {
      summary.add(.blank, at: place)
      return nil
    }
    let value: JSONValue
    do {
      value = try JSONValue(
        parsing: bytes, source: "", limits: JSONLimits(depth: 32, values: 100_000))
    } catch {
      summary.add(.notJSON, at: place)
      return nil
    }
    guard let text = value[format.field]?.string else {
      summary.add(.withoutField, at: place)
      return nil
    }
    let utf8 = Array(text.utf8)
    if utf8.allSatisfy(isSpace) {
      summary.add(.blank, at: place)
      return nil
    }
    return Document(
      text: utf8, language: value["language"]?.string, title: value["title"]?.string,
      topic: value["topic"]?.string)
  }
}

/// Whether `byte` is ASCII white space.
private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
