// Tests the suite truth on dictionaries with known answers: the forest itself, its edges shuffled, dead and tiny ones.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

struct TruthSuiteTests {
  /// A forest of 48 features in 64 dimensions: eight trees of a root and five exclusive children. Directions are nearly
  /// orthogonal.
  static func rows(_ change: (inout SyntheticLaw) -> Void = { _ in }) -> SyntheticRows {
    var law = SyntheticLaw(.small)
    (law.features, law.roots, law.branching, law.depth) = (48, 8, 5, 1)
    (law.largestRate, law.smallestRate, law.bias) = (0.4, 0.05, 0)
    (law.orthogonalSteps, law.orthogonalRate) = (400, 3e-3)
    change(&law)
    return SyntheticRows(SyntheticForest(law), name: "forest")
  }

  /// Copies direction `feature` of `rows`' forest to row `index` of `matrix`.
  static func copy(_ feature: Int, of rows: SyntheticRows, to matrix: inout Matrix, _ index: Int) {
    for column in 0..<rows.width {
      matrix[index, column] = rows.sampler.forest.directions[feature, column]
    }
  }

  /// A flat dictionary whose latents are the features `order`.
  /// `unused` more latents are never active.
  static func flat(_ rows: SyntheticRows, _ order: [Int], unused: Int = 0, name: String = "flat")
    throws -> LoadedRun
  {
    let shape = DictionaryShape(
      width: rows.width, experts: order.count + unused, sublatents: 0, subspace: 0,
      activeExperts: order.count)
    // Magnitudes are about 4, so 1 separates features that fire from crosstalk.
    return try EvaluationFixture.run(name, shape, normalize: .none, threshold: 1) { parameters in
      for (latent, feature) in order.enumerated() {
        copy(feature, of: rows, to: &parameters.encoderSide, latent)
        copy(feature, of: rows, to: &parameters.decoderSide, latent)
      }
    }
  }

  /// A dictionary whose experts are the roots `roots` and whose sublatents are the children of `families`.
  static func tree(_ rows: SyntheticRows, families: [Int]) throws -> LoadedRun {
    let shape = DictionaryShape(
      width: rows.width, experts: 8, sublatents: 5, subspace: 5, activeExperts: 8)
    let children = rows.sampler.forest.children
    return try EvaluationFixture.run("tree", shape, normalize: .none, threshold: 1) { parameters in
      for expert in 0..<8 {
        for (place, feature) in ([expert] + Array(children[families[expert]])).enumerated() {
          copy(feature, of: rows, to: &parameters.encoderSide, expert * 6 + place)
          copy(feature, of: rows, to: &parameters.decoderSide, expert * 6 + place)
          if place > 0 {
            parameters.subEncoder[expert * 5 + place - 1, place - 1] = 1
            parameters.subDecoder[expert * 5 + place - 1, place - 1] = 1
          }
        }
      }
    }
  }

  static func results(_ rows: SyntheticRows, _ runs: [LoadedRun], count: Int = 6_000) throws
    -> [SuiteResult]
  {
    try TruthSuite.evaluate(runs, EvaluationFixture.input(rows) { $0.rowLimit = count })
  }

  @Test func theForestItselfScoresOne() throws {
    let rows = Self.rows()
    let result = try Self.results(
      rows, [Self.flat(rows, Array(0..<48)), Self.tree(rows, families: Array(0..<8))])
    for key in ["mcc", "uniqueness", "f1", "precision", "recall"] {
      #expect(try #require(result[0][key]).value > 0.985, "\(key)")
      #expect(try #require(result[1][key]).value > 0.985, "\(key)")
    }
    for key in ["mcc_sublatents", "mcc_both", "uniqueness_both", "f1_sublatents"] {
      #expect(try #require(result[1][key]).value > 0.985, "\(key)")
    }
    #expect(try #require(result[0]["explained_variance"]).value > 0.98)
    for key in ["edge_precision_tree", "edge_direct_tree", "edge_recall_tree"] {
      #expect(result[1][key]?.value == 1, "\(key)")
    }
    #expect(result[1]["edges_found_tree"]?.value == 40)
    let l0 = try #require(result[0]["codes_row"]).value
    #expect(abs(l0 - (try #require(result[0]["true_l0"]).value)) < 0.1)
  }

  /// Children fire only with their parents, so coactivation finds the edges in a flat dictionary. Its rule needs many
  /// latents, because it leaves out parents of more than a twentieth of them.
  @Test func coactivationFindsTheForest() throws {
    let rows = Self.rows()
    let run = try Self.flat(rows, Array(0..<48), unused: 80)
    let result = try Self.results(rows, [run])[0]
    #expect(result["edge_recall_coactivation"]?.value == 1)
    #expect(try #require(result["edge_precision_coactivation"]).value > 0.95)
    #expect(try #require(result["edge_precision_coactivation_chance"]).value < 0.25)
  }

  @Test func childrenOfOtherParentsScoreChance() throws {
    let rows = Self.rows()
    let families = [1, 2, 3, 4, 5, 6, 7, 0]
    let shuffled = try Self.results(rows, [Self.tree(rows, families: families)])[0]
    #expect(shuffled["edge_precision_tree"]?.value == 0)
    #expect(shuffled["edge_recall_tree"]?.value == 0)
    let right = try Self.results(rows, [Self.tree(rows, families: Array(0..<8))])[0]
    // A child keeps its parent in one shuffle of eight: the places of a family are 5 of 40.
    let chance = try #require(right["edge_precision_tree_chance"]).value
    #expect(abs(chance - 0.125) < 0.05)
  }

  @Test func tinyAndDeadDictionariesDoNotTrap() throws {
    let rows = Self.rows { $0.orthogonalSteps = 0 }
    let dead = try EvaluationFixture.run(
      "dead",
      DictionaryShape(width: 64, experts: 4, sublatents: 2, subspace: 2, activeExperts: 2),
      normalize: .none, threshold: 1)
    let result = try Self.results(rows, [Self.flat(rows, [3], name: "one"), dead], count: 500)
    #expect(result[0]["uniqueness"]?.value == 1)
    #expect(try #require(result[0]["mcc"]).value > 0.999)
    #expect(result[1]["dead"]?.value == 1)
    #expect(result[1]["f1"]?.value == 0)
    #expect(result[1]["edge_precision_tree"]?.value.isNaN == true)
    #expect(result[1]["codes_row"]?.value == 0)
  }

  @Test func otherRowsAreRefused() throws {
    let rows = Self.rows { $0.orthogonalSteps = 0 }
    let run = try Self.flat(rows, [0, 1])
    let refusal = failure {
      _ = try TruthSuite.evaluate([run], EvaluationFixture.input(nil))
    }
    #expect(refusal?.kind == .usage)
    #expect(refusal?.message.contains("--store") == true)
  }

  @Test func relationsAreThoseOfTheForest() {
    // 0 and 1 are roots; 2, 3 children of 0; 4 a child of 2; 5 outside.
    let parents = [-1, -1, 0, 0, 2, -1]
    func relation(_ parent: Int, _ child: Int) -> EdgeScore.Relation {
      EdgeScore.relation(Edge(parent: parent, child: child), parents)
    }
    #expect(relation(0, 2) == .parent)
    #expect(relation(0, 4) == .grandparent)
    #expect(relation(2, 0) == .descendant)
    #expect(relation(2, 3) == .siblings)
    #expect(relation(3, 4) == .tree)
    #expect(relation(1, 2) == .none)
    #expect(relation(5, 1) == .none)
    #expect(relation(2, 2) == .same)
    let score = EdgeScore(
      [Edge(parent: 0, child: 2), Edge(parent: 0, child: 4), Edge(parent: 1, child: 3)],
      matched: [0, 1, 2, 3, 4], parents: parents)
    #expect(score.precision == 2 / 3.0)
    #expect(score.directPrecision == 1 / 3.0)
    // The forest has edges to 2, 3 and 4. Only the first one is found.
    #expect(score.recall == 1 / 3.0)
  }

  /// Against all permutations.
  @Test func assignmentIsTheBest() {
    var generator = SeededGenerator(seed: 5)
    for (rows, columns) in [(1, 1), (1, 5), (3, 3), (4, 6), (6, 6), (5, 7)] {
      for draw in 0..<20 {
        // Few different values, so that ties occur.
        let values = (0..<rows * columns).map { _ in
          Float(draw < 10 ? generator.nextUniform() : (generator.nextUniform() * 4).rounded() / 4)
        }
        let matrix = Matrix(rows: rows, columns: columns, elements: values)
        let found = bestAssignment(matrix)
        #expect(Set(found).count == rows)
        let sum = found.enumerated().reduce(0.0) { $0 + Double(matrix[$1.offset, $1.element]) }
        var best = 0.0
        func search(_ row: Int, _ free: [Int], _ total: Double) {
          guard row < rows else {
            best = max(best, total)
            return
          }
          for column in free {
            search(
              row + 1, free.filter { $0 != column },
              total + Double(values[row * columns + column]))
          }
        }
        search(0, Array(0..<columns), 0)
        #expect(abs(sum - best) < 1e-6)
      }
    }
  }

  @Test func coactivationFindsChainsAndDropsShortcuts() {
    // 1 fires only with 0, 2 only with 1; 3 to 5 only with 0; 6 alone.
    func edges(_ latents: Int) -> Set<Edge> {
      var counts = CoactivationCounts(latents: latents)
      for row in 0..<1_000 {
        guard row % 2 == 0 else {
          counts.add([(6, 1)])
          continue
        }
        var active = [(latent: 0, code: Float(2))]
        if row % 4 == 0 { active.append((1, 1)) }
        if row % 8 == 0 { active.append((2, 1)) }
        for latent in 3...5 where row % 10 == 2 * (latent - 3) { active.append((latent, 1)) }
        counts.add(active)
      }
      return Set(counts.edges(rows: 1_000))
    }
    let all: Set = [
      Edge(parent: 0, child: 1), Edge(parent: 1, child: 2), Edge(parent: 0, child: 3),
      Edge(parent: 0, child: 4), Edge(parent: 0, child: 5),
    ]
    #expect(edges(160) == all)
    // 0 has five latents below it, more than 5 % of 90, but only four children.
    #expect(edges(90) == all)
    // Four children are more than 5 % of 70.
    #expect(edges(70).isEmpty)
    // The share of code, not of rows.
    var weighted = CoactivationCounts(latents: 2)
    weighted.add([(0, 9), (1, 1)])
    weighted.add([(0, 1)])
    #expect(weighted.share(of: 0, with: 1) == 0.9)
    #expect(weighted.share(of: 1, with: 0) == 1)
    // Nine rows are too few.
    var rare = CoactivationCounts(latents: 160)
    for _ in 0..<9 { rare.add([(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]) }
    for _ in 0..<50 { rare.add([(0, 1)]) }
    #expect(rare.edges(rows: 1_000).isEmpty)
  }
}
