// The four loops that the reference implementation is made of.

/// The inner product of `count` numbers of `left` from `leftStart` and of `right` from `rightStart`.
func dot(
  _ left: [Double], _ leftStart: Int, _ right: [Double], _ rightStart: Int, _ count: Int
) -> Double {
  var sum = 0.0
  for index in 0..<count { sum += left[leftStart + index] * right[rightStart + index] }
  return sum
}

/// Adds `factor` times `count` numbers of `source` from `sourceStart` to `target` from `targetStart`.
func add(
  _ factor: Double, _ source: [Double], _ sourceStart: Int, to target: inout [Double],
  _ targetStart: Int, _ count: Int
) {
  for index in 0..<count { target[targetStart + index] += factor * source[sourceStart + index] }
}

/// The indices of the `count` largest `values`, largest first; of equals, the lowest index first.
func largest(_ count: Int, of values: [Double]) -> [Int] {
  let order = values.indices.sorted {
    values[$0] > values[$1] || (values[$0] == values[$1] && $0 < $1)
  }
  return Array(order.prefix(count))
}

/// value².
func square(_ value: Double) -> Double { value * value }
