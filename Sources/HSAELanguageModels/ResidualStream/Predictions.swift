// Arithmetic on logits: the loss of each next token, and how far one prediction is from another. Nothing
// here knows where logits come from.

import Glibc
import HSAETensors

/// Scores of the predictions of one batch of tokens.
///
/// Rows may be scored by several threads at once, each row by one.
final class PredictionScores: Sendable {
  /// The numbers of a prediction.
  let vocabulary: Int
  /// The cross-entropy of each row's next token, in nats.
  let losses: Buffer<Float>
  /// The divergence of each row's prediction from the undisturbed one, in nats.
  let divergences: Buffer<Float>

  /// Room for `rows` rows.
  init(rows: Int, vocabulary: Int) {
    self.vocabulary = vocabulary
    losses = Buffer(rows)
    divergences = Buffer(rows)
  }

  /// Notes the loss of row `row` and returns ln Σ exp(logits). `logits` has `vocabulary` numbers.
  @discardableResult
  func score(_ logits: UnsafePointer<Float>, row: Int, next: Int) -> Double {
    precondition(row >= 0 && row < losses.count && next >= 0 && next < vocabulary)
    var largest = unsafe logits[0]
    for index in 1..<vocabulary { unsafe largest = max(largest, logits[index]) }
    var sum = 0.0
    for index in 0..<vocabulary { unsafe sum += Double(expf(logits[index] - largest)) }
    let logSum = log(sum) + Double(largest)
    unsafe losses.base[row] = Float(logSum - Double(logits[next]))
    return logSum
  }

  /// Notes how far row `row`'s prediction is from the one in `kept`: Σ p ln p - Σ p ln q.
  func diverge(
    _ kept: KeptPredictions, _ logits: UnsafePointer<Float>, logSum: Double, row: Int
  ) {
    precondition(row >= 0 && row < kept.rows && vocabulary == kept.vocabulary)
    let probabilities = unsafe kept.probabilities.base + row * vocabulary
    var sum = 0.0
    for index in 0..<vocabulary {
      unsafe sum += Double(probabilities[index]) * (Double(logits[index]) - logSum)
    }
    unsafe divergences.base[row] = Float(max(0, kept.negativeEntropies.base[row] - sum))
  }

  /// Copies `numbers`, one a row, to the contexts of `batch`.
  func collect(
    _ numbers: Buffer<Float>, _ batch: PackedBatch, of contexts: [[Int32]],
    into results: inout [[Float]]
  ) {
    for (place, index) in batch.contexts.enumerated() {
      let first = place * batch.length
      results[index] = (0..<max(0, contexts[index].count - 1)).map { position in
        unsafe numbers.base[first + position]
      }
    }
  }
}

/// The undisturbed predictions of one batch: 4 bytes for each row and each token of the vocabulary.
final class KeptPredictions: Sendable {
  let rows: Int
  let vocabulary: Int
  /// softmax of the logits [rows × vocabulary].
  let probabilities: Buffer<Float>
  /// Σ p ln p of each row.
  let negativeEntropies: Buffer<Double>

  /// Room for as many rows as `scores` has.
  init(_ scores: PredictionScores) {
    (rows, vocabulary) = (scores.losses.count, scores.vocabulary)
    probabilities = Buffer(rows * vocabulary)
    negativeEntropies = Buffer(rows)
  }

  /// Keeps the prediction of row `row`; `logSum` is ln Σ exp(logits).
  func keep(_ logits: UnsafePointer<Float>, logSum: Double, row: Int) {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    let target = unsafe probabilities.base + row * vocabulary
    var sum = 0.0
    for index in 0..<vocabulary {
      let logarithm = unsafe Double(logits[index]) - logSum
      let probability = expf(Float(logarithm))
      unsafe target[index] = probability
      sum += Double(probability) * logarithm
    }
    unsafe negativeEntropies.base[row] = sum
  }
}
