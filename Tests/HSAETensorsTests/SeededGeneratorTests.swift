// The generator, compared with published output, and the properties of `split`.

import Testing

@testable import HSAETensors

struct SeededGeneratorTests {
  @Test func matchesPublishedOutput() {
    // The first outputs of the authors' C programs.
    var mixer: UInt64 = 0
    #expect(SeededGenerator.splitMix(&mixer) == 0xE220_A839_7B1D_CDAF)
    #expect(SeededGenerator.splitMix(&mixer) == 0x6E78_9E6A_A1B9_65F4)
    var small = SeededGenerator(state: (1, 2, 3, 4))
    #expect(
      (0..<4).map { _ in small.next() } == [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240])
    var seeded = SeededGenerator(seed: 0)
    #expect(seeded.next() == 0x99EC_5F36_CB75_F2B4)
    #expect(seeded.next() == 0xBF6E_1F78_4956_452A)
  }

  @Test func splitDependsOnSeedAndStreamOnly() {
    let fresh = SeededGenerator(seed: 7)
    var drawn = fresh
    for _ in 0..<10 { _ = drawn.next() }
    #expect(drawn.split(3) == fresh.split(3))
    var firsts = Set<UInt64>()
    for seed in 0..<20 as Range<UInt64> {
      for stream in 0..<50 as Range<UInt64> {
        var child = SeededGenerator(seed: seed).split(stream)
        firsts.insert(child.next())
      }
    }
    #expect(firsts.count == 1000)
  }

  @Test func numbersFillTheirInterval() {
    var generator = SeededGenerator(seed: 1)
    var (sum, squares) = (0.0, 0.0)
    for _ in 0..<10_000 {
      let value = generator.nextSymmetric()
      #expect(value > -1 && value < 1 && value != 0)
      let even = generator.nextUniform()
      #expect(even > 0 && even < 1)
      sum += value
      squares += value * value
    }
    #expect(abs(sum / 10_000) < 0.03)
    #expect(abs(squares / 10_000 - 1.0 / 3) < 0.01)
  }

  /// Moments and tails of 100,000 normal numbers.
  @Test func normalNumbersAreNormal() {
    var generator = SeededGenerator(seed: 9)
    let values = (0..<100_000).map { _ in generator.nextNormal() }
    let count = Double(values.count)
    func mean(_ power: Int) -> Double {
      values.reduce(0) { sum, value in
        sum + (0..<power).reduce(1) { product, _ in product * value }
      } / count
    }
    // Standard errors: √(1/n), √(2/n), √(15/n), √(96/n).
    #expect(abs(mean(1)) < 4.5 * (1 / count).squareRoot())
    #expect(abs(mean(2) - 1) < 4.5 * (2 / count).squareRoot())
    #expect(abs(mean(3)) < 4.5 * (15 / count).squareRoot())
    #expect(abs(mean(4) - 3) < 4.5 * (96 / count).squareRoot())
    let tail = Double(values.count { $0 > 1.959963984540054 })
    #expect(abs(tail - 0.025 * count) < 4.5 * (0.025 * count).squareRoot())
  }
}
