// The CPU engine as a `StepBackend`: what it can train, and how much memory it needs.

internal import HSAEDistribution
public import HSAEModels
public import HSAERuns
internal import HSAESupport
public import HSAETensors

extension TrainingEngine: StepBackend {
  /// An engine with a whole dictionary, starting from `parameters`, for batches of `batch` rows.
  public convenience init(
    _ recipe: Recipe, parameters: consuming Parameters, batch: Int, threads: Int = processorCount
  ) {
    let state = TrainingState(
      parameters: parameters, momentFormat: recipe.momentFormat, seed: recipe.seed)
    self.init(
      state, recipe: recipe, share: RankShare(shape: recipe.shape, batch: batch), threads: threads)
  }

  /// Why the engine cannot train `recipe` on this machine; nil if it can.
  public static func complaint(_ recipe: Recipe, share: RankShare) -> String? {
    let objective = recipe.objective
    switch recipe.selection {
    case .topK, .batchTopK: break
    case .jumpReLU where objective.l1 > 0:
      return "--activation jumprelu has a sparsity penalty of its own; set --l1 0."
    case .jumpReLU: break
    case .thresholds:
      return "The CPU backend cannot train with fixed thresholds of latents."
    }
    if !share.isAlone {
      let option: String? =
        if recipe.selection != .topK {
          "--activation \(recipe.selection.name)"
        } else if objective.prefixes != nil {
          "--matryoshka"
        } else if recipe.vectors.contains(.encoderBias) {
          "--encoder-bias"
        } else if objective.auxkScale == .deadShare { "--auxk-scale dead-share" } else { nil }
      if let option {
        return "\(option) trains in one process; leave out mpirun, or leave out \(option)."
      }
    }
    if recipe.precision == .bfloat16, Precision.best != .bfloat16 {
      return "This processor does not multiply bf16 in hardware; use --precision float32 or auto."
    }
    return nil
  }

  /// Lends the state to `body`.
  public func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result {
    try body(state)
  }

  /// Lets `body` change the weights. Call it before the first step.
  public func changeParameters(_ body: (inout Parameters) -> Void) {
    body(&state.parameters)
    refreshCopies()
  }

  /// Seconds spent in each phase so far.
  public var phaseSeconds: [(name: String, seconds: Double)] {
    Phase.allCases.map { ("\($0)", seconds[$0.rawValue]) }
  }

  /// The bytes that an engine allocates. It must follow `init` and the workspaces made there.
  public static func memoryNeed(
    _ recipe: Recipe, share: RankShare, threads: Int
  ) -> MemoryNeed {
    var need = MemoryNeed()
    let (shape, objective) = (share.ownShape, recipe.objective)
    let levels = Double(objective.prefixes?.count ?? 1)
    let (d, s) = (Double(shape.width), Double(shape.subspace))
    let (m, a) = (Double(shape.experts), Double(shape.sublatents))
    let rows = Double(share.rows.count)
    if !share.isAlone {
      // Scores of candidates, sent and kept, and the window of large sums.
      need.batch += rows * Double(share.mostChosen) * 12
      if objective.auxk > 0 { need.batch += rows * Double(objective.auxkActive) * 8 }
      need.batch += 4 * Double(RankReduction.mostScratch) * (share.copies.size > 1 ? 2 : 1)
    }
    let isHalf = recipe.precision == .bfloat16
    let numbers = m * (2 * (1 + s) * d + 2 * a * s)
    need.weights += 4 * numbers + (isHalf ? 2 * m * d * (objective.ortho > 0 ? 2 : 1) : 0)
    need.gradients += 4 * numbers
    need.moments += (recipe.momentFormat == .bfloat16 ? 4 : 8) * numbers

    // x, x̂ and x̂_high (in bf16 with copies), active pairs, the threshold mask and the panels of the
    // penalty.
    need.batch += rows * d * (isHalf ? 6 + 12 * levels : 4 + 8 * levels)
    if recipe.errorMetric != nil {
      need.batch += 4 * d * (d + Double(threads * 4 * Self.rowsPerPiece))
      if objective.auxk > 0 { need.batch += 4 * rows * d * levels }
    }
    if recipe.selection != .topK {
      // Candidates of the batch and of every thread's tile; with JumpReLU u − θ of every pair.
      need.batch += rows * Double(shape.activeExperts) * 2 * 16 * 2 + Double(threads) * 0x1p16
      need.batch += rows * Double(shape.activeExperts) * 4
    }
    if case .jumpReLU(let jump) = recipe.selection, jump.deadPenalty > 0 {
      need.batch += 4 * (m * (d + 1) + rows * Double(threads + 1))
    }
    if recipe.decoderCosine != nil { need.weights += 4 * m * d }
    need.batch += rows * Double(shape.activeExperts) * (36 + 20 * s)
    if objective.penalisesAll {
      need.batch += rows * (m / 8 + d * (isHalf ? 2 : 4))
    }
    if objective.ortho > 0 { need.batch += (isHalf ? 12 : 8) * d * d }
    if objective.auxk > 0 {
      need.batch += rows * (Double(objective.auxkActive) * 20 + 4 * d) + 16 * m * d
    }
    need.batch += 12 * m * (1 + a) + Double(threads) * 0x1p20
    return need
  }
}
