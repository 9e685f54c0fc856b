// The seam between training and whatever computes its steps. A backend owns a dictionary's weights, moments and usage
// while it trains, takes one step at a time on a batch that is put into its memory, and hands its state to checkpoints.
// `docs/architecture.md`, "A backend", says how to add one.

public import HSAEModels
public import HSAERuns
internal import HSAESupport
public import HSAETensors
import HSAEDistribution

/// Computes the steps of one run, or of one rank's share of it.
public protocol StepBackend: AnyObject {
  /// What this backend cannot do of `recipe`, as a sentence that names the option; nil if it can train it.
  static func complaint(_ recipe: Recipe, share: RankShare) -> String?

  /// The bytes it will allocate, counted without allocating anything.
  static func memoryNeed(_ recipe: Recipe, share: RankShare, threads: Int) -> MemoryNeed

  /// A backend that goes on from `state` with `recipe`. `complaint` has been asked. The result does not depend on
  /// `threads`.
  init(_ state: consuming TrainingState, recipe: Recipe, share: RankShare, threads: Int)

  /// What is trained.
  var recipe: Recipe { get }
  /// Which experts of the dictionary and which rows of a batch it has.
  var share: RankShare { get }

  /// The next batch: this share's rows [rows × d], row-major and normalised, then zeros up to the buffer's end.
  /// Readers fill it, or exchange it for a buffer of the same size. A step may change it.
  var batchRows: Buffer<Float> { get set }

  /// One step on the batch: measures, then updates.
  ///
  /// The report says what was measured before the update. If the loss or the gradient is not finite, nothing is updated;
  /// the caller decides what to do.
  func step(_ settings: StepSettings) -> StepReport

  /// Lends the state to `body`: checkpoints read it.
  func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result

  /// Lets `body` change the weights before the first step.
  func changeParameters(_ body: (inout Parameters) -> Void)

  /// Seconds spent in each phase of the steps so far, by the phase's name; empty where they are not measured.
  var phaseSeconds: [(name: String, seconds: Double)] { get }
}

/// The backends by name.
public enum Backend: String, CaseIterable, Sendable {
  /// The fast engine, on this machine's processors.
  case cpu
  /// The slow and obvious twin in double precision, which others are held against.
  case reference

  /// Its type.
  public var type: any StepBackend.Type {
    switch self {
    case .cpu: TrainingEngine.self
    case .reference: ReferenceBackend.self
    }
  }
}

/// The bytes that training takes.
public struct MemoryNeed: Hashable, Sendable {
  /// The weights, and their copies in bf16.
  public var weights = 0.0
  /// Their gradients.
  public var gradients = 0.0
  /// Adam's moments.
  public var moments = 0.0
  /// What a step keeps of a batch, and the batch that is read ahead.
  public var batch = 0.0
  /// The program itself.
  public static let program = 0x1p26
  /// All of it.
  public var total: Double { weights + gradients + moments + batch + Self.program }

  /// Nothing but the program.
  public init() {}

  /// Both together; the program counts once.
  public static func + (left: MemoryNeed, right: MemoryNeed) -> MemoryNeed {
    var sum = left
    sum.weights += right.weights
    sum.gradients += right.gradients
    sum.moments += right.moments
    sum.batch += right.batch
    return sum
  }
}

extension StepBackend {
  /// A backend for `recipe` with all of a dictionary, begun from `parameters`, on batches of `batch` rows.
  public init(
    _ recipe: Recipe, parameters: consuming Parameters, batch: Int, threads: Int = processorCount
  ) {
    let state = TrainingState(
      parameters: parameters, momentFormat: recipe.momentFormat, seed: recipe.seed)
    self.init(
      state, recipe: recipe, share: RankShare(shape: recipe.shape, batch: batch), threads: threads)
  }

  /// Dead latents and sublatents of the whole dictionary: not active for any of the last million rows.
  package func deadCounts() -> (latents: Int, sublatents: Int) {
    let own = withState { ($0.usage.deadLatents(), $0.usage.deadSublatents()) }
    if share.isAlone { return own }
    return (
      Int(share.dictionary.sum(Double(own.0))), Int(share.dictionary.sum(Double(own.1)))
    )
  }

  /// Rows seen so far.
  package var rowsSeen: Int { withState { $0.usage.vectors } }
}
