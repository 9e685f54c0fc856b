// The forward pass: encode, sort the active pairs by expert, run the experts, rebuild the rows.
//
// Bounds that the proofs in this file use. `TrainingEngine.init` sized the buffers: `batchRows` has at least
// batch · d elements, `high` and `low` have batch · d, and the arrays of pairs have batch · k entries.
// `groupStarts` divides 0 ..< pairTotal into one range for each expert and chunk, and pairTotal ≤ batch · k.
// Rows in `groupRows` are below `batch`. Expert j's rows begin at j·(1 + s)·d in both sides of the weights.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

extension TrainingEngine {
  /// Subtracts the bias from the batch if there is one, and makes the bf16 copy if products need it.
  func prepareRows() {
    // Safe: a piece changes its own rows of `batchRows` and, in bf16, of `batchRowsBF16`. The bias has d
    // elements where it is read.
    let d = shape.width
    let hasBias = state.parameters.hasBias
    guard hasBias || precision == .bfloat16 else { return }
    unsafe state.parameters.bias.withUnsafePointer { bias in
      parallelFor(pieceCount(batch, size: Self.rowsPerPiece), threads: threads) { piece, _ in
        let rows = pieceRange(piece, size: Self.rowsPerPiece, count: batch)
        if hasBias {
          for row in rows { unsafe kernels.axpy(batchRows.base + row * d, bias, -1, d) }
        }
        if precision == .bfloat16 {
          let start = rows.lowerBound * d
          unsafe kernels.to_bfloat16(
            batchRowsBF16.base + start, batchRows.base + start, rows.count * d)
        }
      }
    }
  }

  /// Finds the active experts of every row and sets the threshold masks. Returns Σ u and the number of pairs
  /// at or above the threshold; both are 0 if no masks are kept.
  func encode() -> (sum: Double, count: Int) {
    // Safe: the buffers have the sizes `TopLevelEncoder.run` asks for. A piece reads the mask words of its
    // own rows and writes its own element of `pieceSums`, which has four for each piece.
    var largest: Float = 0
    for expert in 0..<encoderFourthPowers.count {
      largest = unsafe max(largest, encoderFourthPowers.base[expert])
    }
    if ranks != nil, precision == .bfloat16 { largest = share.dictionary.max(largest) }
    for latent in 0..<encoder.latentBias.count {
      unsafe encoder.latentBias.base[latent] = state.parameters.encoderBias[0, latent]
    }
    for latent in 0..<encoder.latentThresholds.count {
      unsafe encoder.latentThresholds.base[latent] = state.parameters.thresholds[0, latent]
    }
    let sum = unsafe state.parameters.encoderSide.withUnsafePointer { weights in
      unsafe encoder.run(
        count: batch, rows: batchRows.base,
        rowsBF16: precision == .bfloat16 ? UnsafePointer(batchRowsBF16.base) : nil,
        encoder: weights,
        encoderBF16: precision == .bfloat16 ? UnsafePointer(encoderBF16.base) : nil,
        encoderSpread: largest.squareRoot().squareRoot())
    }
    ranks?.choose(self)
    guard encoder.mask.count > 0 else { return (sum, 0) }
    let pieces = pieceCount(batch, size: Self.rowsPerPiece)
    parallelFor(pieces, threads: threads) { piece, _ in
      let rows = pieceRange(piece, size: Self.rowsPerPiece, count: batch)
      var set = 0
      for word in rows.lowerBound * encoder.maskWords..<rows.upperBound * encoder.maskWords {
        unsafe set += encoder.mask.base[word].nonzeroBitCount
      }
      unsafe pieceSums.base[piece] = Double(set)
    }
    let count = (0..<pieces).reduce(0) { unsafe $0 + Int(pieceSums.base[$1]) }
    return (sum, count)
  }

  /// Sorts the pairs by expert, and by row within an expert: a counting sort in which each chunk of the batch
  /// is a piece.
  func groupPairs() {
    // Safe: a chunk has its own m cursors, and experts are below m. The cursors of an expert and chunk run
    // through a range of `groupRows` that no other chunk writes.
    let m = shape.experts
    let chunks = chunkCount
    groupCursors.clear()
    parallelFor(chunks, threads: threads) { chunk, _ in
      let cursors = unsafe groupCursors.base + chunk * m
      for row in pieceRange(chunk, size: chunkRows, count: batch) {
        for slot in encoder.slots(of: row) {
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
      for row in pieceRange(chunk, size: chunkRows, count: batch) {
        for slot in encoder.slots(of: row) {
          let expert = unsafe Int(encoder.experts.base[slot])
          unsafe groupRows.base[Int(cursors[expert])] = Int32(row)
          unsafe cursors[expert] += 1
        }
      }
    }
  }

  /// The pairs of one expert, as positions in the sorted arrays.
  func pairs(of expert: Int) -> Range<Int> {
    // Safe: `groupStarts` has m · chunks + 1 elements.
    let first = expert * chunkCount
    return unsafe Int(groupStarts.base[first])..<Int(groupStarts.base[first + chunkCount])
  }

  // Safe: this is the last element of `groupStarts`.
  /// The number of pairs.
  var pairTotal: Int { unsafe Int(groupStarts.base[shape.experts * chunkCount]) }

  /// The sub-dictionary of `expert`, for a kernel.
  func subExpert(
    _ expert: Int, encoder: UnsafePointer<Float>, decoder: UnsafePointer<Float>, worker: Int
  ) -> hsae_sub_expert {
    // Safe: expert j's sublatents begin at j·a·s in both arrays. The scratch memory belongs to `worker`
    // alone.
    let block = expert * shape.sublatents * shape.subspace
    return unsafe hsae_sub_expert(
      subspace: shape.subspace, sublatents: shape.sublatents, threshold: subThreshold,
      slope: activation.subSlope, encoder: encoder + block, decoder: decoder + block,
      scratch: subScratch.base + worker * subScratchCount)
  }

  /// Computes z, subspace coordinates and sublatents of all pairs, both reconstructions of every prefix, the
  /// residuals, and the gradients with respect to the reconstructions. Returns Σ‖x − x̂‖², Σ‖x − x̂_high‖² and
  /// Σ Σ_a |c_a|.
  ///
  /// A piece is a chunk of the batch. It visits the experts in order, and each expert adds its part to the
  /// reconstructions of its rows. So a weight is read once for each chunk, and a row's sums do not depend on
  /// how the batch was divided.
  func forward() -> (full: Double, top: Double, subPenalty: Double) {
    // Safe: a chunk writes its own rows of `high` and `low` and its own pairs. The weights' pointers stay
    // within the closures that lend them.
    unsafe state.parameters.withUnsafePointers { weights in
      parallelFor(chunkCount, threads: threads) { chunk, worker in
        let d = shape.width
        let rows = pieceRange(chunk, size: chunkRows, count: batch)
        let whole = (levelEnds.count - 1) * batch * d
        let (high, low) = unsafe (self.high.base + whole, self.low.base + whole)
        unsafe (high + rows.lowerBound * d).update(repeating: 0, count: rows.count * d)
        unsafe (low + rows.lowerBound * d).update(repeating: 0, count: rows.count * d)
        unsafe visitExperts(
          0..<shape.experts, of: chunk, fetching: 0..<d, of: weights.encoderSide
        ) { expert, rows, pairs in
          let own = unsafe subExpert(
            expert, encoder: weights.subEncoder, decoder: weights.subDecoder, worker: worker)
          unsafe readExpert(expert, pairs, rows, own)
        }
        var first = 0
        for (level, end) in levelEnds.enumerated() {
          for panel in 0..<pieceCount(d, size: spreadColumns) {
            let columns = pieceRange(panel, size: spreadColumns, count: d)
            unsafe visitExperts(
              first..<end, of: chunk, fetching: columns, of: weights.decoderSide
            ) { _, rows, pairs in
              let (pair, column) = (pairs.lowerBound, columns.lowerBound)
              unsafe kernels.spread(
                high + column, low + column, rows + column, shape.rowsPerExpert, d, columns.count,
                pairValues.base + pair, pairSteps.base + pair * shape.subspace,
                groupRows.base + pair, pairs.count)
            }
          }
          first = end
          if level < levelEnds.count - 1 { unsafe keepPrefix(level, rows, high, low) }
        }
        if ranks == nil { residuals(rows, worker) }
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

  /// Copies what the experts so far have added to `rows` into the buffers of `level`.
  private func keepPrefix(
    _ level: Int, _ rows: Range<Int>, _ high: UnsafePointer<Float>, _ low: UnsafePointer<Float>
  ) {
    // Safe: `level` is below the number of levels, for which the buffers have `batch` rows each.
    let (d, start) = (shape.width, (level * batch + rows.lowerBound) * shape.width)
    let (count, source) = (rows.count * d, rows.lowerBound * d)
    unsafe (self.high.base + start).update(from: high + source, count: count)
    unsafe (self.low.base + start).update(from: low + source, count: count)
  }

  /// The columns of the reconstructions that experts add to in one visit. Those of a chunk should stay in the second cache
  /// from one expert to the next; where few rows share an expert, visiting it again costs more than that saves. Sums do not
  /// depend on it.
  private var spreadColumns: Int {
    pairTotal >= 12 * shape.experts * chunkCount ? min(64, shape.width) : shape.width
  }

  /// Calls `body` for every expert among `experts` that rows of a chunk chose, with the expert's rows of `side` and
  /// its pairs. Meanwhile the processor fetches `columns` of the rows of the expert after next.
  private func visitExperts(
    _ experts: Range<Int>, of chunk: Int, fetching columns: Range<Int>,
    of side: UnsafePointer<Float>,
    _ body: (_ expert: Int, _ rows: UnsafePointer<Float>, _ pairs: Range<Int>) -> Void
  ) {
    // Safe: experts are below m, for which `side` has rows.
    let block = shape.rowsPerExpert * shape.width
    let bytes = columns.count * MemoryLayout<Float>.stride
    func pairs(_ expert: Int) -> Range<Int> {
      let place = expert * chunkCount + chunk
      return unsafe Int(groupStarts.base[place])..<Int(groupStarts.base[place + 1])
    }
    for expert in experts {
      if expert + 2 < shape.experts, !pairs(expert + 2).isEmpty {
        let next = unsafe side + (expert + 2) * block + columns.lowerBound
        for row in 0..<shape.rowsPerExpert { unsafe kernels.fetch(next + row * shape.width, bytes) }
      }
      let own = pairs(expert)
      if !own.isEmpty { unsafe body(expert, side + expert * block, own) }
    }
  }

  /// Reads one expert's encoder side for some of its pairs: e_j and Π↓_j give z and y, and the sub-dictionary
  /// gives q, c and v = c·D[q].
  private func readExpert(
    _ expert: Int, _ pairs: Range<Int>, _ encoder: UnsafePointer<Float>,
    _ subDictionary: hsae_sub_expert
  ) {
    // Safe: `pairs` lies within the arrays of pairs, whose entries have 1, s or 1 + s elements. In a flat
    // dictionary s is 0, and the arrays that are empty then are not read.
    let d = shape.width
    let s = shape.subspace
    let first = pairs.lowerBound
    let z = unsafe pairValues.base + first
    let dots = unsafe pairCoefficients.base + first * (1 + s)
    unsafe kernels.rows_dot(
      dots, encoder, 1 + s, d, batchRows.base, d, groupRows.base + first, pairs.count)
    let bias = hasEncoderBias ? state.parameters.encoderBias[0, expert] : 0
    for pair in 0..<pairs.count {
      let u = unsafe dots[pair * (1 + s)] + bias
      unsafe z[pair] = activation.code(u)
      for axis in 0..<s {
        unsafe pairCoordinates.base[(first + pair) * s + axis] = dots[pair * (1 + s) + 1 + axis]
      }
    }
    if hasThresholds, let jump {
      unsafe gate(
        z, first: first, count: pairs.count, theta: state.parameters.thresholds[0, expert], jump)
    }
    if s > 0 {
      var subDictionary = unsafe subDictionary
      unsafe kernels.sub_forward(
        &subDictionary, pairCoordinates.base + first * s, pairs.count, pairSublatents.base + first,
        pairCodes.base + first, pairSteps.base + first * s, pairPenalties.base + first)
      if hasThresholds, let jump { gateSublatents(first: first, count: pairs.count, jump) }
    }
  }

  /// Computes the residuals of `rows` (whole pieces). It turns the buffers of the reconstructions into the
  /// gradients with respect to what each level's experts add, and makes their bf16 copies.
  func residuals(_ rows: Range<Int>, _ worker: Int) {
    // Safe: a piece changes its own rows of the buffers and its own elements of `pieceSums` and `levelSums`. Callers
    // give every piece to one thread.
    let d = shape.width
    let a = 2 / Float(share.batch)
    let size = Self.rowsPerPiece
    let last = levelEnds.count - 1
    let pieces = pieceCount(batch, size: size)
    for piece in rows.lowerBound / size..<pieceCount(rows.upperBound, size: size) {
      let own = pieceRange(piece, size: size, count: batch)
      // A row at a time while it is in cache; with another inner product the whole piece is one product.
      let together = metric == nil ? 1 : size
      // From the whole dictionary down: the gradient of a level is its own and that of the levels that contain it.
      for level in stride(from: last, through: 0, by: -1) {
        let sums =
          unsafe level == last
          ? pieceSums.base + 2 * piece : levelSums.base + 2 * (level * pieces + piece)
        unsafe sums.update(repeating: 0, count: 2)
        let weight = levelWeights[level] * a
        let beta = level == last ? objective.beta * a : 0
        for first in stride(from: own.lowerBound, to: own.upperBound, by: together) {
          let part = first..<min(own.upperBound, first + together)
          if let metric {
            unsafe measure(level, part, weight, beta, metric, worker, sums)
          } else {
            let place = (level * batch + first) * d
            unsafe kernels.residuals(
              high.base + place, low.base + place, batchRows.base + first * d, weight, beta, d, sums
            )
          }
          for row in part { finishGradients(level, row, isLast: level == last) }
        }
      }
    }
  }

  /// Adds to the gradients of one row on `level` those of the levels that contain it, and makes the bf16 copies.
  private func finishGradients(_ level: Int, _ row: Int, isLast: Bool) {
    // Safe: the buffers have `batch` rows for each level.
    let d = shape.width
    let place = (level * batch + row) * d
    if !isLast {
      unsafe kernels.axpy(high.base + place, high.base + place + batch * d, 1, d)
      unsafe kernels.axpy(low.base + place, low.base + place + batch * d, 1, d)
      if plainLow.count > 0 {
        unsafe kernels.axpy(plainLow.base + place, plainLow.base + place + batch * d, 1, d)
      }
    }
    if highBF16.count > 0 {
      unsafe kernels.to_bfloat16(highBF16.base + place, high.base + place, d)
    }
    if lowBF16.count > 0 {
      unsafe kernels.to_bfloat16(lowBF16.base + place, low.base + place, d)
    }
  }

  /// Computes residuals of `rows`, at most a piece, as the kernel `residuals` does, with r·M·rᵀ in place of ‖r‖²: `low`
  /// becomes a·r·M, `high` a·r·M + b·h·M.
  private func measure(
    _ level: Int, _ rows: Range<Int>, _ a: Float, _ b: Float, _ metric: RowProduct, _ worker: Int,
    _ sums: UnsafeMutablePointer<Double>
  ) {
    // Safe: the buffers have `batch` rows for each level, and `rows` are among them. Other threads have other rows.
    let d = shape.width
    let start = (level * batch + rows.lowerBound) * d
    let count = rows.count * d
    let (low, high) = unsafe (self.low.base + start, self.high.base + start)
    var plain = [0.0, 0.0]
    for row in 0..<rows.count {
      // With weights of 1, `low` is r and `high` is r + h.
      unsafe kernels.residuals(
        high + row * d, low + row * d, batchRows.base + (rows.lowerBound + row) * d, 1, 1, d,
        &plain)
    }
    if plainLow.count > 0 { unsafe kernels.scale(plainLow.base + start, low, a, count) }
    unsafe kernels.axpy(high, low, -1, count)
    unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { copy in
      guard let before = copy.baseAddress else { return }
      unsafe before.update(from: low, count: count)
      unsafe metric.run(low, count: rows.count, into: low, worker: worker)
      let full = unsafe product(before, low, count)
      unsafe sums[0] += full
      unsafe kernels.scale(low, low, a, count)
      // In a flat dictionary h is r, and h of a prefix is in no loss.
      if shape.isFlat || level < levelEnds.count - 1 {
        unsafe sums[1] += full
        return unsafe high.update(from: low, count: count)
      }
      unsafe before.update(from: high, count: count)
      unsafe metric.run(high, count: rows.count, into: high, worker: worker)
      unsafe sums[1] += product(before, high, count)
      unsafe kernels.scale(high, high, b, count)
      unsafe kernels.axpy(high, low, 1, count)
    }
  }

  /// Σ x y over `count` numbers, whole rows, in double.
  private func product(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int)
    -> Double
  {
    // Safe: both have `count` numbers.
    var sum = 0.0
    for start in stride(from: 0, to: count, by: shape.width) {
      sum += unsafe Double(kernels.dot(x + start, y + start, shape.width))
    }
    return sum
  }

  /// The weighted mean squared errors of all prefixes but the whole dictionary.
  func prefixErrors() -> Double {
    // Safe: `levelSums` has two elements for each prefix but the last and each piece.
    let pieces = pieceCount(batch, size: Self.rowsPerPiece)
    var sum = 0.0
    for level in 0..<levelEnds.count - 1 {
      var own = 0.0
      for piece in 0..<pieces { unsafe own += levelSums.base[2 * (level * pieces + piece)] }
      sum += Double(levelWeights[level]) * own / Double(batch)
    }
    return sum
  }

  /// The place in `high` and `low` where the gradients of `expert` begin: those of its level.
  func levelOffset(of expert: Int) -> Int {
    if levelEnds.count == 1 { return 0 }
    var level = 0
    while levelEnds[level] <= expert { level += 1 }
    return level * batch * shape.width
  }

  /// The smallest code of an active pair; nil if there is none.
  func leastCode() -> Double? {
    // Safe: `pairValues` has an element for each pair.
    var least = Float.infinity
    for pair in 0..<pairTotal { least = unsafe min(least, pairValues.base[pair]) }
    return least.isFinite ? Double(least) : nil
  }

  /// The number of active sublatents of the batch with codes above 0, and the sum of these codes.
  func activeSublatents() -> (count: Int, sum: Double) {
    // Safe: in a hierarchical dictionary `pairCodes` has an element for each pair.
    let least = subThreshold
    var (count, sum) = (0, 0.0)
    for pair in 0..<pairTotal {
      let code = unsafe pairCodes.base[pair]
      guard code > 0, code >= least, isActive(pair) else { continue }
      count += 1
      sum += Double(code)
    }
    return (count, sum)
  }

  /// The rows whose reconstructions this engine completes: all rows if it is alone.
  var ownRows: Range<Int> { ranks?.ownRows ?? 0..<batch }

  /// The pieces that these rows make up.
  var ownPieces: Range<Int> {
    let rows = ownRows
    if rows.isEmpty { return 0..<0 }
    let size = Self.rowsPerPiece
    return rows.lowerBound / size..<pieceCount(rows.upperBound, size: size)
  }

  /// Σ x·M·xᵀ over the batch.
  private func measuredSquares(_ metric: RowProduct) -> Double {
    // Safe: a piece reads its own rows and writes its own element of `pieceSums`; `products` has room for a piece.
    let (d, pieces) = (shape.width, pieceCount(batch, size: Self.rowsPerPiece))
    parallelFor(pieces, threads: threads) { piece, worker in
      let rows = pieceRange(piece, size: Self.rowsPerPiece, count: batch)
      let x = unsafe batchRows.base + rows.lowerBound * d
      unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * d) { products in
        guard let y = products.baseAddress else { return }
        unsafe metric.run(x, count: rows.count, into: y, worker: worker)
        unsafe pieceSums.base[piece] = product(x, y, rows.count * d)
      }
    }
    return (0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] }
  }

  /// Σ‖x − x̄‖² of the batch in the recipe's inner product, with x̄ its mean; NaN if all rows are equal.
  func totalVariance() -> Double {
    // Safe: rows are below `batch`, columns below d; `row` and `product` have d numbers.
    let d = shape.width
    var squares = 0.0
    var sums = [Double](repeating: 0, count: d)
    if let metric { squares = measuredSquares(metric) }
    for row in 0..<batch {
      let x = unsafe batchRows.base + row * d
      if metric == nil { unsafe squares += kernels.sum_squares(x, d) }
      for column in 0..<d { unsafe sums[column] += Double(x[column]) }
    }
    if ranks != nil {
      squares = share.copies.sum(squares)
      share.copies.sum(&sums)
    }
    var mean = sums.reduce(0) { $0 + $1 * $1 } / Double(share.batch)
    if let metric {
      var row = sums.map { Float($0 / Double(share.batch)) }
      var product = row
      unsafe product.withUnsafeMutableBufferPointer { product in
        unsafe row.withUnsafeMutableBufferPointer { row in
          guard let x = row.baseAddress, let y = product.baseAddress else { return }
          unsafe metric.run(x, count: 1, into: y, worker: 0)
          mean = unsafe self.product(x, y, d) * Double(share.batch)
        }
      }
    }
    let variance = squares - mean
    // If all rows are equal, only rounding errors remain.
    return variance > squares * 1e-6 ? variance : .nan
  }

  /// Σ z over the active pairs at or above the threshold: the top level's part of the penalty in scope
  /// `topk`.
  func activePenalty() -> Double {
    // Safe: `pairValues` has an element for each pair.
    var sum = 0.0
    for pair in 0..<pairTotal where unsafe activation.reaches(pairValues.base[pair]) {
      unsafe sum += Double(pairValues.base[pair])
    }
    return sum
  }
}
