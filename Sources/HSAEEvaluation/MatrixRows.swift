// Rows of matrices that suites pick and copy, and the residual stream at the last token of contexts.

import HSAELanguageModels
import HSAESupport
import HSAETensors

extension Matrix {
  /// Copies row `source` of `other` into row `place`.
  mutating func setRow(_ place: Int, to source: Int, of other: borrowing Matrix) {
    let values = other.row(source)
    var target = mutableRow(place)
    for column in values.indices { target[column] = values[column] }
  }

  /// The rows `indices`, in this order.
  func gathered(_ indices: some Collection<Int>) -> Matrix {
    var result = Matrix(rows: indices.count, columns: columns)
    for (place, index) in indices.enumerated() { result.setRow(place, to: index, of: self) }
    return result
  }

  /// Multiplies every element by `factor`.
  mutating func scale(by factor: Float) {
    var elements = mutableSpan
    for place in elements.indices { elements[place] *= factor }
  }
}

extension ResidualStreamModel {
  /// The residual stream after block `block` at the last token of each of `contexts` [contexts × width].
  func captureLast(_ contexts: [[Int32]], afterBlock block: Int) throws(Failure) -> Matrix {
    var result = Matrix(rows: contexts.count, columns: description.width)
    // Enough contexts together to pack those of similar length.
    for start in stride(from: 0, to: contexts.count, by: 128) {
      let group = Array(contexts[start..<min(contexts.count, start + 128)])
      var captured = Matrix(
        rows: group.reduce(0) { $0 + $1.count }, columns: description.width)
      try capture(group, afterBlock: block, into: &captured)
      var end = 0
      for (place, tokens) in group.enumerated() {
        end += tokens.count
        result.setRow(start + place, to: end - 1, of: captured)
      }
    }
    return result
  }
}
