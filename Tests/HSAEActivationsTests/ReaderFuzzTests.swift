// Every reader against damaged files: it must return rows or a failure. It must not crash, hang, or allocate
// memory because a header claims a size. `Fuzz` sets the number of inputs.

import FoundationEssentials
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

@Suite(.serialized)
struct ReaderFuzzTests {
  private let inputs = Fuzz()

  /// Feeds damaged copies of `originals` to `read` through the file at `path`.
  private func fuzz(
    _ originals: [[UInt8]], at path: String, read: () throws -> Void
  ) throws {
    var accepted = 0
    let growth = try inputs.feed(originals) { _, bytes in
      try Fuzz.put(bytes, at: path)
      do {
        try read()
        accepted += 1
      } catch is Failure {}
    }
    #expect(growth < Fuzz.memoryBound)
    // Some damage is harmless (a changed number); most is not.
    #expect(accepted < inputs.iterations)
  }

  /// Feeds damaged copies of the files `paths` to `read`, one damaged at a time, and says which.
  private func fuzzEach(_ paths: [String], read: (_ damaged: Int) throws -> Void) throws {
    let originals = try paths.map { try MappedFile(path: $0).copy() }
    let growth = try inputs.feed(originals) { iteration, bytes in
      let which = iteration % paths.count
      try Fuzz.put(bytes, at: paths[which])
      do { try read(which) } catch is Failure {}
      try Fuzz.put(originals[which], at: paths[which])
    }
    #expect(growth < Fuzz.memoryBound)
  }

  /// Opens `path` by its content and reads some rows.
  private func readRows(_ path: String) throws {
    let rows = try openRows(path: path, allowIncomplete: true)
    let last = rows.rowCount - 1
    guard rows.width <= 1 << 20 else { return }
    for row in [0, last, last / 2] { _ = try rows.matrix(rows: row..<row + 1) }
  }

  @Test func npy() throws {
    try Fuzz.withFolder { folder in
      let path = folder + "/a"
      let originals = Fixture.allCases.map(\.bytes).filter { $0.first == 0x93 }
      try fuzz(originals, at: path) { try readRows(path) }
    }
  }

  @Test func safetensors() throws {
    try Fuzz.withFolder { folder in
      let path = folder + "/a"
      let originals = [Fixture.safetensors, .singleSafetensors].map(\.bytes)
      try fuzz(originals, at: path) {
        let file = try SafetensorsFile(path: path)
        for tensor in file.tensors where tensor.type?.elementType != nil {
          _ = try? file.matrix(tensor.name)
        }
        try readRows(path)
      }
    }
  }

  /// The index of two files, and the files.
  @Test func safetensorsIndex() throws {
    try Fuzz.withFolder { folder in
      let path = folder + "/a.safetensors"
      try DurableFile.write(Fixture.safetensors.bytes, to: path)
      let index = try divideSafetensors(path, into: 2)
      try fuzzEach(SafetensorsIndex.files(of: index)) { _ in
        let file = try SafetensorsFile(path: index)
        for tensor in file.matrices { _ = try? file.matrix(tensor.name) }
        _ = try openRows(path: index, tensor: "half")
      }
      #expect(try SafetensorsFile(path: index).matrix("half").rows == 2)
    }
  }

  @Test func json() throws {
    let originals = [
      Array(zarrMetadata.utf8), Array(#"["\ud83d\ude00\n", -1.5e3, {"é": null}]"#.utf8),
      Array(#"{"a": [NaN, -Infinity, 1e999], "\ud800": "\ud83d\ud83d\ude00", "a": 1}"#.utf8),
    ]
    let growth = try inputs.feed(originals) { _, bytes in
      _ = try? JSONValue(parsing: bytes, source: "fuzz", dialect: .python)
      if let value = try? JSONValue(parsing: bytes, source: "fuzz") {
        let again = try JSONValue(parsing: Array(value.text().utf8), source: "again")
        #expect(again == value)
      }
    }
    #expect(growth < Fuzz.memoryBound)
  }

  @Test func zarrArrayMetadata() throws {
    try Fuzz.withFolder { folder in
      try Path.createDirectories(folder + "/c/0")
      try DurableFile.write([UInt8](repeating: 1, count: 12), to: folder + "/c/0/0")
      let path = folder + "/zarr.json"
      try fuzz([Array(zarrMetadata.utf8)], at: path) { try readRows(folder) }
    }
  }

  /// Describes a residual-stream store and its corpus, as `hsae info` does. Rows are in two chunks, not more: opening
  /// files takes most of the time. Damage in the corpus cannot change how the rows are opened, which then happened
  /// before.
  @Test func residualStoreMetadata() throws {
    try Fuzz.withFolder { folder in
      let path = folder + "/store"
      try writeCollectedStore(at: path, chunkRows: 50)
      let names = try FileManager.default.subpathsOfDirectory(atPath: path).filter { name in
        !Path.isDirectory(Path.join(path, name)) && !name.contains("directions/c")
      }.sorted()
      var limits = StoreSummary.Limits()
      limits.contexts = 3
      var described = 0
      let whole = try ActivationStore(path: path)
      try fuzzEach(names.map { Path.join(path, $0) }) { damaged in
        var store = whole
        if !names[damaged].hasPrefix("corpus/") {
          store = try ActivationStore(path: path, allowIncomplete: true)
          for row in [0, store.rowCount - 1] { _ = try store.matrix(rows: row..<row + 1) }
        }
        _ = try StoreSummary(store, limits: limits)
        described += 1
      }
      #expect(described > 0 && described < inputs.iterations)
      #expect(try StoreSummary(ActivationStore(path: path)).documents == 10)
    }
  }

  @Test func storeMetadata() throws {
    try Fuzz.withFolder { folder in
      let path = folder + "/store"
      var attributes = StoreAttributes(
        kind: .unembedding, modelName: "m", modelSHA256: "0", hookPoint: "unembedding")
      attributes.notes = ["rule": "none"]
      try ActivationStore.create(
        at: path, attributes: attributes,
        rows: .init(rows: 3, columns: 2, elements: [1, 0, 0, 1, 1, 0]),
        norms: [1, 2, 3], tokens: [0, 1, 2], vocabulary: ["a", "", "ccc"], mean: [0, 0],
        whitening: [1, 0, 0, 1], shuffleSeed: 1)
      let nodes = [
        "", "/directions", "/norms", "/tokens", "/vocabulary/bytes", "/vocabulary/offsets", "/mean",
        "/whitening",
      ]
      let files =
        nodes.map { $0 + "/zarr.json" } + ["/tokens/c/0", "/vocabulary/offsets/c/0", "/norms/c/0"]
      try fuzzEach(files.map { path + $0 }) { _ in try readRows(path) }
      try readRows(path)
    }
  }
}
