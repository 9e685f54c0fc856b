// Training on a device of a PJRT plugin (`HSAEDevices`), behind `StepBackend`. The state stays on the device: a step
// sends a batch and gets back the numbers of its report. `PJRTBackend+State.swift` copies the state.

internal import Foundation
public import HSAEDevices
internal import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAESupport
public import HSAETensors

/// Trains on a device. The step is the program that `StepProgram` writes.
///
/// On processors a run that was interrupted continues with the same bits. A GPU adds up the gradients of an expert in
/// any order, so there the last bits differ from run to run.
public final class PJRTBackend: StepBackend {
  /// What is trained.
  public let recipe: Recipe
  /// The whole dictionary and the whole batch.
  public let share: RankShare
  /// The next batch.
  public var batchRows: Buffer<Float>
  /// Empty: phases are not measured.
  public let phaseSeconds: [(name: String, seconds: Double)] = []

  let client: DeviceClient
  let step: StepProgram
  private let executable: Executable
  /// The state, as it was when it last was here.
  var state: TrainingState
  var place = Place.host
  private var dead = (latents: 0, sublatents: 0)

  /// Where the newest state is.
  enum Place {
    /// In `state`.
    case host
    /// On the device, and in `state` too if `isCopied`.
    case device([DeviceArray], isCopied: Bool)
    /// Nowhere: a step failed, and the device had already given the state's memory to its results.
    case lost
  }

  /// A backend that continues from `state` on the chosen device. It loads the plugin and compiles the step.
  ///
  /// Fails if the plugin or the device cannot be used, or cannot compile the step.
  public init(
    _ state: consuming TrainingState, recipe: Recipe, share: RankShare, device: DeviceChoice
  ) throws(Failure) {
    precondition(state.shape == share.shape, "The state belongs to other experts.")
    client = try DeviceClient.shared(device)
    step = StepProgram(recipe, batch: share.batch)
    executable = try client.compile(step.program)
    self.recipe = recipe
    self.share = share
    self.state = state
    batchRows = Buffer(share.batch * share.shape.width)
  }

  /// Why a device cannot train `recipe`; nil if it can.
  public static func complaint(_ recipe: Recipe, share: RankShare) -> String? {
    if !share.isAlone { return "--backend pjrt trains in one process; leave out mpirun." }
    return StepProgram.complaint(recipe)
  }

  /// The bytes on the host: the batch, and the state, which checkpoints read. What the device needs is not counted.
  public static func memoryNeed(_ recipe: Recipe, share: RankShare, threads: Int) -> MemoryNeed {
    var need = MemoryNeed()
    let parameters = Double(share.shape.parameterCount)
    (need.weights, need.moments) = (4 * parameters, 8 * parameters)
    need.batch = 4 * Double(share.batch) * Double(share.shape.width)
    return need
  }

  /// Takes one step on the batch.
  public func step(_ settings: StepSettings) throws(Failure) -> StepReport {
    let rowsBefore = state.usage.rows
    var arguments = try stateOnDevice()
    // Safe: the batch has that many elements, and nobody writes to it during the call.
    arguments.append(
      unsafe try client.array(
        from: UnsafeBufferPointer(start: batchRows.base, count: share.batch * share.shape.width),
        [share.batch, share.shape.width]))
    let numbers = StepProgram.Setting.allCases.map { number($0, settings) }
    arguments.append(try client.array(numbers, [numbers.count]))
    let counters = StepProgram.Counter.allCases.map { counter -> Int64 in
      switch counter {
      case .rows: Int64(rowsBefore)
      case .deadWindow: Int64(settings.deadWindow)
      }
    }
    arguments.append(try client.array(counters, [counters.count]))
    place = .lost
    var results = try executable.run(arguments)
    let measures = try results.removeLast().elements(Float.self)
    place = .device(results, isCopied: false)
    func measured(_ measure: StepProgram.Measure) -> Double { Double(measures[measure.rawValue]) }
    let report = report(measured, settings)
    if report.loss.isFinite, report.gradientNorm.isFinite {
      state.step = settings.number
      state.usage.addRows(share.batch)
      // Before that many rows nothing is called dead.
      let isEarly = state.usage.rows < Usage.reportingWindow
      dead = isEarly ? (0, 0) : (Int(measured(.deadLatents)), Int(measured(.deadSublatents)))
    }
    return report
  }

  private func number(_ setting: StepProgram.Setting, _ settings: StepSettings) -> Float {
    func correction(_ decay: Double) -> Float {
      Float(1 / (1 - pow(decay, Double(settings.number))))
    }
    return switch setting {
    case .learningRate: settings.learningRate
    case .firstCorrection: correction(ReferenceTrainer.firstDecay)
    case .secondCorrection: correction(ReferenceTrainer.secondDecay)
    case .regularizers: settings.regularizerScale
    case .clip: settings.clip > 0 ? settings.clip : .infinity
    }
  }

  private func report(
    _ measured: (StepProgram.Measure) -> Double, _ settings: StepSettings
  ) -> StepReport {
    var report = StepReport()
    report.loss = measured(.loss)
    report.reconstruction = measured(.reconstruction)
    report.topReconstruction = measured(.topReconstruction)
    let hasOrtho = recipe.objective.ortho * settings.regularizerScale > 0
    report.ortho = hasOrtho || recipe.shape.experts == 1 ? measured(.ortho) : .nan
    report.l1 = measured(.l1)
    report.auxk = measured(.auxk)
    report.auxkLatents = Int(exactly: measured(.auxkLatents)) ?? 0
    report.l0 = measured(.l0)
    if recipe.objective.penalisesAll { report.aboveThreshold = measured(.aboveThreshold) }
    // If all rows are equal, only rounding errors remain.
    let variance = measured(.variance)
    if settings.wantsVariance, variance > measured(.squaredNorm) * 1e-6 {
      report.explainedVariance = 1 - report.reconstruction / variance
    }
    report.gradientNorm = measured(.gradientNorm)
    return report
  }

  /// Lends the state to `body`. After steps, call `updateState` first.
  public func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result {
    if case .device(_, isCopied: false) = place {
      preconditionFailure("The newest state is on the device: updateState copies it.")
    }
    return try body(state)
  }

  /// Lets `body` change the weights. Call it before the first step.
  public func changeParameters(_ body: (inout Parameters) -> Void) {
    body(&state.parameters)
    place = .host
  }

  /// Latents and sublatents that are dead after the last step of this backend.
  public func deadCounts() -> (latents: Int, sublatents: Int) { dead }

  /// Rows seen so far.
  public var rowsSeen: Int { state.usage.rows }
}
