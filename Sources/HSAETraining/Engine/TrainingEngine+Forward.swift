// Forward: encode, sort the active pairs by expert, run the experts, rebuild the vectors.
// Accesses are in range because every buffer was sized by the same shape and batch in `init`; no two
// pieces write the same element, because an expert or a vector belongs to one piece.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAETensors

extension TrainingEngine {
  /// Centres the batch if there is a bias, and rounds it to bf16 if products want that.
  func prepareVectors() {
    let d = shape.width
    let hasBias = parameters.hasBias
    guard hasBias || precision == .bfloat16 else { return }
    unsafe parameters.bias.withUnsafePointer { bias in
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
    let sum = unsafe parameters.encoderSide.withUnsafePointer { weights in
      unsafe encoder.run(
        count: batch, vectors: vectors.base,
        vectorsBF16: precision == .bfloat16 ? UnsafePointer(vectorsBF16.base) : nil,
        encoder: weights,
        encoderBF16: precision == .bfloat16 ? UnsafePointer(encoderBF16.base) : nil)
    }
    guard encoder.mask.count > 0 else { return (sum, 0) }
    var count = 0
    for word in 0..<batch * encoder.maskWords {
      unsafe count += encoder.mask.base[word].nonzeroBitCount
    }
    return (sum, count)
  }

  /// Sorts pairs by expert, and within an expert by vector: a counting sort.
  func groupPairs() {
    let k = shape.activeExperts
    let m = shape.experts
    groupStarts.clear()
    for vector in 0..<batch {
      for slot in unsafe vector * k..<vector * k + Int(encoder.counts.base[vector]) {
        unsafe groupStarts.base[Int(encoder.experts.base[slot])] += 1
      }
    }
    var total: Int32 = 0
    for expert in 0..<m {
      let count = unsafe groupStarts.base[expert]
      unsafe groupStarts.base[expert] = total
      total += count
    }
    for vector in 0..<batch {
      for slot in unsafe vector * k..<vector * k + Int(encoder.counts.base[vector]) {
        let expert = unsafe Int(encoder.experts.base[slot])
        let place = unsafe Int(groupStarts.base[expert])
        unsafe groupStarts.base[expert] += 1
        unsafe groupVectors.base[place] = Int32(vector)
        unsafe groupSlots.base[place] = Int32(slot)
        unsafe pairValues.base[place] = encoder.values.base[slot]
      }
    }
    // Every start has moved to its expert's end, which is the next expert's start.
    for expert in stride(from: m, to: 0, by: -1) {
      unsafe groupStarts.base[expert] = groupStarts.base[expert - 1]
    }
    unsafe groupStarts.base[0] = 0
  }

  /// The pairs of one expert, as places in the sorted arrays.
  func pairs(of expert: Int) -> Range<Int> {
    unsafe Int(groupStarts.base[expert])..<Int(groupStarts.base[expert + 1])
  }

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

  /// By expert: y = Π↓ x, sublatent codes, the chosen one, v = c·D[q]. Returns Σ Σ_a |c_a|.
  func forwardExperts() -> Double {
    guard !shape.isFlat else { return 0 }
    let d = shape.width
    let s = shape.subspace
    let pieces = pieceCount(shape.experts, size: Self.expertsPerPiece)
    unsafe parameters.encoderSide.withUnsafePointer { encoderSide in
      unsafe parameters.subEncoder.withUnsafePointer { subEncoder in
        unsafe parameters.subDecoder.withUnsafePointer { subDecoder in
          parallelFor(pieces, threads: threads) { piece, worker in
            var penalty = 0.0
            for expert in pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts) {
              let range = pairs(of: expert)
              let first = range.lowerBound
              if range.isEmpty { continue }
              unsafe kernels.rows_dot(
                pairCoordinates.base + first * s,
                encoderSide + (expert * shape.rowsPerExpert + 1) * d, s, d, vectors.base, d,
                groupVectors.base + first, range.count)
              var own = unsafe subExpert(
                expert, encoder: subEncoder, decoder: subDecoder, worker: worker)
              unsafe penalty += kernels.sub_forward(
                &own, pairCoordinates.base + first * s, range.count, pairSublatents.base + first,
                pairCodes.base + first, pairSteps.base + first * s)
              for pair in range {
                let slot = unsafe Int(groupSlots.base[pair])
                for axis in 0..<s {
                  unsafe slotSteps.base[slot * s + axis] = pairSteps.base[pair * s + axis]
                }
              }
            }
            unsafe pieceSums.base[piece] = penalty
          }
        }
      }
    }
    return (0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] }
  }

  /// By vector: x̂_high and x̂_low, residuals, and the gradients with respect to both reconstructions.
  /// Returns the squared errors Σ‖x − x̂‖² and Σ‖x − x̂_high‖².
  func forwardVectors() -> (full: Double, top: Double) {
    let d = shape.width
    let k = shape.activeExperts
    let a = 2 / Float(batch)
    let b = objective.beta * a
    let pieces = pieceCount(batch, size: Self.vectorsPerPiece)
    unsafe parameters.decoderSide.withUnsafePointer { decoder in
      parallelFor(pieces, threads: threads) { piece, _ in
        unsafe pieceSums.base[2 * piece] = 0
        unsafe pieceSums.base[2 * piece + 1] = 0
        for row in pieceRange(piece, size: Self.vectorsPerPiece, count: batch) {
          unsafe kernels.combine(
            high.base + row * d, low.base + row * d, decoder, shape.rowsPerExpert, d,
            encoder.experts.base + row * k, encoder.values.base + row * k,
            slotSteps.base + row * k * shape.subspace, Int(encoder.counts.base[row]))
          unsafe kernels.residuals(
            high.base + row * d, low.base + row * d, vectors.base + row * d, a, b, d,
            pieceSums.base + 2 * piece)
        }
      }
    }
    var full = 0.0
    var top = 0.0
    for piece in 0..<pieces {
      unsafe full += pieceSums.base[2 * piece]
      unsafe top += pieceSums.base[2 * piece + 1]
    }
    return (full, top)
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
    let variance = squares - sums.reduce(0) { $0 + $1 * $1 } / Double(batch)
    // What is left of rows that are all alike is rounding.
    return variance > squares * 1e-6 ? variance : .nan
  }

  /// Σ z over active pairs at or above the threshold: the penalty's top part in scope `topk`.
  func activePenalty() -> Double {
    let total = unsafe Int(groupStarts.base[shape.experts])
    var sum = 0.0
    for pair in 0..<total where unsafe pairValues.base[pair] >= activation.threshold {
      unsafe sum += Double(pairValues.base[pair])
    }
    return sum
  }
}
