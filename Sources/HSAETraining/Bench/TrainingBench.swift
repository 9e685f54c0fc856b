// Timing of training steps that continue from a run's weights, for `hsae bench`. The machine's rates are
// measured in the same process before and after the steps. `RowCost` computes the operations and bytes of a
// step.

public import HSAEActivations
internal import HSAEEngine
internal import HSAEModels
public import HSAERuns
public import HSAESupport
internal import HSAETensors

/// How many steps are measured.
public struct BenchPlan: Hashable, Sendable {
  /// Steps before the first block, not timed.
  public var warmSteps = 3
  /// Blocks of steps; the median block counts.
  public var blocks = 7
  /// Steps in a block.
  public var blockSteps = 3
  /// Rows in a batch of the comparison with a flat dictionary; nil for no comparison.
  public var comparisonBatch: Int?

  /// A plan with the defaults and no comparison.
  public init() {}
}

/// Times training steps that continue from a run's newest checkpoint. It writes nothing.
public struct TrainingBench {
  private let configuration: TrainingConfiguration
  private let source: any RowSource
  private let threads: Int
  private let checkpoint: String
  private let state: TrainerState
  /// How the run's rows are whitened.
  private let whitening: Whitening?

  /// A measurement of steps with the settings of `configuration`, on rows of `source`, starting from the
  /// weights and moments in the newest checkpoint of `run`. The sizes of the run must be those of the
  /// configuration.
  ///
  /// Fails with `.unavailable` if this machine cannot do what `configuration` asks for, and with `.missing`
  /// if the run has no whole checkpoint.
  public init(
    configuration: TrainingConfiguration, source: any RowSource, run: RunDirectory, threads: Int,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    precondition(
      configuration.shape == run.description.shape,
      "The run has other sizes than the configuration.")
    try Trainer.checkMachine([configuration], TrainingResources(threads: threads))
    (checkpoint, state) = try run.requireWholeCheckpoint(warn: warn)
    whitening = try run.whitening(sha256: state.whitening)
    (self.configuration, self.source, self.threads) = (configuration, source, threads)
  }

  /// The blocks of steps that `plan` times, unless memory is too small for the comparison.
  public func blocks(_ plan: BenchPlan) -> Int {
    plan.blocks * (plan.comparisonBatch == nil || configuration.shape.isFlat ? 1 : 3)
  }

  /// Measures according to `plan`. If the dictionary is flat or memory is too small, it leaves out the
  /// comparison; in the second case it calls `note` with the reason. `progress` is called between blocks with the
  /// number of those done.
  public func measure(
    _ plan: BenchPlan, note: (String) -> Void = { _ in }, progress: (_ done: Int) -> Void = { _ in }
  ) throws(Failure) -> BenchResult {
    let before = rates()
    let (blocks, above, l0) = try steps(plan, progress: progress)
    let pairs = try compare(plan, note: note, progress: progress)
    let rates = before.best(rates())

    let (shape, batch) = (configuration.shape, Double(configuration.batch))
    let seconds = median(blocks.map(\.seconds))
    let middle = blocks.sorted { $0.seconds < $1.seconds }[blocks.count / 2]
    let limit = configuration.limitSeconds(product: rates.product, bandwidth: rates.bandwidth)
    let limitFloat32 = configuration.limitSeconds(
      product: rates.productFloat32, bandwidth: rates.bandwidth)
    let product = 2 * batch * Double(shape.experts) * Double(shape.width)
    let cost = Self.cost(of: configuration, l0: l0, aboveThreshold: above ?? 0)
    let pairLimit = batch * cost.pairSeconds(rates)
    var result = BenchResult(
      shape: shape, selection: configuration.selection.name, l0: l0,
      batch: configuration.batch, precision: configuration.precision.rawValue,
      threads: threads, trainedSteps: state.step, tokensPerSecond: batch / seconds,
      secondsPerStep: seconds,
      secondsRange: [
        blocks.map(\.seconds).min() ?? seconds, blocks.map(\.seconds).max() ?? seconds,
      ],
      phases: middle.phases, aboveThreshold: above, limitSeconds: limit,
      stepOverLimit: seconds / limit, limitSecondsFloat32: limitFloat32,
      stepOverLimitFloat32: seconds / limitFloat32, pairLimitSeconds: pairLimit,
      stepOverLimitWithPairs: seconds / (limit + pairLimit),
      stepOverLimitFloat32WithPairs: seconds / (limitFloat32 + pairLimit),
      productRate: rates.product, productRateFloat32: rates.productFloat32,
      bandwidth: rates.bandwidth, cacheBandwidth: rates.cacheBandwidth,
      encodeRate: product / max(middle.phases["\(Phase.encode)"] ?? 0, 1e-9),
      optimizerRate: cost.optimizerBytes * batch
        / max(middle.phases["\(Phase.update)"] ?? 0, 1e-9),
      cost: cost)
    guard let rows = plan.comparisonBatch, !pairs.isEmpty else { return result }
    var larger = configuration
    larger.batch = rows
    func ratio(_ product: Double, withPairs: Bool = false) -> Double {
      let limits = [larger, larger.flatCounterpart].map { configuration in
        let cost = Self.cost(of: configuration, l0: l0, aboveThreshold: above ?? 0)
        return configuration.limitSeconds(product: product, bandwidth: rates.bandwidth)
          + (withPairs ? Double(rows) * cost.pairSeconds(rates) : 0)
      }
      return limits[0] / limits[1]
    }
    result.comparisonBatch = rows
    result.hierarchicalSecondsPerStep = median(pairs.map(\.hierarchical))
    result.flatSecondsPerStep = median(pairs.map(\.flat))
    result.hierarchicalOverFlat = median(pairs.map { $0.hierarchical / $0.flat })
    result.hierarchicalOverFlatLimit = ratio(rates.product)
    result.hierarchicalOverFlatLimitFloat32 = ratio(rates.productFloat32)
    result.hierarchicalOverFlatLimitWithPairs = ratio(rates.product, withPairs: true)
    return result
  }

  /// The cost of a row; `l0` is the mean number of active experts, because with other selections than TopK the shape has no
  /// k but a bound.
  private static func cost(
    of configuration: TrainingConfiguration, l0: Double, aboveThreshold: Double
  ) -> RowCost {
    var shape = configuration.shape
    if configuration.selection != .topK {
      shape.activeExperts = min(shape.experts, max(1, Int(l0.rounded())))
    }
    return RowCost(
      shape: shape, batch: configuration.batch, precision: configuration.precision,
      moments: configuration.moments ?? .float32, ortho: configuration.objective.ortho > 0,
      aboveThreshold: aboveThreshold)
  }

  /// Times blocks of steps of the run's dictionary. Also returns the share of its latents above the
  /// threshold, and the mean number of active experts of a row.
  private func steps(
    _ plan: BenchPlan, progress: (_ done: Int) -> Void
  ) throws(Failure) -> (blocks: [Block], above: Double?, l0: Double) {
    let timed = TimedTraining(
      try trained(configuration), configuration, whitening, source, step: state.step)
    try timed.block(plan.warmSteps)
    var blocks: [Block] = []
    for done in 0..<plan.blocks {
      progress(done)
      blocks.append(try timed.block(plan.blockSteps))
    }
    return (blocks, timed.aboveThreshold, timed.l0)
  }

  /// Times the run's dictionary and the flat one with the same E and D, in alternating blocks, so that other
  /// work on the machine affects both alike. Returns the seconds of a step in each pair of blocks.
  private func compare(
    _ plan: BenchPlan, note: (String) -> Void, progress: (_ done: Int) -> Void
  ) throws(Failure) -> [(hierarchical: Double, flat: Double)] {
    guard let batch = plan.comparisonBatch, !configuration.shape.isFlat else { return [] }
    var larger = configuration
    larger.batch = batch
    do throws(Failure) {
      if let complaint = larger.complaint { throw .usage(complaint) }
      try Trainer.checkMachine([larger], TrainingResources(threads: threads))
    } catch {
      note("no comparison with a flat dictionary at batch \(batch): \(error.message)")
      return []
    }
    let flat = larger.flatCounterpart
    let first = TimedTraining(try trained(larger), larger, whitening, source, step: state.step)
    var flatState = TrainingState(
      parameters: try flatParameters(flat), momentFormat: flat.recipe.momentFormat,
      seed: flat.seed)
    flatState.batchThreshold = state.batchThreshold ?? 0
    let second = TimedTraining(engine(flatState, flat), flat, whitening, source, step: state.step)
    try first.block(plan.warmSteps)
    try second.block(plan.warmSteps)
    var pairs: [(hierarchical: Double, flat: Double)] = []
    for pair in 0..<plan.blocks {
      progress(plan.blocks + 2 * pair)
      let seconds = try first.block(plan.blockSteps).seconds
      pairs.append((seconds, try second.block(plan.blockSteps).seconds))
    }
    return pairs
  }

  /// An engine that continues from the checkpoint.
  private func trained(
    _ configuration: TrainingConfiguration
  ) throws(Failure) -> TrainingEngine {
    let share = RankShare(shape: configuration.shape, batch: configuration.batch)
    return engine(
      try Checkpoint.read(
        checkpoint, state: state, configuration: configuration, share: share), configuration)
  }

  private func engine(
    _ state: consuming TrainingState, _ configuration: TrainingConfiguration
  ) -> TrainingEngine {
    TrainingEngine(
      state, recipe: configuration.recipe(whitening),
      share: RankShare(shape: configuration.shape, batch: configuration.batch), threads: threads)
  }

  /// The checkpoint's E, D and vectors.
  private func flatParameters(_ flat: TrainingConfiguration) throws(Failure) -> Parameters {
    let whole = try WeightsFile.read(
      from: Path.join(checkpoint, CheckpointName.trainedWeights(configuration)),
      shape: configuration.shape)
    var result = Parameters(shape: flat.shape, vectors: whole.vectors)
    for expert in 0..<flat.shape.experts {
      let row = expert * whole.shape.rowsPerExpert
      for column in 0..<flat.shape.width {
        result.encoderSide[expert, column] = whole.encoderSide[row, column]
        result.decoderSide[expert, column] = whole.decoderSide[row, column]
      }
    }
    result.bias.assign(from: whole.bias)
    result.encoderBias.assign(from: whole.encoderBias)
    result.thresholds.assign(from: whole.thresholds)
    return result
  }

  private func rates() -> LimitRates {
    let shape = configuration.shape
    func product(_ precision: Precision) -> Double {
      MachineRates.product(
        rows: configuration.batch, latents: shape.experts, width: shape.width,
        precision: precision, threads: threads)
    }
    let float32 = product(.float32)
    // The batch, and what its experts add up to on each level.
    let numbers = configuration.batch * shape.width * (shape.isFlat ? 2 : 3)
    return LimitRates(
      product: configuration.precision == .float32 ? float32 : product(configuration.precision),
      productFloat32: float32, bandwidth: MachineRates.bandwidth(threads: threads),
      cacheBandwidth: MachineRates.cacheBandwidth(
        bytes: numbers * MemoryLayout<Float>.stride, threads: threads))
  }
}
