// Stores of a residual stream: flagged rows are left out without leaving holes, chunks and look-ups
// count the others.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

/// Writes a store of `count` rows in chunks of `chunkRows` at `path`: row i is (i, -i) / 1024, its token
/// i mod 7, its norm i, its document i / 10, its position i mod 10; `flags` by row.
func writeResidualStore(
  at path: String, count: Int, chunkRows: Int, flags: [Int: UInt8] = [:], complete: Bool = true
) throws {
  func write(
    _ name: String, _ type: ZarrType, width: Int? = nil, _ element: (Int) -> [UInt8]
  ) throws {
    let array = try ZarrArrayWriter(
      creating: Path.join(path, name), shape: [count] + (width.map { [$0] } ?? []),
      chunkRows: chunkRows, type: type,
      dimensions: Array(["row", "dimension"].prefix(width == nil ? 1 : 2)))
    try array.write((0..<count).flatMap(element), atRow: 0)
  }
  func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    var result: [UInt8] = []
    appendBytes(of: value, to: &result)
    return result
  }
  try write("directions", .float16, width: 2) {
    bytes(float16Bits(Float($0) / 1024)) + bytes(float16Bits(-Float($0) / 1024))
  }
  try write("norms", .float32) { bytes(Float($0).bitPattern) }
  try write("tokens", .int32) { bytes(Int32($0 % 7)) }
  try write("documents", .int32) { bytes(Int32($0 / 10)) }
  try write("positions", .int32) { bytes(Int32($0 % 10)) }
  try write("flags", .uint8) { [flags[$0] ?? 0] }
  var attributes = StoreAttributes(
    kind: .residualStream, modelName: "tiny", modelSHA256: "0",
    hookPoint: "output of block 3, counting from 0")
  attributes.layer = 3
  attributes.rowCount = count
  attributes.width = 2
  attributes.complete = complete
  try JSONFile.write(StoreGroup(attributes: attributes), to: Path.join(path, "zarr.json"))
}

@Suite struct ResidualStreamStoreTests {
  @Test(arguments: [
    [:], [0: 1, 1: 1, 2: 2], [99: 1], [7: 1, 8: 2, 9: 3, 10: 1, 50: 1, 63: 1, 64: 1],
    Dictionary(uniqueKeysWithValues: (16..<48).map { ($0, 1) }),
  ] as [[Int: UInt8]])
  func flaggedRowsAreLeftOut(_ flags: [Int: UInt8]) throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 100, chunkRows: 16, flags: flags)
      for giantNorms in GiantNorms.allCases {
        let left = (0..<100).filter { row in
          let bits = flags[row] ?? 0
          return bits == 0 || giantNorms == .keep && bits == 1
        }
        let store = try ActivationStore(path: folder, giantNorms: giantNorms)
        #expect(store.rowCount == left.count && store.isShuffled)
        #expect(store.flaggedCount == flags.count && store.skippedCount == 100 - left.count)
        #expect((0..<left.count).map(store.storedRow) == left)
        let rows = try store.matrix(rows: 0..<left.count)
        let first = left.map { Float($0) / 1024 }
        let expected = first.flatMap { [$0, -$0] }
        #expect(rows.elements == expected)
        #expect(store.norms == left.map { Float($0) })
        #expect(store.tokens == left.map { Int32($0 % 7) })
        // Chunks are the same rows as stored.
        let chunks = store.chunks
        #expect(chunks.count == 7 && chunks.map(\.count).reduce(0, +) == left.count)
        for (number, chunk) in chunks.enumerated() {
          #expect(chunk.allSatisfy { left[$0] / 16 == number })
          store.prefetch(chunk)
        }
      }
      #expect(try openRows(path: folder).summary.hasSuffix("left out") == !flags.isEmpty)
    }
  }

  @Test func otherRowsAreOtherData() throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 100, chunkRows: 16, flags: [3: 1])
      let skipping = try openRows(path: folder)
      #expect(skipping.rowCount == 99)
      #expect(try openRows(path: folder).fingerprint == skipping.fingerprint)
      #expect(
        try openRows(path: folder, giantNorms: .keep).fingerprint != skipping.fingerprint)
    }
  }

  @Test func storesWithoutARowToReadAreRefused() throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 3, chunkRows: 2, flags: [0: 1, 1: 1, 2: 1])
      #expect(failure { _ = try openRows(path: folder) }?.message.contains("flagged") == true)
      #expect(try openRows(path: folder, giantNorms: .keep).rowCount == 3)
      try writeResidualStore(at: folder, count: 3, chunkRows: 2, complete: false)
      #expect(failure { _ = try openRows(path: folder) }?.message.contains("incomplete") == true)
      #expect(try openRows(path: folder, allowIncomplete: true).rowCount == 3)
    }
  }

  /// A chunk that no row was written to has no file: zeros, and they are read as such.
  @Test func missingChunksAreZeros() throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 10, chunkRows: 4)
      Path.removeAll(folder + "/directions/c/1")
      Path.removeAll(folder + "/norms/c/1")
      let store = try ActivationStore(path: folder)
      #expect(try store.matrix(rows: 3..<6).elements == [3 / 1024, -3 / 1024, 0, 0, 0, 0])
      #expect(store.norms == [0, 1, 2, 3, 0, 0, 0, 0, 8, 9])
      store.prefetch(0..<10)
    }
  }
}
