// Scores how well a parent and its children fit WordNet: is there a synset that covers the parent's nouns,
// and under it narrower synsets that cover each child's? docs/evaluation.md states the score and its
// weaknesses; change both together.

import Foundation

/// How well one parent and its children fit WordNet; every part is from 0 to 1.
public struct TaxonomyScore: Hashable, Sendable, Codable {
  /// The expert or group.
  public var parent: Int
  /// coverage · specificity · separation of the parent's best synset; 0 if there is none.
  public var score = 0.0
  /// The share of the parent's nouns that the synset covers, corrected for chance.
  public var coverage = 0.0
  /// How narrow the synset is: 1 if it covers a twentieth of all nouns or less, 0 if it covers all.
  public var specificity = 0.0
  /// The mean over children of the share of the child's nouns that a narrower synset covers, minus the share
  /// of its siblings' nouns.
  public var separation = 0.0
  /// The first word of the parent's synset; nil if the score is 0.
  public var synset: String?
  /// The judged children.
  public var children: [Child] = []

  /// A child with the synset that separates it best from its siblings.
  public struct Child: Hashable, Sendable, Codable {
    /// The sublatent within its expert, or the latent of the group.
    public var index: Int
    /// The first word of its synset; nil if no synset under the parent's separates it.
    public var synset: String?
    /// The share of its nouns that its synset covers, minus the share of its siblings' nouns.
    public var separation: Double
  }
}

extension TaxonomyScoring {
  /// The scores of those of `families` that WordNet can judge, in their order.
  public func scores(_ families: [NounFamily], nouns: NounTable) -> [TaxonomyScore] {
    var judge = TaxonomyJudge(nouns: nouns, fullSpecificity: fullSpecificity)
    return families.filter(isJudged).map { judge.score($0) }
  }
}

/// Judges families one after another and reuses its memory.
struct TaxonomyJudge {
  private let nouns: NounTable
  private let fullSpecificity: Double
  /// For each synset, the number of the parent's nouns it covers.
  private var parentCounts: SynsetCounts
  /// For each synset, the number of the nouns of all children it covers.
  private var childCounts: SynsetCounts
  /// For each synset, the number of one child's nouns it covers.
  private var ownCounts: SynsetCounts
  /// For each synset, the best separation of the current child by a synset under it, and that synset.
  private var best: [Double]
  private var bestChild: [Int32]

  init(nouns: NounTable, fullSpecificity: Double) {
    self.nouns = nouns
    self.fullSpecificity = fullSpecificity
    let count = nouns.share.count
    parentCounts = SynsetCounts(count)
    childCounts = SynsetCounts(count)
    ownCounts = SynsetCounts(count)
    best = Array(repeating: 0, count: count)
    bestChild = Array(repeating: -1, count: count)
  }

  mutating func score(_ family: NounFamily) -> TaxonomyScore {
    parentCounts.count(family.nouns, nouns)
    childCounts.count(family.children.flatMap(\.nouns), nouns)
    let all = family.children.reduce(0) { $0 + $1.nouns.count }
    // Candidates for the parent's synset: all that cover a larger share of its nouns than of all nouns.
    var coverage: [(synset: Int32, value: Double, specificity: Double)] = []
    for synset in parentCounts.touched {
      let share = nouns.share[Int(synset)]
      let covered = Double(parentCounts[synset]) / Double(family.nouns.count)
      if covered > share {
        coverage.append(
          (synset, (covered - share) / (1 - share), min(1, log(share) / log(fullSpecificity))))
      }
    }
    var separations = [Double](repeating: 0, count: coverage.count)
    var choices = [[(synset: Int32, value: Double)]](repeating: [], count: coverage.count)
    for child in family.children {
      ownCounts.count(child.nouns, nouns)
      let rest = Double(all - child.nouns.count)
      var touched: [Int32] = []
      for synset in ownCounts.touched {
        let own = ownCounts[synset]
        let value =
          Double(own) / Double(child.nouns.count) - Double(childCounts[synset] - own) / rest
        guard value > 0 else { continue }
        for above in nouns.above[Int(synset)] where value > best[Int(above)] {
          if best[Int(above)] == 0 { touched.append(above) }
          best[Int(above)] = value
          bestChild[Int(above)] = synset
        }
      }
      for (index, candidate) in coverage.enumerated() {
        let place = Int(candidate.synset)
        separations[index] += best[place] / Double(family.children.count)
        choices[index].append((bestChild[place], best[place]))
      }
      for synset in touched {
        best[Int(synset)] = 0
        bestChild[Int(synset)] = -1
      }
    }
    var result = TaxonomyScore(parent: family.parent)
    var winner = -1
    for index in coverage.indices {
      let score = coverage[index].value * coverage[index].specificity * separations[index]
      // Among equal scores the narrowest synset wins, which covers the smallest share of all nouns.
      guard
        score > result.score
          || (score == result.score && winner >= 0
            && nouns.share[Int(coverage[index].synset)]
              < nouns.share[Int(coverage[winner].synset)])
      else { continue }
      result.score = score
      winner = index
    }
    guard winner >= 0, result.score > 0 else {
      result.children = family.children.map {
        TaxonomyScore.Child(index: $0.index, synset: nil, separation: 0)
      }
      return result
    }
    result.coverage = coverage[winner].value
    result.specificity = coverage[winner].specificity
    result.separation = separations[winner]
    result.synset = nouns.names[Int(coverage[winner].synset)]
    result.children = zip(family.children, choices[winner]).map { child, choice in
      TaxonomyScore.Child(
        index: child.index, synset: choice.synset >= 0 ? nouns.names[Int(choice.synset)] : nil,
        separation: choice.value)
    }
    return result
  }
}

/// How many nouns of a list each synset covers. Remembers which counts are not 0, to clear them quickly.
private struct SynsetCounts {
  private var counts: [Int32]
  /// The synsets that cover a noun of the list.
  private(set) var touched: [Int32] = []

  init(_ count: Int) { counts = Array(repeating: 0, count: count) }

  subscript(synset: Int32) -> Int { Int(counts[Int(synset)]) }

  mutating func count(_ list: [Int32], _ nouns: NounTable) {
    for synset in touched { counts[Int(synset)] = 0 }
    touched.removeAll(keepingCapacity: true)
    for noun in list {
      for synset in nouns.synsets[Int(noun)] {
        if counts[Int(synset)] == 0 { touched.append(synset) }
        counts[Int(synset)] += 1
      }
    }
  }
}
