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
  /// Reads the residual stream of all `contexts` after block `block` and calls `body` for each of them in order. `body` gets
  /// its index and a matrix with the rows of several contexts; its own begin at row `first`.
  ///
  /// The model computes about 8,192 tokens at a time. That is enough to pack contexts of similar length together, and to
  /// keep every core busy.
  func forEachCapture(
    of contexts: [[Int32]], afterBlock block: Int,
    _ body: (_ index: Int, _ rows: borrowing Matrix, _ first: Int) throws(Failure) -> Void
  ) throws(Failure) {
    var start = 0
    while start < contexts.count {
      var (end, tokens) = (start, 0)
      while end < contexts.count, end == start || tokens + contexts[end].count <= 8_192 {
        tokens += contexts[end].count
        end += 1
      }
      var captured = Matrix(rows: tokens, columns: description.width)
      try capture(Array(contexts[start..<end]), afterBlock: block, into: &captured)
      var first = 0
      for index in start..<end {
        try body(index, captured, first)
        first += contexts[index].count
      }
      start = end
    }
  }

  /// Reads the residual stream of all `contexts` after block `block` and keeps the rows of their tokens that are not special:
  /// one after another, in `rows` from row `place` on. `progress` gets the number of tokens read so far.
  func captureOrdinary(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix, from place: Int,
    progress: (_ tokens: Int) -> Void
  ) throws(Failure) {
    var (place, done) = (place, 0)
    try forEachCapture(of: contexts, afterBlock: block) { index, captured, first in
      for (position, token) in contexts[index].enumerated() where !tokenizer.isSpecial(token) {
        rows.setRow(place, to: first + position, of: captured)
        place += 1
      }
      done += contexts[index].count
      progress(done)
    }
  }

  /// The residual stream after block `block` at the last token of each of `contexts` [contexts × width].
  func captureLast(_ contexts: [[Int32]], afterBlock block: Int) throws(Failure) -> Matrix {
    var result = Matrix(rows: contexts.count, columns: description.width)
    try forEachCapture(of: contexts, afterBlock: block) { index, rows, first in
      result.setRow(index, to: first + contexts[index].count - 1, of: rows)
    }
    return result
  }
}
