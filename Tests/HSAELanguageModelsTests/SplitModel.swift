// A tiny Llama model that llama.cpp can run, as one file or split into parts: for tests of split models.

import Foundation
import HSAESupport
import HSAETensors

enum SplitModel {
  static let (tokens, width, inner, blocks) = (272, 32, 64, 2)
  /// Tensors of each part: none in the first; `output.weight` and the last norm in the last.
  static let counts = [0, 10, 11]

  /// Element (`row`, `column`) of `output.weight`: a formula that a test can repeat.
  static func output(_ row: Int, _ column: Int) -> Float {
    Float((row * 37 + column * 11) % 64 - 32) / 16
  }
  /// Element `column` of the last norm's gain.
  static func gain(_ column: Int) -> Float { 0.5 + Float(column) / 16 }

  /// The model; `seed` draws the weights of its blocks and nothing else. `kinds` are those of the first three
  /// tokens. `prepare` may add to the metadata
  /// before the vocabulary.
  static func builder(
    seed: UInt64 = 0, hasVocabulary: Bool = true, architecture: String = "llama",
    kinds: [Int32] = [2, 3, 3], prepare: (inout GGUFBuilder) -> Void = { _ in }
  ) -> GGUFBuilder {
    var model = GGUFBuilder()
    model.add("general.architecture", text: architecture)
    model.add("general.name", text: "tiny")
    model.add("general.file_type", UInt32(0))
    for (key, value) in [
      ("block_count", blocks), ("context_length", 128), ("embedding_length", width),
      ("feed_forward_length", inner), ("attention.head_count", 2), ("attention.head_count_kv", 2),
      ("rope.dimension_count", 16),
    ] {
      model.add("\(architecture).\(key)", UInt32(value))
    }
    model.add("\(architecture).attention.layer_norm_rms_epsilon", Float(1e-5))
    prepare(&model)
    if hasVocabulary { addVocabulary(to: &model, kinds: kinds) }
    var generator = SeededGenerator(seed: seed)
    func matrix(_ rows: Int, _ columns: Int) -> [[Float]] {
      (0..<rows).map { _ in (0..<columns).map { _ in Float(generator.nextSymmetric()) * 0.2 } }
    }
    func add(_ name: String, _ rows: [[Float]]) { model.add(name, rows: rows, storage: .float32) }
    add("token_embd.weight", matrix(tokens, width))
    for block in 0..<blocks {
      let ones = [[Float](repeating: 1, count: width)]
      add("blk.\(block).attn_norm.weight", ones)
      for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
        add("blk.\(block).\(name).weight", matrix(width, width))
      }
      add("blk.\(block).ffn_norm.weight", ones)
      for name in ["ffn_gate", "ffn_up"] {
        add("blk.\(block).\(name).weight", matrix(inner, width))
      }
      add("blk.\(block).ffn_down.weight", matrix(width, inner))
    }
    add("output_norm.weight", [(0..<width).map(gain)])
    add("output.weight", (0..<tokens).map { row in (0..<width).map { output(row, $0) } })
    return model
  }

  private static func addVocabulary(to model: inout GGUFBuilder, kinds first: [Int32]) {
    let bytes = (0..<256).map { "<0x" + hexadecimal([UInt8($0)]).uppercased() + ">" }
    let pieces =
      ["<unk>", "<s>", first[2] == 1 ? "word" : "</s>"] + bytes + ["▁dog", "▁cat", "▁a"]
      + "abcdefghij".map(String.init)
    model.add("tokenizer.ggml.model", text: "llama")
    model.add("tokenizer.ggml.tokens", texts: pieces.map { Array($0.utf8) })
    let kinds = first + bytes.map { _ in 6 } + pieces.dropFirst(259).map { _ in 1 }
    model.add("tokenizer.ggml.token_type", integers: kinds)
  }

  /// Writes `parts` into `scratch` under their names; the paths.
  static func write(_ parts: [[UInt8]], _ scratch: Scratch, name: String = "m") throws -> [String] {
    try parts.enumerated().map { number, bytes in
      try scratch.file(Self.name(number, of: parts.count, name), bytes)
    }
  }

  static func name(_ number: Int, of count: Int, _ name: String = "m") -> String {
    name + "-0000\(number + 1)-of-0000\(count).gguf"
  }
}
