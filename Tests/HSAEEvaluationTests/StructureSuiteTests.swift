// Tests the suite structure: families with known activity, absorption by construction, chance, and tiny dictionaries.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

struct StructureSuiteTests {
  @Test func countsFollowTheirDefinitions() {
    // Latents 0 (parent), 1 and 2 (children); 3 is another parent, without children that are ever active.
    var statistics = FamilyStatistics(
      [Family(parent: 0, children: [1, 2]), Family(parent: 3, children: [4])], latents: 5, seed: 1)
    for _ in 0..<10 {
      statistics.add([(0, 3), (1, 1)])
      statistics.add([(0, 1), (2, 2)])
      statistics.add([(0, 1)])
      statistics.add([(1, 5), (3, 1)])
    }
    let own = statistics.quantities(0)
    // The parent is active in 30 rows, with child 1 in 10 and with child 2 in 10; child 1 also alone in 10.
    #expect(own.coverage == 20 / 30.0)
    #expect(abs(own.childGivenParent - 2 / 3.0) < 1e-12)
    #expect(own.children == 2)
    // It is larger than child 1 (3 and 1), smaller than child 2 (1 and 2).
    #expect(own.larger == 1)
    #expect(own.pairs == 2)
    #expect(own.mismatch == 20)
    #expect(own.either == 40)
    // Pairs of codes: (3, 1), (1, 2), (0, 5), ten each: the larger the child, the smaller the parent.
    #expect(abs(own.correlation + 1) < 1e-12)
    let lone = statistics.quantities(1)
    #expect(lone.coverage == 0)
    #expect(lone.parents == 1)
    #expect(lone.children == 0)
    #expect(lone.correlations == 0)
  }

  @Test func rankCorrelationSharesRanks() throws {
    #expect(rankCorrelation([1, 2, 3], [10, 20, 30]) == 1)
    #expect(rankCorrelation([1, 2, 3], [3, 2, 1]) == -1)
    #expect(rankCorrelation([1, 1], [1, 2]) == nil)
    #expect(rankCorrelation([], []) == nil)
    // SciPy's spearmanr([1, 2, 2, 4], [1, 3, 2, 4]).
    #expect(
      abs(try #require(rankCorrelation([1, 2, 2, 4], [1, 3, 2, 4])) - 0.9486832980505138) < 1e-12)
  }

  @Test func samplesStaySmall() {
    var statistics = FamilyStatistics([Family(parent: 0, children: [1])], latents: 2, seed: 1)
    for row in 0..<5_000 { statistics.add([(0, Float(row)), (1, Float(row))]) }
    #expect(statistics.counts[0].sample.count == FamilyStatistics.sampleRows)
    #expect(abs(statistics.quantities(0).correlation - 1) < 1e-12)
    let late = statistics.counts[0].sample.count { $0.parent >= 2_500 }
    #expect(abs(late - 250) < 60)
  }

  @Test func aTreeThatIsThereIsFound() throws {
    let rows = TruthSuiteTests.rows()
    let tree = try TruthSuiteTests.tree(rows, families: Array(0..<8))
    let flat = try TruthSuiteTests.flat(rows, Array(0..<48), unused: 80)
    let results = try StructureSuite.evaluate(
      [tree, flat], EvaluationFixture.input(rows) { $0.rowLimit = 5_000 })
    func value(_ index: Int, _ key: String) throws -> Double {
      try #require(results[index][key]).value
    }
    // Every row of a root has one of five exclusive children with a probability that the truth says.
    let truth = rows.heldOut().fired(0..<5_000)
    var (roots, covered) = ([Double](repeating: 0, count: 8), [Double](repeating: 0, count: 8))
    for row in truth {
      for each in row {
        if each.feature < 8 {
          roots[each.feature] += 1
        } else {
          covered[rows.sampler.forest.parents[each.feature]] += 1
        }
      }
    }
    let coverage = zip(covered, roots).reduce(0) { $0 + $1.0 / $1.1 } / 8
    #expect(abs(try value(0, "coverage_tree") - coverage) < 0.02)
    #expect(abs(try value(0, "child_given_parent_tree") - coverage / 5) < 0.01)
    #expect(try value(0, "coverage_tree_chance") < coverage)
    // The same families come out of coactivation in the flat dictionary.
    #expect(try value(1, "families_coactivation") == 8)
    #expect(abs(try value(1, "coverage_coactivation") - coverage) < 0.02)
    #expect(results[1]["coverage_tree"] == nil)
    // Magnitudes of children follow their parent's.
    #expect(try value(1, "soft_absorption_coactivation") > 0.3)
    // Directions are nearly orthogonal.
    #expect(try value(1, "composition") < 0.3)
    #expect(try value(1, "decoder_projection") > 0)
  }

  /// A parent that is switched off where its child is active, as absorption does: coverage and correlation show it.
  @Test func absorptionShows() {
    var statistics = FamilyStatistics([Family(parent: 0, children: [1, 2])], latents: 3, seed: 1)
    var generator = SeededGenerator(seed: 2)
    for _ in 0..<1_000 {
      let strength = Float(generator.nextUniform())
      // The stronger the child, the less is left to the parent.
      statistics.add([(0, max(0.01, 1 - strength)), (1, strength)])
      statistics.add([(2, strength)])
      statistics.add([(0, 1)])
    }
    let own = statistics.quantities(0)
    #expect(own.correlation < 0)
    #expect(own.coverage == 0.5)
    #expect(own.mismatch / own.either > 0.6)
  }

  @Test func seedsAreCompared() throws {
    let rows = TruthSuiteTests.rows { $0.orthogonalSteps = 0 }
    let one = try TruthSuiteTests.flat(rows, Array(0..<20), name: "one")
    let same = try TruthSuiteTests.flat(rows, Array((0..<20).reversed()), name: "same")
    let other = EvaluationFixture.changed(same, "other") { $0.seed = 5 }
    let results = try StructureSuite.evaluate(
      [one, other], EvaluationFixture.input(rows) { $0.rowLimit = 200 })
    for result in results {
      #expect(abs(try #require(result["seed_agreement"]).value - 1) < 1e-5)
    }
    let alone = try StructureSuite.evaluate(
      [one, same], EvaluationFixture.input(rows) { $0.rowLimit = 200 })
    #expect(alone[0]["seed_agreement"] == nil)
  }

  /// A hierarchical dictionary called "dead" that is never active.
  static func dead(experts: Int) throws -> LoadedRun {
    try EvaluationFixture.run(
      "dead",
      DictionaryShape(width: 64, experts: experts, sublatents: 2, subspace: 2, activeExperts: 2),
      normalize: .none, threshold: 1)
  }

  @Test func tinyDictionariesDoNotTrap() throws {
    let rows = TruthSuiteTests.rows { $0.orthogonalSteps = 0 }
    let one = try TruthSuiteTests.flat(rows, [3], name: "one")
    let dead = try Self.dead(experts: 4)
    let results = try StructureSuite.evaluate(
      [one, dead], EvaluationFixture.input(rows) { $0.rowLimit = 100 })
    #expect(results[0]["composition"]?.value.isNaN == true)
    #expect(results[1]["coverage_tree"]?.value.isNaN == true)
    #expect(results[1]["codes_row"]?.value == 0)
  }
}
