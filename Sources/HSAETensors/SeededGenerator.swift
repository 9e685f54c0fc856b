// The project's one source of random numbers: seeded, splittable, the same on every machine.

import Foundation

/// A random number generator whose whole output is a function of a seed.
///
/// The generator is xoshiro256** (Blackman and Vigna, 2018); SplitMix64 fills its state from the seed.
/// `split` derives an independent generator from the seed and a number, however many values were drawn
/// before. Give each unit of work (an expert, a chunk, an epoch) its own generator, and the result does not
/// depend on the number of threads.
public struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
  /// The number this generator was seeded with, or that `split` derived.
  public let seed: UInt64
  private var s0, s1, s2, s3: UInt64

  /// A generator whose output follows from `seed`.
  public init(seed: UInt64) {
    self.seed = seed
    var mixer = seed
    s0 = Self.splitMix(&mixer)
    s1 = Self.splitMix(&mixer)
    s2 = Self.splitMix(&mixer)
    s3 = Self.splitMix(&mixer)
  }

  /// A generator that starts from `state`, which must not be all zero; for tests against published output.
  init(state: (UInt64, UInt64, UInt64, UInt64)) {
    precondition(
      state.0 | state.1 | state.2 | state.3 != 0, "The state of xoshiro256** must not be zero.")
    seed = 0
    (s0, s1, s2, s3) = state
  }

  /// The generator of unit of work `stream`. It depends only on this generator's seed and on `stream`.
  public func split(_ stream: UInt64) -> SeededGenerator {
    var parent = seed
    // Two rounds: the first separates neighbouring seeds, the second neighbouring streams.
    var child = SeededGenerator.splitMix(&parent) ^ (stream &* 0xD1B5_4A32_D192_ED03)
    return SeededGenerator(seed: SeededGenerator.splitMix(&child))
  }

  /// 64 random bits.
  public mutating func next() -> UInt64 {
    let result = Self.rotate(s1 &* 5, 7) &* 9
    let shifted = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = Self.rotate(s3, 45)
    return result
  }

  /// A number drawn evenly from (-1, 1), never zero: (2n + 1) / 2^52 - 1 for 52 random bits n.
  public mutating func nextSymmetric() -> Double {
    // An odd number of 53 bits, less 2^52: exact in a Double, and never zero.
    let odd = Int64(next() >> 12) * 2 + 1
    return Double(odd - (1 << 52)) * 0x1p-52
  }

  /// A number drawn evenly from (0, 1), neither end included.
  public mutating func nextUniform() -> Double {
    Double(Int64(next() >> 12) * 2 + 1) * 0x1p-53
  }

  /// A number from the standard normal distribution, by Box and Muller's transform of two uniform ones. Processors with
  /// another C library may round its last bit differently.
  public mutating func nextNormal() -> Double {
    let radius = (-2 * log(nextUniform())).squareRoot()
    return radius * cos(2 * .pi * nextUniform())
  }

  private static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
    (value << bits) | (value >> (64 - bits))
  }

  /// The next output of SplitMix64 (Steele, Lea and Flood, 2014).
  @inlinable
  package static func splitMix(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return state.splitMixed
  }
}

extension UInt64 {
  /// SplitMix64's output for this state: a bijection of 64-bit numbers that leaves no pattern.
  @inlinable package var splitMixed: UInt64 {
    var value = self
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
