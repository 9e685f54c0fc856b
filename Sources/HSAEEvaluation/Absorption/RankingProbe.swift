// The L1 probe on latents, whose largest weights give the candidates for each letter, and the logistic
// regression that measures how well a few of them predict the letter.

import Foundation
public import HSAETensors

/// Linear classifiers on sparse rows, with an output for each letter.
public struct RankingProbe: Sendable {
  /// Number of outputs.
  public let outputs: Int
  /// The latents that are active for some row, in rising order; all others have weight 0.
  public let latents: [Int]
  private var weights: [Float]

  /// Learns to predict `labels` from the active latents of `rows`, with the loss of `LetterProbe` and an L1
  /// penalty. Weights start at zero, so a latent that is never active keeps weight 0.
  public init(
    rows: SparseRows, labels: [Int], outputs: Int = 26, training: ProbeTraining = .ranking,
    generator: SeededGenerator?
  ) {
    precondition(
      rows.rows.count == labels.count, "\(rows.rows.count) rows, \(labels.count) labels.")
    self.outputs = outputs
    let latents = Set(rows.rows.lazy.flatMap { $0.lazy.map(\.latent) }).sorted()
    self.latents = latents
    let places = Dictionary(uniqueKeysWithValues: latents.enumerated().map { ($1, $0) })
    let compact = rows.rows.map { row in
      row.map { (place: places[$0.latent] ?? 0, value: $0.value) }
    }
    weights = Array(repeating: 0, count: latents.count * outputs)
    var bias = [Float](repeating: 0, count: outputs)
    let positive = positiveWeights(labels, outputs: outputs)
    var adam = ProbeAdam(count: weights.count)
    var biasAdam = ProbeAdam(count: outputs)
    var gradient = weights
    training.forEachBatch(rows: labels.count, generator: generator?.split(2)) { batch, rate in
      for index in gradient.indices { gradient[index] = 0 }
      var biasGradient = [Float](repeating: 0, count: outputs)
      let share = 1 / Float(batch.count * outputs)
      for row in batch {
        var slopes = bias
        for (place, value) in compact[row] {
          for output in 0..<outputs { slopes[output] += value * weights[place * outputs + output] }
        }
        for output in 0..<outputs {
          slopes[output] =
            share
            * logitGradient(
              slopes[output], isPositive: labels[row] == output, positiveWeight: positive[output])
          biasGradient[output] += slopes[output]
        }
        for (place, value) in compact[row] {
          for output in 0..<outputs { gradient[place * outputs + output] += value * slopes[output] }
        }
      }
      adam.update(
        &weights, gradient: gradient, rate: rate, weightDecay: training.weightDecay,
        l1: training.l1 / Double(outputs))
      biasAdam.update(
        &bias, gradient: biasGradient, rate: rate, weightDecay: training.weightDecay)
    }
  }

  func weight(_ latent: Int, output: Int) -> Float {
    guard let place = latents.firstIndex(of: latent) else { return 0 }
    return weights[place * outputs + output]
  }

  /// The `count` latents with the largest weights (not magnitudes) for `output`, largest first; among equal
  /// weights the lower number comes first.
  public func largest(_ count: Int, output: Int) -> [Int] {
    latents.indices
      .sorted {
        let (a, b) = (weights[$0 * outputs + output], weights[$1 * outputs + output])
        return a != b ? a > b : $0 < $1
      }
      .prefix(count).map { latents[$0] }
  }
}

/// Logistic regression with balanced classes and an L2 penalty: minimises
/// ½·‖w‖² + C·Σ s·log(1 + exp(∓(w·x + b))), C = 1, s = n / (2·size of the row's class).
public struct LogisticRegression: Sendable {
  /// A weight for each feature.
  public private(set) var weights: [Double]
  /// The offset, which is not penalised.
  public private(set) var bias = 0.0

  /// Fits `features` (rows of equal length) to `labels` by Newton's method.
  ///
  /// Equal rows are merged, since most are all zero. If a class is missing, all weights are zero.
  public init(features: [[Double]], labels: [Bool]) {
    precondition(features.count == labels.count, "\(features.count) rows, \(labels.count) labels.")
    let width = features.first?.count ?? 0
    weights = Array(repeating: 0, count: width)
    let positives = labels.count { $0 }
    guard positives > 0, positives < labels.count else { return }
    var groups: [[Double]: (no: Double, yes: Double)] = [:]
    var order: [[Double]] = []
    let n = Double(labels.count)
    for (row, label) in zip(features, labels) {
      if groups[row] == nil { order.append(row) }
      if label {
        groups[row, default: (0, 0)].yes += n / (2 * Double(positives))
      } else {
        groups[row, default: (0, 0)].no += n / (2 * (n - Double(positives)))
      }
    }
    let points = order.map { row in (x: row + [1], weight: groups[row] ?? (no: 0, yes: 0)) }

    var solution = [Double](repeating: 0, count: width + 1)
    func logit(_ x: [Double], _ w: [Double]) -> Double {
      zip(x, w).reduce(0) { $0 + $1.0 * $1.1 }
    }
    func loss(_ w: [Double]) -> Double {
      var sum = 0.5 * w.dropLast().reduce(0) { $0 + $1 * $1 }
      for point in points {
        let u = logit(point.x, w)
        let tail = log1p(exp(-abs(u)))
        sum += point.weight.yes * (max(-u, 0) + tail) + point.weight.no * (max(u, 0) + tail)
      }
      return sum
    }
    var current = loss(solution)
    for _ in 0..<100 {
      var gradient = solution
      gradient[width] = 0
      var hessian = [[Double]](
        repeating: Array(repeating: 0, count: width + 1), count: width + 1)
      for index in 0..<width { hessian[index][index] = 1 }
      // Keeps the system solvable where every probability is 0 or 1.
      hessian[width][width] = 1e-12
      for point in points {
        let probability = 1 / (1 + exp(-logit(point.x, solution)))
        let total = point.weight.yes + point.weight.no
        let slope = total * probability - point.weight.yes
        let curvature = total * probability * (1 - probability)
        for row in 0...width where point.x[row] != 0 {
          gradient[row] += slope * point.x[row]
          for column in 0...width {
            hessian[row][column] += curvature * point.x[row] * point.x[column]
          }
        }
      }
      guard let step = solvePositiveDefinite(hessian, gradient) else { break }
      // The step is halved until the loss falls: far from the minimum a whole step may overshoot.
      var size = 1.0
      var next = solution
      var reached = current
      repeat {
        next = zip(solution, step).map { $0 - size * $1 }
        reached = loss(next)
        size /= 2
      } while !(reached <= current) && size > 1e-10
      guard reached <= current else { break }
      let gain = current - reached
      (solution, current) = (next, reached)
      if gain <= 1e-12 * max(1, current) { break }
    }
    weights = Array(solution.dropLast())
    bias = solution[width]
  }

  /// The score of a row; above 0 predicts a positive.
  public func score(_ row: [Double]) -> Double {
    zip(row, weights).reduce(bias) { $0 + $1.0 * $1.1 }
  }
}

/// The solution of A·x = b for a symmetric positive definite A, by Cholesky; nil if A is not positive definite.
func solvePositiveDefinite(_ matrix: [[Double]], _ right: [Double]) -> [Double]? {
  let n = right.count
  var lower = matrix
  var x = right
  for column in 0..<n {
    for k in 0..<column { lower[column][column] -= lower[column][k] * lower[column][k] }
    guard lower[column][column] > 0, lower[column][column].isFinite else { return nil }
    lower[column][column] = lower[column][column].squareRoot()
    for row in column + 1..<max(n, column + 1) {
      for k in 0..<column { lower[row][column] -= lower[row][k] * lower[column][k] }
      lower[row][column] /= lower[column][column]
    }
  }
  for row in 0..<n {
    for k in 0..<row { x[row] -= lower[row][k] * x[k] }
    x[row] /= lower[row][row]
  }
  for row in (0..<n).reversed() {
    for k in row + 1..<max(n, row + 1) { x[row] -= lower[k][row] * x[k] }
    x[row] /= lower[row][row]
  }
  return x
}
