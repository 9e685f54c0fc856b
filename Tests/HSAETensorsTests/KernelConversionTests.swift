// Rounding to bf16, and Adam.

import CHSAEKernels
import HSAETensors
import Testing

@Suite struct KernelConversionTests {
  /// The bf16 number nearest to `value`, even among two: found by comparing distances.
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

  /// Sums of bf16 rows in pairs are the sums of the same rows in fp32.
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
        // The step's error: the first moment's, then quotient, root and product.
        let allowed =
          8 * unit * Double(rate) * magnitude / (second.squareRoot() + Double(epsilon))
          + unit * (abs(Double(start[0][i])) + abs(step))
        let error = abs(Double(found[0][i]) - (Double(start[0][i]) - step))
        if !(isRight && error <= allowed + 1e-30) { wrong.append(i) }
      }
      #expect(wrong.isEmpty, "of \(count): \(wrong.prefix(3))")
    }
  }
}
