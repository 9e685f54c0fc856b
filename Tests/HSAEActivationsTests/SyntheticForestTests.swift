// Tests the law of synthetic forests: rates, exclusive siblings, correlations and magnitudes against their formulas, the
// fast sampler against the definition. SyntheticForestTests+File.swift has the tests of the file.

import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

struct SyntheticForestTests {
  /// A forest whose directions are not orthogonalised, so that it is made quickly.
  static func forest(_ change: (inout SyntheticLaw) -> Void = { _ in }) -> SyntheticForest {
    var law = SyntheticLaw(.small)
    law.orthogonalSteps = 0
    change(&law)
    return SyntheticForest(law)
  }

  /// The rows of `count` in which each feature fires, and the sum of its magnitudes.
  static func counts(
    _ count: Int, of features: Int, _ draw: (Int) -> [FiredFeature]
  ) -> (rows: [Double], sums: [Double]) {
    var (rows, sums) = (
      [Double](repeating: 0, count: features), [Double](repeating: 0, count: features)
    )
    for row in 0..<count {
      for each in draw(row) {
        rows[each.feature] += 1
        sums[each.feature] += Double(each.magnitude)
      }
    }
    return (rows, sums)
  }

  @Test func ratesFollowZipf() {
    var law = SyntheticLaw()
    law.features = 4
    (law.largestRate, law.smallestRate, law.zipf) = (0.5, 0.1, 1)
    // 1, 1/2, 1/3 and 1/4, moved so that the first is 0.5 and the last 0.1.
    let expected = [0.5, 0.1 + 0.4 / 3, 0.1 + 0.4 / 9, 0.1]
    for (rate, value) in zip(law.rates, expected) { #expect(abs(rate - value) < 1e-12) }
  }

  @Test func treesAreNumberedBreadthFirst() {
    let forest = Self.forest {
      ($0.features, $0.roots, $0.branching, $0.depth) = (16, 2, 2, 2)
    }
    #expect(forest.parents == [-1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, -1, -1])
    #expect(forest.children[2] == 6..<8)
    #expect(forest.children[14].isEmpty)
    let cut = Self.forest { ($0.features, $0.roots, $0.branching, $0.depth) = (5, 2, 2, 2) }
    #expect(cut.parents == [-1, -1, 0, 0, 1])
  }

  @Test func probabilitiesMakeUpForTheTree() {
    // A parent of rate 0.4, exclusive children of 0.1 and 0.2, and a child of the first.
    let values = SyntheticForest.compensated(
      [0.4, 0.1, 0.2, 0.05], [-1, 0, 0, 1], [true, false, false, false])
    let expected = [0.4, 0.25 * 1.5, 0.5 * 1.25, 0.5]
    for (value, known) in zip(values, expected) { #expect(abs(value - known) < 1e-12) }
    #expect(SyntheticForest.compensated([0.1, 0.2], [-1, 0], [false, false])[1] == 1)
  }

  @Test func quantileInvertsProbability() {
    for probability in [1e-12, 5e-4, 0.3, 0.5, 0.9, 1 - 1e-9] {
      #expect(abs(probability.normalQuantile.normalProbability / probability - 1) < 1e-9)
    }
    // NIST: the 0.975 quantile.
    #expect(abs(0.975.normalQuantile - 1.959963984540054) < 1e-9)
    #expect(0.0.normalQuantile == -40)
    #expect(1.0.normalQuantile == 40)
  }

  @Test func stepsMakeDirectionsMoreOrthogonal() {
    func overlap(_ steps: Int) -> Double {
      let forest = Self.forest { ($0.orthogonalSteps, $0.orthogonalRate) = (steps, 3e-3) }
      for norm in forest.directions.rowNorms() { #expect(abs(norm - 1) < 1e-5) }
      // Σ over pairs of squared cosines is ‖DᵀD‖² − n.
      return forest.directions.gram().reduce(0) { $0 + $1 * $1 } - Double(forest.count)
    }
    let (before, after) = (overlap(0), overlap(60))
    // n vectors in d dimensions cannot do better than n²/d − n.
    let least = 512.0 * 512 / 64 - 512
    #expect(after < before)
    #expect(after - least < 0.25 * (before - least))
    #expect(after >= least - 1e-3)
  }

  /// The gradient by the formula that avoids all pairs, against Adam in double on the sum over pairs.
  @Test func orthogonalStepsAreAdamOnTheSumOverPairs() {
    let (count, width, steps) = (24, 8, 5)
    func forest(_ steps: Int) -> [Double] {
      let forest = Self.forest {
        ($0.features, $0.width, $0.roots) = (count, width, 2)
        ($0.orthogonalSteps, $0.orthogonalRate) = (steps, 0.01)
      }
      return forest.directions.elements.map(Double.init)
    }
    var rows = forest(0)
    func product(_ a: Int, _ b: Int) -> Double {
      (0..<width).reduce(0) { $0 + rows[a * width + $1] * rows[b * width + $1] }
    }
    var means = [Double](repeating: 0, count: rows.count)
    var squares = means
    for step in 1...steps {
      var gradient = [Double](repeating: 0, count: rows.count)
      for a in 0..<count {
        for b in 0..<count {
          // (a·b)² twice, or n·(‖a‖² − 1)².
          let factor = a == b ? 4 * Double(count) * (product(a, a) - 1) : 4 * product(a, b)
          for column in 0..<width {
            gradient[a * width + column] += factor * rows[b * width + column]
          }
        }
      }
      for place in rows.indices {
        means[place] = 0.9 * means[place] + 0.1 * gradient[place]
        squares[place] = 0.999 * squares[place] + 0.001 * gradient[place] * gradient[place]
        let mean = means[place] / (1 - pow(0.9, Double(step)))
        let square = squares[place] / (1 - pow(0.999, Double(step)))
        rows[place] -= 0.01 * mean / (square.squareRoot() + 1e-8)
      }
    }
    let found = forest(steps)
    for row in 0..<count {
      let norm = product(row, row).squareRoot()
      for place in row * width..<(row + 1) * width {
        #expect(abs(found[place] - rows[place] / norm) < 1e-4)
      }
    }
  }

  @Test func fastSamplerHasTheLawOfTheDefinition() {
    let sampler = SyntheticSampler(Self.forest())
    let (rows, features) = (20_000, 512)
    var generator = SeededGenerator(seed: 7)
    let plain = Self.counts(rows, of: features) { _ in sampler.firedPlainly(&generator) }
    let fast = Self.counts(rows, of: features) { sampler.fired(row: $0) }
    var worst = 0.0
    for feature in 0..<features {
      let mean = (plain.rows[feature] + fast.rows[feature]) / 2
      worst = max(
        worst, abs(plain.rows[feature] - fast.rows[feature]) / (2 * max(mean, 5)).squareRoot())
    }
    // 512 differences of standard deviation 1 at most.
    #expect(worst < 4.5)
    let (all, same) = (plain.sums.reduce(0, +), fast.sums.reduce(0, +))
    #expect(abs(all - same) / all < 0.01)
  }

  /// How often two features fire together: a child and a free feature, siblings, features of two trees.
  @Test func pairsFireTogetherAsTheDefinitionSays() {
    let sampler = SyntheticSampler(
      Self.forest { ($0.correlationScale, $0.exclusive, $0.features) = (0.3, 0.5, 400) })
    let (rows, features) = (20_000, 80)
    var generator = SeededGenerator(seed: 11)
    func pairs(_ draw: (Int) -> [FiredFeature]) -> [Double] {
      var counts = [Double](repeating: 0, count: features * features)
      for row in 0..<rows {
        // The roots, the first children, and features outside the trees.
        let fired = draw(row).map(\.feature).compactMap {
          $0 < 60 ? $0 : $0 >= 380 ? $0 - 320 : nil
        }
        for a in fired { for b in fired where a < b { counts[a * features + b] += 1 } }
      }
      return counts
    }
    let plain = pairs { _ in sampler.firedPlainly(&generator) }
    let fast = pairs { sampler.fired(row: $0) }
    var worst = 0.0
    for place in plain.indices {
      let mean = (plain[place] + fast[place]) / 2
      worst = max(worst, abs(plain[place] - fast[place]) / (2 * max(mean, 10)).squareRoot())
    }
    #expect(worst < 5)
    let together = plain.count { $0 > 100 }
    #expect(together > 200)
  }

  @Test func rootsFireAtTheirRate() {
    let sampler = SyntheticSampler(Self.forest())
    let rows = 20_000.0
    let counts = Self.counts(Int(rows), of: 512) { sampler.fired(row: $0) }
    for root in 0..<16 {
      let rate = Double(sampler.forest.rates[root])
      let spread = (rows * rate * (1 - rate)).squareRoot()
      #expect(abs(counts.rows[root] - rows * rate) < 4.5 * spread)
      // Magnitudes far above 0 are not cut off.
      guard sampler.forest.deviations[root] < 1 else { continue }
      let (mean, deviation) = (
        Double(sampler.forest.means[root]), Double(sampler.forest.deviations[root])
      )
      let found = counts.sums[root] / counts.rows[root]
      #expect(abs(found - mean) < 4.5 * deviation / counts.rows[root].squareRoot() + 1e-5)
    }
  }

  /// Compensation is exact for one child, and about right for exclusive ones.
  @Test func childrenReachTheirRates() {
    let single = SyntheticSampler(
      Self.forest {
        ($0.features, $0.roots, $0.branching, $0.depth) = (32, 16, 1, 1)
        ($0.correlationScale, $0.deviationSpread, $0.deviationMean) = (0, 0, 0.1)
        $0.smallestRate = 0.05
      })
    let rows = 20_000.0
    let counts = Self.counts(Int(rows), of: 32) { single.fired(row: $0) }
    for feature in 16..<32 {
      let rate = Double(single.forest.rates[feature])
      #expect(abs(counts.rows[feature] - rows * rate) < 4.5 * (rows * rate).squareRoot())
    }
  }

  @Test func treesAreObeyed() {
    let sampler = SyntheticSampler(Self.forest())
    let (parents, excludes) = (sampler.forest.parents, sampler.forest.excludesChildren)
    #expect(excludes.contains(true))
    var pairs = 0
    for row in 0..<3_000 {
      let fired = sampler.fired(row: row)
      let numbers = Set(fired.map(\.feature))
      #expect(numbers.count == fired.count)
      for each in fired where parents[each.feature] >= 0 {
        pairs += 1
        #expect(numbers.contains(parents[each.feature]))
        let siblings = sampler.forest.children[parents[each.feature]]
        #expect(siblings.count { numbers.contains($0) } == 1)
      }
      #expect(fired.allSatisfy { $0.magnitude > 0 })
    }
    #expect(pairs > 1_000)
    let free = SyntheticSampler(Self.forest { $0.exclusive = 0 })
    let together = (0..<3_000).count { row in
      let numbers = Set(free.fired(row: row).map(\.feature))
      return (0..<16).contains { root in
        free.forest.children[root].count { numbers.contains($0) } > 1
      }
    }
    #expect(together > 100)
  }

  @Test func childrenAreScaledByTheirParent() {
    let sampler = SyntheticSampler(
      Self.forest { ($0.deviationMean, $0.deviationSpread) = (1, 0) })
    var generator = SeededGenerator(seed: 3)
    for draw in [{ sampler.fired(row: $0) }, { _ in sampler.firedPlainly(&generator) }] {
      // With a parent above its mean, children are larger than with one below.
      var sums = (large: 0.0, small: 0.0, larges: 0.0, smalls: 0.0)
      for row in 0..<4_000 {
        let magnitudes = Dictionary(
          uniqueKeysWithValues: draw(row).map { ($0.feature, $0.magnitude) })
        for child in sampler.forest.children[0] {
          guard let own = magnitudes[child], let parent = magnitudes[0] else { continue }
          let scaled = Double(own / (parent / sampler.forest.means[0]))
          if parent > sampler.forest.means[0] {
            sums.large += scaled
            sums.larges += 1
          } else {
            sums.small += scaled
            sums.smalls += 1
          }
        }
      }
      // What is left after the parent's factor has the child's own mean, for large and small parents.
      let mean = Double(sampler.forest.means[16])
      #expect(abs(sums.large / sums.larges - mean) < 0.2)
      #expect(abs(sums.small / sums.smalls - mean) < 0.2)
    }
  }

  /// P(i and j fire) of a Gaussian copula, by a numerical integral over the first number.
  @Test func rootsFireTogetherAsTheirCorrelationSays() {
    let sampler = SyntheticSampler(
      Self.forest { ($0.correlationScale, $0.largestRate) = (0.3, 0.3) })
    let factor = sampler.forest.correlation.elements
    let rank = sampler.forest.correlation.columns
    let rows = 40_000
    var both = [[Double]](repeating: [Double](repeating: 0, count: 16), count: 16)
    for row in 0..<rows {
      let roots = sampler.fired(row: row).map(\.feature).filter { $0 < 16 }
      for i in roots { for j in roots { both[i][j] += 1 } }
    }
    var strongest = 0.0
    for i in 0..<16 {
      for j in 0..<i {
        let rho = (0..<rank).reduce(0.0) {
          $0 + Double(factor[i * rank + $1]) * Double(factor[j * rank + $1])
        }
        strongest = max(strongest, abs(rho))
        let limits = [i, j].map { (1 - Double(sampler.forest.probabilities[$0])).normalQuantile }
        let noise = (1 - rho * rho).squareRoot()
        let step = 0.001
        var expected = 0.0
        for z in stride(from: limits[0] + step / 2, to: 8, by: step) {
          expected +=
            step * exp(-z * z / 2) / (2 * .pi).squareRoot()
            * ((rho * z - limits[1]) / noise).normalProbability
        }
        let mean = expected * Double(rows)
        #expect(abs(both[i][j] - mean) < 5 * mean.squareRoot())
      }
    }
    #expect(strongest > 0.3)
  }

  @Test func aRowIsTheSameInAnyCompany() throws {
    let rows = SyntheticRows(Self.forest(), name: "forest")
    let many = try rows.matrix(rows: 0..<1_000)
    let alone = try rows.matrix(rows: 777..<778)
    let row = Array(many.elements[777 * 64..<778 * 64])
    #expect(row == alone.elements)
    // The bias and the fired features, summed plainly.
    var expected = rows.sampler.forest.bias.map(Double.init)
    for each in rows.fired(777) {
      for column in expected.indices {
        expected[column] +=
          Double(each.magnitude) * Double(rows.sampler.forest.directions[each.feature, column])
      }
    }
    for column in expected.indices {
      #expect(abs(Double(alone[0, column]) - expected[column]) < 1e-4)
    }
    let held = try rows.heldOut().matrix(rows: 0..<1_000)
    #expect(Array(held.elements[777 * 64..<778 * 64]) != row)
    #expect(rows.heldOut(threads: 2).fired(0..<3) == (0..<3).map { rows.heldOut().fired($0) })
  }

  @Test func lawsThatCannotBeAreRefused() {
    func complaint(_ change: (inout SyntheticLaw) -> Void) -> String {
      var law = SyntheticLaw(.small)
      change(&law)
      return law.complaint ?? ""
    }
    #expect(complaint { _ in } == "")
    #expect(complaint { $0.features = 0 }.contains("--features"))
    #expect(complaint { $0.roots = 600 }.contains("--roots"))
    #expect(complaint { $0.smallestRate = 0.5 }.contains("--rates"))
    #expect(complaint { $0.exclusive = 1.5 }.contains("--exclusive"))
    #expect(complaint { $0.firstMagnitude = 0 }.contains("--magnitude"))
    #expect(complaint { $0.zipf = .nan }.contains("--zipf"))
    #expect(complaint { $0.zipf = 1e-17 }.contains("--zipf"))
    #expect(complaint { ($0.features, $0.width) = (1 << 20, 1 << 16) }.contains("--width"))
  }
}
