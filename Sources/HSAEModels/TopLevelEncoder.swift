// The top level of the forward pass for a batch. It computes pre-activations u = x Eᵀ tile by tile. While a
// tile is in cache, it finds the latents that pass the threshold and the k largest. The batch × experts
// matrix is never stored. Training and inference both use it.

internal import CHSAEKernels
public import HSAETensors

/// Finds each row's active experts (`docs/method.md`, "Forward": u, z, K).
///
/// In fp32 the choice is exact. In bf16 the tiles propose k + margin candidates. Rounding could have changed
/// the place among the k, or the side of the threshold, of some; these are scored again in fp32 before k are
/// chosen. So the choice is that of fp32, while the other values stay the tile's. An expert is active only if
/// z > 0. Ties go to the lowest index. Nothing is allocated after `init`, and results do not depend on
/// `threads`.
@safe
public final class TopLevelEncoder {
  /// Rows in a tile.
  public static let tileRows = 512
  /// Latents in a tile.
  public static let tileLatents = 256

  /// The most rows in a batch.
  public let capacity: Int
  /// The rows that the input buffers must have; those beyond the batch are zero. It is `capacity` rounded up
  /// to whole tiles and to a multiple of 64, because masks and dead latents are handled 64 rows at a time.
  public let paddedCapacity: Int
  /// The most active experts of a row, k.
  public let active: Int
  /// Words of a row's threshold mask: ⌈m / 64⌉.
  public let maskWords: Int
  /// Where each row's pairs begin in `experts`, `values` and `scores` [capacity]. Rows may have different
  /// numbers of pairs: use `slots(of:)`.
  public let starts: Buffer<Int>
  /// The number of active experts of each row [capacity].
  public let counts: Buffer<Int32>
  /// The experts of all pairs of a row and an active expert [capacity · k].
  public let experts: Buffer<Int32>
  /// Their codes z, each row's strongest first. In bf16 precision some carry its rounding.
  public let values: Buffer<Float>
  /// The pre-activations u of the pairs, in the same places; and for each row how far rounding may have moved
  /// them. Both are empty unless the choice is shared with other encoders (`TopLevelEncoder+Shared.swift`).
  public let scores: Buffer<Float>
  let roundingErrors: Buffer<Float>
  /// Bit j of row i: u_ij ≥ threshold [paddedCapacity × maskWords]; empty unless asked for.
  public let mask: Buffer<UInt64>

  let shape: DictionaryShape
  let activation: ActivationFunction
  let precision: Precision
  let threads: Int
  let tile: Int
  let encoderStride: Int
  let product: TileProduct
  private let keep: Int
  private let keyCapacity: Int
  let preActivations: Buffer<Float>
  let keys: Buffer<UInt64>
  /// The choice over a whole batch; nil if each row chooses its own latents.
  let batchChoice: BatchChoice?
  private let keyCounts: Buffer<Int>
  private let floors: Buffer<Float>
  /// How far rounding may have moved each row's u.
  private let errors: Buffer<Float>
  let tileSums: Buffer<Double>
  /// b_enc of every latent; empty if there is none. Training sets it before each batch.
  public let latentBias: Buffer<Float>
  /// θ of every latent; empty if latents have no thresholds of their own. Training sets it before each batch.
  public let latentThresholds: Buffer<Float>
  /// What the code of every latent is multiplied by after the choice; empty for 1.
  private let codeScales: Buffer<Float>

  /// An encoder for batches of at most `capacity` rows.
  ///
  /// - Parameters:
  ///   - shape: the dictionary's sizes.
  ///   - activation: its thresholds and slopes.
  ///   - selection: how active latents are selected. Thresholds of latents need fp32, no mask and slope 0. With
  ///     JumpReLU the pairs include those within the kernel's width of their threshold.
  ///   - hasEncoderBias: whether u has a bias in training, which the caller puts into `latentBias`.
  ///   - capacity: the most rows.
  ///   - encoderStride: elements between the encoder rows e_j in fp32 (in bf16 they are contiguous).
  ///   - precision: arithmetic of the products.
  ///   - wantsMask: whether `mask` and the threshold sum are needed (for the penalty's gradient).
  ///   - isShared: whether this encoder has a part of a dictionary's latents and other encoders have the
  ///     rest.
  ///   - threads: how many threads; results do not depend on it.
  public init(
    shape: DictionaryShape, activation: ActivationFunction, selection: Selection = .topK,
    hasEncoderBias: Bool = false, capacity: Int, encoderStride: Int, precision: Precision,
    wantsMask: Bool, isShared: Bool = false, threads: Int
  ) {
    precondition(capacity >= 1 && threads >= 1)
    let m = shape.experts
    let thresholds = selection.thresholds
    if let thresholds {
      precondition(
        precision == .float32 && !wantsMask && activation.slope == 0,
        "Thresholds of latents are for inference only.")
      precondition(thresholds.fits(m), "The thresholds are for another number of latents.")
      precondition(thresholds.codeScale.isEmpty || !isShared, "Scales are not shared.")
    }
    // Safe: with thresholds the first two buffers have m elements, and each part has m or none.
    batchChoice = BatchChoice(selection, shape: shape)
    latentBias = Buffer(thresholds == nil && !hasEncoderBias ? 0 : m)
    let hasThresholds = thresholds != nil || batchChoice?.window != nil
    latentThresholds = Buffer(hasThresholds ? m : 0)
    for (latent, bias) in (thresholds?.encoderBias ?? []).enumerated() {
      unsafe latentBias.base[latent] = bias
    }
    for (latent, threshold) in (thresholds?.threshold ?? []).enumerated() {
      unsafe latentThresholds.base[latent] = max(0, threshold)
    }
    let scales = thresholds?.codeScale ?? []
    codeScales = Buffer(scales.count)
    for (latent, scale) in scales.enumerated() { unsafe codeScales.base[latent] = scale }
    self.shape = shape
    self.activation = activation
    self.precision = precision
    self.threads = threads
    self.capacity = capacity
    active = shape.activeExperts
    maskWords = (shape.experts + 63) / 64
    tile = min(Self.tileRows, (capacity + 15) / 16 * 16)
    paddedCapacity = pieceCount(pieceCount(capacity, size: tile) * tile, size: 64) * 64
    keep =
      precision == .float32 ? active : min(shape.experts, active + max(8, active / 2))
    let width = min(Self.tileLatents, shape.experts)
    keyCapacity = batchChoice == nil ? 2 * keep + 64 : width + 16
    product = TileProduct(
      rowSizes: [tile], columnSizes: [width, shape.experts % width], depth: shape.width,
      a: .rows(shape.width),
      b: .transposed(precision == .float32 ? encoderStride : shape.width),
      cStride: width, precision: precision, workers: threads)
    counts = Buffer(capacity)
    starts = Buffer(capacity)
    // Safe: `starts` has `capacity` elements.
    if batchChoice == nil { for row in 0..<capacity { unsafe starts.base[row] = row * active } }
    experts = Buffer(capacity * active)
    values = Buffer(capacity * active)
    scores = Buffer(isShared ? capacity * active : 0)
    roundingErrors = Buffer(isShared ? capacity : 0)
    mask = Buffer(wantsMask ? paddedCapacity * maskWords : 0)
    preActivations = Buffer(threads * tile * width)
    keys = Buffer(threads * (batchChoice == nil ? tile : 1) * keyCapacity)
    keyCounts = Buffer(threads * tile)
    floors = Buffer(threads * tile)
    errors = Buffer(threads * tile)
    tileSums = Buffer(pieceCount(capacity, size: tile))
    self.encoderStride = encoderStride
  }

  /// The places of the pairs of `row` in `experts`, `values` and `scores`.
  @inlinable
  public func slots(of row: Int) -> Range<Int> {
    precondition(row >= 0 && row < capacity, "Row \(row) of \(capacity).")
    // Safe: both buffers have `capacity` elements.
    let start = unsafe starts.base[row]
    return unsafe start..<start + Int(counts.base[row])
  }

  /// Encodes `count` rows. Returns Σ u over all pairs at or above the threshold if masks are kept, else 0.
  ///
  /// - Parameters:
  ///   - count: the number of rows.
  ///   - rows: the rows in fp32 [paddedCapacity × d].
  ///   - rowsBF16: the same rows in bf16; nil in fp32.
  ///   - encoder: the encoder rows in fp32, with the stride given to `init`.
  ///   - encoderBF16: the same rows in bf16 [m × d]; nil in fp32.
  ///   - encoderSpread: the largest (Σ e⁴)^¼ of an encoder row, which bounds how far rounding to bf16 can
  ///     move a product; not used in fp32.
  /// - Safety: the arrays have the sizes given here.
  @unsafe
  @discardableResult
  public func run(
    count: Int, rows: UnsafePointer<Float>, rowsBF16: UnsafePointer<UInt16>?,
    encoder: UnsafePointer<Float>, encoderBF16: UnsafePointer<UInt16>?, encoderSpread: Float
  ) -> Double {
    // Safe: a tile of rows belongs to one thread, and `tileSums` has an element for each tile.
    precondition(count <= capacity)
    let batch = unsafe EncodedBatch(
      count: count, rows: rows, rowsBF16: rowsBF16, encoder: encoder, encoderBF16: encoderBF16,
      encoderSpread: encoderSpread)
    if let batchChoice { return unsafe choose(in: batch, batchChoice) }
    let tiles = pieceCount(count, size: tile)
    parallelFor(tiles, threads: threads) { piece, worker in
      unsafe self.runTile(piece, worker: worker, batch)
    }
    var sum = 0.0
    for piece in 0..<tiles { unsafe sum += tileSums.base[piece] }
    return sum
  }

  /// Encodes one tile of rows.
  private func runTile(_ piece: Int, worker: Int, _ batch: EncodedBatch) {
    // Safe: the batch has whole tiles of rows, and latents first ..< first + latents are below m. The worker
    // has its own tile of pre-activations, and for each row of a tile `keyCapacity` keys (at least the keep +
    // 16 of `scan`), a count, a floor and an error. `first` is a multiple of 64 or 0, so the mask words from
    // first / 64 on are the tile's; they lie in the row's mask.
    let d = shape.width
    let m = shape.experts
    let width = min(Self.tileLatents, m)
    let rows = unsafe pieceRange(piece, size: tile, count: batch.count)
    let u = unsafe preActivations.base + worker * tile * width
    let keys = unsafe self.keys.base + worker * tile * keyCapacity
    let keyCounts = unsafe self.keyCounts.base + worker * tile
    let floors = unsafe self.floors.base + worker * tile
    let errors = unsafe self.errors.base + worker * tile
    let keepsMask = mask.count > 0
    let table = unsafe kernels
    for row in 0..<rows.count {
      unsafe keyCounts[row] = 0
      unsafe errors[row] = roundingError(batch, row: rows.lowerBound + row)
      unsafe floors[row] = startingFloor(errors[row])
    }
    var sum = 0.0
    for first in stride(from: 0, to: m, by: width) {
      let latents = min(width, m - first)
      unsafe multiply(batch, rows: rows, latents: first..<first + latents, into: u, worker: worker)
      if latentBias.count > 0 {
        unsafe applyThresholds(u, rows: rows.count, width, first..<first + latents)
      }
      for row in 0..<rows.count {
        let words =
          unsafe keepsMask
          ? mask.base + (rows.lowerBound + row) * maskWords + first / 64 : nil
        unsafe keyCounts[row] = table.scan(
          u + row * width, latents, Int32(first), activation.threshold, words, &sum, floors + row,
          keys + row * keyCapacity, keyCounts[row], keep, keyCapacity)
      }
    }
    for row in 0..<rows.count {
      unsafe choose(
        row: rows.lowerBound + row, keys: keys + row * keyCapacity, count: keyCounts[row],
        error: errors[row], x: batch.rows + (rows.lowerBound + row) * d, encoder: batch.encoder,
        table: table)
    }
    unsafe tileSums.base[piece] = sum
  }

  /// u without b_enc of the rows `rows` and the latents `latents`, into the tile `u`.
  func multiply(
    _ batch: EncodedBatch, rows: Range<Int>, latents: Range<Int>,
    into u: UnsafeMutablePointer<Float>,
    worker: Int
  ) {
    // Safe: the batch has whole tiles of rows, and `latents` are below m, for which the caller of `run` gives
    // weights. `u` is the worker's tile.
    let d = shape.width
    if precision == .bfloat16, let xb = unsafe batch.rowsBF16, let eb = unsafe batch.encoderBF16 {
      unsafe product.run(
        rows: tile, columns: latents.count, a: xb + rows.lowerBound * d,
        b: eb + latents.lowerBound * d, c: u, worker: worker)
    } else {
      unsafe product.run(
        rows: tile, columns: latents.count, a: batch.rows + rows.lowerBound * d,
        b: batch.encoder + latents.lowerBound * encoderStride, c: u, worker: worker)
    }
  }

  /// How far rounding to bf16 may have moved the pre-activations of row `row`; 0 in fp32.
  func roundingError(_ batch: EncodedBatch, row: Int) -> Float {
    // Safe: the batch has this row.
    if precision == .float32 { return 0 }
    let x = unsafe batch.rows + row * shape.width
    let spread = unsafe kernels.fourth_powers(x, shape.width).squareRoot().squareRoot()
    return unsafe Self.roundingBound * batch.encoderSpread * spread
  }

  /// Adds b_enc to the first `count` rows of a tile of latents, and sets what does not pass θ to 0: only a
  /// value above 0 can be active. In training there are no thresholds here, and u below 0 stays.
  private func applyThresholds(
    _ u: UnsafeMutablePointer<Float>, rows count: Int, _ width: Int, _ latents: Range<Int>
  ) {
    // Safe: `latents` are below m, and `u` is a tile of rows of `width` ≥ latents.count elements.
    let bias = unsafe latentBias.base + latents.lowerBound
    let threshold = unsafe latentThresholds.base + latents.lowerBound
    for row in 0..<count {
      let values = unsafe u + row * width
      if latentThresholds.count == 0 {
        for index in 0..<latents.count { unsafe values[index] += bias[index] }
        continue
      }
      for index in 0..<latents.count {
        let value = unsafe values[index] + bias[index]
        unsafe values[index] = value > threshold[index] ? value : 0
      }
    }
  }

  /// Six standard deviations of the error of x·e from rounding both to bf16, divided by the largest possible
  /// ‖x∘e‖, (Σ x⁴)^¼ (Σ e⁴)^¼. Each factor's relative error is at most 2⁻⁹, with a standard deviation of
  /// about 0.45 of that.
  private static let roundingBound: Float = 6 * 0.45 * 1.4143 / 512

  /// The value that a pre-activation must exceed to matter, if rounding may have moved it by `error`.
  func startingFloor(_ error: Float) -> Float {
    if activation.slope > 0 { return 0 }
    return max(0, activation.threshold.nextDown - error)
  }

  /// Chooses the active experts of `row` from its `count` candidates.
  private func choose(
    row: Int, keys: UnsafeMutablePointer<UInt64>, count: Int, error: Float,
    x: UnsafePointer<Float>, encoder: UnsafePointer<Float>, table: hsae_kernels
  ) {
    // Safe: a row has `active` places from `starts[row]` on, of which at most `active` are written, and one
    // thread handles it. `codeScales` has m elements if any, and experts are below m. After `hsae_keys_top` at least `min(candidates, active)` keys are left.
    var candidates = unsafe hsae_keys_top(keys, count, keep)
    if error > 0 {
      unsafe settle(keys, candidates, error: error, x: x, encoder: encoder, table: table)
      candidates = unsafe hsae_keys_top(keys, candidates, active)
    }
    let start = unsafe starts.base[row]
    var number = 0
    for index in 0..<min(candidates, active) {
      let u = unsafe hsae_key_value(keys[index])
      var z = activation.code(u)
      if !(z > 0) { break }
      let expert = unsafe hsae_key_index(keys[index])
      if codeScales.count > 0 {
        unsafe z *= codeScales.base[Int(expert)]
        if !(z > 0) { continue }
      }
      unsafe experts.base[start + number] = expert
      unsafe values.base[start + number] = z
      if scores.count > 0 { unsafe scores.base[start + number] = u }
      number += 1
    }
    if scores.count > 0 { unsafe roundingErrors.base[row] = error }
    if codeScales.count > 0 { sort(start..<start + number) }
    unsafe counts.base[row] = Int32(number)
  }

  /// Puts the pairs in `slots` in order of their codes, strongest first, and those alike in order of latents.
  private func sort(_ slots: Range<Int>) {
    // Safe: the slots are those of one row, which one thread handles.
    let pairs = slots.map { unsafe (value: values.base[$0], expert: experts.base[$0]) }
      .sorted { ($1.value, $0.expert) < ($0.value, $1.expert) }
    for (slot, pair) in zip(slots, pairs) {
      unsafe values.base[slot] = pair.value
      unsafe experts.base[slot] = pair.expert
    }
  }

  /// Scores again in fp32 those of `count` falling keys that an `error` in every u could have put on the
  /// wrong side of the k-th place, of the threshold or of zero.
  private func settle(
    _ keys: UnsafeMutablePointer<UInt64>, _ count: Int, error: Float, x: UnsafePointer<Float>,
    encoder: UnsafePointer<Float>, table: hsae_kernels
  ) {
    // Safe: an index is below `count`, and `count` > `active` where keys active − 1 and active are read.
    // Experts are below m, for which the caller of `run` gives weights.
    var last = Float.infinity
    var next = -Float.infinity
    if count > active {
      last = unsafe hsae_key_value(keys[active - 1])
      next = unsafe hsae_key_value(keys[active])
    }
    for index in 0..<count {
      let u = unsafe hsae_key_value(keys[index])
      let mayLeave = index < active && u <= next + 2 * error
      let mayEnter = index >= active && u >= last - 2 * error
      let nearThreshold = abs(u - activation.threshold) <= error || abs(u) <= error
      guard mayLeave || mayEnter || nearThreshold else { continue }
      let expert = unsafe hsae_key_index(keys[index])
      var exact = unsafe table.dot(x, encoder + Int(expert) * encoderStride, shape.width)
      if latentBias.count > 0 { unsafe exact += latentBias.base[Int(expert)] }
      unsafe keys[index] = hsae_key(exact, expert)
    }
  }
}

/// A batch and the weights that encode it, as `TopLevelEncoder.run` was given them.
@unsafe
struct EncodedBatch {
  var count: Int
  var rows: UnsafePointer<Float>
  var rowsBF16: UnsafePointer<UInt16>?
  var encoder: UnsafePointer<Float>
  var encoderBF16: UnsafePointer<UInt16>?
  var encoderSpread: Float
}
