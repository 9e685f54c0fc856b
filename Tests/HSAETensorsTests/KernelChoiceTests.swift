// The choice of latents: keys and their order, the k largest keys, the scan of pre-activations with threshold
// masks, and the transposition of these masks.

import CHSAEKernels
import HSAETensors
import Testing

@Suite struct KernelKeyTests {
  static let values: [Float] = [
    -.infinity, -.greatestFiniteMagnitude, -1.5, -1, -Float.leastNonzeroMagnitude, -0.0, 0,
    Float.leastNonzeroMagnitude, Float.leastNormalMagnitude, 0.25, 1, (1 as Float).nextUp, 3e38,
    .infinity,
  ]

  @Test func keysOrderByValueThenByFallingIndex() {
    let indices: [Int32] = [0, 1, 2, 63, 64, 1 << 20, .max - 1, .max]
    var previous: UInt64?
    for value in Self.values {
      for index in indices.reversed() {
        let key = hsae_key(value, index)
        if let previous { #expect(key > previous, "\(value) at \(index)") }
        previous = key
        #expect(hsae_key_value(key).bitPattern == value.bitPattern)
        #expect(hsae_key_index(key) == index)
      }
    }
  }

  @Test func keysRoundTrip() {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
      let index = Int32(truncatingIfNeeded: generator.next() >> 33)
      let key = hsae_key(value, index)
      #expect(hsae_key_value(key).bitPattern == value.bitPattern)
      #expect(hsae_key_index(key) == index)
    }
  }

  /// The distribution of the keys' values.
  enum Values: CaseIterable {
    case random, few, equal, rising, falling
  }

  @Test(arguments: Values.allCases)
  func topIsTheBeginningOfASort(_ values: Values) {
    var generator = SeededGenerator(seed: 8)
    for count in [0, 1, 2, 3, 16, 47, 48, 49, 50, 64, 100, 333, 2000] {
      let keys = (0..<count).map { index in
        let value: Float =
          switch values {
          case .random: Float(generator.nextSymmetric())
          case .few: Float(generator.next() % 3)
          case .equal: 0.5
          case .rising: Float(index)
          case .falling: Float(-index)
          }
        return hsae_key(value, Int32(index))
      }
      let sorted = keys.sorted(by: >)
      for keep in Set([0, 1, 2, 32, 48, 49, count / 2, max(0, count - 1), count, count + 5]) {
        var own = keys
        let number = unsafe hsae_keys_top(&own, count, keep)
        #expect(number == min(keep, count))
        #expect(Array(own[..<number]) == Array(sorted[..<number]), "\(count) \(keep)")
      }
    }
  }

  @Test func amongEqualValuesTheLowestIndexWins() {
    var keys = [7, 3, 5, 1].map { hsae_key(0.25, $0) } + [hsae_key(0.5, 9)]
    let number = unsafe hsae_keys_top(&keys, 5, 3)
    #expect(number == 3)
    #expect(keys[..<3].map(hsae_key_index) == [9, 1, 3])
  }
}

@Suite struct KernelScanTests {
  /// The expected result of a scan of `latents` pre-activations.
  struct Expectation {
    var mask: [UInt64]
    var sum: Bounded
    var top: [UInt64]

    init(_ u: [Float], threshold: Float, floor: Float, keep: Int, first: Int32 = 0) {
      mask = [UInt64](repeating: 0, count: (u.count + 63) / 64)
      sum = .zero
      for (index, x) in u.enumerated() where x >= threshold {
        mask[index / 64] |= 1 << UInt64(index % 64)
        sum += Bounded(x)
      }
      let keys = u.enumerated().filter { $0.element > floor }.map {
        hsae_key($0.element, first + Int32($0.offset))
      }
      top = Array(keys.sorted(by: >).prefix(keep))
    }
  }

  /// Scans `u` in tiles of `tile`, as the encoder does.
  static func scan(
    _ set: InstructionSet, _ u: [Float], tile: Int, threshold: Float, floor: Float, keep: Int,
    capacity: Int, masked: Bool = true
  ) -> (mask: [UInt64], sum: Double, top: [UInt64], floor: Float) {
    var mask = [UInt64](repeating: .max, count: (u.count + 63) / 64 + 1)
    var keys = [UInt64](repeating: 0, count: capacity)
    var (sum, floor, count) = (0.0, floor, 0)
    for first in stride(from: 0, to: max(1, u.count), by: tile) {
      let part = FencedArray(Array(u[first..<min(u.count, first + tile)]), .beforeFence)
      unsafe mask.withUnsafeMutableBufferPointer { words in
        let own = unsafe words.baseAddress.map { unsafe $0 + first / 64 }
        count = unsafe set.table.scan(
          part.base, part.count, Int32(first), threshold, masked ? own : nil, &sum, &floor, &keys,
          count, keep, capacity)
      }
    }
    #expect(mask.last == .max, "a word beyond the mask was written")
    let number = unsafe hsae_keys_top(&keys, count, keep)
    return (Array(mask.dropLast()), sum, Array(keys[..<number]), floor)
  }

  /// Draws pre-activations.
  enum Values: CaseIterable {
    case random, few, rising, falling, aboveAll, belowAll
  }

  @Test(arguments: InstructionSet.all, Values.allCases)
  func findsMaskSumAndLargest(_ set: InstructionSet, _ values: Values) {
    var generator = SeededGenerator(seed: 21)
    for count in [0, 1, 15, 16, 63, 64, 65, 127, 128, 130, 640, 2307] {
      let u = (0..<count).map { index -> Float in
        switch values {
        case .random: Float(generator.nextSymmetric())
        case .few: [0.1, 0.25, 0.25, -1, 0.5][Int(generator.next() % 5)]
        case .rising: Float(index) / 1000
        case .falling: 1 - Float(index) / 1000
        case .aboveAll: 2
        case .belowAll: -2
        }
      }
      for (keep, tile) in [(1, 64), (5, 512), (40, 128)] {
        for capacity in [keep + 16, 2 * keep + 64] {
          for floor: Float in [0, (0.25 as Float).nextDown, 0.25, -3] {
            let expected = Expectation(u, threshold: 0.25, floor: floor, keep: keep)
            let found = Self.scan(
              set, u, tile: tile, threshold: 0.25, floor: floor, keep: keep, capacity: capacity)
            #expect(found.mask == expected.mask)
            #expect(expected.sum.allows(found.sum, roundings: 512 / 16 + 8))
            #expect(found.top == expected.top, "\(count) keep \(keep) floor \(floor)")
            #expect(found.floor >= floor)
            if let least = expected.top.last, found.floor > floor {
              #expect(found.floor <= hsae_key_value(least), "the floor hides a latent")
            }
            let bare = Self.scan(
              set, u, tile: tile, threshold: 0.25, floor: floor, keep: keep, capacity: capacity,
              masked: false)
            #expect(bare.top == expected.top)
            #expect(bare.sum == 0)
          }
        }
      }
    }
  }

  @Test(arguments: InstructionSet.all)
  func nanIsNeverChosen(_ set: InstructionSet) {
    var u = [Float](repeating: 0.5, count: 130)
    for index in [0, 63, 64, 129] { u[index] = .nan }
    u[7] = .infinity
    u[8] = -.infinity
    let found = Self.scan(set, u, tile: 512, threshold: 0.5, floor: 0, keep: 3, capacity: 19)
    #expect(found.top.map(hsae_key_index) == [7, 1, 2])
    let bits = found.mask.map(\.nonzeroBitCount).reduce(0, +)
    #expect(bits == 130 - 4 - 1)
    #expect(found.sum == .infinity)
  }

  @Test func bitsTranspose() {
    var generator = SeededGenerator(seed: 2)
    for stride in [1, 2, 5] {
      let input = (0..<63 * stride + 1).map { _ in generator.next() }
      var output = [UInt64](repeating: 0, count: 64)
      unsafe hsae_transpose_bits(&output, input, stride)
      for r in 0..<64 {
        for c in 0..<64 {
          #expect(input[r * stride] >> UInt64(c) & 1 == output[c] >> UInt64(r) & 1)
        }
      }
    }
  }
}
