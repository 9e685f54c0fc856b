// Measures what each expert's sublatents contribute: how much larger the squared error of a row would be
// without the expert's sublatent, all else unchanged.

public import HSAEModels
import HSAETensors

/// For each expert, sums of the squared error with and without its sublatent, over the rows for which that
/// sublatent is active.
public struct SublatentGain: Sendable {
  /// Σ ‖x − x̂‖² [m].
  public private(set) var with: [Double]
  /// Σ ‖x − x̂ + l‖² [m], where l is what the expert's sublatent adds to x̂.
  public private(set) var without: [Double]

  /// Sums over no rows.
  public init(experts: Int) {
    with = Array(repeating: 0, count: experts)
    without = with
  }

  /// The given sums, one for each expert.
  public init(with: [Double], without: [Double]) {
    precondition(with.count == without.count, "The sums differ in number.")
    self.with = with
    self.without = without
  }

  /// The share of the squared error that the expert's sublatents remove; 0 if they remove none.
  public func share(expert: Int) -> Double {
    without[expert] > 0 ? max(0, 1 - with[expert] / without[expert]) : 0
  }

  /// Adds `rows` [n × d] with their `codes` and `reconstruction` [n × d].
  public mutating func add(
    rows: Span<Float>, codes: Codes, reconstruction: Span<Float>, dictionary: SparseAutoencoder
  ) {
    let shape = dictionary.shape
    guard !shape.isFlat else { return }
    let threshold = dictionary.activation.subThreshold
    let width = shape.width
    var residual = [Float](repeating: 0, count: width)
    for row in 0..<codes.count {
      let active = codes[row].filter { $0.activeSublatent(threshold: threshold) != nil }
      guard !active.isEmpty else { continue }
      for column in 0..<width {
        residual[column] = rows[row * width + column] - reconstruction[row * width + column]
      }
      let error = Double(dot(residual.span, residual.span))
      for code in active {
        // ‖r + c·l‖² = ‖r‖² + 2c r·l + c²‖l‖², where the sublatent adds l for a code of 1.
        let low = dictionary.contribution(
          of: LatentNumber(expert: code.expert, sublatent: code.sublatent))
        let c = Double(code.subValue)
        let change =
          2 * c * Double(dot(residual.span, low.span)) + c * c * Double(dot(low.span, low.span))
        with[code.expert] += error
        without[code.expert] += error + change
      }
    }
  }
}
