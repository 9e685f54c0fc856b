// Tests Tree SAE's reconstruction condition of the suite structure: on a forest's own tree, on wrong children, on
// dictionaries that nothing can be probed of.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

struct ReconstructionConditionTests {
  /// The shares of pairs that fulfil the condition, and that do so with a parent by chance.
  private func shares(_ condition: ReconstructionCondition) -> (own: Double, chance: Double) {
    let totals = condition.sums.totals
    return (totals[0] / totals[2], totals[1] / totals[2])
  }

  @Test func aTrueTreeFulfilsIt() throws {
    let rows = TruthSuiteTests.rows()
    let tree = try TruthSuiteTests.tree(rows, families: Array(0..<8))
    let flat = try TruthSuiteTests.flat(rows, Array(0..<48), unused: 80)
    let results = try StructureSuite.evaluate(
      [tree, flat],
      EvaluationFixture.input(rows) { ($0.rowLimit, $0.metaSteps) = (5_000, 0) })
    for (result, rule) in zip(results, ["tree", "coactivation"]) {
      let own = try #require(result["reconstruction_condition_\(rule)"])
      #expect(own.value > 0.9)
      let interval = try #require(own.interval)
      #expect(interval.low <= own.value && own.value <= interval.high)
      #expect(try #require(result["reconstruction_condition_\(rule)_chance"]).value < 0.3)
      #expect(result["probed_pairs_\(rule)"]?.value == 40)
      #expect(result["meta_structure"] == nil)
    }
    #expect(results[1]["reconstruction_condition_tree"] == nil)
  }

  @Test func wrongChildrenDoNot() throws {
    let rows = TruthSuiteTests.rows()
    let flat = try TruthSuiteTests.flat(rows, Array(0..<48))
    let sample = try SampledRows(
      flat, EvaluationRows(rows.heldOut(), limit: 5_000, isHeldOut: true, name: "rows"), threads: 2)
    func families(_ shift: Int) -> [Family] {
      (0..<8).map {
        Family(
          parent: $0, children: Array(rows.sampler.forest.children[($0 + shift) % 8]))
      }
    }
    let right = ReconstructionCondition(
      families(0), of: flat.dictionary, on: sample, seed: 1, threads: 2)
    #expect(shares(right).own > 0.9)
    let wrong = ReconstructionCondition(
      families(3), of: flat.dictionary, on: sample, seed: 1, threads: 2)
    #expect(shares(wrong).own < 0.2)
  }

  /// A sublatent is active only where its expert is, so probes find experts of random weights too (docs/evaluation.md).
  @Test func ownTreesFulfilItInPartByConstruction() throws {
    let rows = TruthSuiteTests.rows()
    let shape = DictionaryShape(
      width: 64, experts: 64, sublatents: 8, subspace: 4, activeExperts: 8)
    let untrained = try EvaluationFixture.run("untrained", shape, normalize: .none) {
      $0 = Parameters.initial(shape: shape, seed: 4)
    }
    let result = try StructureSuite.evaluate(
      [untrained], EvaluationFixture.input(rows) { ($0.rowLimit, $0.metaSteps) = (5_000, 0) })[0]
    #expect(try #require(result["reconstruction_condition_tree"]).value > 0.2)
    #expect(try #require(result["reconstruction_condition_tree_chance"]).value < 0.05)
    #expect(result["probed_pairs_tree"]?.value == 200)
  }

  @Test func threadsDoNotMatter() throws {
    let rows = TruthSuiteTests.rows()
    let tree = try TruthSuiteTests.tree(rows, families: Array(0..<8))
    let flat = try TruthSuiteTests.flat(rows, Array(0..<48), unused: 80)
    let results = try [1, 2].map { threads in
      try StructureSuite.evaluate(
        [tree, flat],
        EvaluationFixture.input(rows) {
          ($0.rowLimit, $0.threads, $0.metaSteps) = (3_000, threads, 20)
        })
    }
    for (one, two) in zip(results[0], results[1]) {
      #expect(one["meta_structure"] != nil)
      #expect(one.notes == two.notes)
      for (a, b) in zip(one.numbers, two.numbers) {
        #expect(a.key == b.key && (a.value == b.value || a.value.isNaN && b.value.isNaN))
        #expect(a.interval == b.interval)
      }
    }
  }

  @Test func nothingToProbeIsNoted() throws {
    let rows = TruthSuiteTests.rows { $0.orthogonalSteps = 0 }
    let one = try TruthSuiteTests.flat(rows, [3], name: "one")
    let dead = try StructureSuiteTests.dead(experts: 8)
    for count in [1, 100] {
      let results = try StructureSuite.evaluate(
        [one, dead], EvaluationFixture.input(rows) { $0.rowLimit = count })
      #expect(results[0]["reconstruction_condition_tree"] == nil)
      #expect(results[0]["meta_structure"] == nil)
      #expect(results[0].notes.contains { $0.contains("one has fewer than 8 latents") })
      #expect(results[1]["reconstruction_condition_tree"]?.value.isNaN == true)
      #expect(results[1]["reconstruction_condition_tree_chance"]?.value.isNaN == true)
      #expect(results[1]["probed_pairs_tree"]?.value == 0)
      #expect(results[1].notes.contains { $0.contains("no child of dead is active") })
    }
  }

  @Test func pairsAreSpreadOverParents() {
    let families = (0..<100).map { parent in
      Family(parent: parent, children: (0..<10).map { 1_000 + parent * 10 + $0 })
    }
    // Children of the last ten parents are not eligible, and two of each other one.
    func isEligible(_ child: Int) -> Bool { child < 1_900 && child % 10 > 1 }
    let pairs = ReconstructionCondition.pairs(families, seed: 4, isEligible: isEligible)
    #expect(pairs.joined().count == ReconstructionCondition.mostPairs)
    #expect(pairs.count == 90)
    #expect(pairs.allSatisfy { (2...3).contains($0.count) && Set($0.map(\.parent)).count == 1 })
    for pair in pairs.joined() {
      #expect((pair.child - 1_000) / 10 == pair.parent)
      #expect(isEligible(pair.child))
    }
    // Shuffled children seldom keep their parent.
    #expect(pairs.joined().count { $0.other == $0.parent } < 10)
    #expect(pairs == ReconstructionCondition.pairs(families, seed: 4, isEligible: isEligible))
    #expect(pairs != ReconstructionCondition.pairs(families, seed: 5, isEligible: isEligible))
    let few = ReconstructionCondition.pairs(Array(families.prefix(3)), seed: 4) { _ in true }
    #expect(few.map(\.count) == [5, 5, 5])
    // A child of two parents has a pair with each.
    let shared = ReconstructionCondition.pairs(
      [Family(parent: 0, children: [5]), Family(parent: 1, children: [5])], seed: 1
    ) { _ in true }
    #expect(Set(shared.joined().map(\.other)) == [0, 1])
    #expect(ReconstructionCondition.pairs([], seed: 1) { _ in true }.isEmpty)
  }

  @Test func samplesAreSpreadOverRows() {
    #expect(SampledRows.pieces(of: 0) == [])
    #expect(SampledRows.pieces(of: 1) == [0..<1])
    #expect(SampledRows.pieces(of: 130) == [0..<64, 64..<128, 128..<130])
    for count in [16_384, 16_385, 20_000, 1_000_000] {
      let pieces = SampledRows.pieces(of: count)
      #expect(pieces.reduce(0) { $0 + $1.count } == SampledRows.mostRows)
      #expect(pieces.first?.lowerBound == 0)
      #expect(pieces.last?.upperBound == count)
      #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
    }
  }

  /// Against all cosines, one by one.
  @Test func theNearestAreTheNearest() {
    let shape = DictionaryShape(
      width: 12, experts: 900, sublatents: 5, subspace: 3, activeExperts: 2)
    let dictionary = SparseAutoencoder(
      parameters: .initial(shape: shape, seed: 3),
      activation: ActivationFunction(threshold: 0, subThreshold: 0))
    var generator = SeededGenerator(seed: 8)
    let probes = Matrix(
      rows: 4, columns: 12, elements: (0..<48).map { _ in Float(generator.nextNormal()) })
    let found = ReconstructionCondition.nearest(to: probes, in: dictionary, threads: 2)
    #expect(found.count == 4)
    for probe in 0..<4 {
      let cosines = (0..<5_400).map { latent in
        let direction = dictionary.contribution(of: LatentNumber(latent, in: shape))
        var (product, square) = (0.0, 0.0)
        for column in 0..<12 {
          product += Double(direction[column]) * Double(probes[probe, column])
          square += Double(direction[column]) * Double(direction[column])
        }
        return product / square.squareRoot()
      }
      let best = cosines.indices.sorted { cosines[$0] > cosines[$1] }.prefix(5)
      #expect(found[probe] == Array(best))
    }
    let none = ReconstructionCondition.nearest(
      to: Matrix(rows: 0, columns: 12), in: dictionary, threads: 1)
    #expect(none.isEmpty)
  }
}
