// Scores how clear a hierarchy an expert and its sublatents make: a number from 0 to 1, computed only from
// rows, counts and spellings. `docs/evaluation.md` states the formula and its weaknesses; change both
// together.

import Foundation
import HSAEModels
public import HSAETensors

/// How clear one expert's hierarchy is, with the parts of the score, each from 0 to 1.
public struct HierarchyScore: Hashable, Sendable, Codable {
  /// The expert.
  public var expert: Int
  /// The score: `cohesion` · `margin` · √(`gain` · `richness` · `readability`); 0 unless there are
  /// `HierarchyScoring.minimumSublatents` judged sublatents.
  public var score = 0.0
  /// How similar words of different sublatents are: whether they share a parent.
  public var cohesion = 0.0
  /// How much more similar words of one sublatent are than words of different ones.
  public var margin = 0.0
  /// How much of the remaining squared error the sublatents remove on their words.
  public var gain = 0.0
  /// How evenly the words spread over many sublatents.
  public var richness = 0.0
  /// Share of the sublatents' words that are whole words, forms of one word counted once.
  public var readability = 0.0
  /// Mean cosine of words of one sublatent, above that of random words.
  public var withinCosine = 0.0
  /// Mean cosine of words of different sublatents, above that of random words.
  public var betweenCosine = 0.0
  /// The judged sublatents, those with enough distinct words, most active rows first.
  public var judged: [Int] = []

  /// A score of 0 for `expert`.
  public init(expert: Int) { self.expert = expert }
}

/// The constants of the score.
public struct HierarchyScoring: Hashable, Sendable, Codable {
  /// A sublatent is judged by at most this many of its strongest words.
  public var wordsPerSublatent = 16
  /// A sublatent is judged if it is active for this many distinct words.
  public var minimumWords = 5
  /// A hierarchy with fewer judged sublatents scores 0.
  public var minimumSublatents = 3
  /// The cosine (above that of random words) at which cohesion is one half.
  public var halfCohesion = 0.1
  /// The difference of cosines at which the margin is one half.
  public var halfMargin = 0.1
  /// The share of removed error at which the gain is one half.
  public var halfGain = 0.05
  /// Richness is 1 from this effective number of sublatents on.
  public var fullRichness = 6.0

  /// The constants of `docs/evaluation.md`.
  public init() {}

  /// The number of rows that hierarchies are scored on, the first of `count`: as many as have 64 million numbers if they are
  /// tokens of texts, which repeat themselves, and all if not. Reports and the explorer score on the same rows.
  public static func scoredRows(of count: Int, width: Int, areTokensOfTexts: Bool) -> Int {
    areTokensOfTexts ? min(count, max(1, 64_000_000 / width)) : count
  }

  /// The scores of all experts, in their order. `rows` [n × d] are the rows of all words; profiles and gains are of the first
  /// `count` of them. With `shuffledBy`, a seed, the judged sublatents are dealt to experts at random, each of which gets as
  /// many as before: the scores of sublatents that do not belong together.
  public func scores(
    profiles: ExpertProfiles, words: WordTable, rows: borrowing Matrix, count: Int? = nil,
    gains: SublatentGain, shuffledBy seed: UInt64? = nil
  ) -> [HierarchyScore] {
    precondition(words.count == rows.rows, "There are \(rows.rows) rows, \(words.count) words.")
    // The mean cosine of two different rows.
    let baseline = unitSum(0..<(count ?? rows.rows), rows).meanPairCosine
    var families = (0..<profiles.shape.experts).map {
      judged(expert: $0, profiles: profiles, words: words)
    }
    if let seed {
      var generator = SeededGenerator(seed: seed)
      var all = families.filter { $0.count >= minimumSublatents }.joined()
        .shuffled(using: &generator)[...]
      for expert in families.indices where families[expert].count >= minimumSublatents {
        families[expert] = Array(all.prefix(families[expert].count))
        all = all.dropFirst(families[expert].count)
      }
    }
    var result: [HierarchyScore] = []
    result.reserveCapacity(families.count)
    for (expert, family) in families.enumerated() {
      result.append(
        score(
          expert: expert, family, words: words, rows: rows, gains: gains, baseline: baseline))
    }
    return result
  }

  /// A sublatent that is judged by its strongest words.
  private struct JudgedSublatent {
    var index: Int
    /// The number of rows for which it is active.
    var active: Int
    var rows: [RankedRow]
  }

  /// The judged sublatents of `expert`, most active rows first.
  private func judged(
    expert: Int, profiles: ExpertProfiles, words: WordTable
  ) -> [JudgedSublatent] {
    var children: [JudgedSublatent] = []
    for sublatent in 0..<profiles.shape.sublatents {
      let index = expert * profiles.shape.sublatents + sublatent
      let active = profiles.usage.active[index]
      guard active >= minimumWords else { continue }
      let distinct = words.distinct(
        profiles.rows(expert: expert, sublatent: sublatent), limit: wordsPerSublatent)
      guard distinct.count >= minimumWords else { continue }
      children.append(JudgedSublatent(index: sublatent, active: active, rows: distinct))
    }
    children.sort { $0.active != $1.active ? $0.active > $1.active : $0.index < $1.index }
    return children
  }

  private func score(
    expert: Int, _ children: [JudgedSublatent], words: WordTable, rows: borrowing Matrix,
    gains: SublatentGain, baseline: Double
  ) -> HierarchyScore {
    var result = HierarchyScore(expert: expert)
    result.judged = children.map(\.index)
    guard children.count >= minimumSublatents else { return result }

    // Sums of unit rows give mean cosines within and between groups without visiting pairs.
    var total = UnitSum(width: rows.columns)
    let sums = children.map { unitSum($0.rows.map(\.row), rows) }
    for sum in sums { total.add(sum) }
    for sum in sums {
      result.withinCosine += sum.meanPairCosine
      result.betweenCosine += sum.meanCosine(toRestOf: total)
    }
    result.withinCosine = result.withinCosine / Double(sums.count) - baseline
    result.betweenCosine = result.betweenCosine / Double(sums.count) - baseline
    result.cohesion = saturate(result.betweenCosine, half: halfCohesion)
    result.margin = saturate(result.withinCosine - result.betweenCosine, half: halfMargin)

    result.gain = saturate(gains.share(expert: expert), half: halfGain)

    let active = Double(children.reduce(0) { $0 + $1.active })
    let entropy = children.reduce(0.0) {
      let share = Double($1.active) / active
      return $0 - share * log(share)
    }
    result.richness = max(0, min(1, (exp(entropy) - 1) / (fullRichness - 1)))

    var forms: Set<Int32> = []
    var count = 0
    for child in children {
      for row in child.rows where words.isWhole(row: row.row) { forms.insert(words.forms[row.row]) }
      count += child.rows.count
    }
    result.readability = Double(forms.count) / Double(count)

    result.score =
      result.cohesion * result.margin
      * (result.gain * result.richness * result.readability).squareRoot()
    return result
  }

  private func saturate(_ value: Double, half: Double) -> Double {
    let value = max(0, value)
    return value / (value + half)
  }

  private func unitSum(_ indices: some Sequence<Int>, _ rows: borrowing Matrix) -> UnitSum {
    var sum = UnitSum(width: rows.columns)
    for index in indices { sum.add(rows.row(index)) }
    return sum
  }
}

/// The sum of a group's rows, each scaled to unit norm; zero rows are left out.
struct UnitSum {
  private(set) var count = 0
  private var sum: [Double]

  init(width: Int) { sum = Array(repeating: 0, count: width) }

  mutating func add(_ vector: Span<Float>) {
    let squaredNorm = dot(vector, vector)
    guard squaredNorm > 0 else { return }
    let scale = 1 / Double(squaredNorm).squareRoot()
    for index in 0..<vector.count { sum[index] += Double(vector[index]) * scale }
    count += 1
  }

  mutating func add(_ other: UnitSum) {
    for index in sum.indices { sum[index] += other.sum[index] }
    count += other.count
  }

  /// Mean cosine of two different members: (‖s‖² − n) / (n(n − 1)); 0 with fewer than two.
  var meanPairCosine: Double {
    guard count > 1 else { return 0 }
    let squared = sum.reduce(0) { $0 + $1 * $1 }
    return (squared - Double(count)) / Double(count * (count - 1))
  }

  /// Mean cosine of a member and a row of `total` outside the group; `total` contains this group.
  func meanCosine(toRestOf total: UnitSum) -> Double {
    let others = total.count - count
    guard count > 0, others > 0 else { return 0 }
    var product = 0.0
    for index in sum.indices { product += sum[index] * (total.sum[index] - sum[index]) }
    return product / Double(count * others)
  }
}
