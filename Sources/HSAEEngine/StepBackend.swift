// The interface between training and the code that computes its steps. A backend owns a dictionary's weights,
// moments and usage while it trains. It takes one step at a time on a batch that readers put into its memory,
// and lends its state to checkpoints. `docs/architecture.md`, "A backend", explains how to add one.

public import HSAEDevices
import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAESupport
public import HSAETensors

/// Computes the steps of one run, or of one rank's share of it.
public protocol StepBackend: AnyObject {
  /// Why this backend cannot train `recipe`, as a sentence that names the option; nil if it can.
  static func complaint(_ recipe: Recipe, share: RankShare) -> String?

  /// The bytes it will allocate, computed without allocating anything.
  static func memoryNeed(_ recipe: Recipe, share: RankShare, threads: Int) -> MemoryNeed

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
  /// weights stay as they were, and the caller decides what to do. Fails if the device does; then the state may be
  /// lost.
  func step(_ settings: StepSettings) throws(Failure) -> StepReport

  /// Brings the state that `withState` lends up to date, if the backend keeps it elsewhere between steps.
  func updateState() throws(Failure)

  /// Lends the state to `body`, for a checkpoint to read. Call `updateState` before.
  func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result

  /// Lets `body` change the weights. Call it before the first step.
  func changeParameters(_ body: (inout Parameters) -> Void)

  /// The number of dead latents and dead sublatents of the whole dictionary: those not active for any of the last
  /// million rows.
  func deadCounts() -> (latents: Int, sublatents: Int)

  /// Rows seen so far.
  var rowsSeen: Int { get }

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
  /// A device of a PJRT plugin, such as a GPU.
  case pjrt

  /// The type that implements it.
  public var type: any StepBackend.Type {
    switch self {
    case .cpu: TrainingEngine.self
    case .reference: ReferenceBackend.self
    case .pjrt: PJRTBackend.self
    }
  }

  /// A backend that continues from `state` with `recipe`. Callers ask `complaint` first. The result does not
  /// depend on `threads`. Only `pjrt` uses the device, and needs one.
  ///
  /// Fails if the device cannot be used.
  public func start(
    _ state: consuming TrainingState, recipe: Recipe, share: RankShare, threads: Int,
    device: DeviceChoice? = nil
  ) throws(Failure) -> any StepBackend {
    switch self {
    case .cpu: return TrainingEngine(state, recipe: recipe, share: share, threads: threads)
    case .reference: return ReferenceBackend(state, recipe: recipe, share: share)
    case .pjrt:
      guard let device else {
        throw Failure(
          .unavailable,
          "--backend pjrt needs a plugin: fetch one (hsae fetch plugin cpu), or name one with --plugin."
        )
      }
      return try PJRTBackend(state, recipe: recipe, share: share, device: device)
    }
  }
}

extension StepBackend {
  /// Does nothing: the state is always up to date.
  public func updateState() throws(Failure) {}

  /// The number of dead latents and dead sublatents, by the usage.
  public func deadCounts() -> (latents: Int, sublatents: Int) {
    let own = withState { ($0.usage.deadLatents(), $0.usage.deadSublatents()) }
    return (Int(share.dictionary.sum(Double(own.0))), Int(share.dictionary.sum(Double(own.1))))
  }

  /// Rows seen so far.
  public var rowsSeen: Int { withState { $0.usage.rows } }
}
