// Selections that look at a whole batch: BatchTopK keeps the k · B largest codes of all rows, JumpReLU every
// latent above its threshold. The batch × experts matrix is never stored: tiles propose candidates above a floor,
// and the floor rises as they come in.
//
// The choice is exact, so the floor changes the work and not the result. BatchTopK begins with a floor a little
// below the border of the last batch; if that was too high, it encodes the batch again from the bottom.

internal import CHSAEKernels
internal import HSAETensors

/// What a choice over a batch keeps between batches.
@safe
final class BatchChoice {
  /// k · B of BatchTopK, by the number of rows; nil: every candidate above the floor, as far as there is room.
  let settings: BatchTopK?
  /// ε / 2 of JumpReLU: how far below its threshold a candidate may be; nil with BatchTopK.
  let window: Float?
  /// The value of the weakest pair of the last batch; nil before the first and if all candidates were kept.
  var border: Float?

  /// The choice of `selection`; nil if each row chooses its own latents.
  init?(_ selection: Selection, shape: DictionaryShape) {
    switch selection {
    case .batchTopK(let own): (settings, window) = (own, nil)
    case .jumpReLU(let own): (settings, window) = (nil, Float(own.bandwidth / 2))
    case .topK, .thresholds: return nil
    }
  }
}

extension TopLevelEncoder {
  /// Selects the active latents of a whole batch. Returns Σ u over the pairs at or above the activation function's
  /// threshold, if masks are kept.
  ///
  /// With JumpReLU candidates are ordered by u − θ, and `values` has u − θ.
  func choose(in batch: EncodedBatch, _ choice: BatchChoice) -> Double {
    // Safe: rows are below `count`.
    let count = unsafe batch.count
    let most = choice.settings?.pairs(rows: count) ?? count * active
    let error = unsafe largestError(batch)
    let bottom = choice.window.map { -$0 } ?? max(0, startingFloor(0))
    var floor = bottom
    if choice.window == nil {
      let border = unsafe choice.border ?? sampleBorder(batch, most: most)
      floor = max(bottom, border > 0 ? 0.85 * border : border)
    }
    let pool = BatchCandidates()
    var sum = 0.0
    while true {
      let (border, total) = unsafe collect(
        batch, above: floor - 2 * error, most: most, error: error, into: pool)
      sum = total
      // Rounding may have moved a pair by `error` and the border by as much.
      if floor == bottom || (border ?? -.infinity) >= floor { break }
      floor = bottom
    }
    let hasRoom = unsafe settle(pool, most: most, error: error, batch)
    choice.border = hasRoom ? nil : pool.items[most - 1].value
    place(pool, count: count, isJump: choice.window != nil)
    return sum
  }

  /// How far rounding may have moved any pre-activation of the batch.
  private func largestError(_ batch: EncodedBatch) -> Float {
    // Safe: rows are below `count`. A piece writes its own element of `tileSums`, which has one for each tile.
    if precision == .float32 { return 0 }
    let count = unsafe batch.count
    let tiles = pieceCount(count, size: tile)
    parallelFor(tiles, threads: threads) { piece, _ in
      var largest: Float = 0
      for row in pieceRange(piece, size: tile, count: count) {
        largest = unsafe max(largest, roundingError(batch, row: row))
      }
      unsafe tileSums.base[piece] = Double(largest)
    }
    return Float((0..<tiles).reduce(0) { unsafe max($0, tileSums.base[$1]) })
  }

  /// The border that the first tile alone would have, as an estimate of the batch's.
  private func sampleBorder(_ batch: EncodedBatch, most: Int) -> Float {
    // Safe: the tile's rows are rows of the batch.
    let count = unsafe batch.count
    let own = max(1, most / pieceCount(count, size: tile))
    let list = BatchCandidates()
    _ = unsafe collectTile(
      0, worker: 0, batch, above: max(0, startingFloor(0)), most: own, error: 0, into: list)
    return list.keepStrongest(own, slack: 0) ?? 0
  }

  /// Fills `pool` with the candidates whose value exceeds `floor`: at least the `most` strongest of them, and those
  /// that rounding by `error` could have put behind them. Returns the value of the weakest of these `most`, nil if
  /// there are fewer, and Σ u over the pairs at or above the threshold if masks are kept.
  private func collect(
    _ batch: EncodedBatch, above floor: Float, most: Int, error: Float, into pool: BatchCandidates
  ) -> (border: Float?, sum: Double) {
    // Safe: a worker has its own list, and a tile belongs to one worker.
    pool.items.removeAll(keepingCapacity: true)
    let tiles = unsafe pieceCount(batch.count, size: tile)
    let lists = (0..<threads).map { _ in BatchCandidates() }
    var floor = floor
    var border: Float?
    // Tiles go in waves of one for each thread. After each wave the floor can rise.
    for first in stride(from: 0, to: tiles, by: threads) {
      let wave = min(threads, tiles - first)
      let start = floor
      parallelFor(wave, threads: threads) { piece, worker in
        unsafe tileSums.base[first + piece] = collectTile(
          first + piece, worker: worker, batch, above: start, most: most, error: error,
          into: lists[worker])
      }
      for list in lists {
        pool.items.append(contentsOf: list.items)
        list.items.removeAll(keepingCapacity: true)
      }
      if pool.items.count >= 2 * most || first + wave >= tiles,
        let own = pool.keepStrongest(most, slack: 2 * error)
      {
        border = own
        floor = max(floor, own - 2 * error)
      }
    }
    return (border, (0..<tiles).reduce(0) { unsafe $0 + tileSums.base[$1] })
  }

  /// Appends the candidates of one tile of rows to `list`, which keeps the `most` strongest of the tile and those
  /// that rounding could have put behind them.
  private func collectTile(
    _ piece: Int, worker: Int, _ batch: EncodedBatch, above floor: Float, most: Int, error: Float,
    into list: BatchCandidates
  ) -> Double {
    // Safe: as in `runTile`; the worker's keys have room for the latents of a tile, and the capacity that `scan` is
    // given is larger than that, so it appends every candidate.
    let m = shape.experts
    let width = min(Self.tileLatents, m)
    let rows = unsafe pieceRange(piece, size: tile, count: batch.count)
    let u = unsafe preActivations.base + worker * tile * width
    let keys = unsafe self.keys.base + worker * (width + 16)
    var sum = 0.0
    var floor = floor
    for first in stride(from: 0, to: m, by: width) {
      let latents = first..<min(first + width, m)
      unsafe multiply(batch, rows: rows, latents: latents, into: u, worker: worker)
      for row in 0..<rows.count {
        let values = unsafe u + row * width
        unsafe shift(values, latents)
        let words =
          unsafe mask.count > 0
          ? mask.base + (rows.lowerBound + row) * maskWords + first / 64 : nil
        var own = floor
        let found = unsafe kernels.scan(
          values, latents.count, Int32(first), activation.threshold, words, &sum, &own, keys, 0,
          width, width + 16)
        unsafe list.append(keys, count: found, row: rows.lowerBound + row)
      }
      if list.items.count >= 2 * most + 4096,
        let border = list.keepStrongest(most, slack: 2 * error)
      {
        floor = max(floor, border - 2 * error)
      }
    }
    return sum
  }

  /// Adds b_enc − θ to the products of one row with `latents`, as far as there are such vectors.
  private func shift(_ values: UnsafeMutablePointer<Float>, _ latents: Range<Int>) {
    // Safe: `latents` are below m; each buffer has m elements or none.
    if latentBias.count > 0 {
      let bias = unsafe latentBias.base + latents.lowerBound
      for index in 0..<latents.count { unsafe values[index] += bias[index] }
    }
    if latentThresholds.count > 0 {
      let thresholds = unsafe latentThresholds.base + latents.lowerBound
      for index in 0..<latents.count { unsafe values[index] -= thresholds[index] }
    }
  }

  /// Scores again in fp32 the candidates that rounding could have put on the wrong side of the border, keeps the
  /// `most` strongest whose codes are above 0, and returns whether there was room for all candidates. The weakest
  /// is then the last of the `most`.
  private func settle(
    _ pool: BatchCandidates, most: Int, error: Float, _ batch: EncodedBatch
  ) -> Bool {
    // Safe: rows and latents of candidates are those of the batch and of the weights.
    let isFull = pool.items.count > most
    if error > 0 {
      var (last, next) = (Float.infinity, -Float.infinity)
      if isFull {
        pool.partition(most)
        last = pool.items[most - 1].value
        for index in most..<pool.items.count { next = max(next, pool.items[index].value) }
      }
      for index in pool.items.indices {
        let own = pool.items[index]
        let u = own.value
        let nearBorder = isFull && u >= last - 2 * error && u <= next + 2 * error
        let nearThreshold = abs(u - activation.threshold) <= error || abs(u) <= error
        guard nearBorder || nearThreshold else { continue }
        let latent = Int(own.latent)
        var exact = unsafe kernels.dot(
          batch.rows + Int(own.row) * shape.width, batch.encoder + latent * encoderStride,
          shape.width)
        unsafe shift(&exact, latent..<latent + 1)
        pool.items[index].key = hsae_key(exact, own.latent)
      }
    }
    let isJump = latentThresholds.count > 0
    if !isJump { pool.items.removeAll { !(activation.code($0.value) > 0) } }
    if pool.items.count >= most { pool.partition(most) }
    let hasRoom = pool.items.count < most
    if !hasRoom { pool.items.removeLast(pool.items.count - most) }
    return hasRoom
  }

  /// Writes the pairs in `pool` row by row, each row's strongest first.
  private func place(_ pool: BatchCandidates, count: Int, isJump: Bool) {
    // Safe: there are at most capacity · k pairs, for which the three buffers have room. A row has its own places.
    counts.clear()
    for item in pool.items { unsafe counts.base[Int(item.row)] += 1 }
    var start = 0
    for row in 0..<capacity {
      unsafe starts.base[row] = start
      unsafe start += Int(counts.base[row])
      unsafe counts.base[row] = 0
    }
    precondition(start <= capacity * active, "More pairs than there is room for.")
    for item in pool.items {
      let row = Int(item.row)
      // An insertion sort: rows are short.
      let first = unsafe starts.base[row]
      var slot = unsafe first + Int(counts.base[row])
      let value = isJump ? item.value : activation.code(item.value)
      while slot > first {
        let (before, expert) = unsafe (values.base[slot - 1], experts.base[slot - 1])
        if before > value || (before == value && expert < item.latent) { break }
        unsafe values.base[slot] = before
        unsafe experts.base[slot] = expert
        slot -= 1
      }
      unsafe values.base[slot] = value
      unsafe experts.base[slot] = item.latent
      unsafe counts.base[row] += 1
    }
  }
}
