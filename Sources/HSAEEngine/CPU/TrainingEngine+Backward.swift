// The backward pass, written by hand, expert by expert: from the gradients with respect to x̂ and x̂_high to
// the gradients of every weight that the expert owns. It projects them (`docs/method.md`, "Step", item 2) and
// measures their norm for clipping. An expert that no row chose still has the gradients of orthogonality,
// penalty and auxiliary loss.
//
// Bounds that the proofs in this file use. An expert belongs to one piece, and that piece alone writes the
// expert's rows of the gradient and the entries of its pairs. Expert j's rows begin at j·(1 + s)·d in both
// sides, its sublatents at j·a·s. The arrays of pairs have an entry of 1, s or 1 + s elements for each pair,
// and rows in `groupRows` are below `batch`.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

extension TrainingEngine {
  /// Computes all gradients. Returns the square of their global norm.
  ///
  /// - Parameters:
  ///   - l1: the penalty's weight for one pair, λ₂ / B.
  ///   - orthoScale: the factor of the diagonal part of eq. 3.4's gradient.
  ///   - orthoDone: whether row d_j of the gradient already holds the part of orthogonality. Row e_j is
  ///     initialised either way.
  ///   - hasAuxiliary: whether the auxiliary loss has gradients to add.
  func backward(l1: Float, orthoScale: Float, orthoDone: Bool, auxiliary hasAuxiliary: Bool)
    -> Double
  {
    // Safe: a piece writes its own experts' gradients, its own d elements of `biasPieces` and its own element
    // of `pieceSums`; `init` sized both for at least this many pieces.
    let pieces = pieceCount(shape.experts, size: Self.expertsPerPiece)
    let d = shape.width
    let hasBias = state.parameters.hasBias
    let hasVectors = !recipe.vectors.isEmpty
    unsafe state.parameters.withUnsafePointers { weights in
      unsafe gradients.withUnsafeMutablePointers { gradient in
        parallelFor(pieces, threads: threads) { piece, worker in
          var squares = 0.0
          let biasPart = unsafe hasBias ? biasPieces.base + piece * d : nil
          unsafe biasPart?.update(repeating: 0, count: d)
          for expert in pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts) {
            unsafe clearExpert(expert, gradient, keepsDecoder: orthoDone)
            unsafe backwardPairs(expert, weights, gradient, l1: l1, worker: worker)
            var slope = 0.0
            if hasVectors { slope = preActivationGradient(expert, l1: l1) }
            if let biasPart = unsafe biasPart {
              unsafe biasGradient(expert, weights, slope, into: biasPart)
            }
            if hasAuxiliary {
              unsafe slope += addAuxiliary(expert, gradient, weights, bias: biasPart)
            }
            if let jump, jump.allRows.count > 0 {
              unsafe slope += addDeadPenalty(expert, jump, gradient, weights, bias: biasPart)
            }
            if hasEncoderBias { unsafe gradient.encoderBias[expert] = Float(slope) }
            unsafe squares += finishExpert(expert, weights, gradient, orthoScale: orthoScale)
          }
          unsafe pieceSums.base[piece] = squares
        }
      }
    }
    var total = (0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] }
    if ranks != nil { total = sumGradients(total) }
    if hasBias { total += finishBias(pieces: pieces) }
    return total
  }

  /// Sets the gradients of one expert to zero, except row e_j and, with `keepsDecoder`, row d_j.
  private func clearExpert(_ expert: Int, _ gradient: MutableWeightPointers, keepsDecoder: Bool) {
    // Safe: each side has 1 + s rows of d elements for the expert, each sub-dictionary a rows of s.
    let d = shape.width
    let block = expert * shape.rowsPerExpert * d
    let kept = keepsDecoder ? d : 0
    unsafe (gradient.encoderSide + block + d).update(repeating: 0, count: shape.subspace * d)
    unsafe (gradient.decoderSide + block + kept).update(
      repeating: 0, count: shape.rowsPerExpert * d - kept)
    let sub = shape.sublatents * shape.subspace
    unsafe (gradient.subEncoder + expert * sub).update(repeating: 0, count: sub)
    unsafe (gradient.subDecoder + expert * sub).update(repeating: 0, count: sub)
    if hasThresholds { unsafe gradient.thresholds[expert] = 0 }
  }

  /// Adds the gradients of one expert's pairs, in blocks whose rows and gradients stay in cache between the
  /// two readings. A sum adds its terms in the order of pairs, whatever the size of a block.
  private func backwardPairs(
    _ expert: Int, _ weights: WeightPointers, _ gradient: MutableWeightPointers, l1: Float,
    worker: Int
  ) {
    // Safe: each block lies within the expert's pairs.
    let all = pairs(of: expert)
    guard !all.isEmpty else { return }
    let level = levelOffset(of: expert)
    var first = all.lowerBound
    while first < all.upperBound {
      let block = first..<min(all.upperBound, first + Self.pairsPerBlock)
      unsafe backwardBlock(block, of: expert, level, weights, gradient, l1: l1, worker: worker)
      first = block.upperBound
    }
  }

  /// The part of `backwardPairs` for the pairs `range`; `level` is where the gradients of the expert's level begin.
  private func backwardBlock(
    _ range: Range<Int>, of expert: Int, _ level: Int, _ weights: WeightPointers,
    _ gradient: MutableWeightPointers, l1: Float, worker: Int
  ) {
    // Safe: `range` lies within this expert's pairs, and all that is written belongs to the expert or to
    // those pairs. In a flat dictionary s is 0, and the function returns before it uses the arrays that are
    // empty then.
    let d = shape.width
    let s = shape.subspace
    let first = range.lowerBound
    let count = range.count
    let block = expert * shape.rowsPerExpert * d
    let own = unsafe groupRows.base + first
    let dz = unsafe pairValueGradients.base + first
    let z = unsafe pairValues.base + first

    // ∂L/∂z = (g + g_high)·d_j, plus the penalty in scope `topk`.
    unsafe products(dz, weights.decoderSide + block, 1, .high, level, own, count)
    let penalisesActive = objective.l1 > 0 && objective.l1Scope == .topK
    for pair in 0..<count {
      let above = unsafe activation.reaches(z[pair])
      if penalisesActive && above { unsafe dz[pair] += l1 }
      if !above { unsafe dz[pair] *= activation.slope }
    }
    let dv = unsafe pairStepGradients.base + first * s
    let sub = expert * shape.sublatents * s
    if s > 0 { unsafe products(dv, weights.decoderSide + block + d, s, .low, level, own, count) }
    if hasThresholds, let jump {
      unsafe gradient.thresholds[expert] += Float(
        thresholdGradient(
          range, theta: weights.thresholds[expert], subDecoder: weights.subDecoder + sub, jump))
    }
    guard s > 0 else {
      unsafe outer(gradient.decoderSide + block, 1, z, .high, level, own, count)
      unsafe outer(gradient.encoderSide + block, 1, dz, .inputs, 0, own, count)
      return
    }

    // ∂L/∂v = Π↑ g, then through the sub-dictionary to ∂L/∂y.
    let dy = unsafe pairCoordinateGradients.base + first * s
    unsafe fetchRows(own, count)
    unsafe outer(gradient.decoderSide + block, 1, z, .high, level, own, count)
    unsafe outer(
      gradient.decoderSide + block + d, s, pairSteps.base + first * s, .low, level, own, count)
    var subDictionary = unsafe subExpert(
      expert, encoder: weights.subEncoder, decoder: weights.subDecoder, worker: worker)
    unsafe kernels.sub_backward(
      &subDictionary, pairCoordinates.base + first * s, dv, pairSublatents.base + first,
      pairCodes.base + first, count, l1, gradient.subEncoder + sub, gradient.subDecoder + sub, dy)

    // Encoder side: e_j and Π↓_j in one pass over the expert's rows.
    let coefficients = unsafe pairCoefficients.base + first * (1 + s)
    for pair in 0..<count {
      unsafe coefficients[pair * (1 + s)] = dz[pair]
      for axis in 0..<s { unsafe coefficients[pair * (1 + s) + 1 + axis] = dy[pair * s + axis] }
    }
    unsafe outer(gradient.encoderSide + block, 1 + s, coefficients, .inputs, 0, own, count)
  }

  /// The rows that the backward pass reads: x, ∂L/∂x̂ + ∂L/∂x̂_high, and ∂L/∂x̂. In bf16 precision it reads
  /// bf16 copies, which are half as large; sums are fp32.
  private enum Rows { case inputs, high, low }

  private func copies(_ rows: Rows) -> Buffer<UInt16> {
    switch rows {
    case .inputs: batchRowsBF16
    case .high: highBF16
    case .low: lowBF16
    }
  }

  private func originals(_ rows: Rows) -> Buffer<Float> {
    switch rows {
    case .inputs: batchRows
    case .high: high
    case .low: low
    }
  }

  /// out[t·count + r] = weights[r] · row own[t] of `rows`, which begin at `offset`.
  private func products(
    _ out: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, _ count: Int, _ rows: Rows,
    _ offset: Int, _ own: UnsafePointer<Int32>, _ pairs: Int
  ) {
    // Safe: callers give `count` rows of weights and room for pairs · count products; the rows `own` are
    // below `batch`.
    let d = shape.width
    if precision == .bfloat16 {
      unsafe kernels.rows_dot_bfloat16(
        out, weights, count, d, copies(rows).base + offset, d, own, pairs)
    } else {
      unsafe kernels.rows_dot(
        out, weights, count, d, originals(rows).base + offset, d, own, pairs)
    }
  }

  /// gradient[r] += Σ_t coefficients[t·count + r] · row own[t] of `rows`, which begin at `offset`.
  private func outer(
    _ gradient: UnsafeMutablePointer<Float>, _ count: Int, _ coefficients: UnsafePointer<Float>,
    _ rows: Rows, _ offset: Int, _ own: UnsafePointer<Int32>, _ pairs: Int
  ) {
    // Safe: callers give `count` gradient rows of their own expert and pairs · count coefficients; the rows
    // `own` are below `batch`.
    let d = shape.width
    if precision == .bfloat16 {
      unsafe kernels.outer_bfloat16(
        gradient, count, d, coefficients, copies(rows).base + offset, d, own, pairs)
    } else {
      unsafe kernels.outer(
        gradient, count, d, coefficients, originals(rows).base + offset, d, own, pairs)
    }
  }

  /// Prefetches the rows of x that the last part of a block reads.
  private func fetchRows(_ own: UnsafePointer<Int32>, _ count: Int) {
    // Safe: the rows `own` are below `batch`.
    let d = shape.width
    for pair in 0..<count {
      let row = unsafe Int(own[pair])
      if precision == .bfloat16 {
        unsafe kernels.fetch(batchRowsBF16.base + row * d, 2 * d)
      } else {
        unsafe kernels.fetch(batchRows.base + row * d, 4 * d)
      }
    }
  }

  /// Σ ∂L/∂u over all rows, without the auxiliary loss: the gradient of the expert's encoder bias.
  private func preActivationGradient(_ expert: Int, l1: Float) -> Double {
    // Safe: the pairs are this expert's, and `counts` has m elements where there is a bias.
    var value = 0.0
    for pair in pairs(of: expert) { unsafe value += Double(pairValueGradients.base[pair]) }
    if penalisesAll, let penalty, l1 > 0 {
      unsafe value += Double(l1) * Double(penalty.counts.base[expert])
    }
    return value
  }

  /// Adds −Σ ∂L/∂(x − b) over this expert's pairs to `part` [d]: the encoder's part of the bias gradient. `value` is
  /// Σ ∂L/∂u.
  private func biasGradient(
    _ expert: Int, _ weights: WeightPointers, _ value: Double,
    into part: UnsafeMutablePointer<Float>
  ) {
    // Safe: the pairs are this expert's, and `part` belongs to the piece.
    let d = shape.width
    let s = shape.subspace
    let block = expert * shape.rowsPerExpert * d
    unsafe kernels.axpy(part, weights.encoderSide + block, Float(-value), d)
    for axis in 0..<s {
      var sum = 0.0
      for pair in pairs(of: expert) {
        unsafe sum += Double(pairCoordinateGradients.base[pair * s + axis])
      }
      unsafe kernels.axpy(part, weights.encoderSide + block + (1 + axis) * d, Float(-sum), d)
    }
  }

  /// Adds the diagonal part of orthogonality, projects the decoder gradients onto the tangents of the unit
  /// sphere, and returns the squared norm of the expert's gradient.
  private func finishExpert(
    _ expert: Int, _ weights: WeightPointers, _ gradient: MutableWeightPointers, orthoScale: Float
  ) -> Double {
    // Safe: only this expert's rows are read and written.
    let d = shape.width
    let s = shape.subspace
    let block = expert * shape.rowsPerExpert * d
    let e = unsafe weights.encoderSide + block
    let direction = unsafe weights.decoderSide + block
    if orthoScale != 0 {
      let diagonal = unsafe orthoScale * kernels.dot(e, direction, d)
      unsafe kernels.axpy(gradient.encoderSide + block, direction, -diagonal, d)
      unsafe kernels.axpy(gradient.decoderSide + block, e, -diagonal, d)
    }
    let along = unsafe kernels.dot(gradient.decoderSide + block, direction, d)
    unsafe kernels.axpy(gradient.decoderSide + block, direction, -along, d)
    for sublatent in expert * shape.sublatents..<(expert + 1) * shape.sublatents {
      let row = unsafe weights.subDecoder + sublatent * s
      let own = unsafe gradient.subDecoder + sublatent * s
      var along: Float = 0
      for axis in 0..<s { unsafe along += own[axis] * row[axis] }
      for axis in 0..<s { unsafe own[axis] -= along * row[axis] }
    }
    if let frozen = recipe.frozen { unsafe freeze(frozen, expert, gradient) }
    return unsafe squaredNorm(expert, gradient)
  }

  /// Sets the gradients of what is not trained to 0, so that Adam leaves the weights where they are.
  private func freeze(_ part: FrozenPart, _ expert: Int, _ gradient: MutableWeightPointers) {
    // Safe: only this expert's rows are written.
    let side = shape.rowsPerExpert * shape.width
    let sub = shape.sublatents * shape.subspace
    let (rows, codes) =
      unsafe part == .decoder
      ? (gradient.decoderSide, gradient.subDecoder) : (gradient.encoderSide, gradient.subEncoder)
    unsafe (rows + expert * side).update(repeating: 0, count: side)
    unsafe (codes + expert * sub).update(repeating: 0, count: sub)
  }

  /// The squared norm of one expert's gradient.
  func squaredNorm(_ expert: Int, _ gradient: MutableWeightPointers) -> Double {
    // Safe: the expert has (1 + s)·d elements of each side and a·s of each sub-dictionary.
    let sub = shape.sublatents * shape.subspace
    let side = shape.rowsPerExpert * shape.width
    var vectors = 0.0
    if hasEncoderBias {
      let own = unsafe Double(gradient.encoderBias[expert])
      vectors += own * own
    }
    if hasThresholds {
      let own = unsafe Double(gradient.thresholds[expert])
      vectors += own * own
    }
    return unsafe vectors + kernels.sum_squares(gradient.encoderSide + expert * side, side)
      + kernels.sum_squares(gradient.decoderSide + expert * side, side)
      + kernels.sum_squares(gradient.subEncoder + expert * sub, sub)
      + kernels.sum_squares(gradient.subDecoder + expert * sub, sub)
  }

  /// Computes the bias gradient: Σ (g + g_high) from the reconstructions plus the encoder's part. Returns its
  /// squared norm.
  private func finishBias(pieces: Int) -> Double {
    // Safe: a block of columns belongs to one thread, which uses its worker's 64 sums and writes those
    // columns of the bias. `high` has `batch` rows, `biasPieces` a row of d elements for each piece.
    let d = shape.width
    let columns = 64
    let rows = ownRows
    unsafe gradients.bias.withUnsafeMutablePointer { bias in
      parallelFor(pieceCount(d, size: columns), threads: threads) { block, worker in
        let own = pieceRange(block, size: columns, count: d)
        let sums = unsafe biasSums.base + worker * columns
        unsafe sums.update(repeating: 0, count: columns)
        for row in rows {
          let part = unsafe high.base + row * d + own.lowerBound
          for column in 0..<own.count { unsafe sums[column] += Double(part[column]) }
        }
        for piece in 0..<pieces {
          let part = unsafe biasPieces.base + piece * d + own.lowerBound
          for column in 0..<own.count { unsafe sums[column] += Double(part[column]) }
        }
        for column in 0..<own.count { unsafe bias[own.lowerBound + column] = Float(sums[column]) }
      }
    }
    if ranks != nil {
      var sums = (0..<d).map { Double(gradients.bias[0, $0]) }
      share.world.sum(&sums)
      for column in 0..<d { gradients.bias[0, column] = Float(sums[column]) }
    }
    return (0..<d).reduce(0) { $0 + Double(gradients.bias[0, $1]) * Double(gradients.bias[0, $1]) }
  }
}
