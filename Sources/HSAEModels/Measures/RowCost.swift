// The operations and bytes that a training step spends on one row, computed from the sizes alone, and the
// paper's formula (section 3.1).

public import HSAETensors

/// Operations and bytes that training spends on one row. A multiplication and an addition are two operations.
public struct RowCost: Codable, Hashable, Sendable {
  /// Operations of a forward pass by the paper's formula: encoding 2md, projections 4ksd, sublatents
  /// 2kas + 2ks, decoding 2kd.
  public var paperForward: Double
  /// 2md, the first term of `paperForward`.
  public var encoding: Double
  /// The forward pass of this implementation: the paper's, and in bf16 the k exact pre-activations.
  public var forward: Double
  /// Gradients of the active experts.
  public var backward: Double
  /// The penalty's sum over the latents above the threshold: d operations for each.
  public var penalty: Double
  /// Orthogonality: 6md² for a batch.
  public var orthogonality: Double
  /// Adam: 12 for each parameter and batch.
  public var optimizer: Double
  /// All of a training step: forward, backward, penalty, orthogonality and optimizer.
  public var operations: Double
  /// Bytes of the parameters that a forward pass uses for one row: E, and the rows of k experts.
  public var activatedBytes: Double
  /// Bytes of Adam: 28 for each parameter and batch, or 20 with moments in bf16.
  public var optimizerBytes: Double
  /// Bytes of weights read forward and backward and of gradients written: 12 for each parameter and batch.
  public var weightBytes: Double
  /// The operations of (row, expert) pairs: all of `forward` and `backward` but the encoder product.
  public var pairOperations: Double
  /// Bytes of rows that pairs read and write: forward x, and the reconstructions of both levels twice; backward x and the
  /// gradients of both levels, in the type of products. Most of them come from caches.
  public var pairBytes: Double

  /// The cost of one row in batches of `batch`, if the share `aboveThreshold` of the latents pays the
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
    // For each active expert: two dot products for z, 2s for y and v, then an outer product for each row of
    // weights.
    backward = 6 * k * (1 + s) * d + k * (4 * a * s + 4 * s)
    penalty = aboveThreshold * m * d
    orthogonality = ortho ? 6 * m * d * d / Double(batch) : 0
    optimizer = 12 * share
    operations = forward + backward + penalty + orthogonality + optimizer
    activatedBytes = 4 * (m * d + k * ((1 + 2 * s) * d + 2 * a * s))
    optimizerBytes = (moments == .bfloat16 ? 20 : 28) * share
    weightBytes = 12 * share
    pairOperations = forward - encoding + backward
    let levels = shape.isFlat ? 1.0 : 2
    let element = precision == .bfloat16 ? 2.0 : 4
    pairBytes = k * d * (4 + 8 * levels + element * (1 + levels))
  }
}
