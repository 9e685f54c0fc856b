// The loss that training minimises: its coefficients (eqs. 3.2–3.4), the settings of one step, and what a
// step reports.

/// The coefficients of the loss, before warm-up.
///
/// `config.json` holds it. A new coefficient must be optional, or runs of older versions can no longer be read.
public struct Objective: Hashable, Codable, Sendable {
  /// β, the weight of the top level's own squared error (eq. 3.3).
  public var beta: Float
  /// λ₁, the weight of the bi-orthogonality penalty (eq. 3.4).
  public var ortho: Float
  /// λ₂, the weight of the sparsity penalty (section 3.2).
  public var l1: Float
  /// Which top-level latents λ₂ applies to.
  public var l1Scope: L1Scope
  /// The weight of the auxiliary loss of dead latents (Gao et al.); 0 switches it off.
  public var auxk: Float
  /// The most dead latents that may explain one row's error, k_aux.
  public var auxkActive: Int
  /// What the auxiliary loss is divided by; nil: the variance of the error.
  public var auxkScale: AuxiliaryScale?
  /// The numbers of experts whose reconstructions are compared with the row too, rising (Matryoshka, Bussmann et
  /// al. 2503.17547). The last is the whole dictionary. Nil: the whole dictionary alone.
  public var prefixes: [Int]?
  /// The weights of the prefixes' errors, in their order; nil: 1 each.
  public var prefixWeights: [Float]?

  /// Whether the dead latents of each prefix explain what that prefix leaves over, in place of all dead latents what the
  /// whole dictionary does (SAELens's `use_matryoshka_aux_loss`); nil: no.
  public var auxkByPrefix: Bool?

  /// Whether the sparsity penalty counts latents outside the top k.
  package var penalisesAll: Bool { l1 > 0 && l1Scope == .all }

  /// The reconstructions that the loss compares with the row (eqs. 3.2 and 3.3), the whole one first; then the
  /// top level, then the prefixes of both levels, the smallest first.
  public var reconstructions: [ReconstructionTerm] {
    [
      .init(part: .whole, weight: Double(prefixWeights?.last ?? 1)),
      .init(part: .topLevel, weight: Double(beta)),
    ]
      + (prefixes ?? []).dropLast().enumerated().map { level, experts in
        .init(part: .whole, experts: experts, weight: Double(prefixWeights?[level] ?? 1))
      }
  }

  /// An objective with the given coefficients.
  public init(
    beta: Float, ortho: Float, l1: Float, l1Scope: L1Scope = .all, auxk: Float = 0,
    auxkActive: Int = 0
  ) {
    self.beta = beta
    self.ortho = ortho
    self.l1 = l1
    self.l1Scope = l1Scope
    self.auxk = auxk
    self.auxkActive = auxkActive
  }
}

/// What the auxiliary loss of dead latents is divided by.
public enum AuxiliaryScale: String, Hashable, Codable, Sendable, CaseIterable {
  /// The variance of the error about its mean over the batch (Gao et al.).
  case variance
  /// The share of k_aux that is dead, at most 1, multiplies it, and nothing divides it (SAELens).
  case deadShare = "dead-share"
}

/// The settings that change from step to step.
public struct StepSettings: Hashable, Sendable {
  /// Number of this step, from 1. Adam's bias correction needs it.
  public var number: Int
  /// The learning rate.
  public var learningRate: Float
  /// The share of λ₁ and λ₂ in force, 0 … 1.
  public var regularizerScale: Float
  /// The largest global norm of the gradient; 0 means no clipping.
  public var clip: Float
  /// The auxiliary loss takes a latent for dead if it was not active for any of this many most recent rows.
  public var deadWindow: Int
  /// Whether to compute the batch's variance, for `StepReport.explainedVariance`. It takes a pass over the
  /// batch.
  public var wantsVariance: Bool

  /// Settings of one step.
  public init(
    number: Int, learningRate: Float, regularizerScale: Float = 1, clip: Float = 0.75,
    deadWindow: Int = 10_000_000, wantsVariance: Bool = false
  ) {
    self.number = number
    self.learningRate = learningRate
    self.regularizerScale = regularizerScale
    self.clip = clip
    self.deadWindow = deadWindow
    self.wantsVariance = wantsVariance
  }
}

/// What one step measured before its update. Means are over the batch's rows.
public struct StepReport: Hashable, Sendable {
  /// The whole loss, with the coefficients in force.
  public var loss = 0.0
  /// Mean ‖x − x̂‖².
  public var reconstruction = 0.0
  /// Mean ‖x − x̂_high‖².
  public var topReconstruction = 0.0
  /// L_ortho, unweighted; NaN if its weight was 0 and it was not computed.
  public var ortho = 0.0
  /// L_sparse, unweighted.
  public var l1 = 0.0
  /// The auxiliary loss, unweighted.
  public var auxk = 0.0
  /// Dead latents that took part in the auxiliary loss.
  public var auxkLatents = 0
  /// 1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² on this batch; NaN unless `StepSettings.wantsVariance`.
  public var explainedVariance = Double.nan
  /// Mean number of active experts.
  public var l0 = 0.0
  /// JumpReLU's sparsity penalty and its penalty on dead latents, with their weights in force.
  public var jumpPenalty = 0.0
  /// The running threshold of BatchTopK after this step, or the mean θ of JumpReLU before it; NaN without one.
  public var threshold = Double.nan
  /// Mean number of active sublatents; NaN without a budget of them.
  public var subL0 = Double.nan
  /// The threshold of sublatents after this step; NaN without a budget of them.
  public var subThreshold = Double.nan
  /// Mean share of latents at or above the threshold; NaN unless the penalty needs it.
  public var aboveThreshold = Double.nan
  /// Global norm of the gradient after the projection, before clipping.
  public var gradientNorm = 0.0

  /// A report with nothing measured.
  public init() {}
}
