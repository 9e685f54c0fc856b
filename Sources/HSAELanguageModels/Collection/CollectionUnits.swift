// Cuts the work of collecting into units: the contexts that begin within a fixed range of the corpus's
// tokens, in reading order. Units follow from token offsets alone, whatever the number of processes.

import HSAEActivations
import HSAESupport

struct CollectionUnits {
  /// A context to run, and where its rows go.
  struct Context {
    var document: Int
    var start: Int
    var tokens: [Int32]
    /// The index of its first row within its part.
    var firstRow: Int
  }

  /// Tokens in a unit: enough to pack contexts of similar length together. With Wikipedia's leads 3 % of the
  /// tokens are padding (9 % in units of 8,192).
  static let unitTokens = 32_768

  private let corpus: StoredCorpus
  private let rule: TokenRule

  init(_ corpus: StoredCorpus, rule: TokenRule) { (self.corpus, self.rule) = (corpus, rule) }

  var count: Int { (corpus.tokenCount + Self.unitTokens - 1) / Self.unitTokens }

  /// The units of shard `shard` (counting from 1) out of `shards`.
  func range(shard: Int, of shards: Int) -> Range<Int> {
    func bound(_ part: Int) -> Int {
      Int((Int128(part) * Int128(count)) / Int128(shards))
    }
    return bound(shard - 1)..<bound(shard)
  }

  /// The contexts of unit `unit`: those that begin within its tokens.
  func contexts(_ unit: Int) throws(Failure) -> [Context] {
    let places =
      unit * Self.unitTokens..<min((unit + 1) * Self.unitTokens, corpus.tokenCount)
    var contexts: [Context] = []
    var document = try corpus.document(at: places.lowerBound)
    while document < corpus.documentCount {
      let range = try corpus.range(of: document)
      if range.lowerBound >= places.upperBound { break }
      let tokens = try corpus.tokens(of: document)
      try rule.tokenizer.check(tokens, of: corpus.path)
      var row = corpus.firstRow(of: document)
      for start in stride(from: 0, to: tokens.count, by: rule.contextLength) {
        let part = Array(tokens[start..<min(start + rule.contextLength, tokens.count)])
        if places.contains(range.lowerBound + start) {
          contexts.append(Context(document: document, start: start, tokens: part, firstRow: row))
        } else if range.lowerBound + start >= places.upperBound {
          break
        }
        row += part.indices.count { rule.keeps(part[$0], at: start + $0) }
      }
      document += 1
    }
    return contexts
  }
}
