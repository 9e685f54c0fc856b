// Rounding to bf16, and Adam with moments in fp32 and in bf16.

import CHSAEKernels
import Foundation
import HSAETensors
import Testing

@Suite struct KernelConversionTests {
  /// The bf16 number nearest to `value`, or the even one of two, found by comparing distances.
  static func nearest(_ value: Float) -> UInt16 {
    let lower = UInt16(value.bitPattern >> 16)
    guard value.isFinite else { return lower }
    func distance(_ bits: UInt16) -> Double {
      // One past the largest finite number stands for 2¹²⁸.
      let number = Float(bitPattern: UInt32(bits & 0x7FFF) << 16)
      return abs((number.isInfinite ? 0x1p128 : Double(number)) - Double(value.magnitude))
    }
    let upper = lower + 1
    let (below, above) = (distance(lower), distance(upper))
    if below == above { return lower & 1 == 0 ? lower : upper }
    return below < above ? lower : upper
  }

  @Test(arguments: InstructionSet.all, Placement.allCases)
  func roundsToNearestEven(_ set: InstructionSet, _ placement: Placement) {
    var generator = SeededGenerator(seed: 4)
    let special: [UInt32] = [
      0, 0x8000_0000, 1, 0x7FFF, 0x8000, 0x8001, 0x1_8000, 0x3F80_0000, 0x3F80_7FFF, 0x3F80_8000,
      0x3F80_8001, 0x3F81_8000, 0x3F81_7FFF, 0xBF81_8000, 0x7F7F_7FFF, 0x7F7F_8000, 0x7F7F_FFFF,
      0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x0080_0000, 0x007F_FFFF,
    ]
    for count in [0, 1, 15, 16, 17, 64, 65, 640, 2307] {
      let input = (0..<count).map { index -> Float in
        if index < special.count { return Float(bitPattern: special[index]) }
        let bits = UInt32(truncatingIfNeeded: generator.next())
        let value = Float(bitPattern: bits)
        return value.isFinite ? value : 1
      }
      let source = FencedArray(input, placement)
      var output = [UInt16](repeating: 0xABCD, count: count + 1)
      unsafe set.table.to_bfloat16(&output, source.base, count)
      #expect(output[count] == 0xABCD)
      #expect(Array(output.dropLast()) == input.map(Self.nearest))
    }
  }

  @Test(arguments: InstructionSet.all)
  func bitsBecomeZerosAndOnes(_ set: InstructionSet) {
    var generator = SeededGenerator(seed: 5)
    for bits in [0, 1, UInt64.max, 1 << 63, generator.next(), generator.next()] {
      var output = [UInt16](repeating: 0xABCD, count: 65)
      unsafe set.table.expand_bits(&output, bits)
      #expect(output == (0..<64).map { bits >> UInt64($0) & 1 == 1 ? 0x3F80 : 0 } + [0xABCD])
    }
  }

  /// Sums of bf16 rows in pairs equal the sums of the same rows in fp32.
  @Test(arguments: InstructionSet.all, [64, 50, 33, 16, 7])
  func pairedSumsAreThoseOfTheirNumbers(_ set: InstructionSet, _ width: Int) {
    let columns = Int(HSAE_PANEL)
    let rows = 40
    var generator = SeededGenerator(seed: 6)
    var words = [UInt32](repeating: 0, count: rows * columns / 2)
    var numbers = [Float](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      var bits = [UInt16](repeating: 0, count: width)
      unsafe set.table.to_bfloat16(&bits, generator.floats(width), width)
      for column in 0..<width {
        numbers[row * columns + column] = Float(bitPattern: UInt32(bits[column]) << 16)
      }
      unsafe words.withUnsafeMutableBufferPointer {
        unsafe set.table.pair_columns($0.baseAddress! + row * columns / 2, bits, width)
      }
    }
    let list = generator.indices(90, below: rows).map(UInt16.init)
    let starts: [Int32] = [0, 0, 1, 3, 90]
    let start = generator.floats(4 * (columns + 5))
    var (paired, plain) = (start, start)
    unsafe set.table.panel_sums_bfloat16(&paired, columns + 5, 4, list, starts, words)
    unsafe set.table.panel_sums(&plain, columns + 5, 4, list, starts, numbers)
    #expect(paired == plain)
  }

  @Test(arguments: InstructionSet.all, Placement.allCases)
  func adamAgreesWithTheTwin(_ set: InstructionSet, _ placement: Placement) {
    let (clip, rate, beta1, beta2, epsilon): (Float, Float, Float, Float, Float) =
      (0.4, 1e-3, 0.9, 0.999, 1e-8)
    var generator = SeededGenerator(seed: 6)
    for count in KernelDescription.widths {
      let start = (0..<4).map { array -> [Float] in
        let numbers = generator.floats(count)
        // Second moments are squares; every tenth gradient is zero, every seventh tiny.
        return numbers.enumerated().map { index, x in
          if array == 2 { return x * x * 1e-4 }
          if array == 3, index % 10 == 3 { return 0 }
          return array == 3 && index % 7 == 2 ? x * 1e-12 : x
        }
      }
      let arrays = start.map { FencedArray($0, placement) }
      unsafe set.table.adam(
        arrays[0].base, arrays[1].base, arrays[2].base, arrays[3].base, count, clip, rate, beta1,
        beta2, epsilon)
      let found = arrays.map(\.elements)
      #expect(arrays.allSatisfy { $0.isIntact })
      #expect(found[3] == start[3])
      var wrong: [Int] = []
      for i in 0..<count {
        let x = Double(clip) * Double(start[3][i])
        let first = Double(beta1) * Double(start[1][i]) + Double(1 - beta1) * x
        let second = Double(beta2) * Double(start[2][i]) + Double(1 - beta2) * x * x
        let step = Double(rate) * first / (second.squareRoot() + Double(epsilon))
        let unit = 0x1p-24
        let magnitude = abs(Double(beta1) * Double(start[1][i])) + abs(Double(1 - beta1) * x)
        let isRight =
          abs(Double(found[1][i]) - first) <= 4 * unit * magnitude + 1e-45
          && abs(Double(found[2][i]) - second) <= 5 * unit * second + 1e-44
        // The roundings of the first moment, the quotient, the root and the product.
        let allowed =
          8 * unit * Double(rate) * magnitude / (second.squareRoot() + Double(epsilon))
          + unit * (abs(Double(start[0][i])) + abs(step))
        let error = abs(Double(found[0][i]) - (Double(start[0][i]) - step))
        if !(isRight && error <= allowed + 1e-30) { wrong.append(i) }
      }
      #expect(wrong.isEmpty, "of \(count): \(wrong.prefix(3))")
    }
  }

  /// Compares the bf16 step with a twin that follows the definition of random rounding.
  @Test(arguments: InstructionSet.all)
  func adamInBFloat16AgreesWithTheTwin(_ set: InstructionSet) {
    var generator = SeededGenerator(seed: 9)
    for count in KernelDescription.widths {
      let (first, key): (UInt32, UInt64) = (UInt32.max - 20, generator.next())
      let weights = generator.floats(count)
      let gradients = generator.floats(count)
      let means = generator.floats(count).map { UInt16($0.bitPattern >> 16) }
      let squares = generator.floats(count).map { UInt16(($0 * $0).bitPattern >> 16) }
      let arrays = [weights, gradients].map { FencedArray($0, .beforeFence) }
      var (m, v) = (means + [0xABCD], squares + [0xABCD])
      unsafe set.table.adam_bfloat16(
        arrays[0].base, &m, &v, arrays[1].base, count, 0.4, 1e-3, 0.9, 0.999, 1e-8, key, first)
      // The step equals that of the fp32 kernel on the same numbers, up to a rounding or two.
      func wide(_ bits: [UInt16]) -> [Float] { bits.map { Float(bitPattern: UInt32($0) << 16) } }
      var (p, m32, v32) = (weights, wide(means), wide(squares))
      unsafe set.table.adam(
        &p, &m32, &v32, gradients, count, 0.4, 1e-3, 0.9, 0.999, 1e-8)
      #expect(arrays[1].elements == gradients)
      let wrong = zip(arrays[0].elements, p).enumerated().first { index, pair in
        let step = abs(pair.1 - weights[index])
        return !(abs(pair.0 - pair.1) <= 0x1p-21 * step + 0x1p-23 * abs(weights[index]))
      }
      #expect(wrong == nil, "of \(count)")
      #expect(arrays.allSatisfy { $0.isIntact } && m.last == 0xABCD && v.last == 0xABCD)
      for i in 0..<count {
        let bits = Self.draw(first &+ UInt32(i), key)
        #expect(m[i] == Self.round(m32[i], bits & 0xFFFF), "\(i) of \(count)")
        #expect(v[i] == Self.round(v32[i], bits >> 16), "\(i) of \(count)")
      }
    }
  }

  /// The random bits of one element: two rounds of xor-shift and multiplication.
  static func draw(_ index: UInt32, _ key: UInt64) -> UInt32 {
    var x = index ^ UInt32(truncatingIfNeeded: key)
    x = (x ^ (x >> 16)) &* 0x7FEB_352D
    x = (x ^ (x >> 15) ^ UInt32(key >> 32)) &* 0x846C_A68B
    return x ^ (x >> 16)
  }

  /// `value` in bf16, rounded away from zero if the 16 bits `random` are large enough for the remainder.
  static func round(_ value: Float, _ random: UInt32) -> UInt16 {
    let bits = value.bitPattern
    let isUp = (bits & 0xFFFF) + random > 0xFFFF
    return UInt16(truncatingIfNeeded: bits >> 16) &+ (isUp ? 1 : 0)
  }

  /// With random rounding an average is right even if it moves by less than half a bf16 step at a time.
  @Test(arguments: InstructionSet.all)
  func roundingAtRandomIsFair(_ set: InstructionSet) {
    let (count, steps) = (4096, 4000)
    var p = [Float](repeating: 0, count: count)
    var m = [UInt16](repeating: 0, count: count)
    var v = m
    let g = [Float](repeating: 0.1, count: count)
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<steps {
      unsafe set.table.adam_bfloat16(
        &p, &m, &v, g, count, 1, 0, 0.9, 0.999, 1e-8, generator.next(), 0)
    }
    func mean(_ bits: [UInt16]) -> Double {
      bits.reduce(0) { $0 + Double(Float(bitPattern: UInt32($1) << 16)) } / Double(count)
    }
    // 0.01 · (1 − 0.999⁴⁰⁰⁰); rounding to nearest would give less than a tenth of it.
    let expected = 0.01 * (1 - exp(4000 * log(0.999)))
    #expect(abs(mean(v) - expected) < 0.005 * expected, "\(mean(v)) for \(expected)")
    #expect(abs(mean(m) - 0.1) < 1e-4, "\(mean(m))")
  }

  /// Each random bit is one half of the time and independent of its neighbour's.
  @Test func drawnBitsAreUniformAndIndependent() {
    let count = 1 << 16
    var generator = SeededGenerator(seed: 8)
    for key in [0, 1, generator.next(), generator.next()] {
      let bits = (0..<UInt32(count)).map { Self.draw($0, key) }
      for bit in 0..<32 {
        let ones = bits.count { $0 >> bit & 1 == 1 }
        let changes = zip(bits, bits.dropFirst()).count { ($0 ^ $1) >> bit & 1 == 1 }
        for number in [ones, changes] {
          // Six standard deviations of a fair coin.
          #expect(abs(number - count / 2) < 3 * 256, "bit \(bit) with key \(key)")
        }
      }
    }
  }
}
