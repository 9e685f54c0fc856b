// What a training step costs, counted: operations and bytes, against the paper's formula (section
// 3.1), and the least time a machine of given rates needs for one (docs/architecture.md, "The limit").
// Nothing is measured here.

public import HSAEModels
public import HSAETensors

/// Operations (a multiplication and an addition are two) and bytes that training spends on one row.
public struct RowCost: Codable, Hashable, Sendable {
  /// Operations of a forward pass by the paper's formula: encoding 2md, projections 4ksd, sublatents
  /// 2kas + 2ks, decoding 2kd.
  public var paperForward: Double
  /// 2md, the first term of `paperForward`.
  public var encoding: Double
  /// The forward pass as it is done here: the paper's, and in bf16 the k exact pre-activations.
  public var forward: Double
  /// Gradients of the active experts.
  public var backward: Double
  /// The penalty's sum over the latents above the threshold: d for each.
  public var penalty: Double
  /// 6md² over the batch.
  public var orthogonality: Double
  /// Adam, 12 for each parameter, over the batch.
  public var optimizer: Double
  /// All of a training step: forward, backward, penalty, orthogonality and optimizer.
  public var operations: Double
  /// Bytes of the parameters a forward pass uses for one row: E, and k experts' own.
  public var activatedBytes: Double
  /// Adam's 28 bytes for each parameter, 20 with moments in bf16, over the batch.
  public var optimizerBytes: Double
  /// Weights read forward and backward and gradients written, 12 bytes for each parameter, over the
  /// batch.
  public var weightBytes: Double
  /// What the passes over (row, expert) pairs touch: x, the decoder's rows and the residuals, 4kd(5 + s).
  /// Most of it comes from caches.
  public var pairBytes: Double

  /// The cost of one row in batches of `batch`, when the share `aboveThreshold` of latents pays the
  /// penalty.
  public init(
    shape: DictionaryShape, batch: Int, precision: Precision, moments: Precision, ortho: Bool,
    aboveThreshold: Double
  ) {
    let (m, d, k) = (Double(shape.experts), Double(shape.width), Double(shape.activeExperts))
    let (s, a) = (Double(shape.subspace), Double(shape.sublatents))
    let share = Double(shape.parameterCount) / Double(batch)
    encoding = 2 * m * d
    paperForward = encoding + 4 * k * s * d + 2 * k * a * s + 2 * k * s + 2 * k * d
    forward = paperForward + (precision == .bfloat16 ? 2 * k * d : 0)
    // By active expert: two dot products for z and 2s for y and v, then an outer product of each row.
    backward = 6 * k * (1 + s) * d + k * (4 * a * s + 4 * s)
    penalty = aboveThreshold * m * d
    orthogonality = ortho ? 6 * m * d * d / Double(batch) : 0
    optimizer = 12 * share
    operations = forward + backward + penalty + orthogonality + optimizer
    activatedBytes = 4 * (m * d + k * ((1 + 2 * s) * d + 2 * a * s))
    optimizerBytes = (moments == .bfloat16 ? 20 : 28) * share
    weightBytes = 12 * share
    pairBytes = 4 * k * d * (5 + s)
  }
}

/// Rates of the machine that a step is held against.
public struct LimitRates: Hashable, Sendable {
  /// Operations per second of the encoder product alone, in the run's arithmetic.
  public var product: Double
  /// The same in fp32.
  public var productFloat32: Double
  /// Bytes per second of memory.
  public var bandwidth: Double

  /// The better of two measurements, rate by rate.
  func best(_ other: LimitRates) -> LimitRates {
    LimitRates(
      product: max(product, other.product),
      productFloat32: max(productFloat32, other.productFloat32),
      bandwidth: max(bandwidth, other.bandwidth))
  }
}

extension TrainingConfiguration {
  /// The least time of a step: the encoder product and orthogonality's 6md² operations at `product`
  /// operations per second, and 28 bytes for each parameter at `bandwidth`.
  func limitSeconds(product: Double, bandwidth: Double) -> Double {
    let (m, d) = (Double(shape.experts), Double(shape.width))
    let operations = 2 * Double(batch) * m * d + (objective.ortho > 0 ? 6 * m * d * d : 0)
    return operations / product + 28 * Double(shape.parameterCount) / bandwidth
  }

  /// The flat TopK dictionary of equal m and k on batches of the same size, with AuxK idle and without
  /// orthogonality, which has nothing to do there.
  package var flatCounterpart: TrainingConfiguration {
    var flat = self
    flat.shape.sublatents = 0
    flat.shape.subspace = 0
    flat.activation.threshold = 0
    flat.objective = Objective(beta: 0, ortho: 0, l1: 0, l1Scope: objective.l1Scope)
    return flat
  }
}
