// What the reference implementation needs besides weights and data: the constants of the forward pass and the
// weights of the loss's terms, in double precision.

/// Which top-level latents pay the sparsity penalty.
public enum L1Scope: String, Hashable, Sendable, Codable, CaseIterable {
  /// Every latent at or above threshold, inside or outside the top k (the paper's section 3.2).
  case all
  /// Only active latents at or above threshold (Algorithm 1, read literally).
  case topK = "topk"
}

/// The settings of the reference implementation. The defaults are a flat dictionary with its reconstruction
/// error alone.
public struct ReferenceSettings: Hashable, Sendable {
  /// α of the top level.
  public var threshold = 0.0
  /// α of the sublatents.
  public var subThreshold = 0.0
  /// Slope below the threshold, top level.
  public var slope = 0.0
  /// Slope below the threshold, sublatents.
  public var subSlope = 0.0
  /// How the active latents of a row are selected. Thresholds of latents are not trained and get no gradient.
  public var selection = Selection.topK
  /// The reconstructions that the loss compares with the row; the method gives them the weights 1 and β.
  public var terms: [ReconstructionTerm] = [
    .init(part: .whole, weight: 1), .init(part: .topLevel, weight: 0),
  ]
  /// M [d × d], with which an error r counts as r·M·rᵀ; empty: ‖r‖².
  public var metric: [Double] = []
  /// Weight λ₁ of L_ortho.
  public var orthogonality = 0.0
  /// Weight λ₂ of L_sparse.
  public var sparsity = 0.0
  /// Which top-level latents L_sparse counts. It counts the sublatents of every active expert in either
  /// scope.
  public var scope = L1Scope.all
  /// Weight of JumpReLU's sparsity penalty.
  public var jumpSparsity = 0.0
  /// Weight of JumpReLU's penalty on dead latents.
  public var jumpDead = 0.0
  /// The weights that are not trained.
  public var frozen: FrozenPart?
  /// The least cosine between a decoder row and its first value; nil for no bound.
  public var decoderCosine: Double?
  /// The first decoder rows [m × d], if `decoderCosine` is not nil.
  public var firstDecoder: [Double] = []
  /// Weight of AuxK's term.
  public var auxiliary = 0.0
  /// What AuxK's term is divided by.
  public var auxiliaryScale = AuxiliaryScale.variance
  /// The most dead latents that explain one residual (d/2 in the method). The number of dead latents also
  /// bounds it.
  public var auxiliaryCount = 0
  /// Where the levels of AuxK end, rising to m: the dead latents of each level explain what the latents up to its
  /// end leave over (SAELens's `use_matryoshka_aux_loss`). Empty: the whole dictionary is one level.
  public var auxiliaryLevels: [Int] = []
  /// Which top-level latents count as dead in this step: m flags, or an empty array for none.
  public var dead: [Bool] = []

  /// The settings of a flat dictionary without regularisers.
  public init() {}

  /// The paper's settings for rows of width `width`: β 0.1, λ₁ 0.1, λ₂ 1e-3, thresholds 1/√d, slopes 0 and
  /// 0.01.
  public static func paper(width: Int) -> ReferenceSettings {
    var settings = ReferenceSettings()
    settings.threshold = 1 / Double(width).squareRoot()
    settings.subThreshold = settings.threshold
    settings.subSlope = 0.01
    settings[.topLevel] = 0.1
    settings.orthogonality = 0.1
    settings.sparsity = 1e-3
    return settings
  }

  /// The settings of a step with `recipe`, with the share `regularizerScale` of λ₁ and λ₂ in force.
  /// `subThreshold` is the present threshold of sublatents, if the recipe has a budget of them.
  public init(_ recipe: Recipe, regularizerScale: Float = 1, subThreshold present: Double? = nil) {
    (threshold, subThreshold) = (
      Double(recipe.activation.threshold), present ?? Double(recipe.activation.subThreshold)
    )
    (slope, subSlope) = (Double(recipe.activation.slope), Double(recipe.activation.subSlope))
    selection = recipe.selection
    let objective = recipe.objective
    terms = objective.reconstructions
    metric = recipe.errorMetric?.elements.map(Double.init) ?? []
    orthogonality = Double(objective.ortho * regularizerScale)
    sparsity = Double(objective.l1 * regularizerScale)
    scope = objective.l1Scope
    auxiliary = Double(objective.auxk)
    auxiliaryCount = objective.auxkActive
    auxiliaryScale = objective.auxkScale ?? .variance
    auxiliaryLevels = objective.auxkByPrefix == true ? objective.prefixes ?? [] : []
    if case .jumpReLU(let jump) = selection {
      (jumpSparsity, jumpDead) = (jump.sparsity * Double(regularizerScale), jump.deadPenalty)
    }
    (frozen, decoderCosine) = (recipe.frozen, recipe.decoderCosine)
    if recipe.decoderCosine != nil {
      firstDecoder =
        ReferenceParameters(
          Parameters.initial(shape: recipe.shape, seed: recipe.seed)
        ).decoder
    }
  }

  /// The weight of the error of one reconstruction (in the method 1 for x̂ and β for x̂_high); 0 where no term
  /// has it.
  public subscript(part: ReconstructionTerm.Part) -> Double {
    get { terms.first { $0.part == part && $0.experts == nil }?.weight ?? 0 }
    set {
      if let index = terms.firstIndex(where: { $0.part == part && $0.experts == nil }) {
        terms[index].weight = newValue
      } else {
        terms.append(ReconstructionTerm(part: part, weight: newValue))
      }
    }
  }

  /// r·M for an error r [d]: half the gradient of r·M·rᵀ. Without a metric r itself.
  package func measured(_ error: [Double]) -> [Double] {
    if metric.isEmpty { return error }
    let width = error.count
    return (0..<width).map { column in
      (0..<width).reduce(0) { $0 + error[$1] * metric[$1 * width + column] }
    }
  }

  /// f(u) of the top level: u at or above the threshold, else slope · u.
  public func activate(_ u: Double) -> Double { u >= threshold ? u : slope * u }
  /// f′(u) of the top level.
  public func derivative(_ u: Double) -> Double { u >= threshold ? 1 : slope }
  /// f(v) of the sublatents.
  public func activateSub(_ v: Double) -> Double { v >= subThreshold ? v : subSlope * v }
  /// f′(v) of the sublatents.
  public func derivativeSub(_ v: Double) -> Double { v >= subThreshold ? 1 : subSlope }
}
