/// A 95 % interval of a number.
public struct Interval: Hashable, Sendable, Codable {
  /// Its ends.
  public var low, high: Double

  /// An interval with the given ends.
  public init(_ low: Double, _ high: Double) { (self.low, self.high) = (low, high) }
}
