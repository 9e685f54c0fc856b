// Tests of packing contexts into batches: each context once, within the limits, similar lengths together.

import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct PackedBatchTests {
  @Test(arguments: [(1, 1), (7, 4), (200, 16)])
  func everyContextIsInOneBatchThatHoldsIt(_ count: Int, _ sequences: Int) {
    var generator = SeededGenerator(seed: UInt64(count))
    let lengths = (0..<count).map { _ in Int(generator.next() % 64) + 1 }
    let batches = PackedBatch.pack(lengths: lengths, tokens: 256, sequences: sequences)
    #expect(batches.flatMap(\.contexts).sorted() == Array(0..<count))
    for batch in batches {
      #expect(batch.contexts.count <= sequences)
      #expect(batch.contexts.count * batch.length <= 256)
      #expect(batch.contexts.map { lengths[$0] }.max() == batch.length)
    }
  }

  @Test func contextsOfSimilarLengthShareABatch() {
    let batches = PackedBatch.pack(lengths: [1, 9, 2, 10], tokens: 20, sequences: 8)
    #expect(
      batches == [
        PackedBatch(contexts: [3, 1], length: 10), PackedBatch(contexts: [2, 0], length: 2),
      ])
    #expect(PackedBatch.pack(lengths: [], tokens: 20, sequences: 8).isEmpty)
  }

  @Test func lengthsAreRoundedUp() {
    let batches = PackedBatch.pack(lengths: [1, 5, 3], tokens: 8, sequences: 8, multiple: 4)
    #expect(
      batches == [PackedBatch(contexts: [1], length: 8), PackedBatch(contexts: [2, 0], length: 4)])
  }

  /// A context longer than a batch gets its own.
  @Test func longContextsAreAlone() {
    let batches = PackedBatch.pack(lengths: [30, 30], tokens: 20, sequences: 8)
    #expect(batches.map(\.contexts) == [[0], [1]])
  }

  /// Few contexts are divided among the workers; of many, batches have full size.
  @Test func workersEndTogether() {
    func batches(_ lengths: [Int], _ workers: Int) -> [Int] {
      PackedBatch.pack(
        lengths: lengths, tokens: PackedBatch.size(lengths: lengths, most: 1024, workers: workers),
        sequences: 64
      ).map { $0.contexts.count * $0.length }
    }
    let hundreds = Array(repeating: 100, count: 10)
    #expect(batches(hundreds, 1) == [1000])
    #expect(batches(hundreds, 2) == [500, 500])
    #expect(batches(hundreds, 4).count == 4)
    // Three full batches would keep one of two workers waiting.
    #expect(batches(Array(repeating: 100, count: 30), 2).count == 4)
    let many = Array(repeating: 100, count: 1000)
    #expect(PackedBatch.size(lengths: many, most: 1024, workers: 2) == 1024)
    // Small texts stay together.
    #expect(batches([5, 5, 5], 4) == [15])
    #expect(PackedBatch.size(lengths: [], most: 1024, workers: 2) == 1024)
    #expect(batches([300], 8) == [300])
  }
}
