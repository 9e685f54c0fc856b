// The L1 probe on latents, whose largest weights give the candidates for each letter.

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
