// Forward: encode, sort the active pairs by expert, run the experts, rebuild the vectors.
// Accesses are in range because every buffer was sized by the same shape and batch in `init`; no two
// pieces write the same element, because an expert or a vector belongs to one piece.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

extension TrainingEngine {
  /// Centres the batch if there is a bias, and rounds it to bf16 if products want that.
  func prepareVectors() {
    let d = shape.width
    let hasBias = state.parameters.hasBias
    guard hasBias || precision == .bfloat16 else { return }
    unsafe state.parameters.bias.withUnsafePointer { bias in
      parallelFor(pieceCount(batch, size: Self.vectorsPerPiece), threads: threads) { piece, _ in
        let rows = pieceRange(piece, size: Self.vectorsPerPiece, count: batch)
        if hasBias {
          for row in rows { unsafe kernels.axpy(vectors.base + row * d, bias, -1, d) }
        }
        if precision == .bfloat16 {
          let start = rows.lowerBound * d
          unsafe kernels.to_bfloat16(vectorsBF16.base + start, vectors.base + start, rows.count * d)
        }
      }
    }
  }

  /// Active experts of every vector, and the threshold masks. Returns Σ u and the number of pairs at
  /// or above the threshold, where masks are kept.
  func encode() -> (sum: Double, count: Int) {
    var largest: Float = 0
    for expert in 0..<encoderFourthPowers.count {
      largest = unsafe max(largest, encoderFourthPowers.base[expert])
    }
    if ranks != nil, precision == .bfloat16 { largest = share.dictionary.max(largest) }
    let sum = unsafe state.parameters.encoderSide.withUnsafePointer { weights in
      unsafe encoder.run(
        count: batch, vectors: vectors.base,
        vectorsBF16: precision == .bfloat16 ? UnsafePointer(vectorsBF16.base) : nil,
        encoder: weights,
        encoderBF16: precision == .bfloat16 ? UnsafePointer(encoderBF16.base) : nil,
        encoderSpread: largest.squareRoot().squareRoot())
    }
    ranks?.choose(self)
    guard encoder.mask.count > 0 else { return (sum, 0) }
    let pieces = pieceCount(batch, size: Self.vectorsPerPiece)
    parallelFor(pieces, threads: threads) { piece, _ in
      let rows = pieceRange(piece, size: Self.vectorsPerPiece, count: batch)
      var set = 0
      for word in rows.lowerBound * encoder.maskWords..<rows.upperBound * encoder.maskWords {
        unsafe set += encoder.mask.base[word].nonzeroBitCount
      }
      unsafe pieceSums.base[piece] = Double(set)
    }
    let count = (0..<pieces).reduce(0) { unsafe $0 + Int(pieceSums.base[$1]) }
    return (sum, count)
  }

  /// Sorts pairs by expert, and within an expert by vector: a counting sort, a chunk of the batch a
  /// piece.
  func groupPairs() {
    let m = shape.experts
    let chunks = chunkCount
    groupCursors.clear()
    parallelFor(chunks, threads: threads) { chunk, _ in
      let cursors = unsafe groupCursors.base + chunk * m
      for vector in pieceRange(chunk, size: chunkVectors, count: batch) {
        for slot in encoder.slots(of: vector) {
          unsafe cursors[Int(encoder.experts.base[slot])] += 1
        }
      }
    }
    var total: Int32 = 0
    for expert in 0..<m {
      for chunk in 0..<chunks {
        let count = unsafe groupCursors.base[chunk * m + expert]
        unsafe groupCursors.base[chunk * m + expert] = total
        unsafe groupStarts.base[expert * chunks + chunk] = total
        total += count
      }
    }
    unsafe groupStarts.base[m * chunks] = total
    parallelFor(chunks, threads: threads) { chunk, _ in
      let cursors = unsafe groupCursors.base + chunk * m
      for vector in pieceRange(chunk, size: chunkVectors, count: batch) {
        for slot in encoder.slots(of: vector) {
          let expert = unsafe Int(encoder.experts.base[slot])
          unsafe groupVectors.base[Int(cursors[expert])] = Int32(vector)
          unsafe cursors[expert] += 1
        }
      }
    }
  }

  /// The pairs of one expert, as places in the sorted arrays.
  func pairs(of expert: Int) -> Range<Int> {
    let first = expert * chunkCount
    return unsafe Int(groupStarts.base[first])..<Int(groupStarts.base[first + chunkCount])
  }

  /// Number of pairs.
  var pairTotal: Int { unsafe Int(groupStarts.base[shape.experts * chunkCount]) }

  /// The sub-dictionary of `expert`, for a kernel.
  func subExpert(
    _ expert: Int, encoder: UnsafePointer<Float>, decoder: UnsafePointer<Float>, worker: Int
  ) -> hsae_sub_expert {
    let block = expert * shape.sublatents * shape.subspace
    return unsafe hsae_sub_expert(
      subspace: shape.subspace, sublatents: shape.sublatents, threshold: activation.subThreshold,
      slope: activation.subSlope, encoder: encoder + block, decoder: decoder + block,
      scratch: subScratch.base + worker * subScratchCount)
  }

  /// z, subspace coordinates and sublatents of all pairs, both reconstructions, residuals, and the
  /// gradients with respect to the reconstructions. Returns the squared errors Σ‖x − x̂‖² and
  /// Σ‖x − x̂_high‖², and Σ Σ_a |c_a|.
  ///
  /// A piece is a chunk of the batch: it visits the experts in order, and each adds itself to the
  /// reconstructions of its vectors in the chunk, so a weight is read once a chunk and a vector's
  /// sums do not depend on how the batch was cut.
  func forward() -> (full: Double, top: Double, subPenalty: Double) {
    unsafe state.parameters.encoderSide.withUnsafePointer { encoderSide in
      unsafe state.parameters.decoderSide.withUnsafePointer { decoderSide in
        unsafe state.parameters.subEncoder.withUnsafePointer { subEncoder in
          unsafe state.parameters.subDecoder.withUnsafePointer { subDecoder in
            parallelFor(chunkCount, threads: threads) { chunk, worker in
              let d = shape.width
              let rows = pieceRange(chunk, size: chunkVectors, count: batch)
              unsafe (high.base + rows.lowerBound * d).update(repeating: 0, count: rows.count * d)
              unsafe (low.base + rows.lowerBound * d).update(repeating: 0, count: rows.count * d)
              unsafe visitExperts(of: chunk, fetching: encoderSide) { expert, rows, pairs in
                let own = unsafe subExpert(
                  expert, encoder: subEncoder, decoder: subDecoder, worker: worker)
                unsafe readExpert(pairs, rows, own)
              }
              unsafe visitExperts(of: chunk, fetching: decoderSide) { _, rows, pairs in
                let first = pairs.lowerBound
                unsafe kernels.spread(
                  high.base, low.base, rows, shape.rowsPerExpert, d, pairValues.base + first,
                  pairSteps.base + first * shape.subspace, groupVectors.base + first, pairs.count)
              }
              if ranks == nil { residuals(rows) }
            }
          }
        }
      }
    }
    ranks?.reconstruct(self)
    var full = 0.0
    var top = 0.0
    for piece in ownPieces {
      unsafe full += pieceSums.base[2 * piece]
      unsafe top += pieceSums.base[2 * piece + 1]
    }
    var penalty = 0.0
    if !shape.isFlat {
      for pair in 0..<pairTotal { unsafe penalty += Double(pairPenalties.base[pair]) }
    }
    return (full, top, penalty)
  }

  /// Calls `body` for every expert that vectors of a chunk chose, with its rows of `side` and its
  /// pairs, while the rows of an expert two places on are fetched.
  private func visitExperts(
    of chunk: Int, fetching side: UnsafePointer<Float>,
    _ body: (_ expert: Int, _ rows: UnsafePointer<Float>, _ pairs: Range<Int>) -> Void
  ) {
    let block = shape.rowsPerExpert * shape.width
    func pairs(_ expert: Int) -> Range<Int> {
      let place = expert * chunkCount + chunk
      return unsafe Int(groupStarts.base[place])..<Int(groupStarts.base[place + 1])
    }
    for expert in 0..<shape.experts {
      if expert + 2 < shape.experts, !pairs(expert + 2).isEmpty {
        unsafe kernels.fetch(side + (expert + 2) * block, block * MemoryLayout<Float>.stride)
      }
      let own = pairs(expert)
      if !own.isEmpty { unsafe body(expert, side + expert * block, own) }
    }
  }

  /// One expert's encoder side for some of its pairs: e_j and Π↓_j give z and y, and the
  /// sub-dictionary q, c and v = c·D[q].
  private func readExpert(
    _ pairs: Range<Int>, _ encoder: UnsafePointer<Float>, _ subDictionary: hsae_sub_expert
  ) {
    let d = shape.width
    let s = shape.subspace
    let first = pairs.lowerBound
    let z = unsafe pairValues.base + first
    let dots = unsafe pairCoefficients.base + first * (1 + s)
    unsafe kernels.rows_dot(
      dots, encoder, 1 + s, d, vectors.base, d, groupVectors.base + first, pairs.count)
    for pair in 0..<pairs.count {
      let u = unsafe dots[pair * (1 + s)]
      unsafe z[pair] = activation.code(u)
      for axis in 0..<s {
        unsafe pairCoordinates.base[(first + pair) * s + axis] = dots[pair * (1 + s) + 1 + axis]
      }
    }
    if s > 0 {
      var subDictionary = unsafe subDictionary
      unsafe kernels.sub_forward(
        &subDictionary, pairCoordinates.base + first * s, pairs.count, pairSublatents.base + first,
        pairCodes.base + first, pairSteps.base + first * s, pairPenalties.base + first)
    }
  }

  /// Residuals of `rows`, whole pieces, and what is left of the reconstructions' buffers then: the
  /// gradients with respect to x̂ and x̂_high, with their bf16 copies.
  func residuals(_ rows: Range<Int>) {
    let d = shape.width
    let a = 2 / Float(share.batch)
    let b = objective.beta * a
    let size = Self.vectorsPerPiece
    for piece in rows.lowerBound / size..<pieceCount(rows.upperBound, size: size) {
      unsafe pieceSums.base[2 * piece] = 0
      unsafe pieceSums.base[2 * piece + 1] = 0
      for row in pieceRange(piece, size: size, count: batch) {
        unsafe kernels.residuals(
          high.base + row * d, low.base + row * d, vectors.base + row * d, a, b, d,
          pieceSums.base + 2 * piece)
        if highBF16.count > 0 {
          unsafe kernels.to_bfloat16(highBF16.base + row * d, high.base + row * d, d)
        }
        if lowBF16.count > 0 {
          unsafe kernels.to_bfloat16(lowBF16.base + row * d, low.base + row * d, d)
        }
      }
    }
  }

  /// The vectors whose reconstructions this engine completes: all, where it is alone.
  var ownRows: Range<Int> { ranks?.ownRows ?? 0..<batch }

  /// The pieces they make up.
  var ownPieces: Range<Int> {
    let rows = ownRows
    if rows.isEmpty { return 0..<0 }
    let size = Self.vectorsPerPiece
    return rows.lowerBound / size..<pieceCount(rows.upperBound, size: size)
  }

  /// Σ‖x − x̄‖² of the batch, x̄ its mean; NaN if its rows do not differ.
  func totalVariance() -> Double {
    let d = shape.width
    var squares = 0.0
    var sums = [Double](repeating: 0, count: d)
    for row in 0..<batch {
      let x = unsafe vectors.base + row * d
      unsafe squares += kernels.sum_squares(x, d)
      for column in 0..<d { unsafe sums[column] += Double(x[column]) }
    }
    if ranks != nil {
      squares = share.copies.sum(squares)
      share.copies.sum(&sums)
    }
    let variance = squares - sums.reduce(0) { $0 + $1 * $1 } / Double(share.batch)
    // What is left of rows that are all alike is rounding.
    return variance > squares * 1e-6 ? variance : .nan
  }

  /// Σ z over active pairs at or above the threshold: the penalty's top part in scope `topk`.
  func activePenalty() -> Double {
    var sum = 0.0
    for pair in 0..<pairTotal where unsafe activation.reaches(pairValues.base[pair]) {
      unsafe sum += Double(pairValues.base[pair])
    }
    return sum
  }
}
