// Fuzz tests of GGUF models: opening and reading damaged files, whole and split, ends with values or a failure,
// never with a crash or a hang. `Fuzz` sets the number of inputs.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite(.serialized)
struct GGUFFuzzTests {
  private let inputs = Fuzz()

  /// Reads all that `hsae` reads of a model without llama.cpp.
  private func read(_ path: String) throws(Failure) {
    let file = try GGUFFile(path: path)
    _ = (file.architecture, file.name, file.licence, file.isCausal, file.byteCount)
    _ = try file.sha256()
    _ = try file.vocabulary()
    _ = try file.finalNormGain()
    _ = try file.floats(of: file.unembeddingMatrix(), threads: 1)
  }

  private func readBroken(_ path: String) {
    do throws(Failure) {
      try read(path)
    } catch {
      #expect([.data, .missing, .inputOutput].contains(error.kind), "\(error)")
      #expect(!error.message.isEmpty)
    }
  }

  /// A small model of five tensors in three parts.
  private static let parts: [[UInt8]] = {
    var builder = GGUFBuilder()
    builder.add("general.architecture", text: "test")
    builder.add("general.type", text: "model")
    builder.add("tokenizer.ggml.tokens", texts: (0..<4).map { Array("t\($0)".utf8) })
    builder.add("tokenizer.ggml.token_type", integers: [3, 1, 1, 6])
    let row = (0..<32).map { Float($0) / 8 }
    builder.add("token_embd.weight", rows: [row, row, row, row], storage: .q8)
    builder.add("a.weight", rows: [row, row], storage: .float16)
    builder.add("b.weight", rows: [row], storage: .float32)
    builder.add("output_norm.weight", rows: [row], storage: .float32)
    builder.add("output.weight", rows: [row, row, row, row], storage: .float16)
    return builder.parts([1, 2, 2])
  }()

  /// One part is damaged at a time; the others stay whole.
  @Test func splitModel() throws {
    try Fuzz.withFolder { folder in
      let paths = (0..<3).map { Path.join(folder, SplitModel.name($0, of: 3)) }
      for (path, part) in zip(paths, Self.parts) { try Fuzz.put(part, at: path) }
      try read(paths[0])
      let growth = try inputs.feed(Self.parts) { iteration, bytes in
        let number = iteration % 3
        try Fuzz.put(bytes, at: paths[number])
        readBroken(paths[0])
        try Fuzz.put(Self.parts[number], at: paths[number])
      }
      #expect(growth < Fuzz.memoryBound)
      try read(paths[0])
    }
  }

  @Test func model() throws {
    let whole = GGUFFileTests.small(.q8)
    try Fuzz.withFolder { folder in
      let path = Path.join(folder, "m.gguf")
      let growth = try inputs.feed([whole]) { _, bytes in
        try Fuzz.put(bytes, at: path)
        readBroken(path)
      }
      #expect(growth < Fuzz.memoryBound)
    }
  }
}
