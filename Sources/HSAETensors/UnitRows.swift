// Scales rows to unit norm. Training and everything that encodes uses such rows.

internal import CHSAEKernels

/// Scales every row of width `width` in `rows` to x / (‖x‖ + 1e-6) (`method.md`, "Step").
public func scaleRowsToUnit(_ rows: inout MutableSpan<Float>, width: Int) {
  precondition(width > 0 && rows.count % width == 0, "No whole number of rows.")
  let count = rows.count / width
  // Safe: the buffer has `count` rows of `width` floats, which this call has to itself.
  unsafe rows.withUnsafeMutableBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return }
    for row in 0..<count {
      let x = unsafe base + row * width
      let norm = unsafe kernels.sum_squares(x, width).squareRoot()
      if norm.isFinite {
        unsafe kernels.scale(x, x, Float(1 / (norm + 1e-6)), width)
      } else {
        unsafe scaleHugeRow(x, width)
      }
    }
  }
}

// Safe: the caller's row has `width` floats.
/// The same in double, for a row whose sum of squares overflows single precision.
private func scaleHugeRow(_ x: UnsafeMutablePointer<Float>, _ width: Int) {
  var squares = 0.0
  for column in 0..<width { unsafe squares += Double(x[column]) * Double(x[column]) }
  let norm = squares.squareRoot() + 1e-6
  for column in 0..<width { unsafe x[column] = Float(Double(x[column]) / norm) }
}

extension Matrix {
  /// Scales every row to x / (‖x‖ + 1e-6).
  public mutating func scaleRowsToUnit() {
    guard columns > 0 else { return }
    let width = columns
    var span = mutableSpan
    HSAETensors.scaleRowsToUnit(&span, width: width)
  }
}
