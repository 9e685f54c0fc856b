// The bi-orthogonality penalty (eq. 3.4) and its gradient. It uses two d × d Gram matrices instead of the m ×
// m matrix E Dᵀ: 6·m·d² operations.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// The matrices and prepared products of the penalty.
@safe
final class OrthogonalityWorkspace {
  /// Rows of a Gram matrix in one piece.
  static let gramRows = 64
  /// Experts whose gradient rows one piece computes.
  static let gradientRows = 256

  /// EᵀE and DᵀD [d × d], both triangles.
  let encoderGram: Buffer<Float>
  let decoderGram: Buffer<Float>
  /// The same matrices, scaled, in bf16; empty in fp32.
  let encoderGramBF16: Buffer<UInt16>
  let decoderGramBF16: Buffer<UInt16>
  /// The upper triangle of a Gram matrix: one product for each block of rows, from the diagonal on.
  let gram: [TileProduct]
  /// The product of rows with a Gram matrix.
  let gradient: TileProduct

  init(shape: DictionaryShape, precision: Precision, threads: Int) {
    let d = shape.width
    let stride = precision == .bfloat16 ? d : shape.rowsPerExpert * d
    encoderGram = Buffer(d * d)
    decoderGram = Buffer(d * d)
    encoderGramBF16 = Buffer(precision == .bfloat16 ? d * d : 0)
    decoderGramBF16 = Buffer(precision == .bfloat16 ? d * d : 0)
    gram = (0..<pieceCount(d, size: Self.gramRows)).map { block in
      let rows = pieceRange(block, size: Self.gramRows, count: d)
      return TileProduct(
        rowSizes: [rows.count], columnSizes: [d - rows.lowerBound], depth: shape.experts,
        a: .transposed(stride), b: .rows(stride), cStride: d, precision: precision,
        workers: threads)
    }
    gradient = TileProduct(
      rowSizes: [min(Self.gradientRows, shape.experts), shape.experts % Self.gradientRows],
      columnSizes: [d], depth: d, a: .rows(stride), b: .rows(d),
      cStride: shape.rowsPerExpert * d, precision: precision, workers: threads)
  }
}

// Bounds that the proofs below use. Expert j's rows begin at j·(1 + s)·d in the weights and gradients, and at
// j·d in the bf16 copies, which have m rows. The Gram matrices have d · d elements. All pointers stay within
// the closures that lend them.
extension TrainingEngine {
  /// Computes the penalty and writes rows e_j and d_j of the gradient: weight · ∂L_ortho without the diagonal
  /// part. Returns the factor of the diagonal part. Returns nil, and writes no gradient, if the penalty does
  /// not apply.
  func orthogonality(weight: Float, report: inout StepReport) -> Float? {
    // Safe: the sums over ranks get arrays of d · d elements.
    guard let work = orthogonality, weight > 0 else {
      report.ortho = share.shape.experts > 1 ? .nan : 0
      return nil
    }
    let m = Double(share.shape.experts)
    var sum = unsafe state.parameters.withUnsafePointers { weights in
      unsafe computeGrams(work, weights)
      return unsafe -diagonalSquares(weights)
    }
    if let ranks {
      let elements = shape.width * shape.width
      unsafe ranks.dictionarySums?.sum(work.encoderGram.base, elements)
      unsafe ranks.dictionarySums?.sum(work.decoderGram.base, elements)
      sum = share.dictionary.sum(sum)
    }
    // S = ⟨EᵀE, DᵀD⟩ − Σ_j (e_j·d_j)²
    addProductOfGrams(work, to: &sum)
    guard sum > 0 else {
      report.ortho = 0
      return nil
    }
    report.ortho = sum.squareRoot() / (m * m - m)
    // Every group of ranks adds its part to the gradients of the same experts.
    let engines = Double(share.copies.size)
    let scale = Float(Double(weight) / (sum.squareRoot() * (m * m - m)) / engines)
    scaleGrams(work, by: scale)
    unsafe state.parameters.withUnsafePointers { weights in
      unsafe gradients.withUnsafeMutablePointers { gradient in
        unsafe writeOrthogonalityGradient(work, weights, gradient)
      }
    }
    return scale
  }

  /// Computes the upper triangles of EᵀE and DᵀD.
  private func computeGrams(_ work: OrthogonalityWorkspace, _ weights: WeightPointers) {
    // Safe: block `rows` reads columns rows.lowerBound ..< d of m rows. It writes its own rows of one Gram
    // matrix, from the diagonal on.
    let d = shape.width
    let blocks = work.gram.count
    let bf16 = precision == .bfloat16
    parallelFor(2 * blocks, threads: threads) { piece, worker in
      let isEncoder = piece < blocks
      let block = piece % blocks
      let rows = pieceRange(block, size: OrthogonalityWorkspace.gramRows, count: d)
      let target = unsafe (isEncoder ? work.encoderGram : work.decoderGram).base
      let source: UnsafeRawPointer
      let element: Int
      if bf16 {
        unsafe source = UnsafeRawPointer((isEncoder ? encoderBF16 : decoderBF16).base)
        element = 2
      } else {
        unsafe source = UnsafeRawPointer(isEncoder ? weights.encoderSide : weights.decoderSide)
        element = 4
      }
      let start = unsafe source + rows.lowerBound * element
      unsafe work.gram[block].run(
        rows: rows.count, columns: d - rows.lowerBound, a: start, b: start,
        c: target + rows.lowerBound * d + rows.lowerBound, worker: worker)
    }
  }

  /// Σ_j (e_j·d_j)² over this engine's experts.
  private func diagonalSquares(_ weights: WeightPointers) -> Double {
    // Safe: rows e_j and d_j have d elements, and a piece writes its own element of `pieceSums`.
    let d = shape.width
    let pieces = pieceCount(shape.experts, size: Self.expertsPerPiece)
    parallelFor(pieces, threads: threads) { piece, _ in
      var diagonal = 0.0
      for expert in pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts) {
        let block = expert * shape.rowsPerExpert * d
        let own = unsafe Double(
          kernels.dot(weights.encoderSide + block, weights.decoderSide + block, d))
        diagonal += own * own
      }
      unsafe pieceSums.base[piece] = diagonal
    }
    return (0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] }
  }

  /// Adds ⟨EᵀE, DᵀD⟩ to `sum`, and copies the upper triangles into the lower ones.
  private func addProductOfGrams(_ work: OrthogonalityWorkspace, to sum: inout Double) {
    // Safe: row and column are below d. One thread runs this.
    let d = shape.width
    for row in 0..<d {
      for column in row..<d {
        let e = unsafe work.encoderGram.base[row * d + column]
        let f = unsafe work.decoderGram.base[row * d + column]
        sum += (row == column ? 1 : 2) * Double(e) * Double(f)
        unsafe work.encoderGram.base[column * d + row] = e
        unsafe work.decoderGram.base[column * d + row] = f
      }
    }
  }

  /// Multiplies both Gram matrices by `scale`, and makes their bf16 copies.
  private func scaleGrams(_ work: OrthogonalityWorkspace, by scale: Float) {
    // Safe: all four buffers have d · d elements; the copies have none in fp32, where the function returns
    // first.
    let elements = shape.width * shape.width
    unsafe kernels.scale(work.encoderGram.base, work.encoderGram.base, scale, elements)
    unsafe kernels.scale(work.decoderGram.base, work.decoderGram.base, scale, elements)
    guard precision == .bfloat16 else { return }
    unsafe kernels.to_bfloat16(work.encoderGramBF16.base, work.encoderGram.base, elements)
    unsafe kernels.to_bfloat16(work.decoderGramBF16.base, work.decoderGram.base, elements)
  }

  /// Writes ∂/∂E = scale · E (DᵀD) and the same with E and D swapped. The Gram matrices already include the
  /// scale.
  private func writeOrthogonalityGradient(
    _ work: OrthogonalityWorkspace, _ weights: WeightPointers, _ gradient: MutableWeightPointers
  ) {
    // Safe: a tile reads and writes rows of its own experts only, on one of the two sides.
    let d = shape.width
    let tiles = pieceCount(shape.experts, size: OrthogonalityWorkspace.gradientRows)
    let stride = shape.rowsPerExpert * d
    let bf16 = precision == .bfloat16
    parallelFor(2 * tiles, threads: threads) { piece, worker in
      let isEncoder = piece < tiles
      let rows = pieceRange(
        piece % tiles, size: OrthogonalityWorkspace.gradientRows, count: shape.experts)
      let side = unsafe isEncoder ? gradient.encoderSide : gradient.decoderSide
      let target = unsafe side + rows.lowerBound * stride
      if bf16 {
        unsafe work.gradient.run(
          rows: rows.count, columns: d,
          a: (isEncoder ? encoderBF16 : decoderBF16).base + rows.lowerBound * d,
          b: (isEncoder ? work.decoderGramBF16 : work.encoderGramBF16).base, c: target,
          worker: worker)
      } else {
        let source = unsafe isEncoder ? weights.encoderSide : weights.decoderSide
        unsafe work.gradient.run(
          rows: rows.count, columns: d, a: source + rows.lowerBound * stride,
          b: (isEncoder ? work.decoderGram : work.encoderGram).base, c: target, worker: worker)
      }
    }
  }
}
