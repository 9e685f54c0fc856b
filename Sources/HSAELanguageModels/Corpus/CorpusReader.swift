// Reads documents from files, plain text or JSON Lines, compressed or not, in a fixed order. Bad content is
// skipped and counted (`CorpusSummary`). The longest allowed line bounds the memory.

public import HSAESupport

/// Reads the documents of corpus files, in the order of the files and of their lines.
///
/// Text is left as it is, except for a byte order mark at a file's beginning and line ends. A line ends at a line feed;
/// in a file without line feeds at a carriage return. Text that is not UTF-8 is skipped and counted. JSON is read as
/// Python reads it (`JSONDialect.python`), because most JSON Lines come from there.
public final class CorpusReader: DocumentSource {
  /// Counts of what was read and skipped so far.
  public private(set) var summary = CorpusSummary()

  private let paths: [String]
  private let format: CorpusFormat
  private var nextPath = 0
  private var file: GzipFile?
  private var piece: [UInt8] = []
  private var position = 0
  private var line = 0
  private var isTooLong = false
  /// Whether a carriage return alone ends a line of the current file, as in texts of old Macintosh computers.
  private var endsAtReturns = false

  /// Reads the files that `paths` stand for (see `CorpusFormat.files(at:)`).
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

  /// The current file, or the next that is not empty; nil after the last.
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
      try findLineEnds(of: file)
      self.file = file
      return file
    }
    return nil
  }

  /// Sets `endsAtReturns` if the first 64 KiB of `file` have carriage returns but no line feed.
  private func findLineEnds(of file: GzipFile) throws(Failure) {
    // A pipe may give a few bytes at a time.
    while piece.count < 65_536, !piece.contains(Self.feed) {
      var more: [UInt8] = []
      try file.read(into: &more)
      if more.isEmpty { break }
      piece += more
    }
    endsAtReturns = !piece.contains(Self.feed) && piece.contains(Self.carriageReturn)
  }

  private static let feed = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")

  /// The place in `piece` of the next line end; nil if there is none.
  private var nextEnd: Int? {
    let rest = piece[position...]
    guard endsAtReturns else { return rest.firstIndex(of: Self.feed) }
    return rest.firstIndex { $0 == Self.carriageReturn || $0 == Self.feed }
  }

  /// The next line without its end; nil at the end of the file. Sets `isTooLong` for a line over the limit.
  private func nextLine(of file: GzipFile) throws(Failure) -> [UInt8]? {
    var bytes: [UInt8] = []
    var hasAny = false
    isTooLong = false
    while true {
      if position == piece.count {
        try file.read(into: &piece)
        position = 0
        if piece.isEmpty {
          // Drop the incomplete last line of a damaged file.
          guard hasAny, file.damage == nil else { return nil }
          break
        }
      }
      hasAny = true
      let end = nextEnd ?? piece.count
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
    if bytes.last == Self.carriageReturn { bytes.removeLast() }
    return bytes
  }

  /// The rest of the file, up to the limit; nil if nothing is left.
  private func rest(of file: GzipFile) throws(Failure) -> [UInt8]? {
    var bytes: [UInt8] = []
    isTooLong = false
    while !piece.isEmpty {
      if !isTooLong { bytes += piece[position...] }
      if bytes.count > format.maximumBytes {
        isTooLong = true
        // Do not cut a character in two.
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

  private var place: String { "\(paths[nextPath - 1]), line \(line)" }

  private func skip(_ reason: CorpusSummary.Reason, at place: String) -> Document? {
    summary.add(reason, at: place)
    return nil
  }

  private func plain(_ bytes: [UInt8], isWhole: Bool) -> Document? {
    let place = isWhole ? paths[nextPath - 1] : place
    if isTooLong, isWhole { summary.add(.shortened, at: place) }
    if isTooLong, !isWhole { return skip(.tooLong, at: place) }
    if bytes.allSatisfy(isSpace) { return skip(.blank, at: place) }
    // Zero bytes are valid UTF-8, but a text with them is most likely UTF-16 or binary.
    // Safe: the bytes are only read, within the closure.
    guard !bytes.contains(0),
      unsafe bytes.withUnsafeBytes({ unsafe String(validating: $0, as: UTF8.self) }) != nil
    else { return skip(.notUTF8, at: place) }
    return Document(text: bytes, language: nil, title: nil, topic: nil)
  }

  private func fromJSON(_ bytes: [UInt8]) -> Document? {
    if isTooLong { return skip(.tooLong, at: place) }
    if bytes.allSatisfy(isSpace) { return skip(.blank, at: place) }
    let limits = JSONLimits(depth: 32, values: 100_000)
    guard
      let value = try? JSONValue(parsing: bytes, source: "", dialect: .python, limits: limits)
    else {
      return skip(.notJSON, at: place)
    }
    if case .array = value { return skip(.list, at: place) }
    guard let text = value[format.field]?.string else { return skip(.withoutField, at: place) }
    let utf8 = Array(text.utf8)
    if utf8.allSatisfy(isSpace) { return skip(.blank, at: place) }
    return Document(
      text: utf8, language: value["language"]?.string, title: value["title"]?.string,
      topic: value["topic"]?.string)
  }
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
