// Describes a store in numbers and examples, for `hsae info` and the page of a run. It counts over the first
// rows, which are a sample because the store is shuffled.

import Foundation
public import HSAESupport
import HSAETensors

/// A description of an activation store.
public struct StoreSummary: Codable, Hashable, Sendable {
  /// The number of rows or documents that share a token or a language.
  public struct Share: Codable, Hashable, Sendable {
    /// The token's text or the language.
    public var name: String
    /// Their number.
    public var count: Int
    /// The number of all.
    public var total: Int
  }

  /// The norms of rows.
  public struct Norms: Codable, Hashable, Sendable {
    /// The least norm, the 1, 25, 50, 75 and 99 % quantiles, and the greatest.
    public var quantiles: [Float]
    /// The decimal logarithm of the least norm in the first bin.
    public var lowest: Double
    /// The width of a bin as a decimal logarithm.
    public var binWidth: Double
    /// Rows in each bin.
    public var counts: [Int]
    /// Rows of norm zero.
    public var zeros: Int
  }

  /// A token in its document.
  public struct Context: Codable, Hashable, Sendable {
    /// The document's title, empty if it has none.
    public var title: String
    /// Its language, empty if unknown.
    public var language: String
    /// The text before the token.
    public var before: String
    /// The token's text.
    public var token: String
    /// The text after it.
    public var after: String
  }

  /// The store's attributes.
  public var attributes: StoreAttributes
  /// Rows that are read.
  public var rows: Int
  /// Rows that carry a flag.
  public var flagged: Int
  /// Rows that were held out for evaluation; nil if there are none.
  public var heldOut: Int?
  /// The number of rows in the sample that norms and tokens were counted on.
  public var sampled: Int
  /// Their norms.
  public var norms: Norms
  /// The most frequent tokens of the sample; empty for an unembedding, which has each token once.
  public var tokens: [Share] = []
  /// Whether contexts begin with BOS; nil if that is not known.
  public var beginsWithBOS: Bool?
  /// Documents; nil if the store has no corpus.
  public var documents: Int?
  /// Tokens of all documents; nil if the store has no corpus.
  public var corpusTokens: Int?
  /// Documents by language, most frequent first.
  public var languages: [Share] = []
  /// Random rows with the text around them.
  public var contexts: [Context] = []

  /// How much is sampled and shown.
  public struct Limits: Sendable {
    /// Rows in the sample.
    public var rows = 1_000_000
    /// Most frequent tokens shown.
    public var tokens = 30
    /// Contexts shown.
    public var contexts = 8
    /// Tokens before and after a context's token.
    public var contextTokens = 12
    /// Seed of the draw of contexts.
    public var seed: UInt64 = 0

    /// The limits above.
    public init() {}
  }
}

extension StoreSummary {
  /// Describes `store`.
  public init(_ store: ActivationStore, limits: Limits = Limits()) throws(Failure) {
    attributes = store.attributes
    rows = store.rowCount
    flagged = store.flaggedCount
    heldOut = attributes.collection.flatMap { $0.part == .training ? $0.holdoutRows : nil }
    var sample = Array(0..<min(store.rowCount, max(1, limits.rows)))
    // Missing rows of an incomplete store read as zeros.
    if !attributes.complete { sample = sample.filter { store.norm($0) > 0 } }
    sampled = sample.count
    norms = Norms(sample.isEmpty ? [0] : sample.map(store.norm))
    if attributes.kind != .unembedding {
      var counts: [Int32: Int] = [:]
      for row in sample { counts[store.token(row), default: 0] += 1 }
      tokens = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(limits.tokens).map {
        Share(name: store.text(ofToken: $0.key), count: $0.value, total: sample.count)
      }
    }
    guard Path.isDirectory(Path.join(store.path, "corpus")) else { return }
    let corpus = try StoredCorpus(store: store.path)
    beginsWithBOS = try store.beginsWithBOS()
    documents = corpus.documentCount
    corpusTokens = corpus.tokenCount
    var byLanguage: [String: Int] = [:]
    for document in 0..<corpus.documentCount {
      byLanguage[corpus.language(of: document) ?? "", default: 0] += 1
    }
    if byLanguage.keys.contains(where: { !$0.isEmpty }) {
      languages = byLanguage.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
        Share(name: $0.key, count: $0.value, total: corpus.documentCount)
      }
    }
    var generator = SeededGenerator(seed: limits.seed)
    for _ in 0..<limits.contexts {
      if let row = sample.randomElement(using: &generator),
        let context = Context(store, corpus, row: row, limits.contextTokens)
      {
        contexts.append(context)
      }
    }
  }
}

extension StoreSummary.Context {
  /// Row `row` of `store` with `count` tokens on each side; nil if the store does not record its place.
  init?(_ store: ActivationStore, _ corpus: StoredCorpus, row: Int, _ count: Int) {
    guard let place = store.place(row), (0..<corpus.documentCount).contains(place.document),
      let tokens = try? corpus.tokens(of: place.document), tokens.indices.contains(place.position)
    else { return nil }
    title = corpus.title(of: place.document) ?? ""
    language = corpus.language(of: place.document) ?? ""
    func text(_ tokens: [Int32]) -> String {
      tokens.map(store.text).joined().replacing("\u{2581}", with: " ")
    }
    before = text(Array(tokens[..<place.position].suffix(count)))
    token = text([tokens[place.position]])
    after = text(Array(tokens[(place.position + 1)...].prefix(count)))
  }
}

extension StoreSummary.Norms {
  /// Counts `norms`, which must not be empty.
  public init(_ norms: [Float]) {
    precondition(!norms.isEmpty, "There are no norms.")
    let sorted = norms.sorted()
    quantiles = [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1].map {
      sorted[Int(Double(sorted.count - 1) * $0)]
    }
    binWidth = 0.05
    let logarithms = sorted.lazy.filter { $0 > 0 && $0.isFinite }.map { log10(Double($0)) }
    zeros = sorted.count { $0 == 0 }
    let first = ((logarithms.first ?? 0) / binWidth).rounded(.down)
    let last = ((logarithms.last ?? 0) / binWidth).rounded(.down)
    lowest = first * binWidth
    counts = [Int](repeating: 0, count: Int(last - first) + 1)
    for value in logarithms {
      counts[min(counts.count - 1, max(0, Int((value / binWidth).rounded(.down) - first)))] += 1
    }
  }
}
