// Units of work: contexts in reading order, cut by where they begin among all tokens, so that any unit
// is found without a table and the same units exist however many processes share the work.

import HSAEActivations
import HSAESupport

/// The units of the work of collecting a corpus.
struct CollectionUnits {
  /// A context to run, and where its rows go.
  struct Context {
    var document: Int
    /// Its first token's position in the document.
    var start: Int
    var tokens: [Int32]
    /// The index of its first row within its part.
    var firstRow: Int
  }

  /// Tokens between the beginnings of units. Enough to pack contexts of like length together: with
  /// Wikipedia's leads, padding is 3 % of the tokens (9 % in units of 8,192).
  static let unitTokens = 32_768

  private let corpus: StoredCorpus
  private let rule: TokenRule

  init(_ corpus: StoredCorpus, rule: TokenRule) { (self.corpus, self.rule) = (corpus, rule) }

  /// The number of units.
  var count: Int { (corpus.tokenCount + Self.unitTokens - 1) / Self.unitTokens }

  /// The units that shard `shard` (counting from 1) of `count` does.
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
