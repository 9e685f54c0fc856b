// Tests the hierarchy score on planted hierarchies: high for a hierarchy, near 0 for shuffled or missing parts.

import HSAEModels
import HSAETensors
import Testing

@testable import HSAEEvaluation

/// Words of one expert with planted sublatents among background words.
private struct Planted {
  var rows: [[Float]] = []
  var sublatent: [Int] = []
  var names: [String] = []
  static let width = 64

  /// `groups` sublatents of `size` words. `parent` is the length of the part that all words of the expert
  /// share, `child` of the part that the words of one sublatent share.
  init(groups: Int, size: Int, parent: Float, child: Float, seed: UInt64 = 1) {
    var generator = SeededGenerator(seed: seed)
    func direction() -> [Float] {
      let vector = (0..<Self.width).map { _ in
        (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &generator) }
      }
      let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return vector.map { $0 / norm }
    }
    let common = direction()
    for group in 0..<groups {
      let own = direction()
      for word in 0..<size {
        let noise = direction()
        rows.append(
          (0..<Self.width).map { parent * common[$0] + child * own[$0] + 0.7 * noise[$0] })
        sublatent.append(group)
        names.append("▁" + Self.name(group * 100 + word))
      }
    }
    for word in 0..<300 {
      rows.append(direction())
      sublatent.append(-1)
      names.append("▁" + Self.name(5000 + word))
    }
  }

  /// A word for a number; no word is a form of another.
  static func name(_ number: Int) -> String {
    String(String(number).compactMap { "bcdfghjklm".dropFirst(Int(String($0)) ?? 0).first }) + "oa"
  }

  /// The score of expert 0, whose sublatents remove a third of the squared error.
  func score(subThreshold: Float = 0.1, shuffledBy seed: UInt64? = nil) -> HierarchyScore {
    let shape = DictionaryShape(
      width: Self.width, experts: 2, sublatents: 8, subspace: 2, activeExperts: 1)
    var profiles = ExpertProfiles(shape: shape, subThreshold: subThreshold)
    var codes = Codes()
    for (index, group) in sublatent.enumerated() {
      let value = 1 - Float(index) / 1000
      codes.append([
        group >= 0
          ? Code(expert: 0, value: value, sublatent: group, subValue: value / 2)
          : Code(expert: 1, value: value, sublatent: 0, subValue: 0)
      ])
    }
    profiles.add(codes, firstRow: 0)
    let words = WordTable(tokens: names.indices.map(Int32.init), vocabulary: names)
    let matrix = Matrix(
      rows: rows.count, columns: Self.width, elements: Array(rows.joined()))
    let scores = HierarchyScoring().scores(
      profiles: profiles, words: words, rows: matrix,
      gains: SublatentGain(with: [2, 0], without: [3, 0]), shuffledBy: seed)
    return scores[0]
  }
}

@Suite struct HierarchyScoreTests {
  private let planted = Planted(groups: 6, size: 12, parent: 0.6, child: 0.7)

  @Test func aPlantedHierarchyScoresHigh() {
    let score = planted.score()
    #expect(score.judged.count == 6)
    #expect(score.richness > 0.999 && score.readability == 1)
    #expect(score.gain > 0.85)
    #expect(score.score > 0.4)
  }

  /// Sublatents that are dealt to other experts have nothing in common. A single family stays as it is.
  @Test func familiesDealtAtRandomScoreNearZero() {
    let families = (0..<6).map {
      Planted(groups: 4, size: 12, parent: 0.6, child: 0.7, seed: UInt64($0))
    }
    let shape = DictionaryShape(
      width: Planted.width, experts: 6, sublatents: 4, subspace: 2, activeExperts: 1)
    var profiles = ExpertProfiles(shape: shape, subThreshold: 0.1)
    var (codes, rows, names) = (Codes(), [Float](), [String]())
    for (expert, family) in families.enumerated() {
      for (index, group) in family.sublatent.enumerated() where group >= 0 {
        codes.append([Code(expert: expert, value: 1, sublatent: group, subValue: 0.5)])
        rows += family.rows[index]
        names.append("▁" + Planted.name(expert * 10_000 + index))
      }
    }
    profiles.add(codes, firstRow: 0)
    let words = WordTable(tokens: names.indices.map(Int32.init), vocabulary: names)
    let matrix = Matrix(rows: names.count, columns: Planted.width, elements: rows)
    let gains = SublatentGain(
      with: [Double](repeating: 2, count: 6), without: [Double](repeating: 3, count: 6))
    let scoring = HierarchyScoring()
    let real = scoring.scores(profiles: profiles, words: words, rows: matrix, gains: gains)
    let chance = scoring.scores(
      profiles: profiles, words: words, rows: matrix, gains: gains, shuffledBy: 0)
    #expect(real.allSatisfy { $0.score > 0.2 && $0.judged.count == 4 })
    #expect(chance.allSatisfy { $0.judged.count == 4 })
    let means = [real, chance].map { $0.map(\.score).reduce(0, +) / 6 }
    #expect(means[1] < means[0] / 3)
    let again = scoring.scores(
      profiles: profiles, words: words, rows: matrix, gains: gains, shuffledBy: 0)
    #expect(again == chance)
    let alone = planted.score()
    #expect(alone.score == planted.score(shuffledBy: 3).score)
  }

  /// Hierarchies are scored on the first rows alone.
  @Test func onlyTheFirstRowsAreScored() {
    let shape = DictionaryShape(
      width: Planted.width, experts: 8, sublatents: 4, subspace: 4, activeExperts: 2)
    let dictionary = SparseAutoencoder(
      parameters: .initial(shape: shape, seed: 3),
      activation: ActivationFunction(threshold: 0, subThreshold: 0))
    let count = planted.rows.count
    func evaluation(_ rows: Int, scored: Int, chunk: Int) -> DictionaryEvaluation {
      let matrix = Matrix(
        rows: rows, columns: Planted.width, elements: Array(planted.rows.prefix(rows).joined()))
      let words = WordTable(
        tokens: (0..<rows).map(Int32.init), vocabulary: planted.names)
      return DictionaryEvaluation(
        dictionary, rows: matrix, codes: dictionary.encode(matrix, threads: 1), words: words,
        scoredRows: scored, threads: 1, chunk: chunk)
    }
    let whole = evaluation(count, scored: 250, chunk: 100)
    let part = evaluation(250, scored: .max, chunk: 1000)
    #expect(part.hierarchies.contains { $0.score > 0 })
    #expect(whole.hierarchies == part.hierarchies)
    #expect(whole.shuffledHierarchies == part.shuffledHierarchies)
    #expect(whole.usage.experts.reduce(0, +) > part.usage.experts.reduce(0, +))
    #expect(
      HierarchyScoring.scoredRows(of: 1_000_000, width: 640, areTokensOfTexts: true) == 100_000)
    #expect(HierarchyScoring.scoredRows(of: 50, width: 640, areTokensOfTexts: false) == 50)
    #expect(
      HierarchyScoring.scoredRows(of: 1_000_000, width: 640, areTokensOfTexts: false) == 1_000_000)
  }

  @Test func shuffledSublatentsScoreNearZero() {
    var shuffled = planted
    var generator = SeededGenerator(seed: 9)
    let groups = Array(planted.sublatent.prefix(72)).shuffled(using: &generator)
    shuffled.sublatent.replaceSubrange(0..<72, with: groups)
    #expect(shuffled.score().score < 0.05)
    #expect(shuffled.score().score < planted.score().score / 10)
  }

  @Test func sublatentsWithNothingInCommonScoreLow() {
    let unrelated = Planted(groups: 6, size: 12, parent: 0, child: 0.9)
    #expect(unrelated.score().margin > 0.5)
    #expect(unrelated.score().score < planted.score().score / 4)
  }

  @Test func spellingsOfOneWordAreNotRich() {
    var spelled = planted
    for index in 0..<72 {
      let word = Planted.name(index / 12 * 100)
      let forms = ["▁" + word, word, word.uppercased(), "▁" + word.uppercased(), word + "s"]
      spelled.names[index] = forms[index % forms.count]
    }
    #expect(spelled.score().score == 0 && spelled.score().judged.isEmpty)
    // The same words in every sublatent, spelled differently in each.
    var repeated = planted
    let spellings: [(String) -> String] = [
      { "▁" + $0 }, { $0 }, { $0.uppercased() }, { "▁" + $0.uppercased() }, { $0 + "s" },
      { "▁" + $0 + "s" },
    ]
    for index in 0..<72 { repeated.names[index] = spellings[index / 12](Planted.name(index % 12)) }
    #expect(repeated.score().judged.count == 6)
    #expect(repeated.score().readability <= 1.0 / 6 + 1e-9)
  }

  @Test func tooFewSublatentsOrNoneRelevantScoreZero() {
    #expect(Planted(groups: 2, size: 20, parent: 0.6, child: 0.7).score().score == 0)
    #expect(Planted(groups: 6, size: 4, parent: 0.6, child: 0.7).score().score == 0)
    #expect(planted.score(subThreshold: 0.9).score == 0)
  }

  @Test func unitSumsAgreeWithPairs() {
    let vectors: [[Float]] = [[1, 0], [0, 2], [3, 3]]
    var sum = UnitSum(width: 2)
    for index in vectors.indices {
      let vector = vectors[index]
      sum.add(vector.span)
    }
    let half = (0.5).squareRoot()
    #expect(abs(sum.meanPairCosine - (0 + half + half) / 3) < 1e-6)
    var first = UnitSum(width: 2)
    let unit = vectors[0]
    first.add(unit.span)
    #expect(abs(first.meanCosine(toRestOf: sum) - half / 2) < 1e-6)
  }
}
