// Tests of split models: every part is read, all parts identify the model, and wrong parts are named.

import Foundation
import HSAESupport
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct GGUFSplitTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// The failure of opening `path`.
  private func failure(_ path: String) -> Failure? {
    do throws(Failure) {
      _ = try GGUFFile(path: path)
      return nil
    } catch {
      return error
    }
  }

  /// `token_embd.weight` and `output.weight` are in different parts; the right one is read, bit for bit.
  @Test(arguments: [[0, 10, 11], [1, 18, 2], [20, 0, 1], [21]])
  func readsTheMatrixOfAnyPart(counts: [Int]) throws {
    let parts = SplitModel.builder().parts(counts)
    let paths = try SplitModel.write(parts, scratch)
    let file = try GGUFFile(path: paths[0])
    #expect(file.partCount == counts.count && file.name == "tiny")
    #expect(file.byteCount == parts.reduce(0) { $0 + $1.count })
    let stored = try file.unembeddingMatrix()
    #expect(stored.name == "output.weight")
    #expect(stored.rows == SplitModel.tokens && stored.columns == SplitModel.width)
    let rows = try file.floats(of: stored, threads: 2)
    for row in 0..<rows.rows {
      for column in 0..<rows.columns {
        #expect(rows[row, column] == SplitModel.output(row, column))
      }
    }
    #expect(try file.finalNormGain() == (0..<SplitModel.width).map(SplitModel.gain))
    #expect(try file.vocabulary().count == SplitModel.tokens)
  }

  @Test func allPartsIdentifyTheModel() throws {
    let parts = SplitModel.builder(seed: 1).parts(SplitModel.counts)
    let others = SplitModel.builder(seed: 2).parts(SplitModel.counts)
    #expect(parts[0] == others[0] && parts[1] != others[1])
    let first = try GGUFFile(path: SplitModel.write(parts, scratch)[0]).sha256()
    // cat m-*.gguf | sha256sum
    #expect(first == SHA256.hash(parts[0] + parts[1] + parts[2]))
    let second = try GGUFFile(path: SplitModel.write(others, scratch, name: "o")[0]).sha256()
    #expect(first != second)
    let whole = SplitModel.builder().bytes()
    #expect(try GGUFFile(path: scratch.file("w.gguf", whole)).sha256() == SHA256.hash(whole))
  }

  @Test func namesTheRightPart() throws {
    let paths = try SplitModel.write(SplitModel.builder().parts(SplitModel.counts), scratch)
    let second = failure(paths[1])
    #expect(second?.kind == .data)
    #expect(
      second?.message.contains("part 2 of 3 of a model; give the first part, \(paths[0]).") == true)
    try FileManager.default.removeItem(atPath: paths[0])
    #expect(failure(paths[1])?.message.contains("\(paths[0]) (it is missing).") == true)
    // Under another name nothing says where the first part is.
    let loose = scratch.path + "/loose.gguf"
    try FileManager.default.copyItem(atPath: paths[2], toPath: loose)
    #expect(
      failure(loose)?.message.contains("whose name ends in -00001-of-00003.gguf") == true)
  }

  @Test func namesAMissingPart() throws {
    let paths = try SplitModel.write(SplitModel.builder().parts(SplitModel.counts), scratch)
    try FileManager.default.removeItem(atPath: paths[2])
    let one = failure(paths[0])
    #expect(one?.kind == .missing)
    #expect(one?.message.contains("m-00003-of-00003.gguf is missing") == true)
    try FileManager.default.removeItem(atPath: paths[1])
    #expect(failure(paths[0])?.message.contains("m-00002-of-00003.gguf and 1 more are") == true)
    let renamed = scratch.path + "/model.gguf"
    try FileManager.default.moveItem(atPath: paths[0], toPath: renamed)
    let message = failure(renamed)?.message
    #expect(message?.contains("must end in -00001-of-00003.gguf") == true)
  }

  /// Parts that a cache keeps under other names, with links beside each other.
  @Test func followsLinks() throws {
    let folder = try Scratch()
    for (number, bytes) in SplitModel.builder().parts(SplitModel.counts).enumerated() {
      try FileManager.default.createSymbolicLink(
        atPath: scratch.path + "/" + SplitModel.name(number, of: 3),
        withDestinationPath: folder.file("blob\(number)", bytes))
    }
    let path = scratch.path + "/" + SplitModel.name(0, of: 3)
    #expect(try GGUFFile(path: path).partCount == 3)
    let resolved = try ModelFetcher(cache: ModelCache(folder: folder.path)).resolve(path)
    #expect(try GGUFFile(path: resolved).partCount == 3)
  }

  /// Parts of other models, parts with wrong numbers, and parts that are cut short.
  @Test func refusesPartsThatDoNotBelong() throws {
    let model = SplitModel.builder()
    let parts = model.parts(SplitModel.counts)
    let paths = try SplitModel.write(parts, scratch)
    func message(_ number: Int, _ bytes: [UInt8]) throws -> String {
      _ = try scratch.file(SplitModel.name(number, of: 3), bytes)
      let found = failure(paths[0])
      _ = try scratch.file(SplitModel.name(number, of: 3), parts[number])
      #expect(found?.kind == .data)
      return found?.message ?? ""
    }
    #expect(try message(1, parts[2]).contains("says that it is part 3 of 3, not 2 of 3"))
    #expect(try message(1, model.bytes()).contains("does not say which part"))
    // Tensors 0 to 11 and 10 to 20: two are there twice. Then one is missing.
    #expect(try message(1, model.parts([0, 12, 9])[1]).contains("another part has the tensor"))
    #expect(try message(1, model.parts([1, 9, 11])[1]).contains("announces 21 tensors"))
    #expect(try message(1, model.parts([0, 10, 11, 0])[1]).contains("part 2 of 4, not 2 of 3"))
    for number in 0..<3 {
      let cut = try message(number, parts[number].dropLast(number == 0 ? 40 : 200))
      #expect(cut.contains(paths[number]), "\(cut)")
    }
    var odd = SplitModel.builder()
    odd.add("split.count", UInt32(3))
    #expect(
      failure(try scratch.file("odd.gguf", odd.bytes()))?.message.contains("split.count") == true)
    var beyond = SplitModel.builder()
    beyond.add("split.no", short: 3)
    beyond.add("split.count", short: 3)
    #expect(
      failure(try scratch.file("far.gguf", beyond.bytes()))?.message.contains("part 4 of 3") == true
    )
    #expect(try GGUFFile(path: paths[0]).partCount == 3)
  }

  @Test(arguments: [
    ("general.type", "adapter", "adapter (LoRA)"), ("general.type", "imatrix", "importance matrix"),
    ("general.type", "mmproj", "encoder of images or sound"),
    ("general.architecture", "clip", "encoder of images or sound"),
    ("general.architecture", "controlvector", "control vector"),
  ])
  func saysWhatIsNoModel(key: String, value: String, words: String) throws {
    var builder = GGUFBuilder()
    builder.add(key, text: value)
    builder.add("a.weight", rows: [[Float](repeating: 1, count: 32)], storage: .float32)
    let found = failure(try scratch.file("x.gguf", builder.bytes()))
    #expect(found?.kind == .data && found?.message.contains(words) == true)
  }

  /// Pieces of one file, cut at any byte, are not parts: they must be joined.
  @Test func advisesToJoinPieces() throws {
    let whole = SplitModel.builder().bytes()
    for (name, piece) in [
      ("m.gguf.part1of2", whole.prefix(90_000)), ("m.gguf.part2of2", whole.dropFirst(90_000)),
      ("m.gguf-split-a", whole.prefix(2_000)),
    ] {
      let found = failure(try scratch.file(name, Array(piece)))
      #expect(found?.message.contains("join all pieces with cat") == true, "\(name)")
    }
  }

  // MARK: In llama.cpp

  private func load(_ path: String, _ weights: WeightsChoice = .type(.q8)) throws -> LlamaModel {
    try LlamaModel(
      path: path, weights: weights, contextLength: 32, threads: 1,
      cache: ModelCache(folder: scratch.path + "/cache"))
  }

  /// Models whose first parts are equal have conversions and rows of their own: those of the same models in
  /// one file.
  @Test(arguments: [WeightsChoice.type(.q8), .keep])
  func modelsWithEqualFirstPartsStayApart(weights: WeightsChoice) throws {
    var rows: [[Float]] = []
    var hashes: Set<String> = []
    for seed in [UInt64(1), 2] {
      let builder = SplitModel.builder(seed: seed)
      let split = try SplitModel.write(
        builder.parts(SplitModel.counts), scratch, name: "m\(seed)")
      let model = try load(split[0], weights)
      let context = model.tokenizer.prefix + model.tokenizer.encode(Array("a dog a cat".utf8)[...])
      rows.append(try LlamaModelTests.rows(model, [context], 1))
      hashes.insert(model.description.sha256)
      #expect(try model.description.sha256 == GGUFFile(path: split[0]).sha256())
      let whole = try load(scratch.file("w\(seed).gguf", builder.bytes()), weights)
      #expect(try LlamaModelTests.rows(whole, [context], 1) == rows.last)
    }
    #expect(rows[0] != rows[1] && hashes.count == 2)
  }

  /// hsae refuses a file that it cannot use before it converts it.
  @Test func nothingIsConvertedInVain() throws {
    let files = [
      ("no vocabulary", SplitModel.builder(hasVocabulary: false)),
      ("unknown model architecture", SplitModel.builder(architecture: "nonsense")),
      (
        "not a causal language model",
        SplitModel.builder { $0.add("llama.attention.causal", false) }
      ),
    ]
    for (words, builder) in files {
      let path = try scratch.file("bad.gguf", builder.bytes())
      let found = #expect(throws: Failure.self) { _ = try load(path) }
      #expect(found?.kind == .data && found?.message.contains(words) == true, "\(words)")
      #expect(found?.message.contains("space") == false)
    }
    let path = try scratch.file("good.gguf", SplitModel.builder().bytes())
    let block = #expect(throws: Failure.self) {
      _ = try LlamaModel(
        path: path, weights: .type(.q8), contextLength: 8, block: 2, threads: 1,
        cache: ModelCache(folder: scratch.path + "/cache"))
    }
    #expect(block?.kind == .usage && block?.message.contains("blocks 0 to 1") == true)
    let weights = scratch.path + "/cache/weights"
    let left = Path.exists(weights) ? try Path.list(weights) : []
    #expect(left.allSatisfy { $0.hasSuffix(".lock") }, "\(left)")
  }

  /// If a file does not name the end of text, llama.cpp assumes token 2, which is a word here.
  @Test(arguments: [false, true]) func aWordThatLlamaAssumesIsTheEndKeepsItsRows(namesEnd: Bool)
    throws
  {
    let builder = SplitModel.builder(kinds: [2, 3, 1]) {
      if namesEnd { $0.add("tokenizer.ggml.eos_token_id", UInt32(2)) }
    }
    let model = try load(scratch.file("end.gguf", builder.bytes()), .keep)
    #expect(model.tokenizer.isSpecial(2) == namesEnd && model.tokenizer.isSpecial(1))
  }
}
