// The top level of the forward pass for a batch: pre-activations u = x Eᵀ tile by tile, and while a
// tile is hot, which latents pass the threshold and which k are the largest. The batch × experts matrix
// is never stored. Training and inference both use it; what happens inside experts is theirs.

internal import CHSAEKernels
public import HSAETensors

/// Finds each vector's active experts (`method.md`, "Forward": u, z, K).
///
/// In fp32 the choice is exact. In bf16 the tiles only propose k + margin candidates, whose u are
/// then computed in fp32 before k are chosen. An expert is active only if z > 0. Ties go to the
/// lowest index. Nothing is allocated after `init`, and results do not depend on `threads`.
@safe
public final class TopLevelEncoder {
  /// Vectors handled by one tile.
  public static let tileRows = 256
  /// Latents handled by one tile.
  public static let tileLatents = 512

  /// Largest number of vectors in a batch.
  public let capacity: Int
  /// Rows the input buffers must have, those beyond the batch zero: `capacity` rounded up to whole
  /// tiles and to a multiple of 64, since others (masks, dead latents) take 64 rows at a time.
  public let paddedCapacity: Int
  /// k of each vector at most.
  public let active: Int
  /// Words of a vector's threshold mask: ⌈m / 64⌉.
  public let maskWords: Int
  /// Number of active experts of each vector [capacity].
  public let counts: Buffer<Int32>
  /// Active experts [capacity × k], strongest first.
  public let experts: Buffer<Int32>
  /// Their codes z [capacity × k].
  public let values: Buffer<Float>
  /// Bit j of vector i: u_ij ≥ threshold [capacity × maskWords]; empty unless asked for.
  public let mask: Buffer<UInt64>

  private let shape: DictionaryShape
  private let activation: ActivationSettings
  private let precision: Precision
  private let threads: Int
  private let tile: Int
  private let product: TileProduct
  private let keep: Int
  private let keyCapacity: Int
  private let preActivations: Buffer<Float>
  private let keys: Buffer<UInt64>
  private let keyCounts: Buffer<Int>
  private let floors: Buffer<Float>
  private let tileSums: Buffer<Double>

  /// An encoder for batches of at most `capacity` vectors.
  ///
  /// - Parameters:
  ///   - encoderStride: elements between the encoder rows e_j in fp32 (in bf16 they are contiguous).
  ///   - wantsMask: whether `mask` and the threshold sum are needed (the penalty's gradient).
  public init(
    shape: DictionaryShape, activation: ActivationSettings, capacity: Int, encoderStride: Int,
    precision: Precision, wantsMask: Bool, threads: Int
  ) {
    precondition(capacity >= 1 && threads >= 1)
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
    keyCapacity = 2 * keep + 64
    let width = min(Self.tileLatents, shape.experts)
    product = TileProduct(
      rowSizes: [tile], columnSizes: [width, shape.experts % width], depth: shape.width,
      a: .rows(shape.width),
      b: .transposed(precision == .float32 ? encoderStride : shape.width),
      cStride: width, precision: precision, workers: threads)
    counts = Buffer(capacity)
    experts = Buffer(capacity * active)
    values = Buffer(capacity * active)
    mask = Buffer(wantsMask ? paddedCapacity * maskWords : 0)
    preActivations = Buffer(threads * tile * width)
    keys = Buffer(threads * tile * keyCapacity)
    keyCounts = Buffer(threads * tile)
    floors = Buffer(threads * tile)
    tileSums = Buffer(pieceCount(capacity, size: tile))
    self.encoderStride = encoderStride
  }

  private let encoderStride: Int

  /// Encodes `count` vectors; returns Σ u over all pairs at or above the threshold, if masks are kept.
  ///
  /// - Safety: `vectors` [paddedCapacity × d] and `encoder` (stride as given to `init`) are fp32; in
  ///   bf16 precision `vectorsBF16` and `encoderBF16` [m × d] hold the same values rounded.
  @unsafe
  @discardableResult
  public func run(
    count: Int, vectors: UnsafePointer<Float>, vectorsBF16: UnsafePointer<UInt16>?,
    encoder: UnsafePointer<Float>, encoderBF16: UnsafePointer<UInt16>?
  ) -> Double {
    precondition(count <= capacity)
    let tiles = pieceCount(count, size: tile)
    parallelFor(tiles, threads: threads) { piece, worker in
      unsafe self.runTile(
        piece, worker: worker, count: count, vectors: vectors, vectorsBF16: vectorsBF16,
        encoder: encoder, encoderBF16: encoderBF16)
    }
    var sum = 0.0
    for piece in 0..<tiles { unsafe sum += tileSums.base[piece] }
    return sum
  }

  private func runTile(
    _ piece: Int, worker: Int, count: Int, vectors: UnsafePointer<Float>,
    vectorsBF16: UnsafePointer<UInt16>?, encoder: UnsafePointer<Float>,
    encoderBF16: UnsafePointer<UInt16>?
  ) {
    let d = shape.width
    let m = shape.experts
    let width = min(Self.tileLatents, m)
    let rows = pieceRange(piece, size: tile, count: count)
    let u = unsafe preActivations.base + worker * tile * width
    let keys = unsafe self.keys.base + worker * tile * keyCapacity
    let keyCounts = unsafe self.keyCounts.base + worker * tile
    let floors = unsafe self.floors.base + worker * tile
    let keepsMask = mask.count > 0
    let table = unsafe kernels
    for row in 0..<rows.count {
      let x = unsafe vectors + (rows.lowerBound + row) * d
      unsafe keyCounts[row] = 0
      unsafe floors[row] = startingFloor(
        precision == .float32 ? 0 : table.dot(x, x, d).squareRoot())
    }
    var sum = 0.0
    for first in stride(from: 0, to: m, by: width) {
      let latents = min(width, m - first)
      if precision == .bfloat16, let xb = unsafe vectorsBF16, let eb = unsafe encoderBF16 {
        unsafe product.run(
          rows: tile, columns: latents, a: xb + rows.lowerBound * d, b: eb + first * d, c: u,
          worker: worker)
      } else {
        unsafe product.run(
          rows: tile, columns: latents, a: vectors + rows.lowerBound * d,
          b: encoder + first * encoderStride, c: u, worker: worker)
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
        x: vectors + (rows.lowerBound + row) * d, encoder: encoder, table: table)
    }
    unsafe tileSums.base[piece] = sum
  }

  /// The value a pre-activation must exceed to matter: exact in fp32; in bf16 lower by what rounding
  /// can hide from a vector of norm `norm`.
  private func startingFloor(_ norm: Float) -> Float {
    if activation.slope > 0 { return 0 }
    if precision == .float32 { return max(0, activation.threshold.nextDown) }
    return max(0, activation.threshold - norm / 128)
  }

  private func choose(
    row: Int, keys: UnsafeMutablePointer<UInt64>, count: Int, x: UnsafePointer<Float>,
    encoder: UnsafePointer<Float>, table: hsae_kernels
  ) {
    var candidates = unsafe hsae_keys_top(keys, count, keep)
    if precision == .bfloat16 {
      for index in 0..<candidates {
        let expert = unsafe hsae_key_index(keys[index])
        let exact = unsafe table.dot(x, encoder + Int(expert) * encoderStride, shape.width)
        unsafe keys[index] = hsae_key(exact, expert)
      }
      candidates = unsafe hsae_keys_top(keys, candidates, active)
    }
    var number = 0
    for index in 0..<min(candidates, active) {
      let u = unsafe hsae_key_value(keys[index])
      let z = u >= activation.threshold ? u : activation.slope * u
      if !(z > 0) { break }
      unsafe experts.base[row * active + number] = hsae_key_index(keys[index])
      unsafe values.base[row * active + number] = z
      number += 1
    }
    unsafe counts.base[row] = Int32(number)
  }
}
