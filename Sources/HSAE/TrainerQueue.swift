// Lets tasks use a trainer: its calls run one after another, on a thread of their own.

internal import HSAERuns
internal import HSAETensors
internal import HSAETraining

/// Owns a trainer and runs its calls one at a time.
final class TrainerQueue: @unchecked Sendable {
  // Safe: after the initialiser only the queue touches the trainer.
  private let trainer: Trainer
  private let queue = WorkQueue(label: "hsae.training")

  private let threads: Int

  /// `threads` are those of the trainer's backend.
  init(_ trainer: Trainer, threads: Int) { (self.trainer, self.threads) = (trainer, threads) }

  /// Takes a step on `rows` [batch × width]; returns its record if there is one.
  func step(on rows: [Float], waited: Double) async throws(Failure) -> MetricsRecord? {
    try await queue.run { [self] () throws(Failure) in
      try trainer.step(on: rows, waited: waited)
    }
  }

  /// The number of rows ``begin(with:)`` needs; 0 for none.
  var rowsToBegin: Int { queue.wait { trainer.rowsToBegin } }

  /// Sets what depends on the first rows.
  func begin(with rows: [Float]) async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in
      try trainer.begin(with: rows, threads: threads)
    }
  }

  func checkpoint() async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in try trainer.checkpointNow() }
  }

  /// Writes the current state into a new folder.
  func save(to path: String) async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in try trainer.save(to: path) }
  }

  /// Returns when all calls have ended.
  func finish() { queue.wait {} }

  func dictionary() -> SparseDictionary {
    queue.wait {
      SparseDictionary(
        trainer.dictionary(), normalisation: trainer.configuration.normalize, step: trainer.step)
    }
  }
}
