// Timed training steps: a backend, the batches it reads, and blocks of steps with the time of each phase.

internal import HSAEActivations
internal import HSAEEngine
internal import HSAEModels
internal import HSAERuns
internal import HSAESupport
internal import HSAETensors

/// The times of one block of steps.
struct Block {
  /// Seconds of a step.
  var seconds: Double
  /// Seconds of each phase in a step.
  var phases: [String: Double]
}

/// A backend with the reader of its batches and the number of its next step.
final class TimedTraining {
  private let backend: any StepBackend
  private let configuration: TrainingConfiguration
  private let reader: BatchReader
  private var step: Int
  private(set) var aboveThreshold: Double?
  private(set) var l0 = 0.0

  init(
    _ backend: any StepBackend, _ configuration: TrainingConfiguration, _ whitening: Whitening?,
    _ source: any RowSource, step: Int
  ) {
    self.backend = backend
    self.configuration = configuration
    self.step = step
    reader = BatchReader(
      source: source,
      sequence: RowSequence(
        count: source.rowCount, order: configuration.order, seed: configuration.rowSeed),
      batch: configuration.batch, normalisation: configuration.normalize, whitening: whitening,
      firstBatch: step, bufferSize: backend.batchRows.count)
  }

  deinit { reader.finish() }

  /// Takes `count` steps and times them.
  @discardableResult
  func block(_ count: Int) throws(Failure) -> Block {
    let before = backend.phaseSeconds
    let begin = ContinuousClock.now
    for _ in 0..<count { try advance() }
    let seconds = (ContinuousClock.now - begin) / .seconds(1) / Double(count)
    var phases: [String: Double] = [:]
    for (before, after) in zip(before, backend.phaseSeconds) {
      phases[after.name] = (after.seconds - before.seconds) / Double(count)
    }
    return Block(seconds: seconds, phases: phases)
  }

  private func advance() throws(Failure) {
    try reader.next(step, into: &backend.batchRows)
    let report = try backend.step(configuration.settings(step: step, wantsVariance: false))
    guard report.loss.isFinite, report.gradientNorm.isFinite else {
      throw .data("The loss of step \(step + 1) is not finite; measure with other weights.")
    }
    aboveThreshold = report.aboveThreshold.isFinite ? report.aboveThreshold : nil
    l0 = report.l0
    step += 1
  }
}
