// The training step: forward, backward, update, as `method.md` has it and as fast as the machine
// allows. This file owns the memory and the order of the phases; each phase is a file beside it.
//
// Phases of a step, each a loop over pieces of fixed size that threads share:
//   encode     vectors × latents product in tiles; active experts, threshold mask  (TopLevelEncoder)
//   group      (vector, expert) pairs sorted by expert                             +Forward
//   forward    by expert: z, subspace, sublatent, its part of x̂; then residuals    +Forward
//   auxiliary  dead latents explain the residual, if asked to                      AuxiliaryLoss
//   orthogonality  Gram matrices, gradients of eq. 3.4                             +Orthogonality
//   penalty    gradient of the latents above the threshold                         +Penalty
//   backward   by expert: gradients of everything it owns, projected               +Backward
//   update     clip, Adam, renormalise, bf16 copies                                +Optimizer
//   usage      which latents and sublatents fired                                  Usage
// Where a dictionary is trained by several processes, this engine has some of its experts, and what
// passes between them is in `Ranks`, called from encode, forward, auxiliary, orthogonality and backward.
// Nothing is allocated inside a step; results do not depend on the number of threads, because every
// piece is one thread's and sums over pieces are taken in piece order. The slow twin is
// `HSAEModels/Reference`.

internal import CHSAEKernels
internal import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAETensors

/// The phases of a step, as `hsae bench` reports them.
public enum Phase: Int, CaseIterable, Sendable {
  /// Vectors × latents in tiles; active experts, threshold mask.
  case encode
  /// Pairs of vector and expert, sorted by expert.
  case group
  /// By expert: z, subspace, sublatent, its part of x̂; then residuals.
  case forward
  /// Dead latents explain the residual, if asked to.
  case auxiliary
  /// Gram matrices and gradients of eq. 3.4.
  case orthogonality
  /// The gradient of the latents above the threshold.
  case penalty
  /// By expert: gradients of all it owns.
  case backward
  /// Clipping, Adam, unit norms, bf16 copies.
  case update
  /// Which latents and sublatents fired.
  case usage
}

/// Trains one dictionary: owns its weights, gradients, moments and the memory of a step.
@safe
public final class TrainingEngine {
  /// Experts handled by one piece of work.
  static let expertsPerPiece = 16
  /// Pairs of an expert that the backward pass handles at a time.
  static let pairsPerBlock = 32
  /// Vectors handled by one piece of work.
  package static let vectorsPerPiece = 64
  /// Largest chunk of a batch in the forward pass: many vectors share one reading of the weights, and
  /// few enough that their rows stay in the last-level cache.
  static let mostChunkVectors = 4096

  /// The sizes of what this engine trains: all of a dictionary, or its experts of one.
  public let shape: DictionaryShape
  /// What is trained.
  public let recipe: Recipe
  /// Thresholds and slopes.
  let activation: ActivationFunction
  /// The coefficients of the loss.
  let objective: Objective
  /// Rows this engine sees of a batch.
  public let batch: Int
  /// Which part of the dictionary and of the batch this engine has.
  public let share: RankShare
  /// What is needed to train together with others; nil where nobody else has a part.
  let ranks: RankWork?
  /// Arithmetic of the dense products.
  let precision: Precision
  /// Threads used.
  let threads: Int

  /// Weights, moments and usage.
  var state: TrainingState
  /// The gradient of the last step, after projection, before clipping.
  package internal(set) var gradients: Parameters
  /// Seconds spent in each phase so far, by `Phase.rawValue`.
  private(set) var seconds = [Double](repeating: 0, count: Phase.allCases.count)

  /// The batch, to be filled before `step`: fp32 [paddedCapacity × d], rows beyond the batch zero.
  /// With a bias, `step` subtracts it here.
  public var vectors: Buffer<Float>

  let encoder: TopLevelEncoder
  let vectorsBF16: Buffer<UInt16>
  /// bf16 copies of e_j and d_j [m × d]; empty in fp32.
  let encoderBF16: Buffer<UInt16>
  let decoderBF16: Buffer<UInt16>
  /// Σ e⁴ of each row e_j [m]; empty in fp32.
  let encoderFourthPowers: Buffer<Float>
  /// Vectors in a chunk of the batch, one piece of the forward pass, and the number of chunks.
  let chunkVectors: Int
  let chunkCount: Int
  /// Pairs sorted by expert, within an expert by vector: where each expert's begin, chunk by chunk
  /// [m × chunks + 1], and their vectors.
  let groupStarts: Buffer<Int32>
  let groupCursors: Buffer<Int32>
  let groupVectors: Buffer<Int32>
  /// By sorted pair: z, subspace coordinates y [s], sublatent q, its code c, v = c·D[q] [s].
  let pairValues: Buffer<Float>
  let pairCoordinates: Buffer<Float>
  let pairSublatents: Buffer<Int32>
  let pairCodes: Buffer<Float>
  let pairSteps: Buffer<Float>
  /// By sorted pair: Σ_a |c_a|.
  let pairPenalties: Buffer<Float>
  /// By sorted pair: gradients of z, of v [s], of y [s], and the encoder side's coefficients [1 + s].
  let pairValueGradients: Buffer<Float>
  let pairStepGradients: Buffer<Float>
  let pairCoordinateGradients: Buffer<Float>
  let pairCoefficients: Buffer<Float>
  /// x̂_high, then ∂L/∂x̂ + ∂L/∂x̂_high; and x̂_low, then ∂L/∂x̂ [B × d].
  let high: Buffer<Float>
  let low: Buffer<Float>
  /// Copies of the two gradients, which the backward pass gathers; empty in fp32.
  let highBF16: Buffer<UInt16>
  let lowBF16: Buffer<UInt16>
  /// Partial sums of pieces, in piece order.
  let pieceSums: Buffer<Double>
  let biasPieces: Buffer<Float>
  /// Of each worker: sums of 64 columns.
  let biasSums: Buffer<Double>
  /// Scratch of each worker for sublatents.
  let subScratch: Buffer<Float>
  let subScratchCount: Int
  let orthogonality: OrthogonalityWorkspace?
  let penalty: PenaltyWorkspace?
  let auxiliary: AuxiliaryLoss?
  /// Whether latents outside the top k are penalised.
  var penalisesAll: Bool { objective.l1 > 0 && objective.l1Scope == .all }

  /// An engine that goes on from `state` with `recipe`, on its share of every batch and of the dictionary.
  ///
  /// `state` is that of this share's experts. The result does not depend on `threads`.
  public init(
    _ state: consuming TrainingState, recipe: Recipe, share: RankShare, threads: Int
  ) {
    let batch = share.rows.count
    precondition(batch >= 1, "A batch needs at least one row.")
    let shape = state.shape
    precondition(shape == share.ownShape, "Weights of other experts.")
    let hasBias = state.parameters.hasBias
    self.share = share
    self.recipe = recipe
    self.shape = shape
    self.batch = batch
    self.threads = threads
    (activation, objective, precision) = (recipe.activation, recipe.objective, recipe.precision)
    self.state = state
    gradients = Parameters(shape: shape, hasBias: hasBias)

    let d = shape.width
    let s = shape.subspace
    let bf16 = precision == .bfloat16
    encoder = TopLevelEncoder(
      shape: shape, activation: activation, selection: recipe.selection, capacity: batch,
      encoderStride: shape.rowsPerExpert * d, precision: precision,
      wantsMask: objective.l1 > 0 && objective.l1Scope == .all,
      isShared: share.dictionary.size > 1, threads: threads)
    ranks = share.isAlone ? nil : RankWork(share, objective: objective, threads: threads)
    vectors = Buffer(encoder.paddedCapacity * d)
    vectorsBF16 = Buffer(bf16 ? encoder.paddedCapacity * d : 0)
    encoderBF16 = Buffer(bf16 ? shape.experts * d : 0)
    decoderBF16 = Buffer(bf16 && objective.ortho > 0 ? shape.experts * d : 0)
    encoderFourthPowers = Buffer(bf16 ? shape.experts : 0)
    let pairs = batch * shape.activeExperts
    let perThread = pieceCount(pieceCount(batch, size: threads), size: Self.vectorsPerPiece)
    chunkVectors = min(Self.mostChunkVectors, perThread * Self.vectorsPerPiece)
    chunkCount = pieceCount(batch, size: chunkVectors)
    groupStarts = Buffer(shape.experts * chunkCount + 1)
    groupCursors = Buffer(shape.experts * chunkCount)
    groupVectors = Buffer(pairs)
    pairValues = Buffer(pairs)
    pairCoordinates = Buffer(pairs * s)
    pairSublatents = Buffer(shape.isFlat ? 0 : pairs)
    pairCodes = Buffer(shape.isFlat ? 0 : pairs)
    pairSteps = Buffer(pairs * s)
    pairPenalties = Buffer(shape.isFlat ? 0 : pairs)
    pairValueGradients = Buffer(pairs)
    pairStepGradients = Buffer(pairs * s)
    pairCoordinateGradients = Buffer(pairs * s)
    pairCoefficients = Buffer(pairs * (1 + s))
    high = Buffer(batch * d)
    low = Buffer(batch * d)
    highBF16 = Buffer(bf16 ? batch * d : 0)
    lowBF16 = Buffer(bf16 && !shape.isFlat ? batch * d : 0)
    let pieces = max(
      pieceCount(shape.experts, size: Self.expertsPerPiece),
      pieceCount(batch, size: Self.vectorsPerPiece))
    pieceSums = Buffer(4 * pieces)
    biasPieces = Buffer(hasBias ? pieces * d : 0)
    biasSums = Buffer(hasBias ? threads * 64 : 0)
    subScratchCount = (2 * s + 3) * (shape.sublatents + 16)
    subScratch = Buffer(threads * subScratchCount)
    penalty =
      encoder.mask.count > 0
      ? PenaltyWorkspace(
        shape: shape, batch: batch, precision: precision, hasBias: hasBias, threads: threads)
      : nil
    orthogonality =
      objective.ortho > 0 && share.shape.experts > 1
      ? OrthogonalityWorkspace(shape: shape, precision: precision, threads: threads) : nil
    auxiliary =
      objective.auxk > 0 && objective.auxkActive > 0
      ? AuxiliaryLoss(
        shape: shape, batch: batch, paddedBatch: encoder.paddedCapacity,
        active: objective.auxkActive, threads: threads)
      : nil
    refreshCopies()
  }

  /// One step on the batch in `vectors`: measures, then updates the weights.
  ///
  /// Returns what was measured before the update. If the loss or the gradient is not finite nothing
  /// is updated; the caller decides what to do.
  public func step(_ settings: StepSettings) -> StepReport {
    var report = StepReport()
    let l1 = objective.l1 * settings.regulariserScale
    let ortho = objective.ortho * settings.regulariserScale

    let above = timed(.encode) {
      prepareVectors()
      return encode()
    }
    timed(.group) { groupPairs() }
    let squares = timed(.forward) { forward() }
    let aux = timed(.auxiliary) { auxiliaryLoss(settings) }
    let orthoScale = timed(.orthogonality) { orthogonality(weight: ortho, report: &report) }
    timed(.penalty) {
      penaliseLatents(weight: l1 / Float(share.batch), initialised: orthoScale != nil)
    }
    let squaredNorm = timed(.backward) {
      backward(
        l1: l1 / Float(share.batch), orthoScale: orthoScale ?? 0, orthoDone: orthoScale != nil,
        auxiliary: aux.latents > 0)
    }

    var sums = BatchSums(
      full: squares.full, top: squares.top, pairs: Double(pairTotal),
      penalty: penalisesAll ? above.sum : activePenalty(), subPenalty: squares.subPenalty,
      above: Double(above.count))
    if let ranks { ranks.sum(&sums) }
    let count = Double(share.batch)
    report.reconstruction = sums.full / count
    report.topReconstruction = sums.top / count
    if settings.wantsVariance { report.explainedVariance = 1 - sums.full / totalVariance() }
    report.l0 = sums.pairs / count
    report.l1 = (sums.penalty + sums.subPenalty) / count
    if encoder.mask.count > 0 {
      report.aboveThreshold = sums.above / count / Double(share.shape.experts)
    }
    report.auxk = aux.loss
    report.auxkLatents = aux.latents
    report.gradientNorm = squaredNorm.squareRoot()
    report.loss = report.reconstruction + Double(objective.beta) * report.topReconstruction
    report.loss += Double(l1) * report.l1
    report.loss += Double(objective.auxk) * report.auxk
    if ortho > 0 { report.loss += Double(ortho) * report.ortho }
    if report.loss.isFinite && report.gradientNorm.isFinite {
      timed(.update) { update(settings, norm: report.gradientNorm) }
      timed(.usage) { countUsage() }
      state.step = settings.number
    }
    return report
  }

  private func timed<Result>(_ phase: Phase, _ body: () -> Result) -> Result {
    let begin = ContinuousClock.now
    let result = body()
    seconds[phase.rawValue] += (ContinuousClock.now - begin) / .seconds(1)
    return result
  }

  /// Counts which latents and sublatents were active in this step.
  private func countUsage() {
    guard let ranks, ranks.countsTogether else {
      state.usage.advance(rows: share.batch, counting: forEachActive)
      return
    }
    var counts = [Float](repeating: 0, count: shape.experts * (1 + shape.sublatents))
    forEachActive { counts[$0] += $1 }
    ranks.sumOverCopies(&counts)
    state.usage.advance(rows: share.batch) { add in
      for (place, count) in counts.enumerated() where count > 0 { add(place, count) }
    }
  }

  /// Calls `body` for each active latent with its number and in how many rows it was active; then for each row in
  /// which one of its sublatents was active, with m plus the sublatent's number. A sublatent is active if it is the one
  /// chosen and its code reaches the sublatents' threshold.
  private func forEachActive(_ body: (_ place: Int, _ times: Float) -> Void) {
    let a = shape.sublatents
    for expert in 0..<shape.experts {
      let range = pairs(of: expert)
      if range.isEmpty { continue }
      body(expert, Float(range.count))
      guard a > 0 else { continue }
      // Safe: pairs are numbered 0 ..< pairTotal, which both buffers hold.
      for pair in range where unsafe activation.reachesSub(pairCodes.base[pair]) {
        unsafe body(shape.experts + expert * a + Int(pairSublatents.base[pair]), 1)
      }
    }
  }
}
