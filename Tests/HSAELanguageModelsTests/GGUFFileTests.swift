// Tests of opening model files, whole and hostile, and of their rows against an independent decoder.

import Foundation
import HSAESupport
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct GGUFFileTests {
  /// Four tokens, width 64, rows 0.5·(row + 1)·cos(column).
  static func small(_ storage: GGUFBuilder.Storage = .float32) -> [UInt8] {
    var builder = GGUFBuilder()
    builder.add("general.architecture", text: "test")
    builder.add("tokenizer.ggml.model", text: "llama")
    builder.add(
      "tokenizer.ggml.tokens", texts: ["<bos>", "▁dog", "x", "<0x41>"].map { Array($0.utf8) })
    builder.add("tokenizer.ggml.token_type", integers: [3, 1, 1, 6])
    builder.add("token_embd.weight", rows: rows, storage: storage)
    return builder.bytes()
  }

  static let rows: [[Float]] = (1...4).map { row in
    (0..<64).map { 0.5 * Float(row) * Float(cos(Double($0))) }
  }

  @Test(arguments: [(GGUFBuilder.Storage.float32, Float(0)), (.float16, 1e-3), (.q8, 0.009)])
  func readsRows(storage: GGUFBuilder.Storage, tolerance: Float) throws {
    let scratch = try Scratch()
    let file = try GGUFFile(path: scratch.file("m.gguf", Self.small(storage)))
    #expect(file.architecture == "test")
    #expect(file.licence == nil)
    let vocabulary = try file.vocabulary()
    #expect(vocabulary.pieces == ["<bos>", "▁dog", "x", "<0x41>"])
    #expect(vocabulary.kinds == [.control, .normal, .normal, .byte])
    let stored = try file.unembeddingMatrix()
    #expect(stored.rows == 4 && stored.columns == 64)
    let floats = try file.floats(of: stored, threads: 2)
    for row in 0..<4 {
      for column in 0..<64 {
        #expect(abs(floats[row, column] - Self.rows[row][column]) <= tolerance)
      }
    }
  }

  @Test func refusesMissingFilesAndFolders() throws {
    let scratch = try Scratch()
    #expect(kind { _ = try GGUFFile(path: scratch.path + "/none.gguf") } == .missing)
    #expect(kind { _ = try GGUFFile(path: scratch.path) } == .data)
    #expect(kind { _ = try GGUFFile(path: "/dev/null") } == .data)
  }

  /// Every truncated length gives an error; none aborts or passes as a whole file.
  @Test func refusesEveryTruncation() throws {
    let scratch = try Scratch()
    let whole = Self.small()
    let path = try scratch.file("cut.gguf", whole)
    for length in (0..<whole.count).reversed() {
      #expect(unsafe truncate(path, off_t(length)) == 0)
      #expect(kind { _ = try GGUFFile(path: path) } == .data, "cut at byte \(length)")
    }
    _ = try GGUFFile(path: scratch.file("whole.gguf", whole))
  }

  /// Setting any byte of the header to another value gives an error or a readable file, never a crash.
  @Test func survivesEveryDamagedByte() throws {
    let scratch = try Scratch()
    let whole = Self.small()
    for offset in 0..<(whole.count - 4 * 64 * 4) {
      var damaged = whole
      damaged[offset] = [0xFF, 0, 1, 0x7F][offset % 4] ^ (offset % 8 < 4 ? 0 : whole[offset])
      let path = try scratch.file("damaged.gguf", damaged)
      if let failure = readAll(path) {
        #expect(failure.kind == .data, "byte \(offset): \(failure)")
      }
    }
  }

  @Test func survivesRandomBytes() throws {
    let scratch = try Scratch()
    var generator = SeededGenerator(seed: 1)
    for round in 0..<200 {
      var bytes = (0..<Int.random(in: 0...2000, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      // Half of them start with a plausible header.
      let head = Array("GGUF".utf8) + [3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
      if round % 2 == 0, bytes.count > head.count {
        bytes.replaceSubrange(..<head.count, with: head)
      }
      let path = try scratch.file("random.gguf", bytes)
      #expect(readAll(path)?.kind == .data)
    }
  }

  @Test func refusesAbsurdCounts() throws {
    let scratch = try Scratch()
    for offset in [8, 16] {
      for count in [UInt64.max, UInt64(Int64.max), 1 << 40, 1000] {
        var bytes = Self.small()
        bytes.replaceSubrange(offset..<offset + 8, with: GGUFBuilder.little(count))
        let path = try scratch.file("absurd.gguf", bytes)
        let failure = readAll(path)
        #expect(failure?.kind == .data)
        #expect(failure?.message.contains("\(count)") == true)
      }
    }
  }

  /// A shape whose size in bytes overflows 64 bits to something small.
  @Test func refusesShapesThatWrapAround() throws {
    let scratch = try Scratch()
    var bytes = Self.small(.q8)
    let name = Array("token_embd.weight".utf8)
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: name) }) + name.count
    // 34 · columns is 2^64 and a little more; columns is a multiple of 32.
    let columns = (UInt64.max / 1088 + 1) * 32
    bytes.replaceSubrange((start + 4)..<(start + 12), with: GGUFBuilder.little(columns))
    bytes.replaceSubrange((start + 12)..<(start + 20), with: GGUFBuilder.little(UInt64(1)))
    #expect(readAll(try scratch.file("wrap.gguf", bytes))?.kind == .data)
  }

  @Test func namesTheFault() throws {
    let scratch = try Scratch()
    let png = try scratch.file(
      "image.gguf", [0x89, 0x50, 0x4E, 0x47] + [UInt8](repeating: 0, count: 99))
    #expect(readAll(png)?.message.contains("89504e47") == true)
    var old = Self.small()
    old[4] = 1
    #expect(readAll(try scratch.file("old.gguf", old))?.message.contains("version 1") == true)
    let whole = Self.small()
    let cut = try scratch.file("cut.gguf", Array(whole.dropLast(100)))
    #expect(readAll(cut)?.message.contains("token_embd.weight needs bytes") == true)
    var rows = Self.rows
    rows[2][5] = .nan
    var builder = GGUFBuilder()
    builder.add("tokenizer.ggml.tokens", texts: (0..<4).map { Array("t\($0)".utf8) })
    builder.add("output.weight", rows: rows, storage: .float32)
    let failure = readAll(try scratch.file("nan.gguf", builder.bytes()))
    #expect(failure?.message.contains("row 2 of output.weight holds NaN") == true)
  }

  @Test func refusesModelsWithoutMatrixOrVocabulary() throws {
    let scratch = try Scratch()
    var builder = GGUFBuilder()
    builder.add("general.architecture", text: "test")
    let bare = try GGUFFile(path: scratch.file("bare.gguf", builder.bytes()))
    #expect(kind { _ = try bare.vocabulary() } == .data)
    #expect(kind { _ = try bare.unembeddingMatrix() } == .data)
    builder.add("tokenizer.ggml.tokens", texts: [[0x61], [0x62]])
    builder.add("tokenizer.ggml.token_type", integers: [1])
    let uneven = try GGUFFile(path: scratch.file("uneven.gguf", builder.bytes()))
    #expect(kind { _ = try uneven.vocabulary() } == .data)
  }

  @Test func decodesByteLevelPieces() throws {
    let scratch = try Scratch()
    var builder = GGUFBuilder()
    builder.add("tokenizer.ggml.model", text: "gpt2")
    // "Ġdog", "Ã©" (é in two bytes), a lone first byte of two, a special token that stays as it is.
    builder.add(
      "tokenizer.ggml.tokens", texts: ["Ġdog", "Ã©", "Ã", "<|im_end|>"].map { Array($0.utf8) })
    builder.add("tokenizer.ggml.token_type", integers: [1, 1, 1, 3])
    let vocabulary = try GGUFFile(path: scratch.file("bpe.gguf", builder.bytes())).vocabulary()
    #expect(vocabulary.pieces == ["▁dog", "é", "<0xC3>", "<|im_end|>"])
    #expect(vocabulary.isDecodable == [true, true, false, true])
  }

  /// Rows of a real model against blocks decoded here from the file's bytes.
  @Test(.isCached(.smolLM2)) func readsSmolLM2LikeAnIndependentReader() throws {
    let path = try #require(TestModel.smolLM2.path)
    let file = try GGUFFile(path: path)
    let stored = try file.unembeddingMatrix()
    #expect(stored.rows == 49152 && stored.columns == 576 && stored.typeName == "q8_0")
    let floats = try file.floats(of: stored)
    let handle = try #require(FileHandle(forReadingAtPath: path))
    for row in [0, 1, 260, 30_000, 49_151] {
      try handle.seek(toOffset: UInt64(stored.offset + row * 18 * 34))
      let bytes = [UInt8](try #require(try handle.read(upToCount: 18 * 34)))
      for column in 0..<576 {
        let block = column / 32 * 34
        let scale = Float(
          Float16(bitPattern: UInt16(bytes[block]) | UInt16(bytes[block + 1]) << 8))
        let code = Float(Int8(bitPattern: bytes[block + 2 + column % 32]))
        #expect(floats[row, column] == scale * code)
      }
    }
  }

  /// The failure of reading everything in the file; nil if it succeeds.
  private func readAll(_ path: String) -> Failure? {
    do throws(Failure) {
      let file = try GGUFFile(path: path)
      _ = try file.vocabulary()
      _ = try file.floats(of: file.unembeddingMatrix(), threads: 1)
      return nil
    } catch {
      return error
    }
  }
}

/// The kind of failure that `body` throws; nil if it succeeds.
func kind(_ body: () throws -> Void) -> Failure.Kind? {
  do {
    try body()
    return nil
  } catch {
    return (error as? Failure)?.kind
  }
}

/// A model of the catalogue that tests read.
enum TestModel: String, Sendable {
  case gemma = "gemma-3-270m"
  case smolLM2 = "smollm2-135m"

  /// Its path, if it was fetched.
  var path: String? {
    let path = ModelCatalogue.model(named: rawValue).map { ModelCache().path(of: $0) }
    return path.flatMap { Path.exists($0) ? $0 : nil }
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips the test with a message if `model` was not fetched.
  static func isCached(_ model: TestModel) -> Self {
    .enabled(
      if: model.path != nil, "\(model.rawValue) is not in the cache: hsae fetch \(model.rawValue)")
  }
}
