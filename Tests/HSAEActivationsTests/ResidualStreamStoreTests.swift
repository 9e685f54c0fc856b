// Stores of a residual stream: flagged rows are left out, and indices, chunks and look-ups count only the
// others.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

/// Writes a store of `count` rows in chunks of `chunkRows` at `path`. Row i is (i, -i) / 1024 with token i
/// mod 7, norm i, document i / 10 and position i mod 10; `flags` are by row.
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

/// Writes such a store of 100 rows with its corpus: ten documents of ten tokens. Document i is in language
/// "en" or "fr" and called "Title i".
func writeCollectedStore(at path: String, chunkRows: Int = 16) throws {
  var attributes = StoreAttributes(
    kind: .residualStream, modelName: "tiny", modelSHA256: "0",
    hookPoint: "output of block 3, counting from 0")
  attributes.layer = 3
  attributes.width = 2
  attributes.collection = CollectionAttributes()
  var manifest = try StoreManifest(path: path)
  for document in 0..<10 {
    let first = document * 10
    var entry = StoreManifest.Document(
      tokens: (first..<first + 10).map { Int32($0 % 7) }, rowCount: 10, isHeldOut: false)
    entry.language = document.isMultiple(of: 3) ? "fr" : "en"
    entry.title = "Title \(document)"
    try manifest.append(entry)
  }
  try manifest.commit(
    attributes: attributes, vocabulary: (0..<7).map { "\u{2581}token\($0)" })
  let collected = try JSONFile.read(StoreGroup.self, from: path + "/zarr.json").attributes
  try writeResidualStore(at: path, count: 100, chunkRows: chunkRows, flags: [3: 1])
  attributes = collected
  attributes.complete = true
  try JSONFile.write(StoreGroup(attributes: attributes), to: Path.join(path, "zarr.json"))
}

@Suite struct StoreSummaryTests {
  @Test func aStoreIsDescribed() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      try writeCollectedStore(at: path)
      let summary = try StoreSummary(ActivationStore(path: path))
      #expect(summary.rows == 99 && summary.flagged == 1 && summary.sampled == 99)
      #expect(summary.documents == 10 && summary.corpusTokens == 100 && summary.heldOut == 0)
      #expect(summary.languages.map(\.name) == ["en", "fr"])
      #expect(summary.languages.map(\.count) == [6, 4])
      // 100 rows of tokens 0 ..< 7 in turn, without row 3.
      #expect(summary.tokens.map(\.count) == [15, 15, 14, 14, 14, 14, 13])
      #expect(summary.tokens[0].name == "\u{2581}token0")
      #expect(summary.contexts.count == 8)
      for context in summary.contexts {
        #expect(context.token.hasPrefix(" token") && context.title.hasPrefix("Title "))
        let number = try #require(Int(context.token.dropFirst(6)))
        if !context.before.isEmpty { #expect(context.before.hasSuffix("token\((number + 6) % 7)")) }
        if !context.after.isEmpty { #expect(context.after.hasPrefix(" token\((number + 1) % 7)")) }
      }
      var other = StoreSummary.Limits()
      other.seed = 1
      let again = try StoreSummary(ActivationStore(path: path), limits: other)
      #expect(again.contexts != summary.contexts && again.norms == summary.norms)
    }
  }

  @Test func normsAreCountedOnALogarithmicScale() {
    let norms = StoreSummary.Norms([0, 1, 10, 10.1, 100, 1000])
    #expect(norms.zeros == 1 && norms.counts.reduce(0, +) == 5)
    #expect(norms.quantiles.first == 0 && norms.quantiles.last == 1000)
    #expect(norms.counts.first == 1 && norms.counts.last == 1 && norms.lowest == 0)
    #expect(StoreSummary.Norms([0]).counts == [0])
    #expect(StoreSummary.Norms([5, 5]).counts == [2])
  }
}

@Suite struct ResidualStreamStoreTests {
  @Test(
    arguments: [
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
        // Chunks are ranges of stored rows.
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

  /// A chunk without written rows has no file and reads as zeros.
  @Test func missingChunksOfAnIncompleteStoreAreZeros() throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 10, chunkRows: 4, complete: false)
      Path.removeAll(folder + "/directions/c/1")
      Path.removeAll(folder + "/norms/c/1")
      let store = try ActivationStore(path: folder, allowIncomplete: true)
      #expect(try store.matrix(rows: 3..<6).elements == [3 / 1024, -3 / 1024, 0, 0, 0, 0])
      #expect(store.norms == [0, 1, 2, 3, 0, 0, 0, 0, 8, 9])
      store.prefetch(0..<10)
    }
  }

  @Test(arguments: ["directions", "norms", "tokens", "documents", "positions", "flags"])
  func missingChunksOfACompleteStoreAreRefused(_ array: String) throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 10, chunkRows: 4)
      Path.removeAll(folder + "/\(array)/c/1")
      let refusal = failure { _ = try ActivationStore(path: folder) }
      #expect(refusal?.kind == .data && refusal?.message.contains("/\(array)") == true)
    }
  }
}
