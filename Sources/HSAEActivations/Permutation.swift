// A seeded shuffle of 0 ..< n that is a function, not a list: it needs no memory and gives any element in
// constant time, in both directions. The order of rows in stores depends on it, so a change here changes
// their bytes.

import HSAETensors

/// A pseudo-random permutation of 0 ..< count.
///
/// A Feistel network of ten rounds on the smallest even number of bits that holds `count`. A result of at
/// least `count` goes through the network again until it is below (cycle walking), less than four times on
/// average. Round keys and the round function are SplitMix64's.
public struct Permutation: Sendable {
  /// The number of elements.
  public let count: Int
  private let halfBits: UInt64
  private let keys: [UInt64]

  /// The name of this construction in stores' attributes.
  public static let name = "feistel-10-splitmix64"

  /// The permutation of 0 ..< `count` that `seed` chooses.
  public init(count: Int, seed: UInt64) {
    precondition(count >= 0, "A permutation of \(count) elements.")
    self.count = count
    let bits = count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
    halfBits = UInt64(max(1, (bits + 1) / 2))
    var state = seed
    keys = (0..<10).map { _ in SeededGenerator.splitMix(&state) }
  }

  /// The position of element `index`, π(index).
  public func position(of index: Int) -> Int {
    precondition(index >= 0 && index < count, "Element \(index) of \(count).")
    var value = UInt64(index)
    repeat { value = forward(value) } while value >= UInt64(count)
    return Int(value)
  }

  /// The element at `position`, π⁻¹(position).
  public func index(at position: Int) -> Int {
    precondition(position >= 0 && position < count, "Position \(position) of \(count).")
    var value = UInt64(position)
    repeat { value = backward(value) } while value >= UInt64(count)
    return Int(value)
  }

  private var mask: UInt64 { (1 << halfBits) &- 1 }

  private func forward(_ value: UInt64) -> UInt64 {
    var (left, right) = (value >> halfBits, value & mask)
    for key in keys { (left, right) = (right, left ^ ((right &+ key).splitMixed & mask)) }
    return left << halfBits | right
  }

  private func backward(_ value: UInt64) -> UInt64 {
    var (left, right) = (value >> halfBits, value & mask)
    for key in keys.reversed() { (left, right) = (right ^ ((left &+ key).splitMixed & mask), left) }
    return left << halfBits | right
  }
}
