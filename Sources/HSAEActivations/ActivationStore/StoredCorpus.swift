// The corpus inside a residual-stream store: every document's tokens in reading order, as the model saw them,
// and its title, language and topic. It is read in place, so its size does not matter.

public import HSAESupport

/// The corpus of a residual-stream store.
public struct StoredCorpus: Sendable {
  /// The number of documents.
  public var documentCount: Int { holdout.count }
  /// The number of tokens of all documents.
  public var tokenCount: Int { tokens.count }

  /// The folder.
  public let path: String
  private let tokens: ZarrIntegers<Int32>
  private let offsets: ZarrIntegers<Int64>
  private let rows: ZarrIntegers<Int64>
  private let partRows: ZarrIntegers<Int64>
  private let holdout: ZarrIntegers<UInt8>
  private let titles, languages, topics: StoredTexts?

  /// Opens the corpus of the store at `store`. Fails with `.data` if it has none or it is damaged.
  public init(store: String) throws(Failure) {
    let path = Path.join(store, "corpus")
    guard Path.isDirectory(path) else {
      throw .data("\(store): this store has no corpus; collect one with hsae collect.")
    }
    self.path = path
    tokens = try ZarrIntegers(path: Path.join(path, "tokens"), type: .int32)
    offsets = try ZarrIntegers(path: Path.join(path, "offsets"), type: .int64)
    rows = try ZarrIntegers(path: Path.join(path, "rows"), type: .int64)
    partRows = try ZarrIntegers(path: Path.join(path, "part_rows"), type: .int64)
    holdout = try ZarrIntegers(path: Path.join(path, "holdout"), type: .uint8)
    let count = holdout.count
    func texts(_ name: String) throws(Failure) -> StoredTexts? {
      let folder = Path.join(path, name)
      return Path.isDirectory(folder) ? try StoredTexts(path: folder, count: count) : nil
    }
    titles = try texts("titles")
    languages = try texts("languages")
    topics = try texts("topics")
    guard offsets.count == count + 1, rows.count == count + 1, partRows.count == count,
      offsets[0] == 0, offsets[count] == Int64(tokens.count), rows[0] == 0
    else { throw .data("\(path): the arrays do not fit each other; the store is damaged.") }
  }

  /// The range of document `document` in the tokens of all documents.
  public func range(of document: Int) throws(Failure) -> Range<Int> {
    let (start, end) = (offsets[document], offsets[document + 1])
    guard start >= 0, start <= end, end <= Int64(tokens.count) else {
      throw .data("\(path)/offsets: document \(document) is impossible; the store is damaged.")
    }
    return Int(start)..<Int(end)
  }

  /// The tokens of document `document`, as the model saw them.
  public func tokens(of document: Int) throws(Failure) -> [Int32] {
    tokens.elements(try range(of: document))
  }

  /// The tokens `range` of all documents' tokens.
  public func tokens(at range: Range<Int>) -> [Int32] { tokens.elements(range) }

  /// The document that token `place` of all documents' tokens belongs to.
  public func document(at place: Int) throws(Failure) -> Int {
    precondition(place >= 0 && place < tokenCount, "Token \(place) of \(tokenCount).")
    var (low, high) = (0, documentCount)
    // The last document that begins at or before `place`.
    while high - low > 1 {
      let middle = (low + high) / 2
      if offsets[middle] <= Int64(place) { low = middle } else { high = middle }
    }
    guard try range(of: low).contains(place) else {
      throw .data("\(path)/offsets: the documents are out of order; the store is damaged.")
    }
    return low
  }

  /// Whether document `document` is held out.
  public func isHeldOut(_ document: Int) -> Bool { holdout[document] != 0 }

  /// The index of the document's first row within its part, before shuffling.
  public func firstRow(of document: Int) -> Int { Int(partRows[document]) }

  /// The number of rows of document `document`.
  public func rowCount(of document: Int) -> Int { Int(rows[document + 1] - rows[document]) }

  /// The document's title; nil if none is stated.
  public func title(of document: Int) -> String? { titles?[document] }

  /// The document's language; nil if none is stated.
  public func language(of document: Int) -> String? { languages?[document] }

  /// The document's topic; nil if none is stated.
  public func topic(of document: Int) -> String? { topics?[document] }
}

extension ActivationStore {
  /// Whether the model read BOS at the beginning of every context; nil if the store has no corpus. Older stores do
  /// not record it: there it is what all documents begin with, if they begin alike.
  public func beginsWithBOS() throws(Failure) -> Bool? {
    if let known = attributes.collection?.beginsWithBOS { return known }
    guard attributes.kind == .residualStream, Path.isDirectory(Path.join(path, "corpus")) else {
      return nil
    }
    let corpus = try StoredCorpus(store: path)
    guard corpus.documentCount > 1 else { return nil }
    let first = corpus.tokens(at: try corpus.range(of: 0)).first
    for document in 1..<corpus.documentCount {
      let start = try corpus.range(of: document).lowerBound
      guard start < corpus.tokenCount, corpus.tokens(at: start..<start + 1).first == first else {
        return false
      }
    }
    return true
  }
}

/// A list of texts in a store, read in place.
private struct StoredTexts: Sendable {
  private let bytes: ZarrIntegers<UInt8>
  private let offsets: ZarrIntegers<Int64>

  init(path: String, count: Int) throws(Failure) {
    bytes = try ZarrIntegers(path: Path.join(path, "bytes"), type: .uint8)
    offsets = try ZarrIntegers(path: Path.join(path, "offsets"), type: .int64)
    guard offsets.count == count + 1 else {
      throw .data("\(path): there are not as many texts as documents; the store is damaged.")
    }
  }

  /// The text of document `index`; nil if it is empty or its offsets are impossible.
  subscript(index: Int) -> String? {
    let (start, end) = (offsets[index], offsets[index + 1])
    guard start >= 0, start < end, end <= Int64(bytes.count) else { return nil }
    return String(decoding: bytes.elements(Int(start)..<Int(end)), as: UTF8.self)
  }
}
