// The distance of two lists of numbers, as tests compare tensors, and the precisions that they can try.

public import HSAETensors

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

extension Precision {
  /// The types whose dense products this processor computes.
  public static var supported: [Precision] { best == .bfloat16 ? allCases : [.float32] }
}
