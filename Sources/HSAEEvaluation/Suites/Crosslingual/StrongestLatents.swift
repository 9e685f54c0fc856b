// Finds the latents that stand for a sentence (the strongest at its last token, or over all its tokens), and
// counts how much they differ between sentences.

public import HSAEModels

/// The strongest top-level latents of a sentence.
public struct StrongestLatents: Hashable, Sendable {
  /// The strongest at its last token.
  public var last: Set<Int>
  /// Those with the largest mean code over its tokens.
  public var pooled: Set<Int>

  /// The `count` strongest latents of a sentence whose tokens have the codes `codes[range]`.
  public init(_ codes: Codes, _ range: Range<Int>, count: Int) {
    // Codes of a row are strongest first.
    last = Set(range.last.map { codes[$0].prefix(count).map(\.expert) } ?? [])
    var sums: [Int: Double] = [:]
    for row in range {
      for code in codes[row] {
        sums[code.expert, default: 0] += Double(code.value)
      }
    }
    let order = sums.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    pooled = Set(order.prefix(count).map(\.key))
  }
}

/// How the latents of sentences differ between languages.
struct CrosslingualDifferences {
  /// The pairs of languages.
  let pairs: [(first: Int, second: Int)]
  /// For each sentence: 1; the mean size of its sets; then for each pair the difference at the last token,
  /// that with another sentence's translation, and the same two over all tokens.
  let sums: GroupedSums

  /// The place of a pair's numbers among the quantities.
  static func place(_ pair: Int) -> Int { 2 + 4 * pair }

  /// Compares `latents[language][sentence]`; the baseline compares a sentence with sentence `other[sentence]`.
  init(_ latents: [[StrongestLatents]], other: [Int]) {
    var pairs: [(first: Int, second: Int)] = []
    for first in latents.indices {
      for second in latents.indices where second > first { pairs.append((first, second)) }
    }
    let sentences = latents.first?.count ?? 0
    var sums = GroupedSums(groups: sentences, quantities: 2 + 4 * pairs.count)
    for sentence in 0..<sentences {
      let sizes = latents.map { Double($0[sentence].last.count) }
      var values = [1, sizes.reduce(0, +) / Double(max(1, sizes.count))]
      for (first, second) in pairs {
        let (a, b) = (latents[first][sentence], latents[second][sentence])
        let c = latents[second][other[sentence]]
        values += [
          a.last.symmetricDifference(b.last), a.last.symmetricDifference(c.last),
          a.pooled.symmetricDifference(b.pooled), a.pooled.symmetricDifference(c.pooled),
        ].map { Double($0.count) }
      }
      sums.add(values.span, ofGroup: sentence)
    }
    self.pairs = pairs
    self.sums = sums
  }
}
