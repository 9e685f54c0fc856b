// Rows scaled to unit norm, as training and everything that encodes sees them.

internal import CHSAEKernels

/// Scales every row of width `width` in `rows` to x / (‖x‖ + 1e-6) (`method.md`, "Step").
public func scaleRowsToUnit(_ rows: inout MutableSpan<Float>, width: Int) {
  precondition(width > 0 && rows.count % width == 0, "No whole number of rows.")
  let count = rows.count / width
  unsafe rows.withUnsafeMutableBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return }
    for row in 0..<count {
      let x = unsafe base + row * width
      let norm = unsafe kernels.sum_squares(x, width).squareRoot()
      unsafe kernels.scale(x, x, Float(1 / (norm + 1e-6)), width)
    }
  }
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
