// Timing of training steps without a run directory: what `hsae bench` calls.

public import HSAEActivations
internal import HSAEModels
public import HSAESupport
internal import HSAETensors

/// What a measurement found; means over the measured steps.
public struct BenchResult: Codable, Hashable, Sendable {
  /// Rows trained per second.
  public var tokensPerSecond: Double
  /// Seconds of one step, reading included where it is not hidden behind the step before.
  public var secondsPerStep: Double
  /// Seconds of each phase in one step.
  public var phases: [String: Double]
  /// Share of latents at or above the threshold in the last step, where it was counted.
  public var aboveThreshold: Double?
  /// What the machine would allow for one step (docs/architecture.md, "The limit").
  public var limitSeconds: Double
  /// `secondsPerStep` over `limitSeconds`.
  public var stepOverLimit: Double
  /// Operations per second of the encoder product alone.
  public var productRate: Double
  /// Bytes per second of memory.
  public var bandwidth: Double
}

/// Trains a fresh dictionary in memory and times it.
public struct TrainingBench {
  private let configuration: TrainingConfiguration
  private let source: any RowSource
  private let engine: TrainingEngine

  /// A measurement of `configuration` on rows of `source`, with random weights.
  ///
  /// Fails with `.unavailable` if this machine cannot do what `configuration` asks for.
  public init(
    configuration: TrainingConfiguration, source: any RowSource, threads: Int
  ) throws(Failure) {
    try Trainer.checkMachine([configuration], threads: threads)
    self.configuration = configuration
    self.source = source
    engine = TrainingEngine(
      parameters: Parameters.initial(
        shape: configuration.shape, seed: configuration.seed,
        hasBias: configuration.bias != .none),
      configuration: configuration, threads: threads)
  }

  /// Runs `warmSteps` steps, then times `steps` more.
  public func measure(warmSteps: Int, steps: Int) throws(Failure) -> BenchResult {
    let reader = BatchReader(
      source: source,
      sequence: RowSequence(
        count: source.rowCount, order: configuration.order, seed: configuration.seed),
      batch: configuration.batch, normalisation: configuration.normalize, firstBatch: 0,
      bufferSize: engine.vectors.count)
    defer { reader.finish() }
    var before = engine.phaseSeconds
    var begin = ContinuousClock.now
    var report = StepReport()
    for step in 0..<warmSteps + steps {
      if step == warmSteps {
        before = engine.phaseSeconds
        begin = .now
      }
      try reader.next(step, into: &engine.vectors)
      report = engine.step(configuration.settings(step: step, wantsVariance: false))
    }
    let seconds = (ContinuousClock.now - begin) / .seconds(1) / Double(steps)
    var phases: [String: Double] = [:]
    for phase in Phase.allCases {
      phases["\(phase)"] =
        (engine.phaseSeconds[phase.rawValue] - before[phase.rawValue]) / Double(steps)
    }
    let shape = configuration.shape
    let product = MachineRates.product(
      rows: configuration.batch, latents: shape.experts, width: shape.width,
      precision: configuration.precision, threads: engine.threads)
    let bandwidth = MachineRates.bandwidth(threads: engine.threads)
    let (m, d) = (Double(shape.experts), Double(shape.width))
    let ortho = configuration.objective.ortho > 0 ? 6 * m * d * d : 0
    let limit =
      (2 * Double(configuration.batch) * m * d + ortho) / product
      + 28 * Double(shape.parameterCount) / bandwidth
    return BenchResult(
      tokensPerSecond: Double(configuration.batch) / seconds, secondsPerStep: seconds,
      phases: phases,
      aboveThreshold: report.aboveThreshold.isFinite ? report.aboveThreshold : nil,
      limitSeconds: limit, stepOverLimit: seconds / limit, productRate: product,
      bandwidth: bandwidth)
  }
}
