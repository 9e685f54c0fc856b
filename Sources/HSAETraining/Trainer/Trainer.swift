// A training run from configuration to last checkpoint: one process, one run directory. The
// mathematics of a step is `TrainingEngine`'s; this file reads batches, keeps records, writes
// checkpoints and stops when asked.

internal import Glibc
public import HSAEActivations
internal import HSAEModels
public import HSAESupport
internal import HSAETensors

/// How a call to `Trainer.run` ended.
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
  private let source: any RowSource
  private let lock: FileLock
  private var seconds: Double

  /// Begins a run at `path`, which must not exist or be an empty folder, and writes its `config.json`.
  ///
  /// The weights are those of the file the configuration's `initialWeights` names, if it names one.
  public init(
    creating path: String, configuration: TrainingConfiguration, source: any RowSource,
    threads: Int
  ) throws(Failure) {
    try Self.refuseOccupied(path)
    let engine = try Self.freshEngine(configuration, source: source, threads: threads)
    try Path.createDirectories(path)
    lock = try FileLock(path: RunDirectory.lockFile(path), purpose: "The run \(path)")
    // Again: another process may have begun a run here while the engine was made.
    try Self.refuseOccupied(path)
    if let store = source as? ActivationStore, let vocabulary = StoredVocabulary(store) {
      try vocabulary.write(to: RunDirectory.vocabularyFolder(path))
    }
    try JSONFile.write(configuration, to: RunDirectory.configurationFile(path))
    self.engine = engine
    self.path = path
    self.configuration = configuration
    self.source = source
    step = 0
    seconds = 0
  }

  /// Fails if a run, or anything else, is in the folder `path`.
  private static func refuseOccupied(_ path: String) throws(Failure) {
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
    if let (folder, state) = try run.newestWholeCheckpoint(warn: warn) {
      try Self.checkMachine(configuration)
      engine = TrainingEngine(
        parameters: Parameters(
          shape: configuration.shape, hasBias: configuration.bias != .none),
        configuration: configuration, threads: threads)
      try Checkpoint.restore(engine, from: folder, state: state)
      step = state.step
      seconds = state.seconds
    } else {
      engine = try Self.freshEngine(configuration, source: source, threads: threads)
      step = 0
      seconds = 0
    }
    let done = step
    lastRecord = try run.metrics().last { $0.step <= done } ?? lastRecord
  }

  private static func freshEngine(
    _ configuration: TrainingConfiguration, source: any RowSource, threads: Int
  ) throws(Failure) -> TrainingEngine {
    try checkMachine(configuration)
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

  /// Fails if this machine cannot do what `configuration` asks for.
  static func checkMachine(_ configuration: TrainingConfiguration) throws(Failure) {
    if configuration.precision == .bfloat16, Precision.best != .bfloat16 {
      throw Failure(
        .unavailable,
        "This processor does not multiply bf16 in hardware; use --precision float32 or auto.")
    }
    let needed = configuration.leastMemory
    let present = Double(sysconf(Int32(_SC_PHYS_PAGES))) * Double(sysconf(Int32(_SC_PAGESIZE)))
    guard present <= 0 || needed <= present else {
      let gigabytes = { (bytes: Double) in (bytes / 1e8).rounded() / 10 }
      throw Failure(
        .unavailable,
        "Training needs at least \(gigabytes(needed)) GB of memory, and this machine has"
          + " \(gigabytes(present)) GB; choose a smaller --experts or --batch.")
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
    var log = try MetricsLog(path: RunDirectory.metricsFile(path), keepingThrough: step)
    guard step < configuration.steps else { return .finished }
    let reader = BatchReader(
      source: source,
      sequence: RowSequence(
        count: source.rowCount, order: configuration.order, seed: configuration.seed),
      batch: configuration.batch, normalisation: configuration.normalize, firstBatch: step,
      bufferSize: engine.vectors.count)
    defer { reader.finish() }
    let clock = ContinuousClock()
    let begin = clock.now
    let secondsBefore = seconds
    var lastTime = 0.0
    var lastStep = step
    var lastCheckpoint = step
    while step < configuration.steps {
      try reader.next(step, into: &engine.vectors)
      let records =
        (step + 1) % configuration.recordEvery == 0 || step + 1 == configuration.steps
        || step == 0
      let settings = configuration.settings(step: step, wantsVariance: records)
      let report = engine.step(settings)
      guard report.loss.isFinite, report.gradientNorm.isFinite else {
        throw Failure(
          .data,
          "\(path): the loss of step \(step + 1) is not finite; try a lower --learning-rate"
            + " (the last checkpoint is step \(lastCheckpoint)).")
      }
      step += 1
      let elapsed = (clock.now - begin) / .seconds(1)
      seconds = secondsBefore + elapsed
      if records {
        let rate =
          Double((step - lastStep) * configuration.batch) / max(elapsed - lastTime, 1e-9)
        lastRecord = record(report, settings: settings, rate: rate)
        (lastTime, lastStep) = (elapsed, step)
        try log.append(lastRecord)
      }
      progress(step, lastRecord)
      let signal = interruption?.signalNumber
      let due = configuration.checkpointEvery > 0 && step % configuration.checkpointEvery == 0
      if due || signal != nil || step == configuration.steps {
        try log.synchronize()
        try checkpoint()
        lastCheckpoint = step
      }
      if let signal, step < configuration.steps { return .interrupted(signal: signal) }
    }
    return .finished
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
      precision: configuration.precision, threads: threads)
  }
}
