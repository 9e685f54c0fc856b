// The shuffle of stores: a bijection for every size, fixed for all versions, and without pattern.

import Testing

@testable import HSAEActivations

struct PermutationTests {
  @Test(arguments: [0, 1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 255, 1000, 4097, 30_000])
  func everySizeIsABijection(count: Int) {
    for seed: UInt64 in [0, 1, .max] {
      let permutation = Permutation(count: count, seed: seed)
      var seen = [Bool](repeating: false, count: count)
      for index in 0..<count {
        let position = permutation.position(of: index)
        seen[position] = true
        #expect(permutation.index(at: position) == index)
      }
      #expect(seen.allSatisfy { $0 })
    }
  }

  @Test func hugeSizesWorkToo() {
    let count = 1 << 62
    let permutation = Permutation(count: count, seed: 3)
    for index in [0, 1, count / 3, count - 1] {
      #expect(permutation.index(at: permutation.position(of: index)) == index)
    }
  }

  /// Stores on disk depend on these numbers, so they must never change. An independent implementation in
  /// Python gives the same ones.
  @Test func knownAnswers() {
    let small = Permutation(count: 10, seed: 42)
    #expect((0..<10).map { small.position(of: $0) } == [0, 3, 2, 8, 6, 7, 5, 4, 9, 1])
    let large = Permutation(count: 1000, seed: (1 << 63) + 5)
    #expect((0..<5).map { large.position(of: $0) } == [1, 743, 637, 39, 640])
  }

  /// Over many seeds, all (index, position) pairs are equally frequent. Chi-square of 13 × 13 cells has 144
  /// degrees of freedom and exceeds 200 with probability 0.0014.
  @Test func positionsAreUniformOverSeeds() {
    let (count, seeds) = (13, 13_000)
    var cells = [Int](repeating: 0, count: count * count)
    for seed in 0..<seeds {
      let permutation = Permutation(count: count, seed: UInt64(seed))
      for index in 0..<count { cells[index * count + permutation.position(of: index)] += 1 }
    }
    let expected = Double(seeds) / Double(count)
    let chiSquare = cells.reduce(0.0) {
      $0 + (Double($1) - expected) * (Double($1) - expected) / expected
    }
    #expect(chiSquare < 200, "chi-square \(chiSquare)")
  }

  /// A row's place does not depend on its document: 16 documents of 256 consecutive rows against 16 stretches
  /// of the store, summed over 64 seeds. Each has 225 degrees of freedom, so the sum is near 64 · 225 with a
  /// deviation of about sqrt(2 · 64 · 225) = 170.
  @Test func positionsAreIndependentOfDocuments() {
    let (documents, length) = (16, 256)
    let expected = Double(length) / Double(documents)
    var sum = 0.0
    for seed in 0..<64 {
      let permutation = Permutation(count: documents * length, seed: UInt64(seed) << 32 + 5)
      var cells = [Int](repeating: 0, count: documents * documents)
      for index in 0..<documents * length {
        let stretch = permutation.position(of: index) / length
        cells[index / length * documents + stretch] += 1
      }
      sum += cells.reduce(0.0) {
        $0 + (Double($1) - expected) * (Double($1) - expected) / expected
      }
    }
    #expect(abs(sum - 64 * 225) < 700, "\(sum) is not near \(64 * 225)")
  }
}
