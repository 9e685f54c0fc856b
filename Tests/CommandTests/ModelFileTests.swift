// Model files on which llama.cpp aborts the process: one sentence says which file, and the exit code is that of damaged
// data. Such files are distributed: vocabularies with two tokens of the same text, and without tokens for bytes. And files
// that llama.cpp reads in another way than they were meant.

import HSAESupport
import HSAETestSupport
import Testing

/// A Llama of one block as GGUF, in float32: all weights are a quarter.
private struct TinyModel {
  var pieces: [String]
  /// Kinds of the pieces: 1 normal, 2 unknown, 3 control, 6 byte.
  var kinds: [Int32]
  var blocks: UInt32 = 1
  var epsilon: Float = 1e-5
  /// "llama" is SentencePiece; "gpt2" merges pairs of bytes and splits text first, by the rule `split`.
  var tokenizer = "llama"
  var split: String?

  /// A vocabulary with all bytes.
  init() {
    let bytes = (0..<256).map { "<0x" + hexadecimal([UInt8($0)]).uppercased() + ">" }
    pieces = ["<unk>", "<s>", "</s>"] + bytes + ["▁dog", "dog", "▁cat", "cat", "▁"]
    kinds = [2, 3, 3] + bytes.map { _ in 6 } + [1, 1, 1, 1, 1]
  }

  private static func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private static func text(_ text: String) -> [UInt8] {
    little(UInt64(text.utf8.count)) + Array(text.utf8)
  }

  func write(to path: String) throws {
    func entry(_ key: String, _ type: UInt32, _ value: [UInt8]) -> [UInt8] {
      Self.text(key) + Self.little(type) + value
    }
    func number(_ key: String, _ value: UInt32) -> [UInt8] { entry(key, 4, Self.little(value)) }
    func array(_ key: String, _ type: UInt32, _ values: [[UInt8]]) -> [UInt8] {
      entry(key, 9, Self.little(type) + Self.little(UInt64(values.count)) + values.flatMap(\.self))
    }
    var metadata = [
      entry("general.architecture", 8, Self.text("llama")), number("llama.block_count", blocks),
      number("llama.context_length", 128), number("llama.embedding_length", 32),
      number("llama.feed_forward_length", 32), number("llama.attention.head_count", 2),
      number("llama.rope.dimension_count", 16),
      entry(
        "llama.attention.layer_norm_rms_epsilon", 6, Self.little(epsilon.bitPattern)),
      entry("tokenizer.ggml.model", 8, Self.text(tokenizer)),
      array("tokenizer.ggml.tokens", 8, pieces.map(Self.text)),
      array("tokenizer.ggml.token_type", 5, kinds.map(Self.little)),
    ]
    if tokenizer == "gpt2" {
      metadata.append(array("tokenizer.ggml.merges", 8, ["d o", "do g"].map(Self.text)))
    }
    if let split { metadata.append(entry("tokenizer.ggml.pre", 8, Self.text(split))) }
    var names = [("token_embd", pieces.count), ("output_norm", 1)]
    names += [("attn_norm", 1), ("ffn_norm", 1)].map { ("blk.0.\($0)", $1) }
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
      names.append(("blk.0.\(name)", 32))
    }
    var head = Array("GGUF".utf8) + Self.little(UInt32(3))
    head += Self.little(UInt64(names.count)) + Self.little(UInt64(metadata.count))
    head += metadata.flatMap(\.self)
    var offset = 0
    for (name, rows) in names {
      head += Self.text(name + ".weight") + Self.little(UInt32(rows == 1 ? 1 : 2))
      head += Self.little(UInt64(32)) + (rows == 1 ? [] : Self.little(UInt64(rows)))
      head += Self.little(UInt32(0)) + Self.little(UInt64(offset))
      offset += rows * 32 * 4
    }
    head += [UInt8](repeating: 0, count: (32 - head.count % 32) % 32)
    let quarter = Self.little(Float(0.25).bitPattern)
    try DurableFile.write(head + (0..<offset / 4).flatMap { _ in quarter }, to: path)
  }
}

@Suite struct ModelFileTests {
  private func collect(_ model: TinyModel, _ folder: String) throws -> CommandResult {
    let file = Path.join(folder, "tiny.gguf")
    try model.write(to: file)
    let text = Path.join(folder, "text.txt")
    try DurableFile.write("dog cat wolf\n", to: text)
    return try runHSAE(
      ["collect", file, "--layer", "0", "--text", text, "--holdout", "0", "--context", "16"]
        + ["--weights", "keep", "--out", Path.join(folder, "store")],
      environment: ["HSAE_CACHE": folder])
  }

  @Test func whatLlamaAbortsOnIsOneSentence() throws {
    try withTemporaryFolder { folder in
      let whole = try collect(TinyModel(), folder)
      #expect(whole.code == 0, "\(whole.errors)")
      var twice = TinyModel()
      twice.pieces[262] = twice.pieces[259]
      var blocks = TinyModel()
      blocks.blocks = 1 << 20
      var negative = TinyModel()
      negative.epsilon = -1
      for model in [twice, blocks, negative] {
        Path.removeAll(Path.join(folder, "store"))
        let result = try collect(model, folder)
        #expect(result.code == 65 && result.signal == nil, "\(result.errors)")
        let complaints = result.errors.split(separator: "\n").filter { $0.hasPrefix("hsae: ") }
        #expect(complaints.count == 1, "\(result.errors)")
        for part in ["tiny.gguf: llama.cpp cannot go on", ".cpp:", "GGML_ASSERT", "use another"] {
          #expect(result.errors.contains(part), "\(part) in \(result.errors)")
        }
        #expect(!result.errors.contains("Backtrac"), "\(result.errors)")
      }
    }
  }

  /// llama.cpp only warns, in its log, that it splits text by a rule that may not be the model's.
  @Test func aFileThatDoesNotNameItsPreTokenizerIsNoted() throws {
    try withTemporaryFolder { folder in
      var model = TinyModel()
      model.tokenizer = "gpt2"
      model.pieces = "abcdefghijklmnopqrstuvwxyz".map(String.init) + ["Ġ", "Ċ", "do", "dog"]
      model.kinds = model.pieces.map { _ in 1 }
      for (split, isNoted) in [(nil, true), ("gpt-2", false)] as [(String?, Bool)] {
        model.split = split
        Path.removeAll(Path.join(folder, "store"))
        let result = try collect(model, folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(result.errors.contains("tokenizer.ggml.pre") == isNoted, "\(result.errors)")
      }
    }
  }

  /// The tokenizer has a token for the byte of a line end only, and none for "w".
  @Test func aTextThatCannotBeTokenisedIsNoCrash() throws {
    try withTemporaryFolder { folder in
      var model = TinyModel()
      model.pieces.removeSubrange(4..<259)
      model.kinds.removeSubrange(4..<259)
      model.pieces[3] = "<0x0A>"
      let result = try collect(model, folder)
      #expect(result.code == 65 && result.signal == nil, "\(result.errors)")
      let last = result.errors.split(separator: "\n").last ?? ""
      #expect(last.hasPrefix("hsae: ") && last.contains("tiny.gguf: llama.cpp"), "\(result.errors)")
    }
  }
}
