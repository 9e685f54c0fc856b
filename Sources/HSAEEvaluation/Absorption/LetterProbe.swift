// The linear probe that predicts a word's first letter from its row, and what both probes of the absorption
// measure share: the loss, Adam, the F1 score.

import Foundation
public import HSAETensors

/// How a probe learns.
public struct ProbeTraining: Hashable, Sendable {
  /// Passes over the data.
  public var epochs = 50
  /// Number of rows in a step.
  public var batch: Int
  /// The learning rate of the first epoch. It falls exponentially, epoch by epoch.
  public var firstRate = 1e-2
  /// The learning rate that would follow the last epoch.
  public var lastRate = 1e-5
  /// Weight decay: this times a weight is added to its gradient.
  public var weightDecay: Double
  /// Factor of the L1 penalty, the mean over outputs of Σ|w|.
  public var l1 = 0.0

  /// The probe on the model's own rows.
  public static let groundTruth = ProbeTraining(batch: 64, weightDecay: 1e-4)
  /// The probe that ranks latents.
  public static let ranking = ProbeTraining(batch: 4096, weightDecay: 1e-6, l1: 0.01)

  /// The learning rate of an epoch, counting from 0.
  func rate(epoch: Int) -> Double {
    firstRate * pow(lastRate / firstRate, Double(epoch) / Double(epochs))
  }

  /// Calls `body` for each batch of every epoch. `generator` shuffles the rows; without one they keep their
  /// order.
  func forEachBatch(
    rows: Int, generator: SeededGenerator?,
    _ body: (_ rows: ArraySlice<Int>, _ rate: Double) -> Void
  ) {
    for epoch in 0..<epochs {
      var order = Array(0..<rows)
      if let generator {
        var draw = generator.split(UInt64(epoch))
        order.shuffle(using: &draw)
      }
      for start in stride(from: 0, to: rows, by: batch) {
        body(order[start..<min(rows, start + batch)], rate(epoch: epoch))
      }
    }
  }
}

/// Adam (β₁ 0.9, β₂ 0.999, ε 1e-8) over one array of weights.
struct ProbeAdam {
  private var first: [Float]
  private var second: [Float]
  private var step = 0

  init(count: Int) {
    first = Array(repeating: 0, count: count)
    second = first
  }

  /// One step of `weights` against `gradient`; the loss also has l1·Σ|w| and weight decay.
  mutating func update(
    _ weights: inout [Float], gradient: [Float], rate: Double, weightDecay: Double, l1: Double = 0
  ) {
    step += 1
    let scale = Float(rate / (1 - pow(0.9, Double(step))))
    let correction = Float(1 / (1 - pow(0.999, Double(step))))
    let (decay, l1) = (Float(weightDecay), Float(l1))
    for index in weights.indices {
      let weight = weights[index]
      let sign: Float = weight > 0 ? l1 : weight < 0 ? -l1 : 0
      let slope = gradient[index] + decay * weight + sign
      let mean = 0.9 * first[index] + 0.1 * slope
      let square = 0.999 * second[index] + 0.001 * slope * slope
      first[index] = mean
      second[index] = square
      weights[index] = weight - scale * mean / ((square * correction).squareRoot() + 1e-8)
    }
  }
}

/// The weight of a positive in the loss for each of `outputs` labels: negatives / positives; 1 without
/// positives.
func positiveWeights(_ labels: [Int], outputs: Int) -> [Float] {
  var counts = [Int](repeating: 0, count: outputs)
  for label in labels { counts[label] += 1 }
  return counts.map { $0 > 0 ? Float(labels.count - $0) / Float($0) : 1 }
}

/// d(binary cross-entropy)/d(logit), with the positive class weighted by `positiveWeight`.
func logitGradient(_ logit: Float, isPositive: Bool, positiveWeight: Float) -> Float {
  let probability = 1 / (1 + exp(-logit))
  return isPositive ? -positiveWeight * (1 - probability) : probability
}

/// The F1 score of predictions: 2·TP / (2·TP + FP + FN); 0 if there is no true positive.
func f1Score(_ predictions: some Sequence<(predicted: Bool, actual: Bool)>) -> Double {
  var (truePositives, errors) = (0, 0)
  for (predicted, actual) in predictions {
    if predicted && actual { truePositives += 1 } else if predicted != actual { errors += 1 }
  }
  return truePositives > 0
    ? Double(2 * truePositives) / Double(2 * truePositives + errors) : 0
}

/// A linear classifier with an output for each letter.
public struct LetterProbe: Sendable {
  /// Number of outputs.
  public let outputs: Int
  /// Width of the rows.
  public let width: Int
  /// Weights [outputs × width], row-major.
  public private(set) var weights: [Float]
  /// An offset for each output.
  public private(set) var bias: [Float]

  /// Learns to predict `labels` (0 ..< `outputs`) from `rows` by Adam. The loss is the binary cross-entropy
  /// of each output; positives are weighted by negatives / positives.
  ///
  /// `generator` draws the initial weights (uniform in ±1/√width) and shuffles the rows; without one, weights
  /// start at zero and rows keep their order.
  public init(
    rows: borrowing Matrix, labels: [Int], outputs: Int = 26,
    training: ProbeTraining = .groundTruth, generator: SeededGenerator?
  ) {
    precondition(rows.rows == labels.count, "\(rows.rows) rows, \(labels.count) labels.")
    let width = rows.columns
    self.outputs = outputs
    self.width = width
    weights = Array(repeating: 0, count: outputs * width)
    bias = Array(repeating: 0, count: outputs)
    if let generator {
      var draw = generator.split(1)
      let bound = 1 / Double(width).squareRoot()
      for index in weights.indices { weights[index] = Float(bound * draw.nextSymmetric()) }
      for index in bias.indices { bias[index] = Float(bound * draw.nextSymmetric()) }
    }
    let positive = positiveWeights(labels, outputs: outputs)
    var adam = ProbeAdam(count: weights.count)
    var biasAdam = ProbeAdam(count: bias.count)
    var gradient = weights
    var biasGradient = bias
    training.forEachBatch(rows: labels.count, generator: generator?.split(2)) { batch, rate in
      for index in gradient.indices { gradient[index] = 0 }
      for index in biasGradient.indices { biasGradient[index] = 0 }
      let share = 1 / Float(batch.count * outputs)
      for row in batch {
        let x = rows.row(row)
        for output in 0..<outputs {
          let slope =
            share
            * logitGradient(
              logit(x, output: output), isPositive: labels[row] == output,
              positiveWeight: positive[output])
          biasGradient[output] += slope
          var target = gradient.mutableSpan
          let base = output * width
          for column in x.indices { target[base + column] += slope * x[column] }
        }
      }
      adam.update(
        &weights, gradient: gradient, rate: rate, weightDecay: training.weightDecay,
        l1: training.l1 / Double(outputs))
      biasAdam.update(
        &bias, gradient: biasGradient, rate: rate, weightDecay: training.weightDecay)
    }
  }

  /// The logit of `output` for a row.
  public func logit(_ x: Span<Float>, output: Int) -> Float {
    dot(weights.span.extracting(output * width..<(output + 1) * width), x) + bias[output]
  }

  /// The weights of `output`, scaled to unit norm.
  public func direction(_ output: Int) -> [Float] {
    let row = weights[output * width..<(output + 1) * width]
    let norm = row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    return row.map { norm > 0 ? Float(Double($0) / norm) : 0 }
  }

  /// The F1 score of each output on `rows`.
  public func f1(rows: borrowing Matrix, labels: [Int]) -> [Double] {
    (0..<outputs).map { output in
      f1Score(
        labels.indices.map {
          (predicted: logit(rows.row($0), output: output) > 0, actual: labels[$0] == output)
        })
    }
  }
}
