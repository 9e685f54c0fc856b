// Statistics over the rows of a tall matrix and a product applied to every row, for centring and whitening.
// oneDNN multiplies blocks of rows in fp32; sums over blocks are doubles. Results do not depend on the number
// of threads.

/// Rows whose products are summed in fp32 before they are added to the double sums.
private let blockRows = 512
/// Rows of the result that one piece of work computes.
private let pieceColumns = 64

/// The Euclidean norm of `row`, summed in double.
public func euclideanNorm(_ row: Span<Float>) -> Double {
  var sum = 0.0
  for column in row.indices { sum += Double(row[column]) * Double(row[column]) }
  return sum.squareRoot()
}

extension Matrix {
  /// The mean of all rows [columns], summed in double. Zeros if there is no row.
  public func meanRow() -> [Double] {
    var sums = [Double](repeating: 0, count: columns)
    for index in 0..<rows {
      let row = row(index)
      for column in row.indices { sums[column] += Double(row[column]) }
    }
    if rows > 0 { for column in sums.indices { sums[column] /= Double(rows) } }
    return sums
  }

  /// Subtracts `mean` [columns] from every row.
  public mutating func subtract(_ mean: [Float], threads: Int = processorCount) {
    precondition(mean.count == columns, "A mean of \(mean.count) for rows of \(columns).")
    forEachRow(threads: threads) { _, row in
      for column in row.indices { row[column] -= mean[column] }
    }
  }

  /// Runs `body(index, row)` for every row, on `threads` threads.
  public mutating func forEachRow(
    threads: Int = processorCount, _ body: (_ index: Int, _ row: inout MutableSpan<Float>) -> Void
  ) {
    let (rows, columns) = (rows, columns)
    unsafe withUnsafeMutablePointer { elements in
      // Safe: each piece has its own rows, and the loop ends before the closure does.
      nonisolated(unsafe) let elements = unsafe elements
      parallelFor(pieceCount(rows, size: blockRows), threads: threads) { piece, _ in
        for index in pieceRange(piece, size: blockRows, count: rows) {
          var row = unsafe MutableSpan(_unsafeStart: elements + index * columns, count: columns)
          body(index, &row)
        }
      }
    }
  }

  /// The Euclidean norms of all rows, each summed in double.
  public func rowNorms() -> [Float] {
    (0..<rows).map { Float(euclideanNorm(row($0))) }
  }

  /// XᵀX [columns × columns] of this matrix X, row-major.
  ///
  /// Products are summed in fp32 over blocks of 512 rows, the blocks in double. The result is exactly symmetric.
  public func gram(threads: Int = processorCount) -> [Double] {
    let (rows, columns) = (rows, columns)
    var result = [Double](repeating: 0, count: columns * columns)
    guard rows > 0, columns > 0 else { return result }
    let tail = rows % blockRows
    let whole = product(depth: blockRows, threads: threads)
    let last = tail > 0 ? product(depth: tail, threads: threads) : nil
    unsafe withUnsafePointer { elements in
      unsafe result.withUnsafeMutableBufferPointer { sums in
        // Safe: each piece adds to its own rows of `sums`, and the loop ends before both closures do. A
        // product reads whole rows of one block and writes `tile`, which has as many floats as the piece has
        // sums.
        nonisolated(unsafe) let elements = unsafe elements
        nonisolated(unsafe) let sums = unsafe sums
        parallelFor(pieceCount(columns, size: pieceColumns), threads: threads) { piece, worker in
          let range = pieceRange(piece, size: pieceColumns, count: columns)
          let tile = UnsafeMutableBufferPointer<Float>.allocate(capacity: range.count * columns)
          defer { unsafe tile.deallocate() }
          guard let start = tile.baseAddress else { return }
          for block in 0..<pieceCount(rows, size: blockRows) {
            let isTail = (block + 1) * blockRows > rows
            guard let product = isTail ? last : whole else { continue }
            let x = unsafe elements + block * blockRows * columns
            unsafe product.run(
              rows: range.count, columns: columns, a: x + range.lowerBound, b: x, c: start,
              worker: worker)
            let base = range.lowerBound * columns
            for index in 0..<(range.count * columns) {
              unsafe sums[base + index] += Double(tile[index])
            }
          }
        }
      }
    }
    // On some processors the product sums (i, j) and (j, i) in different orders.
    for row in 0..<columns {
      for column in 0..<row { result[column * columns + row] = result[row * columns + column] }
    }
    return result
  }

  /// X·Yᵀ [n × other.rows] for the rows `range` of this matrix X, n of them, and all rows of `other`, Y.
  public func products(
    _ range: Range<Int>, with other: borrowing Matrix, threads: Int = processorCount
  ) -> Matrix {
    precondition(other.columns == columns, "Rows of \(columns) and of \(other.columns) numbers.")
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "Rows \(range) of \(rows).")
    let (count, wide, columns) = (range.count, other.rows, columns)
    var result = Matrix(rows: count, columns: wide)
    guard count > 0, wide > 0, columns > 0 else { return result }
    let block = 64
    let product = TileProduct(
      rowSizes: [min(block, count), count % block], columnSizes: [wide], depth: columns,
      a: .rows(columns), b: .transposed(columns), cStride: wide, precision: .float32,
      workers: threads)
    unsafe result.withUnsafeMutablePointer { target in
      unsafe withUnsafePointer { x in
        unsafe other.withUnsafePointer { y in
          // Safe: each piece reads rows of X within `range` and writes its own rows of the result, and the loop
          // ends before the closures do.
          nonisolated(unsafe) let (target, x, y) = unsafe (
            target, x + range.lowerBound * columns, y
          )
          parallelFor(pieceCount(count, size: block), threads: threads) { piece, worker in
            let part = pieceRange(piece, size: block, count: count)
            unsafe product.run(
              rows: part.count, columns: wide, a: x + part.lowerBound * columns, b: y,
              c: target + part.lowerBound * wide, worker: worker)
          }
        }
      }
    }
    return result
  }

  private func product(depth: Int, threads: Int) -> TileProduct {
    TileProduct(
      rowSizes: [min(pieceColumns, columns), columns % pieceColumns], columnSizes: [columns],
      depth: depth, a: .transposed(columns), b: .rows(columns), cStride: columns,
      precision: .float32, workers: threads)
  }

  /// Replaces every row x by x·W, W = `square` [columns × columns].
  public mutating func multiplyRows(
    by square: borrowing Matrix, threads: Int = processorCount
  ) {
    precondition(
      square.rows == columns && square.columns == columns,
      "Rows of \(columns) times \(square.rows) × \(square.columns).")
    let (rows, columns) = (rows, columns)
    guard rows > 0, columns > 0 else { return }
    let block = 256
    let product = TileProduct(
      rowSizes: [min(block, rows), rows % block], columnSizes: [columns], depth: columns,
      a: .rows(columns), b: .rows(columns), cStride: columns, precision: .float32,
      workers: threads)
    unsafe withUnsafeMutablePointer { elements in
      unsafe square.withUnsafePointer { square in
        // Safe: each piece reads and writes its own rows, and the loop ends before both closures do. A
        // product writes `tile`, which has as many floats as the piece has elements.
        nonisolated(unsafe) let elements = unsafe elements
        nonisolated(unsafe) let square = unsafe square
        parallelFor(pieceCount(rows, size: block), threads: threads) { piece, worker in
          let range = pieceRange(piece, size: block, count: rows)
          let tile = UnsafeMutableBufferPointer<Float>.allocate(capacity: range.count * columns)
          defer { unsafe tile.deallocate() }
          guard let start = tile.baseAddress else { return }
          let target = unsafe elements + range.lowerBound * columns
          unsafe product.run(
            rows: range.count, columns: columns, a: target, b: square, c: start, worker: worker)
          unsafe target.update(from: start, count: range.count * columns)
        }
      }
    }
  }
}
