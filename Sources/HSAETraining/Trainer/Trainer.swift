// One run in training: its steps, records and checkpoints. `Trainer+Begin.swift` begins and continues runs, a
// `StepBackend` computes the steps, and `TrainingGroup` reads the batches.

internal import HSAEActivations
internal import HSAEDistribution
package import HSAEEngine
internal import HSAEModels
public import HSAERuns
public import HSAESupport

/// How training ended.
public enum TrainingOutcome: Hashable, Sendable {
  /// All steps are done.
  case finished
  /// A signal ended the training; a checkpoint was written at this step.
  case interrupted(signal: Int32)
}

/// Trains one dictionary in a run directory.
public final class Trainer {
  /// The run's settings.
  public let configuration: TrainingConfiguration
  /// The run directory; empty for a run that stays in memory (`StreamedTraining.swift`).
  public let path: String
  /// Steps done so far.
  public private(set) var step: Int
  /// The last record.
  public private(set) var lastRecord: MetricsRecord
  /// Whether the run also writes event files for TensorBoard. A run that already has some always continues
  /// them.
  public var writesEvents = false

  package private(set) var backend: any StepBackend
  /// How normalised rows are whitened; nil if they are not, or if the rows of a stream have not come yet.
  private(set) var whitening: Whitening?
  /// Whitens the rows of a stream.
  private(set) lazy var rowProduct = whitening?.product(threads: 1)
  /// The rows; nil if they are given batch by batch.
  let source: (any RowSource)?
  let ranks: Ranks
  /// Rank 0 holds the lock, the records and the unsharded checkpoint files.
  private let lock: FileLock?
  private var log: MetricsLog?
  private var events: TensorBoardLog?
  /// Seconds of training so far; `recorded` holds them and `step` at the last record.
  private(set) var seconds: Double
  private var recorded: (seconds: Double, step: Int)
  private var lastCheckpoint: Int
  /// Whether this process began the run, and whether it created the folder.
  var hasBegun = false
  var madeFolder = false

  /// A run that stands at `step`. Use `begin` or `init(resuming:)`.
  init(
    at path: String, lock: consuming FileLock?, configuration: TrainingConfiguration,
    whitening: Whitening?, source: (any RowSource)?, backend: any StepBackend, ranks: Ranks,
    step: Int, seconds: Double,
    lastRecord: MetricsRecord
  ) {
    (self.path, self.configuration, self.source) = (path, configuration, source)
    self.lock = lock
    self.whitening = whitening
    (self.backend, self.ranks, self.step, self.seconds) = (backend, ranks, step, seconds)
    self.lastRecord = lastRecord
    recorded = (seconds, step)
    lastCheckpoint = step
  }

  /// Trains until all steps are done or `interruption` has received a signal.
  ///
  /// It writes a checkpoint every `checkpointEvery` steps and at the end, unless a failure ends the run.
  /// `progress` is called after every step.
  public func run(
    interruption: Interruption? = nil, progress: (_ step: Int, _ record: MetricsRecord) -> Void
  ) throws(Failure) -> TrainingOutcome {
    try TrainingGroup([self], ranks: ranks).run(interruption: interruption) {
      progress($0.step, $0.lastRecord)
    }
  }

  /// Sets the whitening of a stream whose first rows have come, before the first step; `threads` are those of the backend.
  func begin(_ whitening: Whitening, threads: Int) throws(Failure) {
    self.whitening = whitening
    if !path.isEmpty { try whitening.write(to: RunDirectory.whiteningFile(path)) }
    // A backend has the inner product from its beginning.
    if configuration.whitening?.loss == .original {
      backend = try Self.freshBackend(
        configuration, whitening, source: nil, TrainingResources(threads: threads))
    }
  }

  /// Opens the records to append to them.
  func openLog() throws(Failure) {
    if path.isEmpty { return }
    try ranks.world.onFirst { () throws(Failure) in
      log = try MetricsLog(path: RunDirectory.metricsFile(path), keepingThrough: step)
      if writesEvents || Path.exists(TensorBoardLog.folder(ofRun: path)) {
        events = try TensorBoardLog(run: path, keepingThrough: step)
      }
    }
  }

  /// Takes one step on the backend's batch. `waited` is how many seconds the batch took to come.
  func advance(waited: Double) throws(Failure) {
    let begin = ContinuousClock.now
    let isRecorded =
      (step + 1) % configuration.recordEvery == 0 || step + 1 == configuration.steps || step == 0
    let settings = configuration.settings(step: step, wantsVariance: isRecorded)
    let report: StepReport
    do throws(Failure) { report = try backend.step(settings) } catch {
      throw Failure(error.kind, stopped("step \(step + 1) failed: \(error.message)"))
    }
    try ranks.check()
    guard report.loss.isFinite, report.gradientNorm.isFinite else {
      throw .data(
        stopped("the loss of step \(step + 1) is not finite; try a lower --learning-rate"))
    }
    step += 1
    seconds += waited + (ContinuousClock.now - begin) / .seconds(1)
    if isRecorded {
      let rows = (step - recorded.step) * configuration.batch
      let rate = Double(rows) / max(seconds - recorded.seconds, 1e-9)
      lastRecord = record(report, settings: settings, rate: rate)
      recorded = (seconds, step)
      try ranks.world.onFirst { () throws(Failure) in
        try log?.append(lastRecord)
        try events?.append(lastRecord)
      }
    }
  }

  /// Why training stopped, and which checkpoint there is.
  private func stopped(_ failure: String) -> String {
    if path.isEmpty { return failure.hasSuffix(".") ? failure : failure + "." }
    let cause = failure.hasSuffix(".") ? String(failure.dropLast()) : failure
    return "\(path): \(cause) ("
      + (lastCheckpoint > 0
        ? "the last checkpoint is step \(lastCheckpoint)" : "there is no checkpoint") + ")."
  }

  /// Writes a checkpoint if one is due at this step or `isLast` is set.
  func checkpointIfDue(isLast: Bool) throws(Failure) {
    if path.isEmpty { return }
    let begin = ContinuousClock.now
    let isDue = configuration.checkpointEvery > 0 && step % configuration.checkpointEvery == 0
    guard isDue || isLast || step == configuration.steps else { return }
    try ranks.world.onFirst { () throws(Failure) in
      try log?.synchronize()
      guard events != nil, backend.share.dictionary.size == 1 else { return }
      try backend.updateState()
      let histograms = backend.withState { $0.eventHistograms() }
      try events?.append(step: step, histograms: histograms)
    }
    try checkpoint()
    lastCheckpoint = step
    seconds += (ContinuousClock.now - begin) / .seconds(1)
  }

  /// Writes a checkpoint, and removes old ones so that `keep` remain.
  private func checkpoint() throws(Failure) {
    let folder = RunDirectory.checkpointsFolder(path)
    try ranks.world.onFirst { () throws(Failure) in try Path.createDirectories(folder) }
    try writeCheckpoint(into: folder)
    guard ranks.isFirst else { return }
    let steps = try Path.list(folder).compactMap(CheckpointName.step(of:)).sorted()
    // Checkpoints of later steps were found damaged when the run was resumed from an earlier one.
    let later = steps.filter { $0 > step }
    for old in later + steps.filter({ $0 <= step }).dropLast(configuration.keep) {
      Path.removeAll(Path.join(folder, CheckpointName.folder(step: old)))
    }
  }

  /// Writes the state as a checkpoint into `folder`.
  func writeCheckpoint(into folder: String) throws(Failure) {
    try backend.updateState()
    try backend.withState { (state) throws(Failure) in
      try Checkpoint.write(
        state, of: backend.share, configuration: configuration, whitening: whitening,
        seconds: seconds, into: folder)
    }
  }

  private func record(
    _ report: StepReport, settings: StepSettings, rate: Double
  ) -> MetricsRecord {
    var record = MetricsRecord()
    record.step = step
    record.tokens = backend.rowsSeen
    record.loss = report.loss
    record.reconstruction = report.reconstruction
    record.topReconstruction = report.topReconstruction
    record.ortho = report.ortho.isFinite ? report.ortho : nil
    record.l1 = report.l1
    record.auxk = report.auxk
    record.explainedVariance = report.explainedVariance.isFinite ? report.explainedVariance : nil
    record.l0 = report.l0
    if configuration.jumpReLU != nil { record.jumpPenalty = report.jumpPenalty }
    if configuration.sublatentBudget != nil {
      (record.subL0, record.subThreshold) = (report.subL0, report.subThreshold)
    }
    record.threshold = report.threshold.isFinite ? report.threshold : nil
    record.aboveThreshold = report.aboveThreshold.isFinite ? report.aboveThreshold : nil
    (record.deadLatents, record.deadSublatents) = backend.deadCounts()
    record.learningRate = Double(settings.learningRate)
    record.gradientNorm = report.gradientNorm
    record.tokensPerSecond = rate
    record.seconds = seconds
    return record
  }
}

extension TrainingConfiguration {
  /// The settings of step `step`, counting from 0.
  func settings(step: Int, wantsVariance: Bool) -> StepSettings {
    StepSettings(
      number: step + 1, learningRate: Float(learningRate.rate(at: step)),
      regularizerScale: Float(regularizerWarmup.factor(at: step)), clip: Float(clip),
      deadWindow: deadWindow, wantsVariance: wantsVariance)
  }
}
