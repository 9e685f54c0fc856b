// The update of a step, in one pass over weights, gradients and moments: clipping factor, Adam, unit norms of
// both decoders, and the bf16 copies that the next step's products read.

internal import CHSAEKernels
internal import Foundation
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

extension TrainingEngine {
  /// Clips the gradient to the largest global norm, takes the Adam step and renormalises the decoders.
  func update(_ settings: StepSettings, norm: Double) {
    // Safe: gradients and moments have the sizes of the weights. A piece writes the rows of its own experts;
    // expert j's rows begin at j·(1 + s)·d, its sublatents at j·a·s.
    let d = shape.width
    let s = shape.subspace
    let clip =
      settings.clip > 0 && norm > Double(settings.clip)
      ? Float(Double(settings.clip) / norm) : 1
    // p −= lr · m̂ / (√v̂ + ε), with the bias corrections of m̂ and v̂ folded into rate and epsilon.
    let first = 1 - pow(Double(Adam.beta1), Double(settings.number))
    let second = (1 - pow(Double(Adam.beta2), Double(settings.number))).squareRoot()
    let rate = Float(Double(settings.learningRate) * second / first)
    let epsilon = Float(Double(Adam.epsilon) * second)

    let adam = AdamStep(
      number: settings.number, clip: clip, rate: rate, epsilon: epsilon)
    let moments = state.moments
    let vectors = recipe.vectors
    let side = shape.rowsPerExpert * d
    let sub = shape.sublatents * s
    unsafe state.parameters.withUnsafeMutablePointers { p in
      unsafe gradients.withUnsafePointers { g in
        parallelFor(
          pieceCount(shape.experts, size: Self.expertsPerPiece), threads: threads
        ) { piece, _ in
          // Whole pieces are long runs of memory, which the processor prefetches.
          let experts = pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts)
          let rows = experts.lowerBound * side..<experts.upperBound * side
          let codes = experts.lowerBound * sub..<experts.upperBound * sub
          unsafe moments.step(adam, .encoderSide, rows, p.encoderSide, g.encoderSide)
          unsafe moments.step(adam, .decoderSide, rows, p.decoderSide, g.decoderSide)
          unsafe moments.step(adam, .subEncoder, codes, p.subEncoder, g.subEncoder)
          unsafe moments.step(adam, .subDecoder, codes, p.subDecoder, g.subDecoder)
          if vectors.contains(.encoderBias) {
            unsafe moments.step(adam, .encoderBias, experts, p.encoderBias, g.encoderBias)
          }
          if vectors.contains(.thresholds) {
            unsafe moments.step(adam, .thresholds, experts, p.thresholds, g.thresholds)
            for expert in experts { unsafe p.thresholds[expert] = max(0, p.thresholds[expert]) }
          }
          if recipe.frozen == .decoder {
            for expert in experts { unsafe copyExpert(expert, p.reading) }
            return
          }
          for expert in experts {
            unsafe renormalise(p.decoderSide + expert * side, d)
            if firstDecoder.count > 0 { unsafe boundTurn(p.decoderSide + expert * side, expert) }
            for sublatent in expert * shape.sublatents..<(expert + 1) * shape.sublatents {
              unsafe renormalise(p.subDecoder + sublatent * s, s)
            }
            unsafe copyExpert(expert, p.reading)
          }
        }
      }
    }
    guard state.parameters.hasBias else { return }
    unsafe state.parameters.bias.withUnsafeMutablePointer { p in
      unsafe gradients.bias.withUnsafePointer { g in
        unsafe moments.step(adam, .bias, 0..<d, p, g)
      }
    }
  }

  /// Scales the `width` elements at `row` to unit norm; leaves zeros alone.
  private func renormalise(_ row: UnsafeMutablePointer<Float>, _ width: Int) {
    // Safe: callers give a whole row of the weights that their piece owns.
    let norm = unsafe kernels.sum_squares(row, width).squareRoot()
    if norm > 0 { unsafe kernels.scale(row, row, Float(1 / norm), width) }
  }

  /// Moves the unit row `row` of `expert` to the nearest unit vector whose cosine with the expert's first decoder row
  /// is the recipe's `decoderCosine`, if it is below that.
  private func boundTurn(_ row: UnsafeMutablePointer<Float>, _ expert: Int) {
    // Safe: callers give a decoder row of their piece; `firstDecoder` has a row for each expert.
    guard let least = recipe.decoderCosine.map(Float.init) else { return }
    let d = shape.width
    let first = unsafe firstDecoder.base + expert * d
    let cosine = unsafe kernels.dot(row, first, d)
    guard cosine < least else { return }
    unsafe kernels.axpy(row, first, -cosine, d)
    let norm = unsafe kernels.sum_squares(row, d).squareRoot()
    guard norm > 1e-6 else {
      unsafe row.update(from: first, count: d)
      return
    }
    unsafe kernels.scale(row, row, (1 - least * least).squareRoot() / Float(norm), d)
    unsafe kernels.axpy(row, first, least, d)
  }

  /// Fills `firstDecoder` with the decoder rows that the recipe's seed gives a new dictionary.
  func fillFirstDecoder() {
    // Safe: `firstDecoder` has a row of d elements for each expert.
    let d = shape.width
    let initial = Parameters.initial(
      shape: shape, seed: recipe.seed, firstExpert: share.experts.lowerBound)
    unsafe initial.decoderSide.withUnsafePointer { rows in
      for expert in 0..<shape.experts {
        unsafe (firstDecoder.base + expert * d).update(
          from: rows + expert * shape.rowsPerExpert * d, count: d)
      }
    }
  }

  /// Updates the bf16 copies of one expert's e_j and d_j, and Σ e⁴.
  private func copyExpert(_ expert: Int, _ p: WeightPointers) {
    // Safe: the copies have m rows of d elements if they are not empty, and only one piece has this expert.
    let d = shape.width
    let block = expert * shape.rowsPerExpert * d
    if encoderBF16.count > 0 {
      unsafe kernels.to_bfloat16(encoderBF16.base + expert * d, p.encoderSide + block, d)
      unsafe encoderFourthPowers.base[expert] = kernels.fourth_powers(p.encoderSide + block, d)
    }
    if decoderBF16.count > 0 {
      unsafe kernels.to_bfloat16(decoderBF16.base + expert * d, p.decoderSide + block, d)
    }
  }

  /// Makes the bf16 copies agree with the weights, after `init` and after the weights were replaced.
  func refreshCopies() {
    // Safe: experts are below m, and one thread runs this.
    unsafe state.parameters.withUnsafePointers { weights in
      for expert in 0..<shape.experts { unsafe copyExpert(expert, weights) }
    }
  }
}
