// A trainer that is worked with from tasks: every call waits for the one before, on a thread of its own.

internal import HSAETensors
internal import HSAERuns
internal import HSAETraining

/// Threads where a program does not say how many: all processors.
let defaultThreads = processorCount

/// Owns a trainer and takes its steps one at a time.
final class TrainerQueue: @unchecked Sendable {
  // Safe: once made, the trainer is touched on the queue alone.
  private let trainer: Trainer
  private let queue = WorkQueue(label: "hsae.training")

  /// Takes `trainer` over.
  init(_ trainer: Trainer) { self.trainer = trainer }

  /// Takes a step on `rows` [batch × width]; its record if there is one.
  func step(on rows: [Float], waited: Double) async throws(Failure) -> MetricsRecord? {
    try await queue.run { [self] () throws(Failure) in
      try trainer.step(on: rows, waited: waited)
    }
  }

  /// Rows that ``begin(with:)`` wants; 0 for none.
  var rowsToBegin: Int { queue.wait { trainer.rowsToBegin } }

  /// Sets what the first rows decide.
  func begin(with rows: [Float]) async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in trainer.begin(with: rows) }
  }

  /// Writes a checkpoint of where the run stands.
  func checkpoint() async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in try trainer.checkpointNow() }
  }

  /// Writes the run as it stands into a new folder.
  func save(to path: String) async throws(Failure) {
    try await queue.run { [self] () throws(Failure) in try trainer.save(to: path) }
  }

  /// Returns when nothing is under way.
  func finish() { queue.wait {} }

  /// The dictionary as it is now.
  func dictionary() -> SparseDictionary {
    queue.wait {
      SparseDictionary(
        trainer.dictionary(), normalisation: trainer.configuration.normalize, step: trainer.step)
    }
  }
}
