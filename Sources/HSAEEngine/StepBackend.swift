// The interface between training and the code that computes its steps. A backend owns a dictionary's weights,
// moments and usage while it trains. It takes one step at a time on a batch that readers put into its memory,
// and lends its state to checkpoints. `docs/architecture.md`, "A backend", explains how to add one.

import HSAEDistribution
public import HSAEModels
public import HSAERuns
internal import HSAESupport
public import HSAETensors

/// Computes the steps of one run, or of one rank's share of it.
public protocol StepBackend: AnyObject {
  /// Why this backend cannot train `recipe`, as a sentence that names the option; nil if it can.
  static func complaint(_ recipe: Recipe, share: RankShare) -> String?

  /// The bytes it will allocate, computed without allocating anything.
  static func memoryNeed(_ recipe: Recipe, share: RankShare, threads: Int) -> MemoryNeed

  /// A backend that continues from `state` with `recipe`. Callers ask `complaint` first. The result does not
  /// depend on `threads`.
  init(_ state: consuming TrainingState, recipe: Recipe, share: RankShare, threads: Int)

  /// What is trained.
  var recipe: Recipe { get }
  /// Which experts of the dictionary and which rows of a batch this backend has.
  var share: RankShare { get }

  /// The next batch: this share's rows [rows × d], row-major and normalised, then zeros up to the buffer's
  /// end. Readers fill it, or exchange it for a buffer of the same size. A step may change it.
  var batchRows: Buffer<Float> { get set }

  /// Takes one step on the batch: measures, then updates the weights.
  ///
  /// The report holds what was measured before the update. If the loss or the gradient is not finite, the
  /// weights stay as they were, and the caller decides what to do.
  func step(_ settings: StepSettings) -> StepReport

  /// Lends the state to `body`, for a checkpoint to read.
  func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result

  /// Lets `body` change the weights. Call it before the first step.
  func changeParameters(_ body: (inout Parameters) -> Void)

  /// Seconds spent in each phase of the steps so far, by the phase's name; empty if the backend does not
  /// measure them.
  var phaseSeconds: [(name: String, seconds: Double)] { get }
}

/// The backends by name.
public enum Backend: String, CaseIterable, Sendable {
  /// The fast engine, on this machine's processors.
  case cpu
  /// The slow, simple implementation in double precision. Tests compare other backends with it.
  case reference

  /// The type that implements it.
  public var type: any StepBackend.Type {
    switch self {
    case .cpu: TrainingEngine.self
    case .reference: ReferenceBackend.self
    }
  }
}

extension StepBackend {
  /// A backend with a whole dictionary, starting from `parameters`, for batches of `batch` rows.
  public init(
    _ recipe: Recipe, parameters: consuming Parameters, batch: Int, threads: Int = processorCount
  ) {
    let state = TrainingState(
      parameters: parameters, momentFormat: recipe.momentFormat, seed: recipe.seed)
    self.init(
      state, recipe: recipe, share: RankShare(shape: recipe.shape, batch: batch), threads: threads)
  }

  /// The number of dead latents and dead sublatents of the whole dictionary: those not active for any of the
  /// last million rows.
  package func deadCounts() -> (latents: Int, sublatents: Int) {
    let own = withState { ($0.usage.deadLatents(), $0.usage.deadSublatents()) }
    return (Int(share.dictionary.sum(Double(own.0))), Int(share.dictionary.sum(Double(own.1))))
  }

  /// Rows seen so far.
  package var rowsSeen: Int { withState { $0.usage.rows } }
}
