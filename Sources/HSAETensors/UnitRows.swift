// Scales rows to unit norm. Training and everything that encodes uses such rows.

internal import CHSAEKernels

/// Scales every row of width `width` in `rows` to x / ‖x‖; a row of zeros stays as it is (`method.md`, "Unit norm").
///
/// Rows of any length that single precision holds get the same direction: nothing is added to ‖x‖.
public func scaleRowsToUnit(_ rows: inout MutableSpan<Float>, width: Int) {
  precondition(width > 0 && rows.count % width == 0, "No whole number of rows.")
  let count = rows.count / width
  // Safe: the buffer has `count` rows of `width` floats, which this call has to itself.
  unsafe rows.withUnsafeMutableBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return }
    for row in 0..<count {
      let x = unsafe base + row * width
      let squares = unsafe kernels.sum_squares(x, width)
      if squares >= leastSquares, squares.isFinite {
        unsafe kernels.scale(x, x, Float(1 / squares.squareRoot()), width)
      } else {
        unsafe scaleUnusualRow(x, width)
      }
    }
  }
}

/// The least sum of squares in single precision to which squares that were rounded to zero or to subnormal numbers, at
/// most 2e-38 each, add nothing that counts.
private let leastSquares = 1e-20

// Safe: the caller's row has `width` floats.
/// The same in double, for a row whose squares single precision does not hold.
private func scaleUnusualRow(_ x: UnsafeMutablePointer<Float>, _ width: Int) {
  var squares = 0.0
  for column in 0..<width { unsafe squares += Double(x[column]) * Double(x[column]) }
  guard squares != 0 else { return }
  let norm = squares.squareRoot()
  for column in 0..<width { unsafe x[column] = Float(Double(x[column]) / norm) }
}

extension Matrix {
  /// Scales every row to x / ‖x‖; a row of zeros stays as it is.
  public mutating func scaleRowsToUnit() {
    guard columns > 0 else { return }
    let width = columns
    var span = mutableSpan
    HSAETensors.scaleRowsToUnit(&span, width: width)
  }
}
