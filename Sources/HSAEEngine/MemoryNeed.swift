// The memory that a backend will allocate, by what it is for. `HSAETraining` adds up runs and gives advice.

/// The bytes that training needs.
public struct MemoryNeed: Hashable, Sendable {
  /// The weights and their bf16 copies.
  public var weights = 0.0
  /// The gradients of the weights.
  public var gradients = 0.0
  /// Adam's moments.
  public var moments = 0.0
  /// What a step keeps of a batch, and the batch that is read ahead.
  public var batch = 0.0
  /// The program itself.
  public static let program = 0x1p26
  /// The sum of all parts.
  public var total: Double { weights + gradients + moments + batch + Self.program }

  /// The need of the program alone.
  public init() {}

  /// Adds another need. The program counts once.
  public static func += (sum: inout MemoryNeed, other: MemoryNeed) {
    sum.weights += other.weights
    sum.gradients += other.gradients
    sum.moments += other.moments
    sum.batch += other.batch
  }
}
