// What each expert's second level is worth: how much larger the squared error of its words would be
// without the expert's own sublatent, everything else unchanged.

public import HSAEModels
import HSAETensors

/// For each expert, Σ over the rows where its chosen sublatent is relevant of the squared error with
/// and without that sublatent.
public struct SublatentGain: Sendable {
  /// Σ ‖x − x̂‖²: m.
  public private(set) var with: [Double]
  /// Σ ‖x − x̂ + l‖², where l is what the expert's sublatent adds to x̂: m.
  public private(set) var without: [Double]

  /// Sums over no rows.
  public init(experts: Int) {
    with = Array(repeating: 0, count: experts)
    without = with
  }

  /// Sums given outright; both arrays have a number for each expert.
  public init(with: [Double], without: [Double]) {
    precondition(with.count == without.count, "The sums differ in number.")
    self.with = with
    self.without = without
  }

  /// The share of the squared error that the expert's sublatents remove, 0 if they remove none.
  public func share(expert: Int) -> Double {
    without[expert] > 0 ? max(0, 1 - with[expert] / without[expert]) : 0
  }

  /// Adds the sums of other rows.
  public mutating func merge(_ other: SublatentGain) {
    precondition(with.count == other.with.count, "The dictionaries differ in size.")
    for index in with.indices {
      with[index] += other.with[index]
      without[index] += other.without[index]
    }
  }

  /// Adds the rows of `codes`: `rows` [n × d] the vectors, `reconstruction` [n × d] theirs.
  public mutating func add(
    rows: Span<Float>, codes: Codes, reconstruction: Span<Float>, dictionary: SparseAutoencoder
  ) {
    let shape = dictionary.shape
    guard !shape.isFlat else { return }
    let threshold = dictionary.activation.subThreshold
    let width = shape.width
    var residual = [Float](repeating: 0, count: width)
    for row in 0..<codes.count {
      let activations = codes[row].filter { $0.sublatent >= 0 && $0.subValue >= threshold }
      guard !activations.isEmpty else { continue }
      for column in 0..<width {
        residual[column] = rows[row * width + column] - reconstruction[row * width + column]
      }
      let error = Double(dot(residual.span, residual.span))
      for activation in activations {
        // ‖r + l‖² = ‖r‖² + 2 r·l + ‖l‖².
        var low = [Float](repeating: 0, count: width)
        addSublatent(
          activation, of: dictionary.parameters, to: &low)
        let change =
          2 * Double(dot(residual.span, low.span)) + Double(dot(low.span, low.span))
        with[activation.expert] += error
        without[activation.expert] += error + change
      }
    }
  }
}

/// Adds what an active expert's sublatent contributes to x̂, c·Σ_e sub_W_dec[q]_e Π↑_e, to `vector`.
private func addSublatent(
  _ activation: Code, of parameters: borrowing Parameters, to vector: inout [Float]
) {
  let shape = parameters.shape
  let sublatent = activation.expert * shape.sublatents + activation.sublatent
  let first = activation.expert * shape.rowsPerExpert + 1
  for axis in 0..<shape.subspace {
    add(
      parameters.decoderSide, row: first + axis,
      times: activation.subValue * parameters.subDecoder[sublatent, axis], to: &vector)
  }
}

private func add(
  _ matrix: borrowing Matrix, row: Int, times factor: Float, to vector: inout [Float]
) {
  let row = matrix.row(row)
  for column in vector.indices { vector[column] += factor * row[column] }
}
