// What is trained, as data that every backend reads: sizes, how a row selects its latents, the loss, and the
// format of the optimizer's moments. Files, machines and schedules are elsewhere.

public import HSAETensors

/// How active latents are selected from the pre-activations u of the rows of a batch.
public enum Selection: Hashable, Sendable {
  /// The k largest codes of each row, among those above 0 (TopK); k is the shape's `activeExperts`.
  case topK
  /// The k · B largest codes of a batch of B rows, among those above 0 (BatchTopK).
  case batchTopK(BatchTopK)
  /// Every latent whose u exceeds its learned threshold θ (JumpReLU).
  case jumpReLU(JumpReLU)
  /// Every latent that passes its own fixed threshold, at most the `activeExperts` strongest. No backend trains
  /// with it: imported ReLU, JumpReLU and BatchTopK dictionaries have it, and what was trained with `batchTopK` or
  /// `jumpReLU` is used with it.
  case thresholds(LatentThresholds)

  /// Its name in options and messages.
  public var name: String {
    switch self {
    case .topK: "topk"
    case .batchTopK: "batchtopk"
    case .jumpReLU: "jumprelu"
    case .thresholds: "thresholds"
    }
  }

  /// The thresholds, if this selection has fixed ones.
  public var thresholds: LatentThresholds? {
    if case .thresholds(let thresholds) = self { return thresholds }
    return nil
  }
}

/// The settings of BatchTopK (Bussmann et al., 2412.06410).
///
/// After training a row is encoded alone: a latent is active if its code exceeds the running threshold, the moving
/// average over batches of the smallest active code.
public struct BatchTopK: Hashable, Sendable, Codable {
  /// The active latents of a row on average, k; it may be a fraction.
  public var active: Double
  /// The weight of a new batch in the running threshold; SAELens's is 0.01.
  public var thresholdRate: Double
  /// The value of the running threshold before the first step; SAELens's is 0.
  public var thresholdStart: Double

  /// Settings with `active` latents a row on average.
  public init(active: Double, thresholdRate: Double = 0.01, thresholdStart: Double = 0) {
    (self.active, self.thresholdRate, self.thresholdStart) = (active, thresholdRate, thresholdStart)
  }

  /// The number of pairs of a row and a latent that are active in a batch of `rows` rows: ⌊k · B⌋.
  public func pairs(rows: Int) -> Int { Int(active * Double(rows)) }

  /// The running threshold after a batch whose smallest active code is `least`; nil if none was active.
  public func threshold(after threshold: Double, least: Double?) -> Double {
    guard let least else { return threshold }
    return (1 - thresholdRate) * threshold + thresholdRate * least
  }
}

/// A budget of active sublatents: in place of one in every active expert, the strongest so many of a batch.
///
/// A sublatent is active if it is the strongest of its expert and its code reaches one threshold θ that all experts
/// share. θ follows the budget from step to step and is not trained. A step uses the θ of the step before, so
/// training, use after training and a row on its own all have the same rule.
public struct SublatentBudget: Hashable, Sendable, Codable {
  /// The active sublatents of a row on average.
  public var active: Double
  /// The share by which θ moves in a step whose number of active sublatents is off by the whole budget.
  public var rate: Double

  /// A budget of `active` sublatents a row.
  public init(active: Double, rate: Double = 0.05) {
    (self.active, self.rate) = (active, rate)
  }

  /// θ after a batch of `rows` rows that had `count` active sublatents, whose codes add up to `sum`. From 0 it begins
  /// with a hundredth of the mean code.
  public func threshold(
    after threshold: Double, count: Int, sum: Double, rows: Int
  ) -> Double {
    // Rounded, so that it does not depend on the order in which ranks add up their codes.
    if threshold == 0 { return count == 0 ? 0 : Double(Float(0.01 * sum / Double(count))) }
    return threshold * (1 + rate * min(1, Double(count) / (active * Double(rows)) - 1))
  }
}

/// The settings of JumpReLU (Rajamanoharan et al., 2407.14435).
///
/// The step at θ has no gradient; in its place stands that of a step smeared over a width ε, the rectangle kernel
/// K(v) = 1 for |v| < ½, else 0: ∂(u·[u > θ])/∂θ = −(θ/ε) K((u − θ)/ε), ∂[u > θ]/∂θ = −(1/ε) K((u − θ)/ε).
public struct JumpReLU: Hashable, Sendable, Codable {
  /// ε, the width of the kernel; SAELens's is 0.05.
  public var bandwidth: Double
  /// The value of every θ before the first step; SAELens's is 0.01.
  public var thresholdStart: Double
  /// λ, the weight of the sparsity penalty.
  public var sparsity: Double
  /// L0*, the number of active latents that a row should have. With it the penalty is the mean over rows of
  /// (2 / L0*) (L0 − L0*)² (SAELens's `quadratic`); nil: the mean of L0 (`step`).
  public var target: Double?
  /// The weight of the penalty that pulls dead latents back: the mean over rows of Σ max(0, θ − u) ‖d‖ over dead
  /// latents; SAELens's `pre_act_loss_coefficient`. 0 switches it off.
  public var deadPenalty: Double

  /// The given settings.
  public init(
    bandwidth: Double = 0.05, thresholdStart: Double = 0.01, sparsity: Double = 1,
    target: Double? = nil, deadPenalty: Double = 0
  ) {
    (self.bandwidth, self.thresholdStart) = (bandwidth, thresholdStart)
    (self.sparsity, self.target, self.deadPenalty) = (sparsity, target, deadPenalty)
  }
}

/// Weights that training leaves as they were drawn: controls, of which a measure should not think well.
public enum FrozenPart: String, Hashable, Sendable, Codable, CaseIterable {
  /// Both decoder sides: d, Π↑ and the sub-decoder.
  case decoder
  /// Both encoder sides: e, Π↓ and the sub-encoder.
  case encoder
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
  /// The number of experts that take part, the first of the dictionary (Matryoshka); nil: all.
  public var experts: Int?
  /// The weight of the mean squared error.
  public var weight: Double

  /// Whether `expert` takes part.
  public func includes(_ expert: Int) -> Bool { experts.map { expert < $0 } ?? true }

  /// A term of the given parts.
  public init(part: Part, experts: Int? = nil, weight: Double) {
    (self.part, self.experts, self.weight) = (part, experts, weight)
  }
}

/// Everything that defines what is trained, apart from the data and the schedules.
public struct Recipe: Hashable, Sendable {
  /// The sizes of the whole dictionary.
  public var shape: DictionaryShape
  /// How the active latents of a row are selected.
  public var selection: Selection
  /// Thresholds and slopes.
  public var activation: ActivationFunction
  /// The budget of active sublatents; nil: one in every active expert. With it the activation's threshold and slope of
  /// sublatents are 0.
  public var sublatentBudget: SublatentBudget?
  /// The terms of the loss and their coefficients.
  public var objective: Objective
  /// The inner product that measures the errors of reconstructions; nil: the plain one. The auxiliary loss of dead latents
  /// always has the plain one.
  public var errorMetric: ErrorMetric?
  /// The vectors that are trained beside the matrices. JumpReLU needs `thresholds`.
  public var vectors: TrainedVectors
  /// The weights that are not trained.
  public var frozen: FrozenPart?
  /// The least cosine between a decoder row d_j and its first value ("soft-frozen" decoder); nil for no bound.
  public var decoderCosine: Double?
  /// The arithmetic of dense products, for backends that have a choice.
  public var precision: Precision
  /// The format of Adam's moments.
  public var momentFormat: Precision
  /// The seed of the rounding of bf16 moments.
  public var seed: UInt64

  /// A recipe of the given parts.
  public init(
    shape: DictionaryShape, selection: Selection = .topK, activation: ActivationFunction,
    sublatentBudget: SublatentBudget? = nil, objective: Objective, vectors: TrainedVectors = [],
    frozen: FrozenPart? = nil,
    decoderCosine: Double? = nil, precision: Precision = .float32,
    momentFormat: Precision = .float32, seed: UInt64 = 0
  ) {
    (self.shape, self.selection, self.activation) = (shape, selection, activation)
    (self.objective, self.vectors, self.precision) = (objective, vectors, precision)
    (self.frozen, self.decoderCosine, self.sublatentBudget) = (
      frozen, decoderCosine, sublatentBudget
    )
    (self.momentFormat, self.seed) = (momentFormat, seed)
  }
}

extension Recipe {
  /// The dictionary with the trained `parameters`, as it is used: encoder bias and thresholds become part of its
  /// selection, and where a threshold decides, any number of a row's latents may be active. So the codes of a row do
  /// not depend on other rows. `batchThreshold` is the running threshold of BatchTopK, `subThreshold` that of a budget of
  /// sublatents.
  ///
  /// - Precondition: without TopK, and with an encoder bias, the slope of the top level is 0.
  public func dictionary(
    _ parameters: consuming Parameters, batchThreshold: Double, subThreshold: Double?
  ) -> SparseAutoencoder {
    var activation = activation
    if let subThreshold { activation.subThreshold = Float(subThreshold) }
    let inference = selection.inference(parameters, batchThreshold: batchThreshold)
    var own = parameters.shape
    switch selection {
    case .batchTopK, .jumpReLU: own.activeExperts = own.experts
    case .topK, .thresholds: break
    }
    let needsCopy = own != parameters.shape || !parameters.vectors.subtracting(.inputBias).isEmpty
    return SparseAutoencoder(
      parameters: needsCopy ? parameters.forInference(shape: own) : parameters,
      activation: activation, selection: inference)
  }
}

extension Selection {
  /// How a dictionary with `parameters` selects latents of a row that is encoded alone, after training.
  /// `batchThreshold` is the running threshold of BatchTopK.
  public func inference(
    _ parameters: borrowing Parameters, batchThreshold: Double
  ) -> Selection {
    let encoderBias = Array(parameters.encoderBias.elements)
    switch self {
    case .topK:
      return encoderBias.isEmpty ? .topK : .thresholds(LatentThresholds(encoderBias: encoderBias))
    case .batchTopK:
      return .thresholds(
        LatentThresholds(
          encoderBias: encoderBias,
          threshold: [Float](repeating: Float(batchThreshold), count: parameters.shape.experts)))
    case .jumpReLU:
      return .thresholds(
        LatentThresholds(
          encoderBias: encoderBias, threshold: Array(parameters.thresholds.elements)))
    case .thresholds: return self
    }
  }
}
