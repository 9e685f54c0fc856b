// The distance of two lists of numbers, as tests compare tensors.

/// ‖a − b‖ / ‖b‖, or ‖a‖ where b is zero.
public func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  var difference = 0.0
  var norm = 0.0
  for (x, y) in zip(a, b) {
    difference += (x - y) * (x - y)
    norm += y * y
  }
  return norm > 0 ? (difference / norm).squareRoot() : difference.squareRoot()
}
