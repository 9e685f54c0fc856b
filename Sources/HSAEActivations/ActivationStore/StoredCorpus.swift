// The corpus a residual-stream store was collected on, in reading order: which tokens stand around a
// row, and what its document is. The layout is in docs/formats.md.

public import HSAESupport

/// The documents of a store, tokenised.
public struct StoredCorpus: Sendable {
  private let tokens: ZarrVector
  private let offsets: ZarrVector
  private let languages: [String]
  private let titles: [String]
  private let topics: [String]

  /// Number of documents, held-out ones included.
  public var documentCount: Int { offsets.count - 1 }
  /// Number of tokens of all documents.
  public var tokenCount: Int { tokens.count }

  /// Opens the corpus of the store in the folder `path`; nil if the store has none.
  public init?(store path: String) throws(Failure) {
    let folder = Path.join(path, "corpus")
    guard Path.isDirectory(folder) else { return nil }
    tokens = try ZarrVector(path: Path.join(folder, "tokens"), type: .int32)
    offsets = try ZarrVector(path: Path.join(folder, "offsets"), type: .int64)
    guard offsets.count > 0 else { throw .data("\(folder): there are no offsets.") }
    let count = offsets.count - 1
    func texts(_ name: String) throws(Failure) -> [String] {
      let list = Path.join(folder, name)
      guard Path.exists(list) else { return [] }
      let texts = try Vocabulary.read(from: list)
      guard texts.count == count else {
        throw .data("\(list): it names \(texts.count) documents, and there are \(count).")
      }
      return texts
    }
    languages = try texts("languages")
    titles = try texts("titles")
    topics = try texts("topics")
    guard Int(offsets.integer(count, as: Int64.self)) == tokens.count else {
      throw .data("\(folder): the offsets do not fit the tokens; the store is damaged.")
    }
  }

  /// The language of document `index`; empty if it is not known.
  public func language(_ index: Int) -> String { index < languages.count ? languages[index] : "" }
  /// The title of document `index`; empty if it has none.
  public func title(_ index: Int) -> String { index < titles.count ? titles[index] : "" }
  /// What document `index` is about; empty if that is not known.
  public func topic(_ index: Int) -> String { index < topics.count ? topics[index] : "" }

  /// The tokens of document `index`, as a range of all tokens; empty for one that is not there or
  /// whose offsets are damaged.
  func range(_ index: Int) -> Range<Int> {
    guard index >= 0, index < documentCount else { return 0..<0 }
    let start = Int(offsets.integer(index, as: Int64.self))
    let end = Int(offsets.integer(index + 1, as: Int64.self))
    return 0 <= start && start <= end && end <= tokens.count ? start..<end : 0..<0
  }

  /// The number of tokens of document `index`.
  public func length(_ index: Int) -> Int { range(index).count }

  /// The tokens around `position` of document `index`: up to `before` before it, itself, and up to
  /// `after` behind it; nil if there is no such token.
  public func context(
    document index: Int, position: Int, before: Int, after: Int
  ) -> (before: [Int32], token: Int32, after: [Int32])? {
    let range = range(index)
    guard position >= 0, position < range.count else { return nil }
    let place = range.lowerBound + position
    func read(_ part: Range<Int>) -> [Int32] {
      part.map { tokens.integer($0, as: Int32.self) }
    }
    return (
      read(max(range.lowerBound, place - before)..<place), tokens.integer(place, as: Int32.self),
      read(place + 1..<min(range.upperBound, place + 1 + after))
    )
  }
}
