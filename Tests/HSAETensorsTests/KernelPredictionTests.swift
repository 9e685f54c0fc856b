// The kernels of softmax, compared with the C library's exp in double precision: every instruction set,
// awkward sizes, arrays directly before a page that faults, and numbers that are not finite.

import CHSAEKernels
import Foundation
import HSAETensors
import Testing

@Suite struct KernelPredictionTests {
  private static let sizes = [1, 15, 16, 17, 31, 33, 64, 100, 4095, 4097, 9000]

  private static func logits(_ count: Int) -> [Float] {
    var generator = SeededGenerator(seed: UInt64(count))
    // Most are close to each other; some are so far below the largest that their share is zero.
    return (0..<count).map { index in
      Float.random(in: -20...20, using: &generator) - (index % 7 == 3 ? 90 : 0)
    }
  }

  @Test(arguments: InstructionSet.all, sizes)
  func sumsOfExponentialsAreExact(_ set: InstructionSet, _ count: Int) {
    let numbers = Self.logits(count)
    let x = FencedArray(numbers, .beforeFence)
    let out = FencedArray([Float](repeating: 7, count: count), .beforeFence)
    let most = unsafe set.table.largest(x.base, count)
    #expect(most == numbers.max())
    let sum = unsafe set.table.exp_sum(out.base, x.base, most, count)
    #expect(unsafe set.table.exp_sum(nil, x.base, most, count) == sum)
    #expect(x.isIntact && out.isIntact)

    var total = 0.0
    for (number, found) in zip(numbers, out.elements) {
      let shifted = number - most  // in single precision, as the kernel does
      let term = shifted < -87 ? 0 : exp(Double(shifted))
      total += term
      #expect(abs(Double(found) - term) <= 3e-7 * term)
    }
    #expect(abs(sum - total) <= 1e-6 * total)
  }

  @Test(arguments: InstructionSet.all)
  func numbersThatAreNotFinite(_ set: InstructionSet) {
    for place in [0, 5, 16, 40] {
      var numbers = [Float](repeating: 0, count: 41)
      numbers[place] = -.infinity
      #expect(unsafe set.table.exp_sum(nil, numbers, 0, numbers.count) == 40)
      numbers[place] = .nan
      #expect(unsafe set.table.exp_sum(nil, numbers, 0, numbers.count).isNaN)
    }
  }
}
