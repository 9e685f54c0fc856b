// Arithmetic on logits: the loss of each next token, and how far one prediction is from another. Nothing
// here knows where logits come from.

import CHSAEKernels
import Foundation
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

  /// Notes the loss of row `row`. `logits` has `vocabulary` numbers.
  func score(_ logits: UnsafePointer<Float>, row: Int, next: Int) {
    let partition = unsafe Partition(logits, vocabulary)
    unsafe note(partition, logits, row: row, next: next)
  }

  /// Notes the loss of row `row` and keeps its prediction, to hold others against.
  func score(
    _ logits: UnsafePointer<Float>, row: Int, next: Int, keepingIn kept: KeptPredictions
  ) {
    let partition = unsafe kept.keep(logits, row: row)
    unsafe note(partition, logits, row: row, next: next)
  }

  /// Notes the loss of row `row` and how far its prediction is from the one in `kept`:
  /// Σ p (ln p - ln q).
  func score(
    _ logits: UnsafePointer<Float>, row: Int, next: Int, against kept: KeptPredictions
  ) {
    precondition(row >= 0 && row < kept.rows && vocabulary == kept.vocabulary)
    let partition = unsafe Partition(logits, vocabulary)
    unsafe note(partition, logits, row: row, next: next)
    let mean = unsafe kept.mean(of: logits, row: row) - partition.logSum
    unsafe divergences.base[row] = Float(max(0, kept.negativeEntropies.base[row] - mean))
  }

  private func note(
    _ partition: Partition, _ logits: UnsafePointer<Float>, row: Int, next: Int
  ) {
    precondition(row >= 0 && row < losses.count && next >= 0 && next < vocabulary)
    unsafe losses.base[row] = Float(partition.logSum - Double(logits[next]))
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

/// The sum that makes a prediction of logits, from their largest up so that nothing overflows.
private struct Partition {
  /// The largest logit.
  let largest: Float
  /// Σ exp(logits - largest).
  let sum: Double
  /// ln Σ exp(logits).
  var logSum: Double { log(sum) + Double(largest) }

  /// Of `count` logits; exp(logits - largest) goes to `exponentials`, if there is any.
  init(
    _ logits: UnsafePointer<Float>, _ count: Int,
    exponentials: UnsafeMutablePointer<Float>? = nil
  ) {
    largest = unsafe kernels.largest(logits, count)
    sum = unsafe kernels.exp_sum(exponentials, logits, largest, count)
  }
}

/// The undisturbed predictions of one batch: 4 bytes for each row and each token of the vocabulary.
final class KeptPredictions: Sendable {
  let rows: Int
  let vocabulary: Int
  /// exp(logits - their largest) [rows × vocabulary].
  private let exponentials: Buffer<Float>
  /// The sum of each row of exponentials.
  private let sums: Buffer<Double>
  /// Σ p ln p of each row.
  let negativeEntropies: Buffer<Double>

  /// Room for as many rows as `scores` has.
  init(_ scores: PredictionScores) {
    (rows, vocabulary) = (scores.losses.count, scores.vocabulary)
    exponentials = Buffer(rows * vocabulary)
    sums = Buffer(rows)
    negativeEntropies = Buffer(rows)
  }

  /// Keeps the prediction of row `row`.
  fileprivate func keep(_ logits: UnsafePointer<Float>, row: Int) -> Partition {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    let partition = unsafe Partition(
      logits, vocabulary, exponentials: exponentials.base + row * vocabulary)
    unsafe sums.base[row] = partition.sum
    unsafe negativeEntropies.base[row] = mean(of: logits, row: row) - partition.logSum
    return partition
  }

  /// Σ p · x for the kept prediction of row `row`; x has `vocabulary` numbers.
  func mean(of x: UnsafePointer<Float>, row: Int) -> Double {
    let exponentials = unsafe self.exponentials.base + row * vocabulary
    // Short sums in single precision, their sum in double.
    let block = 4096
    var total = 0.0
    for start in stride(from: 0, to: vocabulary, by: block) {
      let count = min(block, vocabulary - start)
      unsafe total += Double(kernels.dot(exponentials + start, x + start, count))
    }
    return unsafe total / sums.base[row]
  }
}
