// JumpReLU in a training step (`JumpReLU` in HSAEModels has the formulas). The pairs of a step are those whose
// pre-activation lies above its threshold or within half the kernel's width below it. Pairs below their threshold
// add nothing to a reconstruction, but the gradient of the threshold counts them.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// What JumpReLU keeps of a step.
@safe
final class JumpWorkspace {
  let settings: JumpReLU
  /// ε / 2.
  let window: Float
  /// u − θ of each sorted pair.
  let excess: Buffer<Float>
  /// The number of active latents of each row, and the derivative of the weighted penalty by that number [batch].
  let rowCounts: Buffer<Int32>
  let rowSlopes: Buffer<Float>

  /// For the penalty on dead latents, and empty without it: all rows' numbers [batch]; for each worker the distances
  /// of a latent's rows from its threshold [threads × batch]; for each latent the rows below its threshold, 0 if it is
  /// not dead [m], and the gradient of e_j [m × d].
  let allRows: Buffer<Int32>
  let missing: Buffer<Float>
  let deadCounts: Buffer<Float>
  let deadGradients: Buffer<Float>

  init(_ settings: JumpReLU, pairs: Int, batch: Int, shape: DictionaryShape, threads: Int) {
    self.settings = settings
    let hasDead = settings.deadPenalty > 0
    allRows = Buffer(hasDead ? batch : 0)
    missing = Buffer(hasDead ? threads * batch : 0)
    deadCounts = Buffer(hasDead ? shape.experts : 0)
    deadGradients = Buffer(hasDead ? shape.experts * shape.width : 0)
    // Safe: the buffer has `batch` elements or none.
    for row in 0..<allRows.count { unsafe allRows.base[row] = Int32(row) }
    window = Float(settings.bandwidth / 2)
    excess = Buffer(pairs)
    rowCounts = Buffer(batch)
    rowSlopes = Buffer(batch)
  }
}

// Bounds that the proofs below use: `excess` has an element for each pair, the buffers of rows one for each row of
// the batch, and rows in `groupRows` are below `batch`.
extension TrainingEngine {
  /// Whether the code of `pair` takes part in reconstructions.
  func isActive(_ pair: Int) -> Bool {
    // Safe: `pair` is a position in the sorted arrays.
    guard let jump else { return true }
    return unsafe jump.excess.base[pair] > 0
  }

  /// The number of active pairs among `pairs`.
  func activeCount(_ pairs: Range<Int>) -> Int {
    jump == nil ? pairs.count : pairs.count { isActive($0) }
  }

  /// Notes how far the pairs from `first` on, with pre-activations `u`, exceed the threshold `theta`, and writes
  /// their codes to `z`.
  func gate(
    _ z: UnsafeMutablePointer<Float>, first: Int, count: Int, theta: Float, _ jump: JumpWorkspace
  ) {
    // Safe: callers give `count` pre-activations of the pairs from `first` on.
    for pair in 0..<count {
      let excess = unsafe z[pair] - theta
      unsafe jump.excess.base[first + pair] = excess
      if !(excess > 0) { unsafe z[pair] = 0 }
    }
  }

  /// Sets the steps v and the penalties of the pairs that are not active to 0. Their sublatents stay, for the
  /// gradient of the threshold.
  func gateSublatents(first: Int, count: Int, _ jump: JumpWorkspace) {
    // Safe: the arrays of pairs have an entry of 1 or s elements for each pair.
    let s = shape.subspace
    for pair in first..<first + count where unsafe !(jump.excess.base[pair] > 0) {
      unsafe (pairSteps.base + pair * s).update(repeating: 0, count: s)
      unsafe pairPenalties.base[pair] = 0
    }
  }

  /// Counts the active latents of every row, and computes the sparsity penalty and its derivatives.
  func measureJump(_ settings: StepSettings, report: inout StepReport) {
    // Safe: see above.
    guard let jump else { return }
    jump.rowCounts.clear()
    for pair in 0..<pairTotal where isActive(pair) {
      unsafe jump.rowCounts.base[Int(groupRows.base[pair])] += 1
    }
    let own = jump.settings
    let weight = own.sparsity * Double(settings.regularizerScale) / Double(batch)
    var penalty = 0.0
    for row in 0..<batch {
      let count = unsafe Double(jump.rowCounts.base[row])
      if let target = own.target {
        penalty += weight * 2 / target * (count - target) * (count - target)
        unsafe jump.rowSlopes.base[row] = Float(weight * 4 / target * (count - target))
      } else {
        penalty += weight * count
        unsafe jump.rowSlopes.base[row] = Float(weight)
      }
    }
    report.jumpPenalty = penalty
    let thresholds = state.parameters.thresholds.elements
    report.threshold = thresholds.reduce(0) { $0 + Double($1) } / Double(thresholds.count)
  }

  /// Adds the penalty on dead latents, c · mean over rows of Σ max(0, θ − u), to the report, and keeps its gradients.
  func penaliseDead(_ settings: StepSettings, report: inout StepReport) {
    // Safe: a worker has `batch` elements of `missing`. A piece writes its own experts' elements of `deadCounts`, rows
    // of `deadGradients` and element of `pieceSums`. Expert j's row e_j begins at j·(1 + s)·d.
    guard let jump, jump.allRows.count > 0 else { return }
    let d = shape.width
    let weight = Float(jump.settings.deadPenalty / Double(batch))
    let pieces = pieceCount(shape.experts, size: Self.expertsPerPiece)
    unsafe state.parameters.withUnsafePointers { weights in
      parallelFor(pieces, threads: threads) { piece, worker in
        let missing = unsafe jump.missing.base + worker * batch
        var sum = 0.0
        for expert in pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts) {
          unsafe jump.deadCounts.base[expert] = 0
          guard state.usage.isDead(expert, window: settings.deadWindow) else { continue }
          unsafe kernels.rows_dot(
            missing, weights.encoderSide + expert * shape.rowsPerExpert * d, 1, d, batchRows.base,
            d, jump.allRows.base, batch)
          let bias = unsafe hasEncoderBias ? weights.encoderBias[expert] : 0
          let theta = unsafe weights.thresholds[expert]
          for row in 0..<batch {
            let own = unsafe theta - (missing[row] + bias)
            if own > 0 {
              sum += Double(own)
              unsafe jump.deadCounts.base[expert] += 1
            }
            unsafe missing[row] = own > 0 ? -weight : 0
          }
          let gradient = unsafe jump.deadGradients.base + expert * d
          unsafe gradient.update(repeating: 0, count: d)
          unsafe kernels.outer(
            gradient, 1, d, missing, batchRows.base, d, jump.allRows.base, batch)
        }
        unsafe pieceSums.base[piece] = sum
      }
    }
    let sum = (0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] }
    report.jumpPenalty += jump.settings.deadPenalty * sum / Double(batch)
  }

  /// Adds the gradients of the penalty on dead latents to row e_j and θ of `expert`, if it is dead, and to `bias` [d].
  /// Returns Σ ∂L/∂u over all rows.
  func addDeadPenalty(
    _ expert: Int, _ jump: JumpWorkspace, _ gradient: MutableWeightPointers,
    _ weights: WeightPointers, bias: UnsafeMutablePointer<Float>?
  ) -> Double {
    // Safe: only the piece of `backward` that owns the expert calls this, with the bias sum of that piece.
    let count = unsafe jump.deadCounts.base[expert]
    guard count > 0 else { return 0 }
    let d = shape.width
    let block = expert * shape.rowsPerExpert * d
    let slope = count * Float(jump.settings.deadPenalty / Double(batch))
    unsafe kernels.axpy(gradient.encoderSide + block, jump.deadGradients.base + expert * d, 1, d)
    unsafe gradient.thresholds[expert] += slope
    if let bias = unsafe bias { unsafe kernels.axpy(bias, weights.encoderSide + block, slope, d) }
    return Double(-slope)
  }

  /// The gradient of θ over the pairs `pairs` of one expert, given ∂L/∂z without the gate. Then the gate closes:
  /// the gradients of pairs that are not active become 0. `subDecoder` are the expert's sub-decoder rows [a × s].
  func thresholdGradient(
    _ pairs: Range<Int>, theta: Float, subDecoder: UnsafePointer<Float>, _ jump: JumpWorkspace
  ) -> Double {
    // Safe: `pairs` lies within the arrays of pairs, whose entries have 1 or s elements; sublatents are below a.
    let s = shape.subspace
    var sum = 0.0
    for pair in pairs {
      let excess = unsafe jump.excess.base[pair]
      let dz = unsafe pairValueGradients.base[pair]
      let dv = unsafe pairStepGradients.base + pair * s
      if abs(excess) < jump.window {
        var slope = unsafe theta * dz + jump.rowSlopes.base[Int(groupRows.base[pair])]
        if s > 0 {
          let row = unsafe subDecoder + Int(pairSublatents.base[pair]) * s
          var along: Float = 0
          for axis in 0..<s { unsafe along += row[axis] * dv[axis] }
          unsafe slope += pairCodes.base[pair] * along
        }
        sum += Double(slope)
      }
      if excess > 0 { continue }
      unsafe pairValueGradients.base[pair] = 0
      unsafe dv.update(repeating: 0, count: s)
    }
    return -sum / jump.settings.bandwidth
  }
}
