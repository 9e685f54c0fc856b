// Everything that a checkpoint keeps of a dictionary in training, and that a backend needs to continue.

public import HSAETensors

/// The state of training after some steps. Backends take it in and lend it, and checkpoints hold it.
///
/// It cannot be copied by accident, because a large dictionary leaves no memory for a second copy. A backend
/// that keeps its weights in this form owns one state and lends it.
public struct TrainingState: ~Copyable, Sendable {
  /// The weights.
  public var parameters: Parameters
  /// Adam's moments.
  package var moments: Moments
  /// How often latents and sublatents were active.
  public var usage: Usage
  /// Steps taken.
  public var step: Int
  /// The running threshold of BatchTopK: the moving average of the smallest active code of a batch; 0 before the
  /// first step, and without BatchTopK.
  public var batchThreshold = 0.0
  /// The threshold of sublatents that follows their budget; 0 before the first step, and without a budget.
  public var subThreshold = 0.0

  /// The sizes of the dictionary, or of the part of it that one rank owns.
  public var shape: DictionaryShape { parameters.shape }

  /// A second state with the same numbers.
  public func copy() -> TrainingState {
    TrainingState(
      parameters: parameters.copy(), moments: moments.copy(), usage: usage, step: step,
      batchThreshold: batchThreshold, subThreshold: subThreshold)
  }
}

extension TrainingState {
  /// The state before the first step.
  ///
  /// - Parameters:
  ///   - parameters: the weights to begin with.
  ///   - momentFormat: the format of Adam's moments.
  ///   - seed: the seed of the rounding of bf16 moments.
  ///   - firstExpert: the number in the whole dictionary of the first expert of `parameters`.
  public init(
    parameters: consuming Parameters, momentFormat: Precision = .float32, seed: UInt64 = 0,
    firstExpert: Int = 0
  ) {
    let moments = Moments(
      shape: parameters.shape, vectors: parameters.vectors, format: momentFormat, seed: seed,
      firstExpert: firstExpert)
    let usage = Usage(shape: parameters.shape)
    self.init(parameters: parameters, moments: moments, usage: usage, step: 0)
  }
}
