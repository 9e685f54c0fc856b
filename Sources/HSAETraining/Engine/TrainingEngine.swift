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
  static let vectorsPerPiece = 64
  /// Largest chunk of a batch in the forward pass: many vectors share one reading of the weights, and
  /// few enough that their rows stay in the last-level cache.
  static let mostChunkVectors = 4096

  /// The sizes of what this engine trains: all of a dictionary, or its experts of one.
  public let shape: DictionaryShape
  /// Thresholds and slopes.
  public let activation: ActivationFunction
  /// The coefficients of the loss.
  public let objective: Objective
  /// Vectors this engine sees of a batch.
  public let batch: Int
  /// Which part of the dictionary and of the batch those are.
  let share: EngineShare
  /// What is needed to train together with others; nil where nobody else has a part.
  let ranks: RankWork?
  /// Arithmetic of the dense products.
  public let precision: Precision
  /// Threads used.
  public let threads: Int

  /// The weights.
  public internal(set) var parameters: Parameters
  /// Adam's moments.
  let moments: Moments
  /// The gradient of the last step, after projection, before clipping.
  public internal(set) var gradients: Parameters
  /// How often latents and sublatents fire.
  public internal(set) var usage: Usage
  /// Seconds spent in each phase so far, by `Phase.rawValue`.
  public private(set) var phaseSeconds = [Double](repeating: 0, count: Phase.allCases.count)

  /// The batch, to be filled before `step`: fp32, [paddedBatch × d], rows beyond the batch zero.
  /// With a bias, `step` subtracts it here.
  public internal(set) var vectors: Buffer<Float>

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

  /// An engine that trains `parameters` on batches of `batch` vectors.
  ///
  /// - Parameters:
  ///   - parameters: the weights to begin with.
  ///   - activation: thresholds and slopes.
  ///   - objective: the coefficients of the loss.
  ///   - batch: vectors of a step.
  ///   - precision: arithmetic of the dense products; the weights are fp32 either way.
  ///   - moments: format of Adam's moments.
  ///   - seed: of the rounding of bf16 moments.
  ///   - threads: how many threads; results do not depend on it.
  public convenience init(
    parameters: consuming Parameters, activation: ActivationFunction, objective: Objective,
    batch: Int, precision: Precision = .best, moments: Precision = .float32, seed: UInt64 = 0,
    threads: Int = processorCount
  ) {
    let share = EngineShare(shape: parameters.shape, batch: batch)
    self.init(
      parameters: parameters, share: share, activation: activation, objective: objective,
      precision: precision, moments: moments, seed: seed, threads: threads)
  }

  /// An engine that trains `share` of a dictionary; `parameters` are its experts' and the bias.
  init(
    parameters: consuming Parameters, share: EngineShare, activation: ActivationFunction,
    objective: Objective, precision: Precision, moments: Precision, seed: UInt64, threads: Int
  ) {
    let batch = share.rows.count
    precondition(batch >= 1, "A batch needs at least one vector.")
    let shape = parameters.shape
    precondition(shape == share.ownShape, "Weights of other experts.")
    self.share = share
    let hasBias = parameters.hasBias
    self.shape = shape
    self.activation = activation
    self.objective = objective
    self.batch = batch
    self.precision = precision
    self.threads = threads
    self.parameters = parameters
    self.moments = Moments(
      shape: shape, hasBias: hasBias, format: moments, seed: seed,
      firstExpert: share.experts.lowerBound)
    gradients = Parameters(shape: shape, hasBias: hasBias)
    usage = Usage(shape: shape)

    let d = shape.width
    let s = shape.subspace
    let bf16 = precision == .bfloat16
    encoder = TopLevelEncoder(
      shape: shape, activation: activation, capacity: batch,
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
    report.loss =
      report.reconstruction + Double(objective.beta) * report.topReconstruction
      + Double(l1) * report.l1 + Double(objective.auxk) * report.auxk
      + (ortho > 0 ? Double(ortho) * report.ortho : 0)
    if report.loss.isFinite && report.gradientNorm.isFinite {
      timed(.update) { update(settings, norm: report.gradientNorm) }
      timed(.usage) { usage.advance(engine: self) }
    }
    return report
  }

  private func timed<Result>(_ phase: Phase, _ body: () -> Result) -> Result {
    let begin = ContinuousClock.now
    let result = body()
    phaseSeconds[phase.rawValue] += (ContinuousClock.now - begin) / .seconds(1)
    return result
  }
}
