// Logistic regression of a yes-or-no label with an L2 penalty, solved to convergence by L-BFGS in double precision. The
// suites `absorption`, `probing` and `structure` use it.

import Foundation
import HSAETensors

/// Rows with yes-or-no labels, laid out for logistic regression.
struct LabelledRows: Sendable {
  /// Number of rows and of columns.
  let rows, columns: Int
  /// The elements [columns × rows], column after column.
  private let byColumn: [Float]
  /// +1 for yes, -1 for no.
  private let signs: [Double]
  /// Whether there are rows of both labels.
  let hasBothClasses: Bool
  /// The weight of each row's loss; their sum is 1.
  private let shares: [Double]

  /// The given `rows` of `matrix`, labelled yes where `labels` (one for each row of the matrix) is true; only the first
  /// `columns`, if that is given. `isBalanced`: both classes together weigh the same, whatever their sizes.
  init(
    _ matrix: borrowing Matrix, rows: Range<Int>, columns: Int? = nil, labels: [Bool],
    isBalanced: Bool = false
  ) {
    precondition(labels.count == matrix.rows, "\(labels.count) labels, \(matrix.rows) rows.")
    (self.rows, self.columns) = (rows.count, columns ?? matrix.columns)
    var elements = [Float](repeating: 0, count: rows.count * self.columns)
    for (place, row) in rows.enumerated() {
      let values = matrix.row(row)
      for column in 0..<self.columns { elements[column * rows.count + place] = values[column] }
    }
    byColumn = elements
    signs = labels[rows].map { $0 ? 1 : -1 }
    let positives = Double(labels[rows].count { $0 })
    hasBothClasses = positives > 0 && Int(positives) < rows.count
    let count = Double(rows.count)
    shares = labels[rows].map { label in
      isBalanced ? 0.5 / (label ? positives : count - positives) : 1 / count
    }
  }

  @_lifetime(borrow self)
  private func column(_ index: Int) -> Span<Float> {
    byColumn.span.extracting(index * rows..<(index + 1) * rows)
  }

  /// Adds the products of all rows with `weights` (the bias last) to `products`.
  fileprivate func addProducts(_ weights: [Double], to products: inout [Double]) {
    var target = products.mutableSpan
    for index in 0..<columns {
      let (column, weight) = (column(index), weights[index])
      for row in 0..<rows { target[row] += weight * Double(column[row]) }
    }
    for row in 0..<rows { target[row] += weights[columns] }
  }

  /// The weighted mean of log(1 + exp(-y z)) over rows, and its derivative with respect to each z.
  fileprivate func loss(_ logits: [Double], slopes: inout [Double]) -> Double {
    var sum = 0.0
    for row in 0..<rows {
      let margin = signs[row] * logits[row]
      // log(1 + exp(-m)) without overflow.
      let small = exp(-abs(margin))
      sum += shares[row] * (max(0, -margin) + log1p(small))
      slopes[row] =
        -signs[row] * shares[row] * (margin > 0 ? small / (1 + small) : 1 / (1 + small))
    }
    return sum
  }

  /// The gradient of the loss for weights and bias, from its `slopes` with respect to the logits.
  fileprivate func gradient(_ slopes: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: columns + 1)
    for index in 0..<columns {
      let column = column(index)
      // Four sums, so that additions need not wait for each other.
      var (a, b, c, d, row) = (0.0, 0.0, 0.0, 0.0, 0)
      while row + 4 <= rows {
        a += slopes[row] * Double(column[row])
        b += slopes[row + 1] * Double(column[row + 1])
        c += slopes[row + 2] * Double(column[row + 2])
        d += slopes[row + 3] * Double(column[row + 3])
        row += 4
      }
      while row < rows {
        a += slopes[row] * Double(column[row])
        row += 1
      }
      result[index] = a + b + c + d
    }
    result[columns] = slopes.reduce(0, +)
    return result
  }
}

/// A fitted logistic regression: the probability of yes is 1 / (1 + exp(-(w·x + b))).
struct LogisticRegression: Sendable {
  /// A weight for each column.
  var weights: [Double] { Array(values.dropLast()) }
  /// The bias b.
  var bias: Double { values.last ?? 0 }
  /// Whether every derivative of the mean loss fell below the tolerance.
  private(set) var isConverged = false
  private var values: [Double]

  /// Limit on the steps.
  static let mostSteps = 1_000
  /// Steps that L-BFGS remembers.
  private static let memory = 10

  /// Minimises Σ s log(1 + exp(-y (w·x + b))) + ‖w‖² / (2 `strength`), the objective of scikit-learn's
  /// `LogisticRegression(C: strength)`. The bias has no penalty. s is 1, or balances the classes. It begins at `start`, or
  /// at zero, and ends when every derivative of the mean loss is at most `tolerance`, or after 1,000 steps. If a class is
  /// missing, all weights are zero.
  init(
    _ data: LabelledRows, strength: Double, from start: LogisticRegression? = nil,
    tolerance: Double = 1e-7
  ) {
    let (rows, columns) = (data.rows, data.columns)
    values = start?.values ?? Array(repeating: 0, count: columns + 1)
    precondition(values.count == columns + 1, "The start has other columns.")
    guard data.hasBothClasses else {
      values = Array(repeating: 0, count: columns + 1)
      return
    }
    let penalty = 1 / (strength * Double(rows))
    var logits = [Double](repeating: 0, count: rows)
    var slopes = logits
    data.addProducts(values, to: &logits)
    _ = data.loss(logits, slopes: &slopes)
    func gradient() -> [Double] {
      var result = data.gradient(slopes)
      for index in 0..<columns { result[index] += penalty * values[index] }
      return result
    }
    var slope = gradient()
    var pairs: [(step: [Double], change: [Double], scale: Double)] = []
    for _ in 0..<Self.mostSteps {
      if slope.allSatisfy({ abs($0) <= tolerance }) {
        isConverged = true
        return
      }
      let direction = Self.direction(slope, pairs)
      var along = [Double](repeating: 0, count: rows)
      data.addProducts(direction, to: &along)
      guard
        let length = Self.lineSearch(
          data, &logits, along, &slopes, values, direction, penalty, columns)
      else { return }
      let step = direction.map { length * $0 }
      for index in values.indices { values[index] += step[index] }
      let next = gradient()
      let change = zip(next, slope).map { $0 - $1 }
      let product = zip(step, change).reduce(0) { $0 + $1.0 * $1.1 }
      slope = next
      guard product > 0 else { continue }
      pairs.append((step, change, product))
      if pairs.count > Self.memory { pairs.removeFirst() }
    }
  }

  /// w·x + b; columns of x beyond the weights do not count.
  func logit(_ x: Span<Float>) -> Double {
    precondition(x.count >= values.count - 1, "The row has \(x.count) columns.")
    var sum = bias
    for index in 0..<values.count - 1 { sum += values[index] * Double(x[index]) }
    return sum
  }

  /// Minus the inverse Hessian, estimated from the last steps, times `slope` (two-loop recursion).
  private static func direction(
    _ slope: [Double], _ pairs: [(step: [Double], change: [Double], scale: Double)]
  ) -> [Double] {
    func product(_ a: [Double], _ b: [Double]) -> Double {
      var sum = 0.0
      for index in a.indices { sum += a[index] * b[index] }
      return sum
    }
    func add(_ factor: Double, _ other: [Double], to target: inout [Double]) {
      for index in target.indices { target[index] += factor * other[index] }
    }
    var result = slope.map { -$0 }
    var factors: [Double] = []
    for pair in pairs.reversed() {
      let factor = product(pair.step, result) / pair.scale
      factors.append(factor)
      add(-factor, pair.change, to: &result)
    }
    if let last = pairs.last {
      let scale = last.scale / product(last.change, last.change)
      for index in result.indices { result[index] *= scale }
    }
    for (pair, factor) in zip(pairs, factors.reversed()) {
      add(factor - product(pair.change, result) / pair.scale, pair.step, to: &result)
    }
    return result
  }

  /// The length of the step along `direction` that minimises the objective, which is convex along it; nil if no step
  /// makes it smaller. Moves `logits`, and sets `slopes` to the derivatives there.
  private static func lineSearch(
    _ data: LabelledRows, _ logits: inout [Double], _ along: [Double], _ slopes: inout [Double],
    _ values: [Double], _ direction: [Double], _ penalty: Double, _ columns: Int
  ) -> Double? {
    var (across, square, size) = (0.0, 0.0, 0.0)
    for index in 0..<columns {
      across += values[index] * direction[index]
      square += direction[index] * direction[index]
      size += values[index] * values[index]
    }
    let start = logits
    func objective(_ length: Double) -> (value: Double, derivative: Double) {
      for row in logits.indices { logits[row] = start[row] + length * along[row] }
      let loss = data.loss(logits, slopes: &slopes)
      var derivative = penalty * (across + length * square)
      for row in along.indices { derivative += slopes[row] * along[row] }
      let norm = size + 2 * length * across + length * length * square
      return (loss + penalty / 2 * norm, derivative)
    }
    let first = objective(0)
    guard first.derivative < 0 else { return nil }
    // A step on which the derivative fell to a tenth is good enough; else the minimum lies between `low` and `high`.
    var (length, low, high) = (1.0, 0.0, Double.infinity)
    for _ in 0..<50 {
      let now = objective(length)
      if now.value <= first.value, abs(now.derivative) <= 0.1 * -first.derivative { return length }
      if now.derivative > 0 || !now.value.isFinite { high = length } else { low = length }
      length = high.isFinite ? (low + high) / 2 : 2 * length
    }
    let last = objective(low)
    return low > 0 && last.value < first.value ? low : nil
  }
}
