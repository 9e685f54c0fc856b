// Activation stores: a store that was created reads back shuffled, each row with its norm and token. Damaged
// and incomplete stores are refused.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

struct ActivationStoreTests {
  private let count = 50
  private let width = 6
  private var attributes: StoreAttributes {
    StoreAttributes(
      kind: .unembedding, modelName: "tiny", modelSHA256: SHA256.hash("tiny"),
      hookPoint: "unembedding")
  }
  /// Row i is e_(i mod 6) · (1 or -1) with norm i + 1 and token 2 i.
  private func rows() -> Matrix {
    var matrix = Matrix(rows: count, columns: width)
    for row in 0..<count { matrix[row, row % width] = row.isMultiple(of: 2) ? 1 : -1 }
    return matrix
  }
  private let vocabulary = (0..<100).map { id in
    ["", "\u{0}", "▁dog", "é\n\"\\", "🐕\u{200D}🦺", "<unused\(id)>"][id % 6]
  }

  private func create(_ path: String, seed: UInt64 = 7, replacing: Bool = false) throws {
    try ActivationStore.create(
      at: path, attributes: attributes, rows: rows(),
      norms: (0..<count).map { Float($0 + 1) }, tokens: (0..<count).map { Int32(2 * $0) },
      vocabulary: vocabulary, mean: (0..<width).map { Float($0) / 3 },
      whitening: (0..<width * width).map { Float($0) / 7 }, shuffleSeed: seed,
      replacing: replacing)
  }

  @Test func roundTrip() throws {
    try withTemporaryFolder { folder in
      try create(folder + "/store")
      #expect(try Path.list(folder) == ["store"])
      let store = try ActivationStore(path: folder + "/store")
      #expect(store.rowCount == count && store.width == width)
      #expect(store.attributes.complete && store.attributes.shuffleSeed == 7)
      #expect(store.attributes.modelName == "tiny")
      #expect(store.vocabulary == vocabulary)
      #expect(store.mean == (0..<width).map { Float($0) / 3 })
      #expect(store.whitening == (0..<width * width).map { Float($0) / 7 })
      #expect(store.tokens != (0..<count).map { Int32(2 * $0) })
      let expected = rows()
      for index in 0..<count {
        let token = Int32(2 * index)
        let row = try #require(store.row(of: token))
        #expect(store.tokens[row] == token && store.norms[row] == Float(index + 1))
        let found = try store.matrix(rows: row..<row + 1)
        #expect(found.elements == (0..<width).map { expected[index, $0] })
        #expect(row == Permutation(count: count, seed: 7).position(of: index))
      }
      #expect(store.row(of: 1) == nil)
      let opened = try openRows(path: folder + "/store")
      #expect(opened.summary.contains("unembedding of tiny"))
      #expect(opened.fingerprint == store.fingerprint)
      #expect(try openRows(path: folder + "/store/directions").rowCount == count)
    }
  }

  @Test func theSameInputGivesTheSameBytes() throws {
    try withTemporaryFolder { folder in
      try create(folder + "/a")
      try create(folder + "/b")
      try create(folder + "/c", seed: 8)
      func hash(_ name: String) throws -> String {
        try SHA256.hash(file: "\(folder)/\(name)/directions/c/0/0")
      }
      #expect(try hash("a") == hash("b"))
      #expect(try hash("a") != hash("c"))
      let fingerprints = try ["a", "b", "c"].map {
        try ActivationStore(path: "\(folder)/\($0)").fingerprint
      }
      #expect(fingerprints[0] == fingerprints[1] && fingerprints[0] != fingerprints[2])
    }
  }

  @Test func anExistingStoreIsKept() throws {
    try withTemporaryFolder { folder in
      try create(folder + "/store")
      #expect(failure { try create(folder + "/store") }?.kind == .cannotCreate)
      #expect(failure { try create(folder + "/no/store") }?.kind == .cannotCreate)
      #expect(try Path.list(folder) == ["store"])
    }
  }

  @Test func onlyStoresAndEmptyFoldersAreReplaced() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      try create(path, replacing: true)
      try create(path + "/", seed: 8, replacing: true)
      #expect(try ActivationStore(path: path).attributes.shuffleSeed == 8)
      // An incomplete store, and an empty folder.
      let text = try String(decoding: read(path + "/zarr.json"), as: UTF8.self)
      try DurableFile.write(
        text.replacing(#""complete" : true"#, with: #""complete" : false"#),
        to: path + "/zarr.json")
      try create(path, replacing: true)
      Path.removeAll(path)
      try Path.createDirectories(path)
      try create(path, replacing: true)
      #expect(try ActivationStore(path: path).attributes.shuffleSeed == 7)

      let mine = folder + "/mine"
      try Path.createDirectories(mine)
      try DurableFile.write("keep", to: mine + "/notes")
      func refusal(_ path: String) -> Failure? {
        let found = failure { try create(path, replacing: true) }
        #expect(failure { try ActivationStore.requireReplaceable(path) } == found)
        return found
      }
      let expected = Failure(
        .cannotCreate,
        "\(mine): this folder is not an activation store, so it is not replaced; choose another --out."
      )
      #expect(refusal(mine) == expected)
      // Groups and arrays of other tools, and a file that is not JSON.
      for text in [#"{"node_type": "group", "attributes": {}}"#, "{", ""] {
        try DurableFile.write(text, to: mine + "/zarr.json")
        #expect(refusal(mine) == expected)
      }
      #expect(refusal(path + "/directions")?.kind == .cannotCreate)
      #expect(refusal(mine + "/notes")?.kind == .cannotCreate)
      #expect(try read(mine + "/notes") == Array("keep".utf8))
      #expect(try Path.list(folder) == ["mine", "store"])
    }
  }

  @Test func damagedStoresAreRefused() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      try create(path)
      let metadata = try String(decoding: read(path + "/zarr.json"), as: UTF8.self)
      func message(_ old: String, _ new: String) throws -> String? {
        #expect(metadata.contains(old))
        try DurableFile.write(metadata.replacing(old, with: new), to: path + "/zarr.json")
        return failure { _ = try openRows(path: path) }?.message
      }
      #expect(
        try message(#""complete" : true"#, #""complete" : false"#)?.contains("incomplete") == true)
      #expect(try openRows(path: path, allowIncomplete: true).rowCount == count)
      #expect(try message(#""row_count" : 50"#, #""row_count" : 51"#)?.contains("51") == true)
      #expect(try message("model_name", "model")?.contains("model_name") == true)
      #expect(
        try message("store_version\" : 1", "store_version\" : 2")?.contains("version 2") == true)
      #expect(try message("\n", "\n") == nil)
      try DurableFile.write([0], to: path + "/tokens/c/0")
      #expect(failure { _ = try openRows(path: path) }?.message.contains("tokens/c/0") == true)
      Path.removeAll(path + "/tokens")
      #expect(failure { _ = try openRows(path: path) }?.kind == .missing)
    }
  }

  @Test func everyTokenMustOccurOnce() throws {
    try withTemporaryFolder { folder in
      let matrix = rows()
      for tokens in [[Int32](repeating: 3, count: count), (0..<50).map { Int32($0 + 51) }] {
        let path = folder + "/\(tokens[0])"
        try ActivationStore.create(
          at: path, attributes: attributes, rows: matrix,
          norms: [Float](repeating: 1, count: count), tokens: tokens, vocabulary: vocabulary,
          shuffleSeed: 1)
        let found = failure { _ = try ActivationStore(path: path) }
        #expect(found?.kind == .data)
      }
    }
  }

  @Test func chunksAreLargeButNotTooMany() {
    #expect(ActivationStore.chunkRows(count: 222_189, rowBytes: 1280) == 16384)
    #expect(ActivationStore.chunkRows(count: 4096, rowBytes: 1 << 26) == 1)
    for count in [1_000_000_000, 123_456_789] {
      let rows = ActivationStore.chunkRows(count: count, rowBytes: 4608)
      #expect((count + rows - 1) / rows <= 4096)
    }
  }

  private func read(_ path: String) throws -> [UInt8] {
    try MappedFile(path: path).copy()
  }
}
