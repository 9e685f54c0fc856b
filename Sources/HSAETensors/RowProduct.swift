// Multiplies rows by a square matrix, tile by tile, for work that several threads share: whitening, and errors in
// another inner product. `Matrix.multiplyRows` does so for a whole matrix at once.

internal import CHSAEKernels

/// x ↦ (x − μ)·S for rows x of d numbers, in fp32.
public final class RowProduct: Sendable {
  /// Rows of a tile.
  public static let tileRows = 64

  /// Numbers in a row.
  public let width: Int
  private let square: Matrix
  /// μ as one row; no row if it is 0.
  private let mean: Matrix
  private let product: TileProduct
  /// Two tiles for each worker: the rows that are multiplied, and the products.
  private let scratch: Buffer<Float>

  /// A product with S = `square` [width × width, row-major] and μ = `mean` [width], or 0 if that is empty.
  ///
  /// Up to `workers` threads may run it at once.
  public init(_ square: [Float], width: Int, subtracting mean: [Float] = [], workers: Int) {
    self.width = width
    self.square = Matrix(rows: width, columns: width, elements: square)
    let isShifted = mean.contains { $0 != 0 }
    self.mean = Matrix(rows: isShifted ? 1 : 0, columns: width, elements: isShifted ? mean : [])
    product = TileProduct(
      rowSizes: [Self.tileRows], columnSizes: [width], depth: width, a: .rows(width),
      b: .rows(width), cStride: width, precision: .float32, workers: workers)
    scratch = Buffer(2 * workers * Self.tileRows * width)
  }

  /// Multiplies `count` rows from `source` on into `target`, which may be `source`.
  ///
  /// - Safety: both have `count` rows, and no other call has the same `worker` at the same time.
  @unsafe
  public func run(
    _ source: UnsafePointer<Float>, count: Int, into target: UnsafeMutablePointer<Float>,
    worker: Int
  ) {
    let size = Self.tileRows * width
    let rows = unsafe scratch.base + 2 * worker * size
    let products = unsafe rows + size
    for start in stride(from: 0, to: count, by: Self.tileRows) {
      let numbers = min(Self.tileRows, count - start) * width
      unsafe rows.update(from: source + start * width, count: numbers)
      unsafe (rows + numbers).update(repeating: 0, count: size - numbers)
      if mean.rows > 0 {
        unsafe mean.withUnsafePointer { mean in
          for row in stride(from: 0, to: numbers, by: width) {
            unsafe kernels.axpy(rows + row, mean, -1, width)
          }
        }
      }
      unsafe square.withUnsafePointer { square in
        unsafe product.run(
          rows: Self.tileRows, columns: width, a: rows, b: square, c: products, worker: worker)
      }
      unsafe (target + start * width).update(from: products, count: numbers)
    }
  }

  /// Replaces the rows in `rows`, a whole number of them, by their products.
  public func apply(to rows: inout MutableSpan<Float>, worker: Int = 0) {
    precondition(rows.count % width == 0, "No whole number of rows.")
    let count = rows.count / width
    // Safe: the span has `count` rows, which this call has to itself.
    unsafe rows.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress {
        unsafe run(base, count: count, into: base, worker: worker)
      }
    }
  }

  /// ‖(x − μ)·S‖² of each row of `rows`, in double, on `threads` threads, at most the workers.
  public func squaredNorms(of rows: borrowing Matrix, threads: Int) -> [Double] {
    precondition(rows.columns == width, "Rows of \(rows.columns) numbers, not \(width).")
    let (count, width) = (rows.rows, width)
    var products = rows.copy()
    unsafe products.withUnsafeMutablePointer { elements in
      // Safe: a piece has its own rows, and the loop ends before the closure does.
      nonisolated(unsafe) let elements = unsafe elements
      parallelFor(pieceCount(count, size: Self.tileRows), threads: threads) { piece, worker in
        let own = pieceRange(piece, size: Self.tileRows, count: count)
        let start = unsafe elements + own.lowerBound * width
        unsafe run(start, count: own.count, into: start, worker: worker)
      }
    }
    return (0..<count).map { row in
      let norm = euclideanNorm(products.row(row))
      return norm * norm
    }
  }
}
