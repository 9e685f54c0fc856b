// The gradient of the sparsity penalty on the top-level latents at or above the threshold, inside or outside
// the top k. For latent j it is the weight times the sum of the rows whose mask bit j is set.
//
// A piece is a group of latents. Their sums stay in cache while blocks of rows pass by. If few bits of a
// block are set, the rows they name are added one by one; if many are, the bits become bf16 zeros and ones
// and are multiplied with the rows.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// The memory of the penalty's gradient.
@safe
final class PenaltyWorkspace {
  /// Rows in a block.
  static let blockRows = 256
  /// Columns in a panel of a block. The kernel keeps a panel in cache.
  static let panelColumns = Int(HSAE_PANEL)
  /// The share of set bits from which a product is cheaper than adding rows (measured; dev/LOG.md).
  static let denseShare = 0.15

  /// Latents in a group: whole words of the mask. Few enough that their sums stay in the second-level cache
  /// and that every thread has a piece.
  let groupLatents: Int
  /// d rounded up to whole panels.
  let paddedWidth: Int
  /// The batch sorted by block, panel, row and column, so that a panel is contiguous: in fp32, or in bf16
  /// precision as the words of `pair_columns`.
  let panels: Buffer<Float>
  let panelsBF16: Buffer<UInt32>
  /// For each worker: sums [group × paddedWidth], the set bits by latent, lists of rows and where they begin,
  /// and the bits in bf16.
  let sums: Buffer<Float>
  let bits: Buffer<UInt64>
  let lists: Buffer<UInt16>
  let starts: Buffer<Int32>
  let bitsBF16: Buffer<UInt16>
  /// The product of bits and rows; nil in fp32.
  let product: TileProduct?
  /// How many rows set the bit of each latent [m]. A bias's gradient needs it; empty without a bias.
  let counts: Buffer<Int32>

  init(
    shape: DictionaryShape, batch: Int, precision: Precision, hasBias: Bool, threads: Int
  ) {
    let d = shape.width
    counts = Buffer(hasBias ? shape.experts : 0)
    paddedWidth = pieceCount(d, size: Self.panelColumns) * Self.panelColumns
    let cached = 160 * 1024 / paddedWidth / 64
    groupLatents = 64 * max(1, min(4, cached, shape.experts / 1024))
    let blocks = pieceCount(batch, size: Self.blockRows)
    let padded = blocks * Self.blockRows * paddedWidth
    panels = Buffer(precision == .float32 ? padded : 0)
    panelsBF16 = Buffer(precision == .bfloat16 ? padded / 2 : 0)
    sums = Buffer(threads * groupLatents * paddedWidth)
    bits = Buffer(threads * groupLatents * Self.blockRows / 64)
    lists = Buffer(threads * groupLatents * Self.blockRows)
    starts = Buffer(threads * (groupLatents + 1))
    let dense = precision == .bfloat16
    bitsBF16 = Buffer(dense ? threads * groupLatents * Self.blockRows : 0)
    product =
      dense
      ? TileProduct(
        rowSizes: [groupLatents], columnSizes: [d], depth: Self.blockRows,
        a: .transposed(groupLatents), b: .rows(d), cStride: paddedWidth, precision: .bfloat16,
        accumulate: true, workers: threads) : nil
  }
}

// Bounds that the proofs below use. A group of latents belongs to one piece, which writes their rows e_j of
// the gradient and their `counts`; its worker owns a slice of every other buffer. `batch` rows fill at most
// `blocks` blocks of 256 rows, for which `panels` has room. The mask has whole groups of 64 rows, as
// `TopLevelEncoder.paddedCapacity` is a multiple of 64.
extension TrainingEngine {
  /// Writes row e_j of the gradient for every expert. With `initialised` it adds to what orthogonality left
  /// there, otherwise it starts from zero.
  func penaliseLatents(weight: Float, initialised: Bool) {
    // Safe: row e_j begins at j·(1 + s)·d. A worker's sums have groupLatents · paddedWidth elements.
    let d = shape.width
    let stride = shape.rowsPerExpert * d
    guard let work = penalty, weight > 0 else {
      if !initialised {
        unsafe gradients.encoderSide.withUnsafeMutablePointer { gradient in
          parallelFor(pieceCount(shape.experts, size: 1024), threads: threads) { piece, _ in
            for latent in pieceRange(piece, size: 1024, count: shape.experts) {
              unsafe (gradient + latent * stride).update(repeating: 0, count: d)
            }
          }
        }
      }
      return
    }
    packPanels(work)
    let blocks = pieceCount(batch, size: PenaltyWorkspace.blockRows)
    unsafe gradients.encoderSide.withUnsafeMutablePointer { gradient in
      parallelFor(
        pieceCount(shape.experts, size: work.groupLatents), threads: threads
      ) { group, worker in
        let latents = pieceRange(group, size: work.groupLatents, count: shape.experts)
        let sums = unsafe work.sums.base + worker * work.groupLatents * work.paddedWidth
        unsafe sums.update(repeating: 0, count: work.groupLatents * work.paddedWidth)
        if work.counts.count > 0 {
          unsafe (work.counts.base + latents.lowerBound).update(repeating: 0, count: latents.count)
        }
        for block in 0..<blocks {
          unsafe addBlock(block, latents: latents, to: sums, work, worker: worker)
        }
        for (place, latent) in latents.enumerated() {
          let target = unsafe gradient + latent * stride
          let sum = unsafe sums + place * work.paddedWidth
          if initialised {
            unsafe kernels.axpy(target, sum, weight, d)
          } else {
            unsafe kernels.scale(target, sum, weight, d)
          }
        }
      }
    }
  }

  /// Copies the batch into `panels`, or its bf16 copy into `panelsBF16`.
  private func packPanels(_ work: PenaltyWorkspace) {
    // Safe: a block writes its own 256 · paddedWidth elements (half as many words in bf16), of which a panel
    // has 256 · 64.
    let d = shape.width
    let size = PenaltyWorkspace.blockRows
    let columns = PenaltyWorkspace.panelColumns
    parallelFor(pieceCount(batch, size: size), threads: threads) { block, _ in
      let start = block * size * work.paddedWidth
      for (place, row) in pieceRange(block, size: size, count: batch).enumerated() {
        for first in stride(from: 0, to: d, by: columns) {
          let target = start + first * size + place * columns
          let count = min(columns, d - first)
          if precision == .bfloat16 {
            unsafe kernels.pair_columns(
              work.panelsBF16.base + target / 2, batchRowsBF16.base + row * d + first, count)
          } else {
            unsafe (work.panels.base + target).update(
              from: batchRows.base + row * d + first, count: count)
          }
        }
      }
    }
  }

  /// Adds the rows of one block to the sums of the latents whose bits they set.
  private func addBlock(
    _ block: Int, latents: Range<Int>, to sums: UnsafeMutablePointer<Float>,
    _ work: PenaltyWorkspace, worker: Int
  ) {
    // Safe: `sums`, `lists`, `starts` and the bf16 bits are this worker's and have room for a group of
    // latents and a block of rows. The product, which always reads 256 rows, runs only on a full block. Lists
    // name rows of this block.
    let size = PenaltyWorkspace.blockRows
    let rows = pieceRange(block, size: size, count: batch)
    let words = latents.lowerBound / 64..<pieceCount(latents.upperBound, size: 64)
    let mask = unsafe encoder.mask.base + rows.lowerBound * encoder.maskWords
    let lists = unsafe work.lists.base + worker * size * work.groupLatents
    let starts = unsafe work.starts.base + worker * (work.groupLatents + 1)
    if work.counts.count > 0 {
      unsafe listBits(rows, words: words, count: latents.count, lists, starts, work, worker: worker)
      for place in 0..<latents.count {
        unsafe work.counts.base[latents.lowerBound + place] += starts[place + 1] - starts[place]
      }
    }
    if let product = work.product, rows.count == size {
      var set = 0
      for row in 0..<size {
        for word in words { unsafe set += mask[row * encoder.maskWords + word].nonzeroBitCount }
      }
      if Double(set) > PenaltyWorkspace.denseShare * Double(size * latents.count) {
        let bits = unsafe work.bitsBF16.base + worker * size * work.groupLatents
        for row in 0..<size {
          for (place, word) in (words.lowerBound..<words.lowerBound + work.groupLatents / 64)
            .enumerated()
          {
            unsafe kernels.expand_bits(
              bits + row * work.groupLatents + place * 64,
              word < words.upperBound ? mask[row * encoder.maskWords + word] : 0)
          }
        }
        unsafe product.run(
          rows: work.groupLatents, columns: shape.width, a: bits,
          b: batchRowsBF16.base + rows.lowerBound * shape.width, c: sums, worker: worker)
        return
      }
    }
    if work.counts.count == 0 {
      unsafe listBits(rows, words: words, count: latents.count, lists, starts, work, worker: worker)
    }
    for first in stride(from: 0, to: work.paddedWidth, by: PenaltyWorkspace.panelColumns) {
      let panel = block * size * work.paddedWidth + first * size
      if precision == .bfloat16 {
        unsafe kernels.panel_sums_bfloat16(
          sums + first, work.paddedWidth, latents.count, lists, starts,
          work.panelsBF16.base + panel / 2)
      } else {
        unsafe kernels.panel_sums(
          sums + first, work.paddedWidth, latents.count, lists, starts, work.panels.base + panel)
      }
    }
  }

  /// Lists the rows that set each latent's bit, as positions within the block.
  private func listBits(
    _ rows: Range<Int>, words: Range<Int>, count: Int, _ lists: UnsafeMutablePointer<UInt16>,
    _ starts: UnsafeMutablePointer<Int32>, _ work: PenaltyWorkspace, worker: Int
  ) {
    // Safe: four groups of 64 rows fill 256 words, and the worker has at least as many. `words` are words of
    // the mask. A latent lists at most 256 rows, and `lists` has 256 elements for each latent of the group.
    let size = PenaltyWorkspace.blockRows
    let groups = pieceCount(rows.count, size: 64)
    let bits = unsafe work.bits.base + worker * work.groupLatents * size / 64
    var total = 0
    for (place, word) in words.enumerated() {
      // Transposed, the bits of one latent's rows are consecutive.
      for group in 0..<groups {
        unsafe hsae_transpose_bits(
          bits + group * 64,
          encoder.mask.base + (rows.lowerBound + group * 64) * encoder.maskWords + word,
          encoder.maskWords)
      }
      for latent in place * 64..<min(count, place * 64 + 64) {
        unsafe starts[latent] = Int32(total)
        for group in 0..<groups {
          var rest = unsafe bits[group * 64 + latent % 64]
          let left = rows.count - group * 64
          if left < 64 { rest &= (UInt64(1) << UInt64(left)) - 1 }
          while rest != 0 {
            unsafe lists[total] = UInt16(truncatingIfNeeded: group * 64 + rest.trailingZeroBitCount)
            total += 1
            rest &= rest - 1
          }
        }
      }
    }
    unsafe starts[count] = Int32(total)
  }
}
