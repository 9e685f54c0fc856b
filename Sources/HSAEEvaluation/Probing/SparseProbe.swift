// Probes of the suite `probing`: logistic regressions on a few latents, or on whole rows, that predict the class of a text.
// Choices of latents and of the penalty follow the package sae-probes 0.4.2.

import Foundation
import HSAEModels
import HSAETensors

/// The texts of a set that are used: rows 0 ..< `training` train the probe, the others test it.
struct ProbeSplit: Hashable, Sendable {
  /// The label of each text.
  var labels: [Bool]
  /// Number of texts to train on.
  var training: Int

  /// The texts to test on.
  var test: Range<Int> { training..<labels.count }
}

/// How well a probe predicts the classes of its test texts.
struct ProbeScore: Hashable, Sendable {
  /// The area under the receiver operating characteristic.
  var areaUnderCurve: Double
  /// The share of texts whose class it predicts.
  var accuracy: Double
  /// The inverse of the L2 penalty, scikit-learn's C, that was chosen.
  var strength: Double
  /// Whether the final regression reached its minimum.
  var isConverged: Bool

  /// The inverse penalties to choose from, largest first.
  static let strengths = (0..<10).map { pow(10, 5 - 10 * Double($0) / 9) }

  /// The probe on the columns of `features` [texts × columns].
  ///
  /// The last fifth of the training texts, at most 100, choose the penalty by their area under the curve; of equals the
  /// weakest penalty wins. The probe is then fitted to all training texts.
  init(_ features: borrowing Matrix, _ split: ProbeSplit) {
    precondition(features.rows == split.labels.count, "Not one row for each text.")
    let validation = min(split.training / 5, 100)
    let fitted = split.training - validation
    let (data, labels) = (
      LabelledRows(features, rows: 0..<fitted, labels: split.labels), split.labels
    )
    var best = (strength: Self.strengths[0], score: -1.0)
    var probe: LogisticRegression?
    // From the strongest penalty on, so that each solution is near the next.
    for strength in Self.strengths.reversed() {
      let next = LogisticRegression(data, strength: strength, from: probe)
      let logits = Self.logits(next, features, fitted..<split.training)
      let score = HSAEEvaluation.areaUnderCurve(
        logits, labels: Array(labels[fitted..<split.training]))
      if (score.isNaN ? 0.5 : score) >= best.score {
        best = (strength, score.isNaN ? 0.5 : score)
      }
      probe = next
    }
    let all = LabelledRows(features, rows: 0..<split.training, labels: labels)
    let final = LogisticRegression(all, strength: best.strength)
    let logits = Self.logits(final, features, split.test)
    let truth = Array(labels[split.test])
    areaUnderCurve = HSAEEvaluation.areaUnderCurve(logits, labels: truth)
    accuracy =
      Double(zip(logits, truth).count { ($0 > 0) == $1 }) / Double(max(1, truth.count))
    (strength, isConverged) = (best.strength, final.isConverged)
  }

  private static func logits(
    _ probe: LogisticRegression, _ features: borrowing Matrix, _ rows: Range<Int>
  ) -> [Double] {
    var result: [Double] = []
    for row in rows { result.append(probe.logit(features.row(row))) }
    return result
  }
}

extension SparseRows {
  /// The active latents of `view` in each row of `codes`, in the scale in which the dictionary sees rows.
  init(_ view: LatentView, _ codes: Codes) {
    self.init(rows: (0..<codes.count).map { view.latentCodes(codes[$0], norm: 1) })
  }

  /// The `count` latents whose mean codes in the two classes of the training texts differ most, most different first. Each
  /// latent's codes are first divided by their mean where it is active. Latents that are never active are left out.
  func mostDifferent(_ count: Int, _ split: ProbeSplit) -> [Int] {
    let positives = Double(split.labels.prefix(split.training).count { $0 })
    let negatives = Double(split.training) - positives
    var found: [Int: (sum: Double, firings: Double, difference: Double)] = [:]
    for text in 0..<split.training {
      let share = split.labels[text] ? 1 / positives : -1 / negatives
      for code in rows[text] where code.value != 0 {
        var now = found[code.latent, default: (0, 0, 0)]
        now.sum += Double(abs(code.value))
        now.firings += 1
        now.difference += share * Double(code.value)
        found[code.latent] = now
      }
    }
    let scored = found.map { latent, of in
      (latent: latent, score: abs(of.difference) / (of.sum / (of.firings + 1e-6) + 1e-6))
    }
    return scored.sorted { ($1.score, $0.latent) < ($0.score, $1.latent) }.prefix(count)
      .map(\.latent)
  }

  /// `count` random latents of those that are active in training texts.
  func random(_ count: Int, _ split: ProbeSplit, using generator: inout SeededGenerator) -> [Int] {
    let active = Set(rows.prefix(split.training).flatMap { $0.map(\.latent) }).sorted()
    return Array(active.shuffled(using: &generator).prefix(count))
  }

  /// The codes of `latents` in all rows [rows × latents]; a column of zeros if there are no latents.
  func features(_ latents: [Int]) -> Matrix {
    var result = Matrix(rows: rows.count, columns: max(1, latents.count))
    var places: [Int: Int] = [:]
    for (place, latent) in latents.enumerated() { places[latent] = place }
    for (index, codes) in rows.enumerated() {
      var row = result.mutableRow(index)
      for code in codes {
        if let place = places[code.latent] { row[place] = code.value }
      }
    }
    return result
  }
}
