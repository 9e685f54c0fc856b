// The rows that a dictionary is explained on, with the place of each in a text and the tokens around it.

public import HSAEActivations
import HSAEEvaluation
public import HSAESupport

/// Rows with the places they come from.
///
/// A *place* is a token's number among the tokens of all documents of a store, in reading order. In a
/// vocabulary it is the token's own number, in a plain matrix the row's number.
public struct ExplainedRows: Sendable {
  /// What a row stands for.
  public enum Kind: String, Codable, Sendable {
    /// A token of a document.
    case text
    /// A token of a vocabulary: its context is itself.
    case vocabulary
    /// A row of a matrix, about which nothing more is known.
    case rows
  }

  /// What a row stands for.
  public let kind: Kind
  /// The rows.
  public let source: any RowSource
  /// Number of rows that are read, from the first one on.
  public let count: Int
  /// The documents, in reading order; nil unless `kind` is `text`.
  public let corpus: StoredCorpus?
  /// The first place of each document, then the number of all tokens; empty unless `kind` is `text`.
  private let starts: [Int]
  /// The text of each token; empty if there is none.
  public let vocabulary: [String]

  /// The store that the rows come from, if they do.
  public var store: ActivationStore? { source as? ActivationStore }

  /// The first `limit` rows of `source`. `vocabulary`, if given, replaces the store's own.
  ///
  /// Fails with `.data` if the store's corpus is damaged or missing.
  public init(
    _ source: any RowSource, limit: Int = .max, vocabulary: [String]? = nil
  ) throws(Failure) {
    self.source = source
    count = min(limit, source.rowCount)
    guard let store = source as? ActivationStore else {
      (kind, corpus, starts, self.vocabulary) = (.rows, nil, [], [])
      return
    }
    self.vocabulary = vocabulary ?? store.vocabulary
    guard store.attributes.kind == .residualStream, store.rowCount > 0, store.place(0) != nil else {
      (kind, corpus, starts) = (.vocabulary, nil, [])
      return
    }
    // Held-out rows use the corpus of the store around them.
    let own = Path.isDirectory(Path.join(store.path, "corpus"))
    let corpus = try StoredCorpus(store: own ? store.path : Path.join(store.path, ".."))
    let starts = try (0..<corpus.documentCount).map { (document) throws(Failure) in
      try corpus.range(of: document).lowerBound
    }
    (kind, self.corpus, self.starts) = (.text, corpus, starts + [corpus.tokenCount])
  }

  /// The place of row `row`. Fails with `.data` if the store has no such document or token.
  public func place(_ row: Int) throws(Failure) -> Int {
    switch kind {
    case .rows: return row
    case .vocabulary: return store.map { Int($0.token(row)) } ?? row
    case .text:
      guard let (document, position) = store?.place(row), document >= 0, position >= 0,
        document < starts.count - 1, position < starts[document + 1] - starts[document]
      else {
        throw .data(
          "\(source.path): row \(row) belongs to no token of its corpus, so the store is damaged.")
      }
      return starts[document] + position
    }
  }

  /// The places of the document that `place` is in; in a vocabulary or a matrix, the place alone.
  public func document(around place: Int) -> Range<Int> {
    guard kind == .text else { return place..<place + 1 }
    var (low, high) = (0, starts.count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= place { low = middle } else { high = middle }
    }
    return starts[low]..<starts[low + 1]
  }

  /// The text of the token at `place`, with `▁` for a leading space; in a matrix, the row's number.
  public func text(at place: Int) -> String {
    switch kind {
    case .rows: return "row \(place)"
    case .vocabulary: return text(ofToken: place)
    case .text: return text(ofToken: tokens(at: place...place).first ?? -1)
    }
  }

  /// The text of a token; one outside the vocabulary has the text `<token 123>`.
  func text(ofToken token: Int) -> String {
    vocabulary.indices.contains(token) ? vocabulary[token] : "<token \(token)>"
  }

  /// The largest number of tokens that are joined to a word before the place, and after it.
  private static let wordReach = 6

  /// The tokens at `places` of a text.
  func tokens(at places: ClosedRange<Int>) -> [Int] {
    corpus?.tokens(at: Range(places)).map(Int.init) ?? []
  }

  /// The word that the token at `place` is a part of, joined from its tokens.
  public func word(at place: Int) -> String {
    kind == .text
      ? word(of: tokens(at: wordRange(at: place))) : readableToken(text(at: place))
  }

  /// The word of `tokens`.
  func word(of tokens: [Int]) -> String { readableToken(tokens.map(text(ofToken:)).joined()) }

  /// The places of the words within `reach` tokens of `place` in its document, in reading order. One of them is
  /// `wordRange(at: place)`.
  func words(around place: Int, reach: Int) -> [ClosedRange<Int>] {
    let near = document(around: place).clamped(to: place - reach..<place + reach + 1)
    let own = wordRange(at: place)
    var words: [ClosedRange<Int>] = []
    var next = near.lowerBound
    while next < near.upperBound {
      // Very long words are cut, so a word may begin in the one before it.
      let found = next < own.lowerBound || next > own.upperBound ? wordRange(at: next) : own
      let first = words.isEmpty ? found.lowerBound : max(next, found.lowerBound)
      let last =
        next < own.lowerBound ? min(found.upperBound, own.lowerBound - 1) : found.upperBound
      words.append(first...last)
      next = last + 1
    }
    return words
  }

  /// The places of the tokens of the word that the token at `place` is a part of.
  func wordRange(at place: Int) -> ClosedRange<Int> {
    guard kind == .text else { return place...place }
    let document = document(around: place)
    var (first, last) = (place, place)
    while first > document.lowerBound, place - first < Self.wordReach,
      continuesWord(text(at: first)), isWordPart(text(at: first - 1))
    {
      first -= 1
    }
    if isWordPart(text(at: place)) {
      while last + 1 < document.upperBound, last - place < Self.wordReach,
        continuesWord(text(at: last + 1))
      {
        last += 1
      }
    }
    return first...last
  }

  /// Whether a token ends in a letter or a digit, so that the next token may continue it.
  private func isWordPart(_ token: String) -> Bool {
    guard !token.hasSuffix(">"), let last = token.unicodeScalars.last else { return false }
    return last.properties.isAlphabetic || last.properties.numericType != nil
  }
}
