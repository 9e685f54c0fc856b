// Centres rows and scales them to unit norm: layer normalisation without weights.

/// The ε of layer normalisation, which is added to a row's standard deviation.
public let layerNormEpsilon = 1e-5

/// The mean μ of each row of `width` numbers, and ‖x − μ‖.
private func centre(_ row: Span<Float>) -> (mean: Double, norm: Double) {
  var sum = 0.0
  for column in row.indices { sum += Double(row[column]) }
  let mean = sum / Double(row.count)
  var squares = 0.0
  for column in row.indices {
    let difference = Double(row[column]) - mean
    squares += difference * difference
  }
  return (mean, squares.squareRoot())
}

/// Subtracts from each row of `width` numbers its mean μ and divides by ‖x − μ‖ + √(width − 1)·ε, with
/// ``layerNormEpsilon``. Times √(width − 1) this is (x − μ) / (σ + ε) with the standard deviation of a sample. A
/// row of equal numbers becomes zeros.
public func centreRowsToUnit(_ rows: inout MutableSpan<Float>, width: Int) {
  precondition(width > 0 && rows.count % width == 0, "No whole number of rows.")
  let epsilon = Double(width - 1).squareRoot() * layerNormEpsilon
  for start in stride(from: 0, to: rows.count, by: width) {
    let (mean, norm) = centre(rows.span.extracting(start..<start + width))
    let factor = norm > 0 ? 1 / (norm + epsilon) : 0
    for column in start..<start + width {
      rows[column] = Float((Double(rows[column]) - mean) * factor)
    }
  }
}

extension Matrix {
  /// Centres every row and scales it to unit norm (``centreRowsToUnit(_:width:)``).
  public mutating func centreRowsToUnit() {
    guard columns > 0 else { return }
    let width = columns
    var span = mutableSpan
    HSAETensors.centreRowsToUnit(&span, width: width)
  }

  /// The mean μ of every row, and ‖x − μ‖.
  public func rowCentres() -> (means: [Float], norms: [Float]) {
    let centres = (0..<rows).map { centre(row($0)) }
    return (centres.map { Float($0.mean) }, centres.map { Float($0.norm) })
  }
}
