// Arithmetic on logits: the loss of each next token, and the divergence between two predictions.

import CHSAEKernels
import Foundation
import HSAETensors

/// Scores of the predictions of one batch of tokens.
///
/// Several threads may score rows at once, each row by one thread.
final class PredictionScores: Sendable {
  let vocabulary: Int
  /// The cross-entropy of each row's next token, in nats.
  let losses: Buffer<Float>
  /// The Kullback-Leibler divergence of each row's prediction from the undisturbed one, in nats.
  let divergences: Buffer<Float>

  init(rows: Int, vocabulary: Int) {
    self.vocabulary = vocabulary
    losses = Buffer(rows)
    divergences = Buffer(rows)
  }

  /// Stores the loss of row `row` and keeps its prediction in `kept`. `logits` has `vocabulary` numbers.
  func score(
    _ logits: UnsafePointer<Float>, row: Int, next: Int, keepingIn kept: KeptPredictions? = nil
  ) {
    // Safe: `logits` has `vocabulary` numbers; `keep` checks the row.
    let partition = unsafe kept?.keep(logits, row: row) ?? Partition(logits, vocabulary)
    unsafe note(partition, logits, row: row, next: next)
  }

  /// Stores the loss of row `row` and the divergence of its prediction q from the kept prediction p:
  /// Σ p (ln p - ln q).
  func score(
    _ logits: UnsafePointer<Float>, row: Int, next: Int, against kept: KeptPredictions
  ) {
    precondition(row >= 0 && row < kept.rows && vocabulary == kept.vocabulary)
    // Safe: `logits` has `vocabulary` numbers, `row` was checked, and only this thread has the row.
    let partition = unsafe Partition(logits, vocabulary)
    unsafe note(partition, logits, row: row, next: next)
    let mean = unsafe kept.mean(of: logits, row: row) - partition.logSum
    unsafe divergences.base[row] = Float(max(0, kept.negativeEntropies.base[row] - mean))
  }

  private func note(_ partition: Partition, _ logits: UnsafePointer<Float>, row: Int, next: Int) {
    precondition(row >= 0 && row < losses.count && next >= 0 && next < vocabulary)
    // Safe: checked above, and only this thread has the row.
    unsafe losses.base[row] = Float(partition.logSum - Double(logits[next]))
  }

  /// Copies `numbers`, one for each row, to the contexts of `batch`.
  func collect(
    _ numbers: Buffer<Float>, _ batch: PackedBatch, of contexts: [[Int32]],
    into results: inout [[Float]]
  ) {
    for (place, index) in batch.contexts.enumerated() {
      let first = place * batch.length
      results[index] = (0..<max(0, contexts[index].count - 1)).map { position in
        // Safe: the batch fits into `numbers`, as `LlamaContext.run` checks.
        unsafe numbers.base[first + position]
      }
    }
  }
}

/// The normalising sum of a prediction, relative to the largest logit so that nothing overflows.
private struct Partition {
  let largest: Float
  /// Σ exp(logits - largest).
  let sum: Double
  /// ln Σ exp(logits).
  var logSum: Double { log(sum) + Double(largest) }

  /// Sums over `count` logits, and stores exp(logits - largest) in `exponentials` if it is given.
  init(
    _ logits: UnsafePointer<Float>, _ count: Int, exponentials: UnsafeMutablePointer<Float>? = nil
  ) {
    // Safe: the caller passes `count` logits, and as much room for `exponentials`.
    largest = unsafe kernels.largest(logits, count)
    sum = unsafe kernels.exp_sum(exponentials, logits, largest, count)
  }
}

/// The undisturbed predictions of one batch. They take 4 bytes for each row and each token of the vocabulary.
final class KeptPredictions: Sendable {
  let rows: Int
  let vocabulary: Int
  /// exp(logits - their largest) [rows × vocabulary].
  private let exponentials: Buffer<Float>
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

  fileprivate func keep(_ logits: UnsafePointer<Float>, row: Int) -> Partition {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    // Safe: `row` was checked, `logits` has `vocabulary` numbers, and only this thread has the row.
    let partition = unsafe Partition(
      logits, vocabulary, exponentials: exponentials.base + row * vocabulary)
    unsafe sums.base[row] = partition.sum
    unsafe negativeEntropies.base[row] = mean(of: logits, row: row) - partition.logSum
    return partition
  }

  /// Σ p · x for the kept prediction of row `row`; x has `vocabulary` numbers.
  func mean(of x: UnsafePointer<Float>, row: Int) -> Double {
    // Safe: callers check `row`; `x` has `vocabulary` numbers, and blocks end there.
    let exponentials = unsafe self.exponentials.base + row * vocabulary
    // Short sums in single precision, their total in double.
    let block = 4096
    var total = 0.0
    for start in stride(from: 0, to: vocabulary, by: block) {
      let count = min(block, vocabulary - start)
      unsafe total += Double(kernels.dot(exponentials + start, x + start, count))
    }
    return unsafe total / sums.base[row]
  }
}
