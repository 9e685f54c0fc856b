// The bytes that one rank sends to others in one step, computed from the sizes alone. docs/scale.md explains
// the formula, and a test compares it with what is sent. The auxiliary loss sends more the more latents are
// dead, so callers give their number.

internal import HSAEEngine
internal import HSAEModels
public import HSAERuns
internal import HSAETensors

/// Bytes one rank sends in a step.
public struct StepTraffic: Hashable, Sendable {
  /// Scores of candidates, borders, and which are active.
  public var candidates = 0
  /// Partial reconstructions, sent to the rows' owners.
  public var reconstructions = 0
  /// The gradients with respect to them, sent by the owners.
  public var residuals = 0
  /// The two Gram matrices of orthogonality.
  public var orthogonality = 0
  /// The gradients of a rank's own experts, sent to the other groups, and how often the experts were active.
  public var betweenGroups = 0
  /// If latents are dead: their candidates, and the reconstruction of the residual.
  public var auxiliary = 0
  /// Losses, norms, a bias's gradient.
  public var numbers = 0

  /// The sum of all parts.
  public var total: Int {
    candidates + reconstructions + residuals + orthogonality + betweenGroups + auxiliary + numbers
  }

  /// What rank `rank` of `groups` groups of `dictionaryRanks` ranks each sends in a step that is not
  /// recorded.
  ///
  /// `deadLatents` is the number of dead latents on the rank that has most. With 0, the auxiliary loss sends
  /// next to nothing; with nil, it sends as much as it can.
  public init(
    _ configuration: TrainingConfiguration, dictionaryRanks: Int, groups: Int, rank: Int = 0,
    deadLatents: Int? = 0
  ) {
    let (shape, objective) = (configuration.shape, configuration.objective)
    let (r, g, d) = (dictionaryRanks, groups, shape.width)
    let isHalf = configuration.precision == .bfloat16
    let (part, group) = (rank % r, rank / r)
    let rows = evenPart(group, of: g, count: configuration.batch).count
    let pieces = evenPart(
      part, of: r, count: pieceCount(rows, size: TrainingEngine.rowsPerPiece))
    let size = TrainingEngine.rowsPerPiece
    let own = min(rows, pieces.upperBound * size) - min(rows, pieces.lowerBound * size)
    let others = rows - own
    /// What a sum of `count` fp32 numbers sends from rank `rank` of `ranks`: to the owners, and back.
    func sum(_ count: Int, _ ranks: Int, _ rank: Int) -> Int {
      let own = evenPart(rank, of: ranks, count: count).count
      return 4 * (count - own) + 4 * own * (ranks - 1)
    }
    if r > 1 {
      let scores = 4 * min(shape.activeExperts, pieceCount(shape.experts, size: r)) * others
      candidates = isHalf ? 2 * scores + 12 * own * (r - 1) : scores + 4 * own * (r - 1)
      let rowsOf = shape.isFlat ? 1 : 2
      reconstructions = 4 * d * others * rowsOf
      residuals = (isHalf ? 2 : 4) * d * own * (r - 1) * rowsOf
      if objective.ortho > 0, shape.experts > 1 {
        orthogonality = 2 * sum(d * d, r, part) + 8 * (r - 1)
      }
    }
    if g > 1 {
      let experts = evenPart(part, of: r, count: shape.experts).count
      let side = experts * shape.rowsPerExpert * d
      let sub = experts * shape.sublatents * shape.subspace
      betweenGroups =
        2 * sum(side, g, group) + 2 * sum(sub, g, group)
        + sum(experts * (1 + shape.sublatents), g, group)
    }
    numbers = 48 * (r * g - 1) + 8 * (r - 1) + (isHalf ? 4 * (r - 1) : 0)
    if configuration.bias != .none { numbers += 8 * d * (r * g - 1) }
    guard objective.auxk > 0, objective.auxkActive > 0 else { return }
    numbers += 8 * (r - 1)
    let most = pieceCount(shape.experts, size: r)
    let length = min(objective.auxkActive, most, deadLatents ?? most)
    guard length > 0 else { return }
    if r > 1 {
      auxiliary = 8 * (r - 1) + 4 * length * others + 4 * own * (r - 1)
      auxiliary += 4 * d * others + 4 * d * own * (r - 1)
    }
    auxiliary += (16 + 8 * d) * (r * g - 1)
  }
}
