// Which rows make up each batch, and that a reader returns the batches it is asked for.

import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct RowSequenceTests {
  @Test(arguments: [1, 2, 3, 17, 64, 1000], [0, 7] as [UInt64])
  func everyEpochVisitsEveryRowOnce(_ count: Int, _ seed: UInt64) {
    let sequence = RowSequence(count: count, order: .shuffled, seed: seed)
    for epoch in 0..<4 {
      let rows = sequence.rows(at: epoch * count..<(epoch + 1) * count)
      #expect(rows.sorted() == Array(0..<count))
    }
  }

  @Test func epochsAndSeedsDiffer() {
    let count = 1000
    var orders: Set<[Int]> = []
    for seed: UInt64 in 0..<4 {
      let sequence = RowSequence(count: count, order: .shuffled, seed: seed)
      for epoch in 0..<4 {
        orders.insert(sequence.rows(at: epoch * count..<(epoch + 1) * count))
      }
    }
    #expect(orders.count == 16)
    #expect(!orders.contains(Array(0..<count)))
  }

  @Test(arguments: RowOrder.allCases)
  func batchesAreCutFromOneSequence(_ order: RowOrder) {
    let sequence = RowSequence(count: 23, order: order, seed: 5)
    let all = sequence.rows(at: 0..<230)
    for size in [1, 7, 23, 50, 100] {
      for start in stride(from: 0, to: 230 - size, by: size) {
        #expect(sequence.rows(at: start..<start + size) == Array(all[start..<start + size]))
      }
    }
    #expect(sequence.rows(at: 5..<5).isEmpty)
  }

  @Test func fileOrderWrapsRound() {
    let sequence = RowSequence(count: 5, order: .file, seed: 1)
    #expect(sequence.rows(at: 3..<12) == [3, 4, 0, 1, 2, 3, 4, 0, 1])
  }
}

/// Rows (i, 2i) in chunks of given sizes.
private struct ChunkedRows: RowSource {
  var sizes: [Int]
  var rowCount: Int { sizes.reduce(0, +) }
  var width: Int { 2 }
  var path: String { "chunked" }
  var summary: String { "chunked" }
  var fingerprint: String { "chunked" }

  var chunks: [Range<Int>] {
    var start = 0
    return sizes.map { size in
      defer { start += size }
      return start..<start + size
    }
  }

  func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) {
    for place in rows.indices {
      destination[2 * place] = Float(rows[place])
      destination[2 * place + 1] = Float(2 * rows[place])
    }
  }
}

@Suite struct ChunkOrderTests {
  private func sequence(_ sizes: [Int], seed: UInt64 = 0) -> RowSequence {
    let rows = ChunkedRows(sizes: sizes)
    return RowSequence(count: rows.rowCount, order: .chunks, seed: seed).following(rows)
  }

  @Test(arguments: [
    [1], [5], [3, 0, 4], [30_000, 30_000, 30_000, 1, 30_000], [70_000, 70_000, 70_000],
  ])
  func everyEpochVisitsEveryRowOnceInANewOrder(_ sizes: [Int]) {
    let count = sizes.reduce(0, +)
    var orders: Set<[Int]> = []
    for seed: UInt64 in 0..<2 {
      for epoch in 0..<2 {
        let rows = sequence(sizes, seed: seed).rows(at: epoch * count..<(epoch + 1) * count)
        #expect(rows.sorted() == Array(0..<count))
        orders.insert(rows)
      }
    }
    #expect(orders.count == 4 || count < 10)
  }

  @Test func batchesDoNotDependOnWhereReadingBegan() {
    let sizes = [30_000, 30_000, 30_000, 1, 30_000]
    let sequence = sequence(sizes, seed: 3)
    let all = sequence.rows(at: 0..<300_000)
    var places = RowSequence.Places()
    for start in stride(from: 0, to: 290_000, by: 9_999) {
      let range = start..<start + 9_999
      #expect(sequence.rows(at: range) == Array(all[range]))
      #expect(sequence.rows(at: range, reusing: &places) == Array(all[range]))
    }
    // Going back gives the same rows.
    #expect(sequence.rows(at: 5..<10, reusing: &places) == Array(all[5..<10]))
  }

  /// A pool is read before the next begins, and mixes several chunks.
  @Test func poolsAreReadOneAfterAnother() throws {
    let sizes = [Int](repeating: 10_000, count: 20)
    let sequence = sequence(sizes, seed: 1)
    let first = try #require(sequence.pool(at: 0))
    #expect(first.positions == 0..<70_000 && first.chunks.count == 7)
    let rows = sequence.rows(at: 0..<200_000)
    #expect(Set(rows[first.positions]) == Set(first.chunks.flatMap { Array($0) }))
    let second = try #require(sequence.pool(at: 70_000))
    #expect(Set(rows[second.positions]) == Set(second.chunks.flatMap { Array($0) }))
    // The first thousand rows come about equally from all of the pool's chunks.
    for chunk in first.chunks {
      let share = rows[..<1000].count { chunk.contains($0) }
      #expect(abs(share - 143) < 60)
    }
    #expect(sequence.pool(at: 200_000)?.positions.lowerBound == 200_000)
    #expect(RowSequence(count: 9, order: .shuffled, seed: 0).pool(at: 0) == nil)
  }

  @Test func readersFollowTheChunks() throws {
    let rows = ChunkedRows(sizes: [3, 4, 5])
    let reader = BatchReader(
      source: rows, sequence: RowSequence(count: 12, order: .chunks, seed: 9), batch: 5,
      normalisation: .none, firstBatch: 1, bufferSize: 10)
    defer { reader.finish() }
    let sequence = RowSequence(count: 12, order: .chunks, seed: 9).following(rows)
    var buffer = Buffer<Float>(10)
    for index in 1..<9 {
      try reader.next(index, into: &buffer)
      let expected = sequence.rows(at: index * 5..<(index + 1) * 5)
      #expect(buffer.elements == expected.flatMap { [Float($0), Float(2 * $0)] })
    }
  }

  /// These orders must not change, or runs that were begun earlier would resume with other rows.
  @Test func rowOrdersHaveNotChanged() {
    func first(_ order: RowOrder) -> [Int] {
      let rows = ChunkedRows(sizes: [4, 4, 4])
      return RowSequence(count: 12, order: order, seed: 42).following(rows).rows(at: 0..<12)
    }
    #expect(first(.shuffled) == [8, 4, 10, 9, 11, 7, 1, 3, 2, 0, 5, 6])
    #expect(first(.chunks) == [5, 3, 4, 11, 0, 7, 6, 8, 1, 2, 9, 10])
    #expect(first(.file) == Array(0..<12))
  }
}

@Suite struct BatchReaderTests {
  /// A reader of `count` rows (i, 2i), and what its batches should hold.
  private func withReader(
    count: Int = 10, batch: Int, first: Int = 0, normalisation: Normalisation = .none,
    bad: Int? = nil, _ body: (BatchReader, RowSequence) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "rows.npy")
      var elements = (0..<count).flatMap { [Float($0), Float(2 * $0)] }
      if let bad { elements[2 * bad + 1] = .nan }
      try writeNumpy(elements, width: 2, to: path)
      let sequence = RowSequence(count: count, order: .shuffled, seed: 3)
      let reader = BatchReader(
        source: try openRows(path: path), sequence: sequence, batch: batch,
        normalisation: normalisation, firstBatch: first, bufferSize: batch * 2 + 6)
      defer { reader.finish() }
      try body(reader, sequence)
    }
  }

  @Test(arguments: [1, 3, 10, 25], [0, 4])
  func batchesFollowTheSequence(_ batch: Int, _ first: Int) throws {
    try withReader(batch: batch, first: first) { reader, sequence in
      var buffer = Buffer<Float>(batch * 2 + 6)
      for index in first..<first + 6 {
        try reader.next(index, into: &buffer)
        let rows = sequence.rows(at: index * batch..<(index + 1) * batch)
        #expect(
          Array(buffer.elements.prefix(2 * batch)) == rows.flatMap { [Float($0), Float(2 * $0)] })
        #expect(buffer.elements.suffix(6).allSatisfy { $0 == 0 }, "rows beyond the batch")
      }
    }
  }

  @Test func rowsAreScaledToUnitNorm() throws {
    try withReader(batch: 10, normalisation: .unit) { reader, sequence in
      var buffer = Buffer<Float>(26)
      try reader.next(0, into: &buffer)
      for (place, row) in sequence.rows(at: 0..<10).enumerated() {
        let length: Float = row == 0 ? 0 : 1 / Float(5).squareRoot()
        #expect(abs(buffer.elements[2 * place] - length) < 1e-5)
        #expect(abs(buffer.elements[2 * place + 1] - 2 * length) < 1e-5)
      }
    }
  }

  /// A bad row fails the batch it is in, not the one before, and is named by its place in the file.
  @Test func aBadRowFailsItsOwnBatch() throws {
    let sequence = RowSequence(count: 10, order: .shuffled, seed: 3)
    let bad = sequence.rows(at: 0..<10)[7]
    try withReader(batch: 2, bad: bad) { reader, _ in
      var buffer = Buffer<Float>(10)
      for index in 0..<3 { try reader.next(index, into: &buffer) }
      let refusal = failure { try reader.next(3, into: &buffer) }
      #expect(refusal?.kind == .data)
      #expect(refusal?.message.contains("row \(bad) ") == true, "\(refusal?.message ?? "")")
    }
  }
}
