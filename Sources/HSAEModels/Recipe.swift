// What is trained, as data that every backend reads: sizes, how a row selects its latents, the loss, and the
// format of the optimizer's moments. Files, machines and schedules are elsewhere.

public import HSAETensors

/// How the active latents of a row are selected from their pre-activations u.
public enum Selection: Hashable, Sendable {
  /// The k largest codes of each row, among those above 0 (TopK); k is the shape's `activeExperts`.
  case topK
  /// Every latent that passes its own fixed threshold, at most the `activeExperts` strongest. Imported ReLU,
  /// JumpReLU and BatchTopK dictionaries use this. No backend trains with it yet.
  case thresholds(LatentThresholds)

  /// Its name in messages.
  public var name: String {
    self == .topK ? "topk" : "thresholds"
  }

  /// The thresholds, if this selection has them.
  public var thresholds: LatentThresholds? {
    if case .thresholds(let thresholds) = self { return thresholds }
    return nil
  }
}

/// One reconstruction that the loss compares with the row: the latents that take part in it, and the weight
/// of its error.
public struct ReconstructionTerm: Hashable, Sendable {
  /// The latents that take part.
  public enum Part: Hashable, Sendable {
    /// Experts and sublatents: x̂.
    case whole
    /// Experts alone: x̂_high.
    case topLevel

    /// Whether sublatents take part.
    public var includesSublatents: Bool { self == .whole }
  }

  /// The latents that take part.
  public var part: Part
  /// The weight of the mean squared error.
  public var weight: Double
}

/// Everything that defines what is trained, apart from the data and the schedules.
public struct Recipe: Hashable, Sendable {
  /// The sizes of the whole dictionary.
  public var shape: DictionaryShape
  /// How the active latents of a row are selected.
  public var selection: Selection
  /// Thresholds and slopes.
  public var activation: ActivationFunction
  /// The terms of the loss and their coefficients.
  public var objective: Objective
  /// Whether the dictionary has an input bias.
  public var hasBias: Bool
  /// The arithmetic of dense products, for backends that have a choice.
  public var precision: Precision
  /// The format of Adam's moments.
  public var momentFormat: Precision
  /// The seed of the rounding of bf16 moments.
  public var seed: UInt64

  /// A recipe of the given parts.
  public init(
    shape: DictionaryShape, selection: Selection = .topK, activation: ActivationFunction,
    objective: Objective, hasBias: Bool = false, precision: Precision = .float32,
    momentFormat: Precision = .float32, seed: UInt64 = 0
  ) {
    (self.shape, self.selection, self.activation) = (shape, selection, activation)
    (self.objective, self.hasBias, self.precision) = (objective, hasBias, precision)
    (self.momentFormat, self.seed) = (momentFormat, seed)
  }
}
