// A training run from configuration to last checkpoint: one run directory. The mathematics of a step
// is `TrainingEngine`'s, reading batches and stopping when asked `TrainingGroup`'s; this file begins
// runs, goes on with them, keeps records and writes checkpoints.

public import HSAEActivations
internal import HSAEModels
public import HSAESupport
internal import HSAETensors

/// How training ended.
public enum TrainingOutcome: Hashable, Sendable {
  /// All steps are done.
  case finished
  /// A signal asked for the end; a checkpoint was written at this step.
  case interrupted(signal: Int32)
}

/// Trains one dictionary in a run directory.
public final class Trainer {
  /// The run's settings.
  public let configuration: TrainingConfiguration
  /// The run directory.
  public let path: String
  /// Steps done.
  public private(set) var step: Int
  /// The last record.
  public private(set) var lastRecord = MetricsRecord()

  let engine: TrainingEngine
  let source: any RowSource
  private let lock: FileLock
  private var log: MetricsLog?
  /// Seconds of training so far, and what they and `step` were at the last record.
  private var seconds: Double
  private var recorded: (seconds: Double, step: Int)
  private var lastCheckpoint: Int

  /// Begins a run at `path`, which must not exist or be an empty folder, and writes its `config.json`.
  ///
  /// The weights are those of the file the configuration's `initialWeights` names, if it names one.
  public convenience init(
    creating path: String, configuration: TrainingConfiguration, source: any RowSource,
    threads: Int
  ) throws(Failure) {
    try Self.refuseOccupied(path)
    try Self.checkMachine([configuration], threads: threads)
    let engine = try Self.freshEngine(configuration, source: source, threads: threads)
    try self.init(claiming: path, configuration: configuration, source: source, engine: engine)
    try writeBeginning()
  }

  /// Takes the folder `path` for a run that `writeBeginning` then begins.
  init(
    claiming path: String, configuration: TrainingConfiguration, source: any RowSource,
    engine: TrainingEngine
  ) throws(Failure) {
    try Path.createDirectories(path)
    lock = try FileLock(path: RunDirectory.lockFile(path), purpose: "The run \(path)")
    // Again: another process may have begun a run here while the engine was made.
    try Self.refuseOccupied(path)
    self.engine = engine
    self.path = path
    self.configuration = configuration
    self.source = source
    step = 0
    seconds = 0
    recorded = (0, 0)
    lastCheckpoint = 0
  }

  /// Writes what makes the folder a run.
  func writeBeginning() throws(Failure) {
    if let store = source as? ActivationStore, let vocabulary = StoredVocabulary(store) {
      try vocabulary.write(to: RunDirectory.vocabularyFolder(path))
    }
    try JSONFile.write(configuration, to: RunDirectory.configurationFile(path))
  }

  /// Fails if a run, or anything else, is in the folder `path`.
  static func refuseOccupied(_ path: String) throws(Failure) {
    guard Path.isDirectory(path) else { return }
    if Path.exists(RunDirectory.configurationFile(path)) {
      throw Failure(
        .cannotCreate,
        "\(path): a run is there already; add --resume to go on with it, or choose another --out.")
    }
    // What was killed before it wrote config.json left a lock file, a vocabulary, hidden partial files.
    let others = try Path.list(path).filter {
      $0 != "run.lock" && $0 != "vocabulary" && !$0.hasPrefix(".")
    }
    guard others.isEmpty else {
      throw Failure(
        .cannotCreate, "\(path): the folder is not empty (\(others[0])); choose another --out.")
    }
  }

  /// Goes on with the run at `path` from its newest whole checkpoint.
  ///
  /// Fails if `source` is not what the run was begun on. A checkpoint that is passed over is told to
  /// `warn`.
  public init(
    resuming path: String, source: any RowSource, threads: Int,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try RunDirectory(path: path)
    lock = try FileLock(path: RunDirectory.lockFile(path), purpose: "The run \(path)")
    let data = run.configuration.data
    guard source.fingerprint == data.fingerprint, source.rowCount == data.rows,
      source.width == data.width
    else {
      throw .data(
        "\(source.path): this is not the data the run \(path) was begun on (\(data.path),"
          + " \(data.rows) rows of width \(data.width)); give the same data.")
    }
    run.removePartialFiles()
    configuration = run.configuration
    self.path = path
    self.source = source
    try Self.checkMachine([configuration], threads: threads)
    if let (folder, state) = try run.newestWholeCheckpoint(warn: warn) {
      engine = try Checkpoint.restore(
        configuration, from: folder, state: state, threads: threads)
      step = state.step
      seconds = state.seconds
    } else {
      engine = try Self.freshEngine(configuration, source: source, threads: threads)
      step = 0
      seconds = 0
    }
    recorded = (seconds, step)
    lastCheckpoint = step
    let done = step
    lastRecord = try run.metrics().last { $0.step <= done } ?? lastRecord
  }

  static func freshEngine(
    _ configuration: TrainingConfiguration, source: any RowSource, threads: Int
  ) throws(Failure) -> TrainingEngine {
    var parameters: Parameters
    if let file = configuration.initialWeights {
      parameters = try WeightsFile.read(from: file, shape: configuration.shape)
    } else {
      parameters = Parameters.initial(
        shape: configuration.shape, seed: configuration.seed,
        hasBias: configuration.bias != .none)
      if configuration.bias == .geometricMedian {
        try setBias(&parameters, configuration, source: source)
      }
    }
    return TrainingEngine(
      parameters: parameters, configuration: configuration, threads: threads)
  }

  /// Fails if this machine cannot train all of `configurations` at once.
  static func checkMachine(
    _ configurations: [TrainingConfiguration], threads: Int
  ) throws(Failure) {
    if configurations.contains(where: { $0.precision == .bfloat16 }), Precision.best != .bfloat16 {
      throw Failure(
        .unavailable,
        "This processor does not multiply bf16 in hardware; use --precision float32 or auto.")
    }
    if let complaint = MemoryNeed.complaint(
      configurations, threads: threads, memory: .current)
    {
      throw Failure(.unavailable, complaint)
    }
  }

  /// The geometric median of up to 32,768 rows, as Gao et al. take it.
  private static func setBias(
    _ parameters: inout Parameters, _ configuration: TrainingConfiguration, source: any RowSource
  ) throws(Failure) {
    let count = min(32_768, source.rowCount)
    let permutation = Permutation(count: source.rowCount, seed: configuration.seed)
    var rows = Matrix(rows: count, columns: source.width)
    try source.gather((0..<count).map(permutation.index(at:)), into: &rows)
    if configuration.normalize == .unit { rows.scaleRowsToUnit() }
    let median = geometricMedian(of: rows)
    for column in median.indices { parameters.bias[0, column] = median[column] }
  }

  /// Trains until all steps are done or `interruption` has received a signal.
  ///
  /// A checkpoint is written every `checkpointEvery` steps and at the end, whatever ends the run but a
  /// failure. `progress` is called after every step.
  public func run(
    interruption: Interruption? = nil, progress: (_ step: Int, _ record: MetricsRecord) -> Void
  ) throws(Failure) -> TrainingOutcome {
    try TrainingGroup([self]).run(interruption: interruption) { progress($0.step, $0.lastRecord) }
  }

  /// Makes the records ready to be added to.
  func openLog() throws(Failure) {
    log = try MetricsLog(path: RunDirectory.metricsFile(path), keepingThrough: step)
  }

  /// One step on the batch in the engine's `vectors`, which took `waited` seconds to come.
  func advance(waited: Double) throws(Failure) {
    let begin = ContinuousClock.now
    let isRecorded =
      (step + 1) % configuration.recordEvery == 0 || step + 1 == configuration.steps || step == 0
    let settings = configuration.settings(step: step, wantsVariance: isRecorded)
    let report = engine.step(settings)
    guard report.loss.isFinite, report.gradientNorm.isFinite else {
      throw Failure(
        .data,
        "\(path): the loss of step \(step + 1) is not finite; try a lower --learning-rate"
          + " (the last checkpoint is step \(lastCheckpoint)).")
    }
    step += 1
    seconds += waited + (ContinuousClock.now - begin) / .seconds(1)
    if isRecorded {
      let rows = (step - recorded.step) * configuration.batch
      let rate = Double(rows) / max(seconds - recorded.seconds, 1e-9)
      lastRecord = record(report, settings: settings, rate: rate)
      recorded = (seconds, step)
      try log?.append(lastRecord)
    }
  }

  /// Writes a checkpoint if one is due at this step, or if `isLast`.
  func checkpointIfDue(isLast: Bool) throws(Failure) {
    let begin = ContinuousClock.now
    let isDue = configuration.checkpointEvery > 0 && step % configuration.checkpointEvery == 0
    guard isDue || isLast || step == configuration.steps else { return }
    try log?.synchronize()
    try checkpoint()
    lastCheckpoint = step
    seconds += (ContinuousClock.now - begin) / .seconds(1)
  }

  /// Writes a checkpoint and removes those beyond `keep`.
  private func checkpoint() throws(Failure) {
    let folder = RunDirectory.checkpointsFolder(path)
    try Path.createDirectories(folder)
    try Checkpoint.write(
      engine, configuration: configuration, step: step, seconds: seconds, into: folder)
    let steps = try Path.list(folder).compactMap(CheckpointName.step(of:)).sorted()
    // Those of later steps were damaged when the run was resumed from an earlier one.
    let later = steps.filter { $0 > step }
    for old in later + steps.filter({ $0 <= step }).dropLast(configuration.keep) {
      Path.removeAll(Path.join(folder, CheckpointName.folder(step: old)))
    }
  }

  private func record(
    _ report: StepReport, settings: StepSettings, rate: Double
  ) -> MetricsRecord {
    var record = MetricsRecord()
    record.step = step
    record.tokens = engine.usage.vectors
    record.loss = report.loss
    record.reconstruction = report.reconstruction
    record.topReconstruction = report.topReconstruction
    record.ortho = report.ortho.isFinite ? report.ortho : nil
    record.l1 = report.l1
    record.auxk = report.auxk
    record.explainedVariance = report.explainedVariance.isFinite ? report.explainedVariance : nil
    record.l0 = report.l0
    record.aboveThreshold = report.aboveThreshold.isFinite ? report.aboveThreshold : nil
    record.deadLatents = engine.usage.deadLatents()
    record.deadSublatents = engine.usage.deadSublatents()
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
      regulariserScale: Float(regularizerWarmup.factor(at: step)), clip: Float(clip),
      deadWindow: deadWindow, wantsVariance: wantsVariance)
  }
}

extension TrainingEngine {
  /// An engine as `configuration` has it.
  convenience init(
    parameters: consuming Parameters, configuration: TrainingConfiguration, threads: Int
  ) {
    self.init(
      parameters: parameters, activation: configuration.activation,
      objective: configuration.objective, batch: configuration.batch,
      precision: configuration.precision, moments: configuration.moments ?? .float32,
      seed: configuration.seed, threads: threads)
  }
}
