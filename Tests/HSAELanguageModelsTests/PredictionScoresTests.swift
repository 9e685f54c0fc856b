// Tests of losses and divergences against the textbook's sums in double precision.

import Foundation
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct PredictionScoresTests {
  private static let vocabulary = 5003
  private static let rows = 3

  private static func logits(seed: UInt64) -> [[Float]] {
    var generator = SeededGenerator(seed: seed)
    return (0..<rows).map { row in
      (0..<vocabulary).map { _ in
        40 + Float.random(in: -10...10, using: &generator) * Float(row + 1)
      }
    }
  }

  /// ln softmax.
  private static func logarithms(_ logits: [Float]) -> [Double] {
    let largest = Double(logits.max() ?? 0)
    let sum = logits.reduce(0) { $0 + exp(Double($1) - largest) }
    return logits.map { Double($0) - largest - log(sum) }
  }

  @Test func lossesAndDivergencesAreTheTextbooks() {
    let scores = PredictionScores(rows: Self.rows, vocabulary: Self.vocabulary)
    let kept = KeptPredictions(scores)
    let (plain, changed) = (Self.logits(seed: 1), Self.logits(seed: 2))
    for row in 0..<Self.rows {
      let next = 17 + row
      let (p, q) = (Self.logarithms(plain[row]), Self.logarithms(changed[row]))
      unsafe scores.score(plain[row], row: row, next: next, keepingIn: kept)
      #expect(abs(Double(unsafe scores.losses.base[row]) + p[next]) < 1e-5)
      // A prediction has no divergence from itself.
      unsafe scores.score(plain[row], row: row, next: next, against: kept)
      #expect(unsafe scores.divergences.base[row] < 1e-5)

      unsafe scores.score(changed[row], row: row, next: next, against: kept)
      #expect(abs(Double(unsafe scores.losses.base[row]) + q[next]) < 1e-5)
      let divergence = zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
      #expect(
        abs(Double(unsafe scores.divergences.base[row]) - divergence) < 1e-5 * max(1, divergence))
      unsafe scores.score(changed[row], row: row, next: next)
      #expect(abs(Double(unsafe scores.losses.base[row]) + q[next]) < 1e-5)
    }
  }
}
