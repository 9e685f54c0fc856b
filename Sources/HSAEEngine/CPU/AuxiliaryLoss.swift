// AuxK (Gao et al.; `docs/method.md`, "Flat baseline"): dead latents try to explain the part of the rows that
// the dictionary left over. Their weights are copied into compact matrices, so the cost grows with the number
// of dead latents and is zero if there are none.
//
//   e = x − x̂, in the plain inner product and without gradient;  ê = Σ over the k_aux largest positive u of dead latents of u d_j
//   L_aux = mean ‖e − ê‖² / mean ‖e − ē‖², NaN → 0, ē the batch's mean of e
//
// or, as SAELens has it (`AuxiliaryScale.deadShare`), with u below 0 too:
//
//   L_aux = min(#dead / k_aux, 1) · mean ‖e − ê‖²
//
// With `auxkByPrefix` the dead latents of each prefix that are not in the one before it explain what that prefix leaves
// over, and the losses are added.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// The memory of the auxiliary loss and of its gradients for the dead latents.
@safe
final class AuxiliaryLoss {
  static let tileRows = 64
  static let tileLatents = 256

  /// The most dead latents that may explain one row, k_aux.
  let active: Int
  /// The dead latents of the prefix that is being handled, and the number of those of the prefixes before it. `place`
  /// has each latent's position among all of them, or −1.
  var latents: [Int32] = []
  var offset = 0
  var place: [Int32]
  /// The encoder biases of the dead latents, in whole tiles; empty without one.
  let encoderBias: Buffer<Float>
  /// Rows e_j and d_j of the prefix's dead latents [dead × d], in whole tiles for `encoder`; the gradients of all dead
  /// latents, and for each Σ ∂L/∂u over the rows.
  let encoder: Buffer<Float>
  let decoder: Buffer<Float>
  let encoderGradient: Buffer<Float>
  let decoderGradient: Buffer<Float>
  let slopes: Buffer<Double>
  /// The pairs of a row and a dead latent, row by row: how many a row has, then their positions in `latents`
  /// and their pre-activations u [batch × k_aux].
  let counts: Buffer<Int32>
  let places: Buffer<Int32>
  let values: Buffer<Float>
  /// The same pairs sorted by latent: where each latent's pairs begin [m + 1], then rows, u and gradients of
  /// u.
  let starts: Buffer<Int32>
  let sortedRows: Buffer<Int32>
  let sortedValues: Buffer<Float>
  let sortedGradients: Buffer<Float>
  /// ê, later the gradient with respect to it [batch × d].
  let reconstruction: Buffer<Float>
  let product: TileProduct
  let preActivations: Buffer<Float>
  let keys: Buffer<UInt64>
  let keyCapacity: Int
  /// Σ‖ê − e‖² and Σ‖e‖² for each piece of rows.
  let sums: Buffer<Double>

  init(
    shape: DictionaryShape, batch: Int, paddedBatch: Int, active: Int, hasEncoderBias: Bool,
    threads: Int
  ) {
    self.active = min(active, shape.experts)
    let d = shape.width
    let padded = pieceCount(shape.experts, size: Self.tileLatents) * Self.tileLatents
    place = [Int32](repeating: -1, count: shape.experts)
    latents.reserveCapacity(shape.experts)
    encoderBias = Buffer(hasEncoderBias ? padded : 0)
    encoder = Buffer(padded * d)
    decoder = Buffer(shape.experts * d)
    encoderGradient = Buffer(shape.experts * d)
    decoderGradient = Buffer(shape.experts * d)
    slopes = Buffer(shape.experts)
    counts = Buffer(batch)
    places = Buffer(batch * self.active)
    values = Buffer(batch * self.active)
    starts = Buffer(shape.experts + 1)
    sortedRows = Buffer(batch * self.active)
    sortedValues = Buffer(batch * self.active)
    sortedGradients = Buffer(batch * self.active)
    reconstruction = Buffer(batch * d)
    keyCapacity = 2 * self.active + 64
    let tile = Self.tileRows
    precondition(paddedBatch % tile == 0, "Tiles would reach beyond the batch's rows.")
    product = TileProduct(
      rowSizes: [tile], columnSizes: [Self.tileLatents], depth: d, a: .rows(d),
      b: .transposed(d), cStride: Self.tileLatents, precision: .float32, workers: threads)
    preActivations = Buffer(threads * tile * Self.tileLatents)
    keys = Buffer(threads * tile * keyCapacity)
    sums = Buffer(2 * pieceCount(batch, size: Self.tileRows))
  }
}

// Bounds that the proofs below use: at most m latents are dead, and a row has at most `active` pairs, so
// there are at most batch · active pairs. Every row number is below `batch`. All buffers were sized for this
// in `AuxiliaryLoss.init`.
extension TrainingEngine {
  /// Computes the auxiliary loss of this step. Its gradients stay in `auxiliary` until `backward` adds them.
  @inline(never)  // `make bench-check` counts its instructions.
  func auxiliaryLoss(_ settings: StepSettings) -> (loss: Double, latents: Int) {
    guard let work = auxiliary else { return (0, 0) }
    var (loss, total) = (0.0, 0)
    work.offset = 0
    let last = levelEnds.count - 1
    for level in (objective.auxkByPrefix == true ? 0 : last)...last {
      let first = level == last && objective.auxkByPrefix != true ? 0 : levelStart(level)
      let own = explainPrefix(level, first..<levelEnds[level], work, settings)
      loss += own.loss
      total += own.latents
      work.offset += work.latents.count
    }
    return (loss, total)
  }

  /// The first expert of level `level`.
  private func levelStart(_ level: Int) -> Int { level == 0 ? 0 : levelEnds[level - 1] }

  /// The auxiliary loss of the dead latents among `candidates`, which explain what the prefix `level` leaves over.
  private func explainPrefix(
    _ level: Int, _ candidates: Range<Int>, _ work: AuxiliaryLoss, _ settings: StepSettings
  ) -> (loss: Double, latents: Int) {
    work.latents.removeAll(keepingCapacity: true)
    for latent in candidates {
      let dead = state.usage.isDead(latent, window: settings.deadWindow)
      work.place[latent] = dead ? Int32(work.offset + work.latents.count) : -1
      if dead { work.latents.append(Int32(latent)) }
    }
    let total = Int(share.dictionary.sum(Double(work.latents.count)))
    guard total > 0 else { return (0, 0) }
    gatherDead(work)
    encodeDead(work, active: min(work.active, work.latents.count))
    ranks?.chooseDead(work, most: min(objective.auxkActive, total))
    let loss = explainResidual(work, level, total: total)
    guard loss.isFinite else {
      for latent in work.latents { work.place[Int(latent)] = -1 }
      return (0, 0)
    }
    sortDead(work)
    differentiateDead(work)
    return (loss, total)
  }

  /// Copies the weights of the dead latents into compact matrices.
  private func gatherDead(_ work: AuxiliaryLoss) {
    // Safe: `place` is below m, for which `encoder` and `decoder` have room. `encoder` has whole tiles, so
    // the zeros after the last dead latent fit. Latent j's rows begin at j·(1 + s)·d in both sides of the
    // weights. One thread runs this.
    let d = shape.width
    let count = work.latents.count
    unsafe state.parameters.withUnsafePointers { weights in
      for (place, latent) in work.latents.enumerated() {
        if work.encoderBias.count > 0 {
          unsafe work.encoderBias.base[place] = weights.encoderBias[Int(latent)]
        }
        let block = Int(latent) * shape.rowsPerExpert * d
        unsafe (work.encoder.base + place * d).update(from: weights.encoderSide + block, count: d)
        unsafe (work.decoder.base + place * d).update(from: weights.decoderSide + block, count: d)
      }
    }
    let tiles = pieceCount(count, size: AuxiliaryLoss.tileLatents)
    if work.encoderBias.count > 0 {
      unsafe (work.encoderBias.base + count).update(
        repeating: 0, count: tiles * AuxiliaryLoss.tileLatents - count)
    }
    unsafe (work.encoder.base + count * d).update(
      repeating: 0, count: (tiles * AuxiliaryLoss.tileLatents - count) * d)
  }

  /// Finds the k_aux largest pre-activations of dead latents for every row: those above 0, or all with SAELens's
  /// scale.
  private func encodeDead(_ work: AuxiliaryLoss, active: Int) {
    // Safe: `batchRows` and `encoder` have whole tiles. Each worker has a tile of pre-activations and `tile`
    // lists of `keyCapacity` keys. A row writes its own `counts` element and at most `active` pairs from row
    // · `work.active` on.
    let d = shape.width
    let tile = work.product.maxRows
    let width = AuxiliaryLoss.tileLatents
    let least: Float = objective.auxkScale == .deadShare ? -.infinity : 0
    parallelFor(pieceCount(batch, size: tile), threads: threads) { piece, worker in
      let rows = pieceRange(piece, size: tile, count: batch)
      let u = unsafe work.preActivations.base + worker * tile * width
      let keys = unsafe work.keys.base + worker * tile * work.keyCapacity
      unsafe withUnsafeTemporaryAllocation(of: Int.self, capacity: tile) { counts in
        unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: tile) { floors in
          unsafe counts.initialize(repeating: 0)
          unsafe floors.initialize(repeating: least)
          var sum = 0.0
          for first in stride(from: 0, to: work.latents.count, by: width) {
            unsafe work.product.run(
              rows: tile, columns: width, a: batchRows.base + rows.lowerBound * d,
              b: work.encoder.base + first * d, c: u, worker: worker)
            // Columns after the last dead latent are not candidates.
            let latents = min(width, work.latents.count - first)
            for row in 0..<rows.count {
              if work.encoderBias.count > 0 {
                unsafe kernels.axpy(u + row * width, work.encoderBias.base + first, 1, width)
              }
              unsafe counts[row] = kernels.scan(
                u + row * width, latents, Int32(first), 0, nil, &sum, &floors[row],
                keys + row * work.keyCapacity, counts[row], active, work.keyCapacity)
            }
          }
          for row in 0..<rows.count {
            let own = unsafe keys + row * work.keyCapacity
            let number = unsafe hsae_keys_top(own, counts[row], active)
            let base = (rows.lowerBound + row) * work.active
            for index in 0..<number {
              unsafe work.places.base[base + index] = hsae_key_index(own[index])
              unsafe work.values.base[base + index] = hsae_key_value(own[index])
            }
            unsafe work.counts.base[rows.lowerBound + row] = Int32(number)
          }
        }
      }
    }
  }

  /// Computes ê and the loss, and replaces ê by the gradient of the weighted loss with respect to it.
  private func explainResidual(_ work: AuxiliaryLoss, _ level: Int, total: Int) -> Double {
    // Safe: a piece reads and writes whole rows of its own in `reconstruction` and `low` [batch × d], and its
    // own two `sums`. A pair's position is below the number of dead latents, for which `decoder` has rows.
    let d = shape.width
    // ∂L/∂x̂ = (2w/B)(x̂ − x) with the weight w of the prefix's error, so e = −(B/2w) · ∂L/∂x̂. The buffer of a prefix
    // has the gradients of the larger ones too, which are the next buffer.
    let back = -Float(share.batch) / 2 / levelWeights[level]
    let low = unsafe plainResiduals.base + level * batch * d
    let isLast = level == levelEnds.count - 1
    let isAlone = ranks == nil
    let size = AuxiliaryLoss.tileRows
    let pieces = pieceCount(batch, size: size)
    parallelFor(pieces, threads: threads) { piece, _ in
      var error = 0.0
      var squares = 0.0
      for row in pieceRange(piece, size: size, count: batch) {
        let target = unsafe work.reconstruction.base + row * d
        let base = row * work.active
        if isAlone {
          unsafe kernels.scale(target, low + row * d, -back, d)  // −e
          if !isLast { unsafe kernels.axpy(target, low + (batch + row) * d, back, d) }
          unsafe squares += kernels.sum_squares(target, d)
        } else {
          unsafe target.update(repeating: 0, count: d)
        }
        for index in unsafe 0..<Int(work.counts.base[row]) {
          unsafe kernels.axpy(
            target, work.decoder.base + Int(work.places.base[base + index]) * d,
            work.values.base[base + index], d)
        }
        unsafe error += kernels.sum_squares(target, d)  // ‖ê − e‖²
      }
      unsafe work.sums.base[2 * piece] = error
      unsafe work.sums.base[2 * piece + 1] = squares
    }
    var error = 0.0
    var squares = 0.0
    for piece in 0..<pieces {
      unsafe error += work.sums.base[2 * piece]
      unsafe squares += work.sums.base[2 * piece + 1]
    }
    if let ranks { (error, squares) = ranks.explainResidual(self, work, scale: -back) }
    var mean = [Double](repeating: 0, count: d)
    for row in ownRows {
      let own = unsafe low + row * d
      if isLast {
        for column in 0..<d { unsafe mean[column] += Double(back * own[column]) }
      } else {
        let larger = unsafe own + batch * d
        for column in 0..<d {
          unsafe mean[column] += Double(back * (own[column] - larger[column]))
        }
      }
    }
    if ranks != nil { share.world.sum(&mean) }
    let variance = squares - mean.reduce(0) { $0 + $1 * $1 } / Double(share.batch)
    let (loss, scale) = auxiliaryScale(error: error, variance: variance, dead: total)
    let hasVariance = objective.auxkScale == .deadShare || variance > squares * 1e-6
    guard loss.isFinite, hasVariance else { return .nan }
    parallelFor(pieces, threads: threads) { piece, _ in
      let rows = pieceRange(piece, size: size, count: batch)
      let start = unsafe work.reconstruction.base + rows.lowerBound * d
      unsafe kernels.scale(start, start, scale, rows.count * d)
    }
    unsafe ranks?.gatherRows(work.reconstruction.base, rowBytes: d * MemoryLayout<Float>.stride)
    return loss
  }

  /// ∂L/∂x̂ of the plain squared error, from which the errors e follow.
  var plainResiduals: Buffer<Float> { metric == nil ? low : plainLow }

  /// The loss from Σ‖ê − e‖² and Σ‖e − ē‖² over the batch, and the factor that turns ê − e into the gradient of the
  /// weighted loss with respect to ê. `dead` is the number of dead latents.
  private func auxiliaryScale(error: Double, variance: Double, dead: Int) -> (Double, Float) {
    let weight = 2 * Double(objective.auxk)
    switch objective.auxkScale ?? .variance {
    case .variance: return (error / variance, Float(weight / variance))
    case .deadShare:
      let share = min(1, Double(dead) / Double(objective.auxkActive)) / Double(self.share.batch)
      return (share * error, Float(weight * share))
    }
  }

  /// Sorts the pairs by dead latent, and by row within a latent: a counting sort.
  private func sortDead(_ work: AuxiliaryLoss) {
    // Safe: `starts` has m + 1 elements, and positions are below the number of dead latents, at most m.
    // Targets are below the number of pairs, for which the sorted arrays have room. One thread runs this.
    let count = work.latents.count
    work.starts.clear()
    for row in 0..<batch {
      for slot in unsafe row * work.active..<row * work.active + Int(work.counts.base[row]) {
        unsafe work.starts.base[Int(work.places.base[slot])] += 1
      }
    }
    var total: Int32 = 0
    for place in 0..<count {
      let number = unsafe work.starts.base[place]
      unsafe work.starts.base[place] = total
      total += number
    }
    for row in 0..<batch {
      for slot in unsafe row * work.active..<row * work.active + Int(work.counts.base[row]) {
        let place = unsafe Int(work.places.base[slot])
        let target = unsafe Int(work.starts.base[place])
        unsafe work.starts.base[place] += 1
        unsafe work.sortedRows.base[target] = Int32(row)
        unsafe work.sortedValues.base[target] = work.values.base[slot]
      }
    }
    for place in stride(from: count, to: 0, by: -1) {
      unsafe work.starts.base[place] = work.starts.base[place - 1]
    }
    unsafe work.starts.base[0] = 0
  }

  /// Computes the gradients of the dead latents' rows e_j and d_j.
  private func differentiateDead(_ work: AuxiliaryLoss) {
    // Safe: a latent belongs to one piece, which writes that latent's two gradient rows and its own range of
    // `sortedGradients`. The rows it gathers have numbers below `batch`.
    let d = shape.width
    let count = work.latents.count
    let needsSlopes = !recipe.vectors.isEmpty
    parallelFor(pieceCount(count, size: Self.expertsPerPiece), threads: threads) { piece, _ in
      for place in pieceRange(piece, size: Self.expertsPerPiece, count: count) {
        let first = unsafe Int(work.starts.base[place])
        let number = unsafe Int(work.starts.base[place + 1]) - first
        let own = unsafe work.sortedRows.base + first
        let encoder = unsafe work.encoderGradient.base + (work.offset + place) * d
        let decoder = unsafe work.decoderGradient.base + (work.offset + place) * d
        unsafe encoder.update(repeating: 0, count: d)
        unsafe decoder.update(repeating: 0, count: d)
        unsafe kernels.rows_dot(
          work.sortedGradients.base + first, work.decoder.base + place * d, 1, d,
          work.reconstruction.base, d, own, number)
        unsafe kernels.outer(
          decoder, 1, d, work.sortedValues.base + first, work.reconstruction.base, d, own, number)
        unsafe kernels.outer(
          encoder, 1, d, work.sortedGradients.base + first, batchRows.base, d, own, number)
        guard needsSlopes else { continue }
        var slope = 0.0
        for pair in first..<first + number {
          unsafe slope += Double(work.sortedGradients.base[pair])
        }
        unsafe work.slopes.base[work.offset + place] = slope
      }
    }
  }

  /// Adds the gradients of the auxiliary loss to rows e_j and d_j of `expert`, if that latent is dead, and to
  /// `bias` [d]. Returns Σ ∂L/∂u over all rows, or 0 where no vector needs it.
  func addAuxiliary(
    _ expert: Int, _ gradient: MutableWeightPointers, _ weights: WeightPointers,
    bias: UnsafeMutablePointer<Float>?
  ) -> Double {
    // Safe: `place` is below the number of dead latents, and `block` is where the expert's rows begin in all
    // four arrays. Only the piece of `backward` that owns the expert calls this, with the bias sum of that
    // piece.
    guard let work = auxiliary, work.place[expert] >= 0 else { return 0 }
    let d = shape.width
    let place = Int(work.place[expert])
    let block = expert * shape.rowsPerExpert * d
    unsafe kernels.axpy(gradient.encoderSide + block, work.encoderGradient.base + place * d, 1, d)
    unsafe kernels.axpy(gradient.decoderSide + block, work.decoderGradient.base + place * d, 1, d)
    guard !recipe.vectors.isEmpty else { return 0 }
    let sum = unsafe work.slopes.base[place]
    if let bias = unsafe bias {
      unsafe kernels.axpy(bias, weights.encoderSide + block, Float(-sum), d)
    }
    return sum
  }
}
