// The mean and the covariance of many rows, summed in double precision in one pass. Whitening uses them
// (`HSAEModels/Whitening.swift`). Results do not depend on the number of threads.

internal import CHSAEKernels

/// Sums over rows of width d, of which the mean and the covariance follow.
///
/// A typical row is subtracted from all rows before they are summed: for each column the median of a few of the first
/// rows. So a column that is constant has the variance 0 exactly, and neither a mean that is large beside the spread nor
/// a single row of giant norm costs digits.
public struct RowMoments: Sendable {
  /// Numbers in a row, d.
  public let width: Int
  /// Rows so far.
  public private(set) var count = 0
  /// The typical row [d].
  private var shift: [Double] = []
  /// Σ (x − shift) [d].
  private var sums: [Double]
  /// Σ (x − shift)ᵀ(x − shift) on and above the diagonal of tiles [side × side].
  private var products: [Double]
  /// `width` in whole panels.
  private var side: Int { panels * Self.panel }
  private var panels: Int { pieceCount(width, size: Self.panel) }

  /// Columns of a panel, as the kernel has them.
  private static let panel = Int(HSAE_GRAM_PANEL)
  /// Rows that are packed together, and rows of two panels that stay in the first cache.
  private static let (blockRows, pieceRows) = (1024, 128)

  /// Sums of no rows yet.
  public init(width: Int) {
    precondition(width > 0, "Rows have at least one number.")
    self.width = width
    sums = [Double](repeating: 0, count: width)
    let side = pieceCount(width, size: Self.panel) * Self.panel
    products = [Double](repeating: 0, count: side * side)
  }

  /// Adds all rows of `rows` [n × d].
  public mutating func add(_ rows: borrowing Matrix, threads: Int = processorCount) {
    precondition(rows.columns == width, "Rows of \(rows.columns) numbers, not \(width).")
    guard rows.rows > 0 else { return }
    if count == 0 { shift = Self.typicalRow(rows) }
    count += rows.rows
    var block = [Double](repeating: 0, count: side * min(Self.blockRows, rows.rows))
    for start in stride(from: 0, to: rows.rows, by: Self.blockRows) {
      let range = start..<min(rows.rows, start + Self.blockRows)
      pack(rows, range, into: &block, threads)
      multiply(block, range.count, threads)
    }
  }

  /// For each column the median of up to nine rows, spread over `rows`.
  private static func typicalRow(_ rows: borrowing Matrix) -> [Double] {
    let sampled = (0..<min(9, rows.rows)).map { $0 * rows.rows / min(9, rows.rows) }
    var result: [Double] = []
    for column in 0..<rows.columns {
      var values: [Float] = []
      for row in sampled { values.append(rows[row, column]) }
      result.append(Double(values.sorted()[values.count / 2]))
    }
    return result
  }

  /// Copies the rows `range`, less the typical row, into panels of columns one after another, and adds them to `sums`.
  private mutating func pack(
    _ rows: borrowing Matrix, _ range: Range<Int>, into block: inout [Double], _ threads: Int
  ) {
    let (width, shift, size) = (width, shift, Self.panel)
    unsafe rows.withUnsafePointer { source in
      unsafe block.withUnsafeMutableBufferPointer { block in
        unsafe sums.withUnsafeMutableBufferPointer { sums in
          // Safe: `source` has the rows `range`. A piece writes its own panel of `block` and its own columns of `sums`,
          // and the loop ends before the closures do. Columns of the last panel beyond the width stay 0.
          nonisolated(unsafe) let (source, block, sums) = unsafe (source, block, sums)
          parallelFor(pieceCount(width, size: size), threads: threads) { piece, _ in
            let columns = pieceRange(piece, size: size, count: width)
            for (place, row) in range.enumerated() {
              let target = (piece * range.count + place) * size - columns.lowerBound
              for column in columns {
                let value = unsafe Double(source[row * width + column]) - shift[column]
                unsafe sums[column] += value
                unsafe block[target + column] = value
              }
              for column in columns.upperBound..<(piece + 1) * size {
                unsafe block[target + column] = 0
              }
            }
          }
        }
      }
    }
  }

  /// Adds the products of the columns of `count` packed rows.
  private mutating func multiply(_ block: [Double], _ count: Int, _ threads: Int) {
    let (panels, side, size) = (panels, side, Self.panel)
    unsafe block.withUnsafeBufferPointer { block in
      unsafe products.withUnsafeMutableBufferPointer { products in
        guard let block = block.baseAddress, let products = products.baseAddress else { return }
        // Safe: a piece writes its own rows of `products`, and the loop ends before the closures do. Each of the panels
        // has `count` rows of `size` numbers.
        nonisolated(unsafe) let (x, sums) = unsafe (block, products)
        parallelFor(panels, threads: threads) { piece, _ in
          for start in stride(from: 0, to: count, by: Self.pieceRows) {
            let number = min(Self.pieceRows, count - start)
            for other in piece..<panels {
              unsafe kernels.gram_panel(
                sums + piece * size * side + other * size, side, x + (piece * count + start) * size,
                x + (other * count + start) * size, number)
            }
          }
        }
      }
    }
  }

  /// The mean row [d]; zeros without rows.
  public var mean: [Double] {
    count == 0 ? sums : zip(shift, sums).map { $0 + $1 / Double(count) }
  }

  /// The covariance, divided by the number of rows [d × d, row-major, exactly symmetric]; zeros without rows.
  public var covariance: [Double] {
    let scale = 1 / Double(max(1, count))
    var result = [Double](repeating: 0, count: width * width)
    for row in 0..<width {
      for column in row..<width {
        let value =
          scale * (products[row * side + column] - sums[row] * sums[column] * scale)
        result[row * width + column] = value
        result[column * width + row] = value
      }
    }
    return result
  }
}
