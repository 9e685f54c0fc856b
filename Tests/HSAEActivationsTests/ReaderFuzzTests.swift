// Every reader against damaged files: it must answer with rows or a failure, never crash or hang,
// and never take memory by what a header merely claims. HSAE_FUZZ_ITERATIONS sets the number of
// inputs for each reader (default 10,000), HSAE_FUZZ_SEED the first seed.

import FoundationEssentials
import Glibc
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

@Suite(.serialized)
struct ReaderFuzzTests {
  private let iterations: Int
  private let firstSeed: UInt64

  init() {
    let environment = ProcessInfo.processInfo.environment
    iterations = environment["HSAE_FUZZ_ITERATIONS"].flatMap { Int($0) } ?? 10_000
    firstSeed = environment["HSAE_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
  }

  /// The most memory this process has had, in bytes.
  private var peakMemory: Int {
    var usage = rusage()
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// Puts `bytes` at `path` without waiting for the disk.
  private func put(_ bytes: [UInt8], at path: String) throws {
    let file = try Descriptor(updating: path)
    // In this order: some file systems wait for the disk after a file was emptied and rewritten.
    try unsafe file.write(bytes.span.bytes, at: 0)
    try file.truncate(to: bytes.count)
  }

  /// Feeds `iterations` damaged copies of `originals` to `read` through the file at `path`.
  private func fuzz(
    _ originals: [[UInt8]], at path: String, read: () throws -> Void
  ) throws {
    let before = peakMemory
    var accepted = 0
    for iteration in 0..<iterations {
      var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
      let original = originals[iteration % originals.count]
      try put(mutated(original, by: &generator), at: path)
      do {
        try read()
        accepted += 1
      } catch is Failure {}
    }
    // The peak is the process's, so it says something only where no other suite runs beside this one.
    if ProcessInfo.processInfo.environment["HSAE_FUZZ_ITERATIONS"] != nil {
      #expect(peakMemory - before < 512 << 20)
    }
    // Some damage is harmless (a changed number); most is not.
    #expect(accepted < iterations)
  }

  /// Reads some rows of whatever is at `path`.
  private func readRows(_ path: String) throws {
    let rows = try openRows(path: path, allowIncomplete: true)
    let last = rows.rowCount - 1
    guard rows.width <= 1 << 20 else { return }
    for row in [0, last, last / 2] { _ = try rows.matrix(rows: row..<row + 1) }
  }

  @Test func npy() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/a"
      let originals = Fixture.allCases.map(\.bytes).filter { $0.first == 0x93 }
      try fuzz(originals, at: path) { try readRows(path) }
    }
  }

  @Test func safetensors() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/a"
      let originals = [Fixture.safetensors, .singleSafetensors].map(\.bytes)
      try fuzz(originals, at: path) {
        let file = try SafetensorsFile(path: path)
        for tensor in file.tensors where tensor.type.elementType != nil {
          _ = try? file.matrix(tensor.name)
        }
        try readRows(path)
      }
    }
  }

  @Test func json() throws {
    let originals = [
      Array(zarrMetadata.utf8), Array(#"["\ud83d\ude00\n", -1.5e3, {"é": null}]"#.utf8),
    ]
    for iteration in 0..<iterations {
      var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
      let bytes = mutated(originals[iteration % 2], by: &generator)
      if let value = try? JSONValue(parsing: bytes, source: "fuzz") {
        #expect(try JSONValue(parsing: Array(value.text().utf8), source: "again") == value)
      }
    }
  }

  @Test func zarrArrayMetadata() throws {
    try withTemporaryFolder { folder in
      try Path.createDirectories(folder + "/c/0")
      try DurableFile.write([UInt8](repeating: 1, count: 12), to: folder + "/c/0/0")
      let path = folder + "/zarr.json"
      try fuzz([Array(zarrMetadata.utf8)], at: path) { try readRows(folder) }
    }
  }

  /// A store of a residual stream with its corpus, described as `hsae info` does.
  @Test func residualStoreMetadata() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      try writeCollectedStore(at: path)
      let names = try FileManager.default.subpathsOfDirectory(atPath: path).filter { name in
        !Path.isDirectory(Path.join(path, name)) && !name.contains("directions/c")
      }.sorted()
      let originals = try names.map { try MappedFile(path: Path.join(path, $0)).copy() }
      var limits = StoreSummary.Limits()
      limits.contexts = 3
      let before = peakMemory
      var described = 0
      for iteration in 0..<iterations {
        var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
        let which = iteration % names.count
        let file = Path.join(path, names[which])
        try put(mutated(originals[which], by: &generator), at: file)
        do {
          let store = try ActivationStore(path: path, allowIncomplete: true)
          for row in [0, store.rowCount - 1] { _ = try store.matrix(rows: row..<row + 1) }
          _ = try StoreSummary(store, limits: limits)
          described += 1
        } catch is Failure {}
        try put(originals[which], at: file)
      }
      #expect(described > 0 && described < iterations)
      #expect(try StoreSummary(ActivationStore(path: path)).documents == 10)
      if ProcessInfo.processInfo.environment["HSAE_FUZZ_ITERATIONS"] != nil {
        #expect(peakMemory - before < 512 << 20)
      }
    }
  }

  @Test func storeMetadata() throws {
    try withTemporaryFolder { folder in
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
      let originals = try files.map { try MappedFile(path: path + $0).copy() }
      let before = peakMemory
      for iteration in 0..<iterations {
        var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
        let which = iteration % files.count
        try put(mutated(originals[which], by: &generator), at: path + files[which])
        do { try readRows(path) } catch is Failure {}
        try put(originals[which], at: path + files[which])
      }
      try readRows(path)
      // The peak is the process's, so it says something only where no other suite runs beside this one.
      if ProcessInfo.processInfo.environment["HSAE_FUZZ_ITERATIONS"] != nil {
        #expect(peakMemory - before < 512 << 20)
      }
    }
  }
}
