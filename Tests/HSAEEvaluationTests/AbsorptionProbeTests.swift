// Compares the probes of the absorption measure with dev/reference/absorption_reference.py, which computes in
// float64.

import Foundation
import HSAETensors
import Testing

@testable import HSAEEvaluation

@Suite struct AbsorptionProbeTests {
  /// The synthetic rows of the script: 90 rows of 5 numbers in 3 classes.
  private static func rows() -> (x: [[Double]], labels: [Int]) {
    let labels = (0..<90).map { ($0 * 7 / 3) % 3 }
    let x = labels.enumerated().map { row, label in
      (0..<5).map { (column: Int) -> Double in
        let wave = sin(1.3 * Double((row + 1) * (column + 1)))
        return label == column % 3 ? wave + 0.8 : wave
      }
    }
    return (x, labels)
  }

  private static func sparse() -> [[Double]] {
    rows().x.map { $0.map { $0 > 0.3 ? 10 * $0 : 0 } }
  }

  @Test func theLetterProbeLearnsWhatTheReferenceLearns() {
    let (x, labels) = Self.rows()
    let matrix = Matrix(rows: 90, columns: 5, elements: x.joined().map { Float($0) })
    var training = ProbeTraining.groundTruth
    training.batch = 16
    let probe = LetterProbe(
      rows: matrix, labels: labels, outputs: 3, training: training, generator: nil)
    let expected = [
      0.260655, -0.385442, -0.398857, 0.402701, -0.369907, -0.227774, 0.364474, -0.316554,
      -0.353141, 0.419384, -0.041939, -0.261147, 0.391952, -0.338325, -0.373743,
    ]
    for (weight, expected) in zip(probe.weights, expected) {
      #expect(abs(Double(weight) - expected) < 2e-5)
    }
    for (bias, expected) in zip(probe.bias, [0.003105, -0.095403, 0.014692]) {
      #expect(abs(Double(bias) - expected) < 2e-5)
    }
    let unit = probe.direction(0)
    #expect(abs(dot(unit.span, unit.span) - 1) < 1e-6)
  }

  @Test func theRankingProbeLearnsWhatTheReferenceLearns() {
    let rows = SparseRows(
      rows: Self.sparse().map { row in
        row.enumerated().filter { $1 != 0 }
          .map { LatentCode(latent: 7 * $0, value: Float($1)) }
      })
    var training = ProbeTraining.ranking
    training.batch = 32
    let probe = RankingProbe(
      rows: rows, labels: Self.rows().labels, outputs: 3, training: training, generator: nil)
    let expected = [
      0.084489, -0.107709, -0.112000, 0.152303, -0.100997, -0.122203, 0.142784, -0.108430,
      -0.122075, 0.147116, 0.002933, -0.082642, 0.151255, -0.090388, -0.072379,
    ]
    for output in 0..<3 {
      for latent in 0..<5 {
        let weight = Double(probe.weight(7 * latent, output: output))
        #expect(abs(weight - expected[output * 5 + latent]) < 2e-4)
      }
    }
    #expect(probe.latents == [0, 7, 14, 21, 28])
    #expect(probe.largest(2, output: 0) == [21, 0])
    #expect(
      probe.largest(9, output: 1)
        == [28, 7, 21, 0, 14].sorted { a, b in
          probe.weight(a, output: 1) > probe.weight(b, output: 1)
        })
  }

  private func fit(_ features: [[Double]], _ labels: [Bool]) -> LogisticRegression {
    let width = features.first?.count ?? 0
    let matrix = Matrix(
      rows: features.count, columns: width, elements: features.flatMap { $0.map { Float($0) } })
    return LogisticRegression(
      LabelledRows(matrix, rows: 0..<features.count, labels: labels, isBalanced: true),
      strength: 1, tolerance: SplitLatents.tolerance)
  }

  @Test func balancedRegressionFindsTheMinimum() {
    let features = Self.sparse().map { Array($0.prefix(2)) }
    let fit = fit(features, Self.rows().labels.map { $0 == 0 })
    #expect(abs(fit.weights[0] - 0.115580) < 1e-6)
    #expect(abs(fit.weights[1] - -0.092869) < 1e-6)
    #expect(abs(fit.bias - -0.203031) < 1e-6)
  }

  @Test func regressionStaysFiniteOnExtremeData() {
    // The classes are separable and far from zero; the penalty keeps the weights finite.
    let far = fit((0..<40).map { [$0 < 4 ? 1e4 : 0] }, (0..<40).map { $0 < 4 })
    #expect(far.logit([1e4].span) > 0 && far.logit([0].span) < 0 && far.weights[0].isFinite)
    // A missing class, a feature that is always 0, no feature.
    #expect(fit([[1], [2]], [true, true]).weights == [0])
    let zero = fit([[0], [0], [0]], [true, false, false])
    #expect(zero.weights == [0] && abs(zero.bias) < 1e-9)
    #expect(fit([[], []], [true, false]).weights.isEmpty)
  }

  @Test func f1CountsAsDefined() {
    let pairs: [(predicted: Bool, actual: Bool)] = [
      (true, true), (true, false), (false, true), (false, false),
    ]
    #expect(f1Score(pairs) == 0.5)
    #expect(f1Score([(predicted: false, actual: true)]) == 0)
    #expect(f1Score([(predicted: true, actual: true)]) == 1)
  }
}
