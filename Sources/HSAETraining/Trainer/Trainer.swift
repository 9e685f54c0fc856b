// A training run from configuration to last checkpoint: one run directory. The mathematics of a step
// is `TrainingEngine`'s, reading batches and stopping when asked `TrainingGroup`'s; this file begins
// runs, goes on with them, keeps records and writes checkpoints.

internal import Glibc
public import HSAEActivations
internal import HSAEDistribution
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
  /// The run directory; empty for a run that is kept in memory (`StreamedTraining.swift`).
  public let path: String
  /// Steps done.
  public private(set) var step: Int
  /// The last record.
  public private(set) var lastRecord = MetricsRecord()
  /// Whether the run also writes event files for TensorBoard; a run that has some goes on with them either way.
  public var writesEvents = false

  let engine: TrainingEngine
  /// The rows; nil where they are given batch by batch.
  let source: (any RowSource)?
  private let ranks: Ranks
  /// Rank 0 has the lock, the records and what of a checkpoint is not a shard.
  private let lock: FileLock?
  private var log: MetricsLog?
  private var events: TensorBoardLog?
  /// Seconds of training so far, and what they and `step` were at the last record.
  private(set) var seconds: Double
  private var recorded: (seconds: Double, step: Int)
  private var lastCheckpoint: Int
  /// Whether this process began the run, and whether it made its folder.
  private var hasBegun = false
  private var madeFolder = false

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
    try self.init(
      claiming: path, configuration: configuration, source: source, engine: engine, ranks: Ranks())
    try writeBeginning()
  }

  /// Takes the folder `path`, if there is to be one, for a run that `writeBeginning` then begins.
  init(
    claiming path: String, configuration: TrainingConfiguration, source: (any RowSource)?,
    engine: TrainingEngine, ranks: Ranks
  ) throws(Failure) {
    madeFolder = !path.isEmpty && !Path.exists(path)
    if path.isEmpty {
      lock = nil
    } else {
      lock = try Self.lock(path, ranks) { () throws(Failure) in try Path.createDirectories(path) }
      // Again: another process may have begun a run here while the engine was made.
      try ranks.world.onFirst { () throws(Failure) in try Self.refuseOccupied(path) }
    }
    self.ranks = ranks
    self.engine = engine
    self.path = path
    self.configuration = configuration
    self.source = source
    step = 0
    seconds = 0
    recorded = (0, 0)
    lastCheckpoint = 0
  }

  /// On rank 0, makes ready the folder of the run at `path` and takes its lock.
  private static func lock(
    _ path: String, _ ranks: Ranks, _ prepare: () throws(Failure) -> Void
  ) throws(Failure) -> FileLock? {
    var lock: FileLock?
    try ranks.world.onFirst { () throws(Failure) in
      try prepare()
      lock = try FileLock(path: RunDirectory.lockFile(path), purpose: "The run \(path)")
    }
    return lock
  }

  /// Writes what makes the folder a run.
  func writeBeginning() throws(Failure) {
    hasBegun = true
    try ranks.world.onFirst { () throws(Failure) in
      if let store = source as? ActivationStore, let vocabulary = StoredVocabulary(store) {
        try vocabulary.write(to: RunDirectory.vocabularyFolder(path))
      }
      try JSONFile.write(configuration, to: RunDirectory.configurationFile(path))
    }
    try requireShared()
  }

  /// Fails unless all ranks see the run that rank 0 has begun: now, not when the first checkpoint is due. File
  /// systems of a network may need a moment.
  private func requireShared() throws(Failure) {
    let world = ranks.world
    try world.agree { () throws(Failure) in
      let file = RunDirectory.configurationFile(path)
      for _ in 0..<100 where world.size > 1 && !Path.exists(file) { usleep(100_000) }
      guard Path.exists(file) else {
        throw Ranks.unshared(path, rank: world.rank)
      }
    }
  }

  /// Removes the run again if this process began it and it has not taken a step: after a failure there is nothing to go
  /// on with, and what is mended can be begun in the same place. The trainer is of no use then.
  ///
  /// What was in the folder before (`refuseOccupied`) stays, and so do folders above it.
  public func removeIfNothingWasDone() {
    guard hasBegun, step == 0, !path.isEmpty, ranks.isFirst else { return }
    guard (try? RunDirectory(path: path).checkpointSteps()) == [],
      (Path.fileSize(RunDirectory.metricsFile(path)) ?? 0) == 0
    else { return }
    // Settings last: until they are gone it is a run that can be gone on with.
    for place in [
      TensorBoardLog.folder(ofRun: path), RunDirectory.metricsFile(path),
      RunDirectory.vocabularyFolder(path), RunDirectory.configurationFile(path),
    ] {
      Path.removeAll(place)
    }
    guard madeFolder, (try? Path.list(path)) == [Path.name(RunDirectory.lockFile(path))] else {
      return
    }
    // The lock is still held: who opens its file now is refused.
    Path.removeAll(RunDirectory.lockFile(path))
    _ = unsafe rmdir(path)
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
  public convenience init(
    resuming path: String, source: any RowSource, threads: Int, ranks: Ranks = Ranks(),
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    try self.init(goingOn: path, source: source, threads: threads, ranks: ranks, warn: warn)
  }

  /// Goes on with the run at `path`; without a `source` it must be one whose rows are given to it.
  init(
    goingOn path: String, source: (any RowSource)?, threads: Int, ranks: Ranks,
    warn: (String) -> Void
  ) throws(Failure) {
    let run = try ranks.world.agree { () throws(Failure) in try RunDirectory(path: path) }
    lock = try Self.lock(path, ranks) {}
    let data = run.configuration.data
    try ranks.world.agree { () throws(Failure) in
      guard let source else {
        guard data.isStream else {
          throw Failure.usage(
            "\(path): the run was begun on \(data.path), not on rows given to it one after another;"
              + " go on with hsae train --resume.")
        }
        return
      }
      guard source.fingerprint == data.fingerprint, source.rowCount == data.rows,
        source.width == data.width
      else {
        throw .data(
          "\(source.path): this is not the data the run \(path) was begun on (\(data.path),"
            + " \(data.rows) rows of width \(data.width)); give the same data.")
      }
    }
    if ranks.isFirst { run.removePartialFiles() }
    let configuration = run.configuration
    self.configuration = configuration
    self.path = path
    self.source = source
    self.ranks = ranks
    try Self.checkMachine([configuration], threads: threads, ranks: ranks)
    if let folder = try ranks.newestWholeCheckpoint(of: run, warn: warn) {
      let state = try ranks.world.agree { () throws(Failure) in try Checkpoint.state(of: folder) }
      engine = try ranks.world.agree { () throws(Failure) in
        try Checkpoint.restore(
          configuration, from: folder, state: state, threads: threads, ranks: ranks)
      }
      step = state.step
      seconds = state.seconds
    } else {
      engine = try Self.freshEngine(
        configuration, source: source, threads: threads, ranks: ranks)
      step = 0
      seconds = 0
    }
    recorded = (seconds, step)
    lastCheckpoint = step
    let done = step
    lastRecord =
      try ranks.world.agree { () throws(Failure) in try run.metrics() }.last { $0.step <= done }
      ?? lastRecord
  }

  /// This process's part of an engine with the weights a run starts from.
  static func freshEngine(
    _ configuration: TrainingConfiguration, source: (any RowSource)?, threads: Int,
    ranks: Ranks = Ranks()
  ) throws(Failure) -> TrainingEngine {
    let share = EngineShare(shape: configuration.shape, batch: configuration.batch, ranks: ranks)
    return try ranks.world.agree { () throws(Failure) in
      var parameters: Parameters
      if let file = configuration.initialWeights {
        parameters = try WeightsFile.read(
          from: file, shape: configuration.shape, experts: share.experts)
      } else {
        parameters = Parameters.initial(
          shape: share.ownShape, seed: configuration.seed, hasBias: configuration.bias != .none,
          firstExpert: share.experts.lowerBound)
        if configuration.bias == .geometricMedian, let source {
          try setBias(&parameters, configuration, source: source)
        }
      }
      return TrainingEngine(
        parameters: parameters, share: share, configuration: configuration, threads: threads)
    }
  }

  /// Fails if this machine cannot train all of `configurations` at once, with the ranks it has.
  static func checkMachine(
    _ configurations: [TrainingConfiguration], threads: Int, ranks: Ranks = Ranks()
  ) throws(Failure) {
    let here = ranks.sameHost()
    try ranks.world.agree { () throws(Failure) in
      if let (name, least) = configurations.compactMap(ranks.complaint).first {
        throw .usage("\(name) must be at least \(least) for \(ranks.world.size) processes.")
      }
      if configurations.contains(where: { $0.precision == .bfloat16 }), Precision.best != .bfloat16
      {
        throw Failure(
          .unavailable,
          "This processor does not multiply bf16 in hardware; use --precision float32 or auto.")
      }
      if let complaint = MemoryNeed.complaint(
        configurations, threads: threads, memory: .current, ranks: ranks, here: here)
      {
        throw Failure(.unavailable, complaint)
      }
    }
  }

  /// The geometric median of up to 32,768 rows, as Gao et al. take it.
  private static func setBias(
    _ parameters: inout Parameters, _ configuration: TrainingConfiguration, source: any RowSource
  ) throws(Failure) {
    let count = min(mostBiasRows, source.rowCount)
    let permutation = Permutation(count: source.rowCount, seed: configuration.seed)
    var rows = Matrix(rows: count, columns: source.width)
    try source.gather((0..<count).map(permutation.index(at:)), into: &rows)
    setBias(&parameters, configuration, rows: &rows)
  }

  /// Rows the bias's first value is the median of, at most.
  static let mostBiasRows = 32_768

  /// The geometric median of `rows`, which are normalised first.
  static func setBias(
    _ parameters: inout Parameters, _ configuration: TrainingConfiguration, rows: inout Matrix
  ) {
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
    try TrainingGroup([self], ranks: ranks).run(interruption: interruption) {
      progress($0.step, $0.lastRecord)
    }
  }

  /// Makes the records ready to be added to.
  func openLog() throws(Failure) {
    if path.isEmpty { return }
    try ranks.world.onFirst { () throws(Failure) in
      log = try MetricsLog(path: RunDirectory.metricsFile(path), keepingThrough: step)
      if writesEvents || Path.exists(TensorBoardLog.folder(ofRun: path)) {
        events = try TensorBoardLog(run: path, keepingThrough: step)
      }
    }
  }

  /// One step on the batch in the engine's `vectors`, which took `waited` seconds to come.
  func advance(waited: Double) throws(Failure) {
    let begin = ContinuousClock.now
    let isRecorded =
      (step + 1) % configuration.recordEvery == 0 || step + 1 == configuration.steps || step == 0
    let settings = configuration.settings(step: step, wantsVariance: isRecorded)
    let report = engine.step(settings)
    try ranks.check()
    guard report.loss.isFinite, report.gradientNorm.isFinite else {
      let failure = "the loss of step \(step + 1) is not finite; try a lower --learning-rate"
      throw .data(
        path.isEmpty
          ? "\(failure)."
          : "\(path): \(failure) ("
            + (lastCheckpoint > 0
              ? "the last checkpoint is step \(lastCheckpoint)" : "there is no checkpoint") + ").")
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

  /// Writes a checkpoint if one is due at this step, or if `isLast`.
  func checkpointIfDue(isLast: Bool) throws(Failure) {
    if path.isEmpty { return }
    let begin = ContinuousClock.now
    let isDue = configuration.checkpointEvery > 0 && step % configuration.checkpointEvery == 0
    guard isDue || isLast || step == configuration.steps else { return }
    try ranks.world.onFirst { () throws(Failure) in
      try log?.synchronize()
      try events?.append(step: step, histograms: engine.eventHistograms())
    }
    try checkpoint()
    lastCheckpoint = step
    seconds += (ContinuousClock.now - begin) / .seconds(1)
  }

  /// Writes a checkpoint and removes those beyond `keep`.
  private func checkpoint() throws(Failure) {
    let folder = RunDirectory.checkpointsFolder(path)
    try ranks.world.onFirst { () throws(Failure) in try Path.createDirectories(folder) }
    try Checkpoint.write(
      engine, configuration: configuration, step: step, seconds: seconds, into: folder)
    guard ranks.isFirst else { return }
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
    (record.deadLatents, record.deadSublatents) = engine.deadCounts()
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
    parameters: consuming Parameters, share: EngineShare? = nil,
    configuration: TrainingConfiguration, threads: Int
  ) {
    let whole = EngineShare(shape: configuration.shape, batch: configuration.batch)
    self.init(
      parameters: parameters, share: share ?? whole, activation: configuration.activation,
      objective: configuration.objective, precision: configuration.precision,
      moments: configuration.moments ?? .float32, seed: configuration.seed, threads: threads)
  }
}
