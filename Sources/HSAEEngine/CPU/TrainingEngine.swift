// The training step of `docs/method.md`, made as fast as the machine allows: forward, backward, update. This
// file owns the memory of a step and calls the phases in order; the files beside it hold the phases.
//
// If several processes train a dictionary, this engine has some of its experts. `Ranks` exchanges data with
// the others; the phases encode, forward, auxiliary, orthogonality and backward call it. The large buffers
// are allocated in `init`, not in a step. Results do not depend on the number of threads: one thread computes
// each piece, and sums over pieces are taken in the order of pieces. `HSAEModels/Reference` is the slow
// version of the same step.

internal import CHSAEKernels
internal import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAETensors

/// The phases of a step, as `hsae bench` reports them. Each is a loop over pieces of fixed size that threads
/// share.
public enum Phase: Int, CaseIterable, Sendable {
  /// The product of rows and latents, in tiles; active experts and threshold mask (`TopLevelEncoder`).
  case encode
  /// Sorts the pairs of a row and an active expert by expert (`+Forward`).
  case group
  /// By expert: z, subspace, sublatent and its part of x̂; then the residuals (`+Forward`).
  case forward
  /// Dead latents explain the residual, if that is switched on (`AuxiliaryLoss`).
  case auxiliary
  /// Gram matrices and gradients of eq. 3.4.
  case orthogonality
  /// The gradient of the latents above the threshold.
  case penalty
  /// By expert: gradients of all it owns, projected.
  case backward
  /// Clipping, Adam, unit norms, bf16 copies (`+Optimizer`).
  case update
  /// Counts which latents and sublatents were active.
  case usage
}

/// Trains one dictionary. It owns the weights, the gradients, the moments and the memory of a step.
@safe
public final class TrainingEngine {
  /// Experts in one piece of work.
  static let expertsPerPiece = 16
  /// Pairs of an expert that the backward pass handles together.
  static let pairsPerBlock = 32
  /// Rows in one piece of work.
  package static let rowsPerPiece = 64
  /// The most rows in a chunk of the forward pass: enough to share one reading of the weights, and few enough
  /// to stay in the last-level cache.
  static let mostChunkRows = 4096

  /// The sizes of what this engine trains: the whole dictionary, or this rank's experts of it.
  public let shape: DictionaryShape
  /// What is trained.
  public let recipe: Recipe
  let activation: ActivationFunction
  /// The threshold of sublatents: the activation's, or with a budget of them that of the step before.
  private(set) var subThreshold: Float
  let objective: Objective
  /// The rows of a batch that this engine sees.
  public let batch: Int
  /// Which part of the dictionary and of the batch this engine has.
  public let share: RankShare
  /// What joins this engine with other ranks; nil in a single process.
  let ranks: RankWork?
  /// The arithmetic of the dense products.
  let precision: Precision
  let threads: Int

  /// Weights, moments and usage.
  var state: TrainingState
  /// The gradient of the last step, after the projection and before clipping.
  package internal(set) var gradients: Parameters
  /// Seconds spent in each phase so far, by `Phase.rawValue`.
  private(set) var seconds = [Double](repeating: 0, count: Phase.allCases.count)

  /// The batch [paddedCapacity × d] in fp32; rows beyond the batch are zero. Fill it before `step`. With a
  /// bias, `step` subtracts the bias here.
  public var batchRows: Buffer<Float>

  let encoder: TopLevelEncoder
  /// A bf16 copy of the batch; empty in fp32.
  let batchRowsBF16: Buffer<UInt16>
  /// bf16 copies of e_j and d_j [m × d]; empty in fp32.
  let encoderBF16: Buffer<UInt16>
  let decoderBF16: Buffer<UInt16>
  /// Σ e⁴ of each row e_j [m]; empty in fp32.
  let encoderFourthPowers: Buffer<Float>
  /// The rows in a chunk of the batch (whole pieces), and the number of chunks. The forward pass handles one
  /// at a time.
  let chunkRows: Int
  let chunkCount: Int
  /// The pairs sorted by expert, and by row within an expert. `groupStarts` is where each expert's pairs
  /// begin, chunk by chunk [m · chunks + 1]; `groupRows` has the row of each pair. There are at most batch ·
  /// k pairs.
  let groupStarts: Buffer<Int32>
  let groupCursors: Buffer<Int32>
  let groupRows: Buffer<Int32>
  /// For each sorted pair: z, subspace coordinates y [s], sublatent q, its code c, and v = c·D[q] [s].
  let pairValues: Buffer<Float>
  let pairCoordinates: Buffer<Float>
  let pairSublatents: Buffer<Int32>
  let pairCodes: Buffer<Float>
  let pairSteps: Buffer<Float>
  /// Σ_a |c_a| for each sorted pair.
  let pairPenalties: Buffer<Float>
  /// For each sorted pair: gradients of z, of v [s] and of y [s], and the coefficients of the encoder side [1
  /// + s].
  let pairValueGradients: Buffer<Float>
  let pairStepGradients: Buffer<Float>
  let pairCoordinateGradients: Buffer<Float>
  let pairCoefficients: Buffer<Float>
  /// What both levels of experts add up to, later the gradients with respect to it [levels × batch × d]. `high` is
  /// x̂_high, later ∂L/∂x̂ + ∂L/∂x̂_high; `low` is x̂_low, later ∂L/∂x̂. There is one level for each prefix of the
  /// dictionary whose reconstruction the loss knows (`Objective.prefixes`); the last is the whole dictionary. The
  /// gradients of a level are those of its own experts: the sum over all prefixes that they belong to.
  let high: Buffer<Float>
  let low: Buffer<Float>
  /// The number of experts in each prefix, rising; the last is m.
  let levelEnds: [Int]
  /// The weight of each prefix's squared error.
  let levelWeights: [Float]
  /// Σ‖x − x̂‖² of each prefix but the last, and a second number, for each piece [levels − 1 × pieces × 2].
  let levelSums: Buffer<Double>
  /// Multiplies errors by the recipe's inner product; nil for the plain one.
  let metric: RowProduct?
  /// The gradient `low` in the plain inner product, for the auxiliary loss [levels × batch × d]; empty unless the recipe
  /// has both.
  let plainLow: Buffer<Float>
  /// bf16 copies of the two gradients, which the backward pass reads; empty in fp32.
  let highBF16: Buffer<UInt16>
  let lowBF16: Buffer<UInt16>
  /// Partial sums by piece: up to four numbers each, and d numbers for the bias.
  let pieceSums: Buffer<Double>
  let biasPieces: Buffer<Float>
  /// Sums of 64 columns for each worker.
  let biasSums: Buffer<Double>
  /// Scratch memory of the sublatents' kernels for each worker.
  let subScratch: Buffer<Float>
  let subScratchCount: Int
  let orthogonality: OrthogonalityWorkspace?
  let penalty: PenaltyWorkspace?
  let auxiliary: AuxiliaryLoss?
  /// What JumpReLU needs beside the pairs.
  let jump: JumpWorkspace?
  /// The first values of the decoder rows d_j [m × d], if the recipe bounds how far they may turn; else empty.
  let firstDecoder: Buffer<Float>
  /// Which vectors the recipe has, read in loops over experts.
  let hasEncoderBias: Bool
  let hasThresholds: Bool
  /// Whether latents outside the top k are penalised.
  var penalisesAll: Bool { objective.penalisesAll }

  /// An engine that continues from `state` with `recipe`, for its share of the dictionary and of every batch.
  ///
  /// `state` holds the experts of `share`. The result does not depend on `threads`.
  public init(
    _ state: consuming TrainingState, recipe: Recipe, share: RankShare, threads: Int
  ) {
    let batch = share.rows.count
    precondition(batch >= 1, "A batch needs at least one row.")
    let shape = state.shape
    precondition(shape == share.ownShape, "The state belongs to other experts.")
    let vectors = state.parameters.vectors
    let hasBias = vectors.contains(.inputBias)
    precondition(vectors == recipe.vectors, "The state has other vectors than the recipe.")
    self.share = share
    self.recipe = recipe
    self.shape = shape
    self.batch = batch
    self.threads = threads
    (activation, objective, precision) = (recipe.activation, recipe.objective, recipe.precision)
    subThreshold = recipe.activation.subThreshold
    self.state = state
    if case .batchTopK(let settings) = recipe.selection, self.state.step == 0 {
      self.state.batchThreshold = settings.thresholdStart
    }
    gradients = Parameters(shape: shape, vectors: vectors)
    hasEncoderBias = vectors.contains(.encoderBias)
    hasThresholds = vectors.contains(.thresholds)
    levelEnds = objective.prefixes ?? [shape.experts]
    levelWeights = objective.prefixWeights ?? levelEnds.map { _ in 1 }
    let levels = levelEnds.count

    let d = shape.width
    let s = shape.subspace
    let bf16 = precision == .bfloat16
    encoder = TopLevelEncoder(
      shape: shape, activation: activation, selection: recipe.selection,
      hasEncoderBias: vectors.contains(.encoderBias), capacity: batch,
      encoderStride: shape.rowsPerExpert * d, precision: precision,
      wantsMask: objective.penalisesAll, isShared: share.dictionary.size > 1,
      threads: threads)
    ranks = share.isAlone ? nil : RankWork(share, objective: objective, threads: threads)
    batchRows = Buffer(encoder.paddedCapacity * d)
    batchRowsBF16 = Buffer(bf16 ? encoder.paddedCapacity * d : 0)
    encoderBF16 = Buffer(bf16 ? shape.experts * d : 0)
    decoderBF16 = Buffer(bf16 && objective.ortho > 0 ? shape.experts * d : 0)
    encoderFourthPowers = Buffer(bf16 ? shape.experts : 0)
    let pairs = batch * shape.activeExperts
    let perThread = pieceCount(pieceCount(batch, size: threads), size: Self.rowsPerPiece)
    chunkRows = min(Self.mostChunkRows, perThread * Self.rowsPerPiece)
    chunkCount = pieceCount(batch, size: chunkRows)
    groupStarts = Buffer(shape.experts * chunkCount + 1)
    groupCursors = Buffer(shape.experts * chunkCount)
    groupRows = Buffer(pairs)
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
    high = Buffer(levels * batch * d)
    low = Buffer(levels * batch * d)
    if let elements = recipe.errorMetric?.elements, !elements.isEmpty {
      metric = RowProduct(elements, width: d, workers: threads)
    } else {
      metric = nil
    }
    plainLow = Buffer(metric != nil && objective.auxk > 0 ? levels * batch * d : 0)
    highBF16 = Buffer(bf16 ? levels * batch * d : 0)
    lowBF16 = Buffer(bf16 && !shape.isFlat ? levels * batch * d : 0)
    levelSums = Buffer(2 * (levels - 1) * pieceCount(batch, size: Self.rowsPerPiece))
    let pieces = max(
      pieceCount(shape.experts, size: Self.expertsPerPiece),
      pieceCount(batch, size: Self.rowsPerPiece))
    pieceSums = Buffer(4 * pieces)
    biasPieces = Buffer(hasBias ? pieces * d : 0)
    biasSums = Buffer(hasBias ? threads * 64 : 0)
    subScratchCount = (2 * s + 3) * (shape.sublatents + 16)
    subScratch = Buffer(threads * subScratchCount)
    penalty =
      encoder.mask.count > 0
      ? PenaltyWorkspace(
        shape: shape, batch: batch, precision: precision, hasBias: !vectors.isEmpty,
        threads: threads)
      : nil
    orthogonality =
      objective.ortho > 0 && share.shape.experts > 1
      ? OrthogonalityWorkspace(shape: shape, precision: precision, threads: threads) : nil
    auxiliary =
      objective.auxk > 0 && objective.auxkActive > 0
      ? AuxiliaryLoss(
        shape: shape, batch: batch, paddedBatch: encoder.paddedCapacity,
        active: objective.auxkActive, hasEncoderBias: vectors.contains(.encoderBias),
        threads: threads)
      : nil
    if case .jumpReLU(let settings) = recipe.selection {
      jump = JumpWorkspace(
        settings, pairs: pairs, batch: batch, shape: shape, threads: threads)
    } else {
      jump = nil
    }
    firstDecoder = Buffer(recipe.decoderCosine == nil ? 0 : shape.experts * d)
    if recipe.decoderCosine != nil { fillFirstDecoder() }
    refreshCopies()
  }

  /// Takes one step on the batch in `batchRows`: measures, then updates the weights.
  public func step(_ settings: StepSettings) -> StepReport {
    precondition(
      batchRows.count == encoder.paddedCapacity * shape.width, "A batch buffer of another size.")
    precondition((recipe.errorMetric == nil) == (metric == nil), "The inner product is not known.")
    var report = StepReport()
    let l1 = objective.l1 * settings.regularizerScale
    let ortho = objective.ortho * settings.regularizerScale

    let above = timed(.encode) {
      prepareRows()
      return encode()
    }
    timed(.group) { groupPairs() }
    if recipe.sublatentBudget != nil { subThreshold = Float(state.subThreshold) }
    let squares = timed(.forward) { forward() }
    if jump != nil {
      measureJump(settings, report: &report)
      penaliseDead(settings, report: &report)
    }
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

    // Σ‖x − x̂‖², Σ‖x − x̂_high‖², active pairs, the penalty of latents and of sublatents, and pairs at or
    // above the threshold: over all rows and experts.
    var sums = [
      squares.full, squares.top, Double(activeCount(0..<pairTotal)),
      penalisesAll ? above.sum : activePenalty(),
      squares.subPenalty, Double(above.count),
    ]
    if recipe.sublatentBudget != nil {
      let active = activeSublatents()
      sums += [Double(active.count), active.sum]
    }
    if ranks != nil { share.world.sum(&sums) }
    let count = Double(share.batch)
    report.reconstruction = sums[0] / count
    report.topReconstruction = sums[1] / count
    if settings.wantsVariance { report.explainedVariance = 1 - sums[0] / totalVariance() }
    report.l0 = sums[2] / count
    report.l1 = (sums[3] + sums[4]) / count
    if encoder.mask.count > 0 {
      report.aboveThreshold = sums[5] / count / Double(share.shape.experts)
    }
    report.auxk = aux.loss
    report.auxkLatents = aux.latents
    report.gradientNorm = squaredNorm.squareRoot()
    report.loss = Double(levelWeights[levelWeights.count - 1]) * report.reconstruction
    report.loss += Double(objective.beta) * report.topReconstruction
    report.loss += prefixErrors() + report.jumpPenalty
    report.loss += Double(l1) * report.l1
    report.loss += Double(objective.auxk) * report.auxk
    if ortho > 0 { report.loss += Double(ortho) * report.ortho }
    if report.loss.isFinite && report.gradientNorm.isFinite {
      timed(.update) { update(settings, norm: report.gradientNorm) }
      timed(.usage) { countUsage() }
      state.step = settings.number
      if case .batchTopK(let batchTopK) = recipe.selection {
        state.batchThreshold = batchTopK.threshold(after: state.batchThreshold, least: leastCode())
        report.threshold = state.batchThreshold
      }
      if let budget = recipe.sublatentBudget {
        state.subThreshold = budget.threshold(
          after: state.subThreshold, count: Int(sums[6]), sum: sums[7], rows: share.batch)
        (report.subL0, report.subThreshold) = (sums[6] / count, state.subThreshold)
      }
    }
    return report
  }

  private func timed<Result>(_ phase: Phase, _ body: () -> Result) -> Result {
    let begin = ContinuousClock.now
    let result = body()
    seconds[phase.rawValue] += (ContinuousClock.now - begin) / .seconds(1)
    return result
  }

  /// Counts which latents and sublatents were active in this step. A sublatent is active if it was chosen and
  /// its code reaches the sublatents' threshold.
  private func countUsage() {
    guard let sums = ranks?.copySums else { return state.usage.count(self) }
    let a = shape.sublatents
    var counts = [Float](repeating: 0, count: shape.experts * (1 + a))
    for expert in 0..<shape.experts {
      let range = pairs(of: expert)
      counts[expert] = Float(activeCount(range))
      // Safe: if there are sublatents, both buffers have an element for each pair.
      for pair in range
      where unsafe a > 0 && pairCodes.base[pair] >= subThreshold && isActive(pair) {
        unsafe counts[shape.experts + expert * a + Int(pairSublatents.base[pair])] += 1
      }
    }
    // Safe: the buffer has `count` elements and outlives the call.
    unsafe counts.withUnsafeMutableBufferPointer { counts in
      if let base = counts.baseAddress { unsafe sums.sum(base, counts.count) }
    }
    state.usage.count(rows: share.batch, counts)
  }

  /// Sets the last activity of each latent and sublatent that is active in this step to `now`, and adds
  /// `weight` to its rate for each row it is active for.
  fileprivate func countPairs(
    weight: Float, now: Int64, _ latentLast: inout [Int64], _ latentRates: inout [Float],
    _ sublatentLast: inout [Int64], _ sublatentRates: inout [Float]
  ) {
    let a = shape.sublatents
    var last = latentLast.mutableSpan
    var rates = latentRates.mutableSpan
    var subLast = sublatentLast.mutableSpan
    var subRates = sublatentRates.mutableSpan
    let (isGated, least) = (hasThresholds, subThreshold)
    for expert in 0..<shape.experts {
      let range = pairs(of: expert)
      let count = isGated ? activeCount(range) : range.count
      if count == 0 { continue }
      last[expert] = now
      rates[expert] += weight * Float(count)
      if a == 0 { continue }
      // Safe: both buffers have an element for each pair.
      for pair in range where unsafe pairCodes.base[pair] >= least {
        if isGated, !isActive(pair) { continue }
        let place = unsafe expert * a + Int(pairSublatents.base[pair])
        subLast[place] = now
        subRates[place] += weight
      }
    }
  }
}

extension Usage {
  /// Counts the step that `engine` has just taken. It must not read `engine.state`, because this value is a
  /// part of that and is being changed.
  fileprivate mutating func count(_ engine: TrainingEngine) {
    let weight = beginBatch(rows: engine.share.batch)
    engine.countPairs(
      weight: weight, now: Int64(rows), &latentLastActive, &latentRate, &sublatentLastActive,
      &sublatentRate)
  }
}
