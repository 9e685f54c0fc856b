// Tests of the cached real models (`make models`) through llama.cpp: contexts are independent bit for bit,
// rows that were read can be written back, and a replacement changes the losses.
// dev/reference/check-residual.sh compares values with an independent forward pass.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETensors
import Synchronization
import Testing

@testable import HSAELanguageModels

@Suite(.serialized) struct LlamaModelTests {
  static let models = ["gemma-3-270m", "smollm2-135m"]
  static let texts = [
    "The cat sat on the mat, and the dog barked at the moon all night long.",
    "Paris", "Le chat dort sur le lit et le chien aboie.",
    "In 1815 the Congress of Vienna redrew the map of Europe after the Napoleonic wars.",
    "0 1 1 2 3 5 8 13 21",
  ]

  static func load(
    _ name: String, _ weights: WeightsChoice = .type(.q8), context: Int = 64, threads: Int = 2
  ) throws -> LlamaModel {
    let cache = ModelCache()
    let model = try #require(ModelCatalogue.model(named: name))
    return try LlamaModel(
      path: cache.path(of: model), weights: weights, contextLength: context, threads: threads,
      cache: cache)
  }

  static func contexts(_ model: any ResidualStreamModel) -> [[Int32]] {
    texts.map {
      model.tokenizer.prefix + model.tokenizer.encode(Array($0.utf8), limit: 60)
    }
  }

  static func rows(
    _ model: any ResidualStreamModel, _ contexts: [[Int32]], _ block: Int
  ) throws -> [Float] {
    var rows = Matrix(
      rows: contexts.reduce(0) { $0 + $1.count }, columns: model.description.width)
    try model.capture(contexts, afterBlock: block, into: &rows)
    return rows.elements
  }

  @Test(arguments: models, [WeightsChoice.type(.q8), .type(.bf16), .keep])
  func packingChangesNoBit(_ name: String, _ weights: WeightsChoice) throws {
    let model = try Self.load(name, weights)
    let contexts = Self.contexts(model)
    for block in [0, model.description.blockCount / 2, model.description.blockCount - 1] {
      let packed = try Self.rows(model, contexts, block)
      #expect(packed.allSatisfy { $0.isFinite } && packed.contains { $0 != 0 })
      let alone = try contexts.flatMap { try Self.rows(model, [$0], block) }
      #expect(packed == alone, "block \(block)")
      let reversed = try Self.rows(model, contexts.reversed(), block)
      #expect(
        reversed.suffix(contexts[0].count * model.description.width).elementsEqual(
          packed.prefix(contexts[0].count * model.description.width)))
    }
  }

  /// Three threads compute batches side by side: the numbers are those of one thread, and no two batches are in a splice at
  /// once.
  @Test func threadsChangeNoBit() throws {
    let one = try Self.load("smollm2-135m", threads: 1)
    let three = try Self.load("smollm2-135m", threads: 3)
    let contexts = (0..<6).flatMap { _ in Self.contexts(one) }
    for block in [9, one.description.blockCount - 1] {
      #expect(try Self.rows(one, contexts, block) == Self.rows(three, contexts, block))
    }
    let inside = Atomic(0)
    let most = Mutex(0)
    let half = Splice(afterBlock: 9) { rows, _ in
      let others = inside.add(1, ordering: .sequentiallyConsistent).oldValue
      most.withLock { $0 = max($0, others + 1) }
      var elements = rows.mutableSpan
      for place in elements.indices { elements[place] /= 2 }
      inside.subtract(1, ordering: .sequentiallyConsistent)
    }
    #expect(try one.losses(of: contexts, splice: half) == three.losses(of: contexts, splice: half))
    #expect(
      try one.effects(of: contexts, splices: [half]) == three.effects(of: contexts, splices: [half])
    )
    #expect(most.withLock(\.self) == 1)
    // One text alone is computed by all threads together.
    #expect(try Self.rows(one, [contexts[0]], 9) == Self.rows(three, [contexts[0]], 9))
  }

  /// Products of bf16 numbers on the same thread, which use the same tile registers of processors with AMX, change nothing.
  @Test func productsBetweenBatchesChangeNothing() throws {
    let model = try Self.load("smollm2-135m", threads: 1)
    let contexts = Self.contexts(model)
    let before = try Self.rows(model, contexts, 9)
    guard Precision.best == .bfloat16 else { return }
    _ = MachineRates.product(rows: 64, latents: 64, width: 64, precision: .bfloat16, threads: 1)
    #expect(try Self.rows(model, contexts, 9) == before)
  }

  @Test(arguments: [1, 3]) func capturingStopsWhenAsked(_ threads: Int) throws {
    let model = try Self.load("smollm2-135m", threads: threads)
    let contexts = (0..<40).flatMap { _ in Self.contexts(model) }
    let tokens = contexts.reduce(0) { $0 + $1.count }
    var rows = Matrix(rows: tokens, columns: model.description.width)
    var seen: [Int] = []
    let isWhole = try model.capture(contexts, afterBlock: 3, into: &rows) { done in
      seen.append(done)
      return done > 0
    }
    // A batch for each thread may have begun before the first one ended, and each asks once.
    #expect(!isWhole && seen.count <= threads + 1 && seen.allSatisfy { $0 < tokens })
    #expect(seen == seen.sorted())
    var asked = 0
    let all = try model.capture(contexts, afterBlock: 3, into: &rows) { _ in
      asked += 1
      return false
    }
    #expect(all && asked > threads)
  }

  /// A context's rows do not depend on what follows: prefixes of every length.
  @Test func prefixesHaveTheSameRows() throws {
    let model = try Self.load("gemma-3-270m")
    let context = Self.contexts(model)[0]
    let whole = try Self.rows(model, [context], 12)
    for length in 1..<context.count {
      let part = try Self.rows(model, [Array(context.prefix(length))], 12)
      #expect(whole.starts(with: part), "\(length) tokens")
    }
  }

  @Test(arguments: models) func aSpliceReplacesTheStream(_ name: String) throws {
    let model = try Self.load(name)
    let contexts = Self.contexts(model)
    let plain = try model.losses(of: contexts, splice: nil)
    #expect(plain.map(\.count) == contexts.map { $0.count - 1 })
    let blocks = model.description.blockCount
    for block in [0, blocks / 2, blocks - 1] {
      let captured = try Self.rows(model, contexts, block)
      let starts = contexts.indices.map { contexts[..<$0].reduce(0) { $0 + $1.count } }
      let width = model.description.width
      var places: [Splice.Place] = []
      var differing = 0
      let same = try model.losses(
        of: contexts,
        splice: Splice(afterBlock: block) { rows, found in
          places += found
          // The splice sees the rows that `capture` gives.
          for (row, place) in found.enumerated() {
            let start = (starts[place.context] + place.position) * width
            for column in 0..<width where rows[row, column] != captured[start + column] {
              differing += 1
            }
          }
        })
      #expect(differing == 0, "block \(block)")
      #expect(same == plain, "block \(block)")
      #expect(
        Set(places)
          == Set(
            contexts.enumerated().flatMap { context in
              context.element.enumerated().map {
                Splice.Place(context: context.offset, position: $0.offset, token: $0.element)
              }
            }))
    }
    // With a zero residual stream every token is equally likely.
    let zeros = try model.losses(
      of: contexts, splice: Splice(afterBlock: blocks / 2) { rows, _ in rows.clear() })
    let uniform = Float(log(Double(model.tokenizer.pieces.count)))
    #expect(plain.joined().reduce(0, +) < zeros.joined().reduce(0, +))
    #expect(zeros.joined().allSatisfy { abs($0 - uniform) < 1e-2 })
  }

  /// Losses beside replacements equal those without. Writing the same rows back changes nothing; zeros do.
  @Test func effectsOfSplices() throws {
    let model = try Self.load("smollm2-135m")
    let contexts = Self.contexts(model)
    let block = model.description.blockCount / 2
    let own = Splice(afterBlock: block) { _, _ in }
    let zero = Splice(afterBlock: block) { rows, _ in rows.clear() }
    let effects = try model.effects(of: contexts, splices: [own, zero])
    let plain = try model.losses(of: contexts, splice: nil)
    #expect(effects.losses == plain && effects.splices[0].losses == plain)
    #expect(try effects.splices[1].losses == model.losses(of: contexts, splice: zero))
    let still = effects.splices[0].divergences
    #expect(still.map(\.count) == plain.map(\.count))
    #expect(still.joined().allSatisfy { $0 >= 0 && $0 < 1e-4 }, "\(still.joined().max() ?? 0)")
    let moved = effects.splices[1].divergences.joined()
    #expect(moved.allSatisfy { $0 > 0.1 }, "\(moved.min() ?? 0)")
  }

  @Test func failuresOfASpliceComeBack() throws {
    let model = try Self.load("smollm2-135m")
    var calls = 0
    let found = #expect(throws: Failure.self) {
      _ = try model.losses(
        of: (0..<40).flatMap { _ in Self.contexts(model) },
        splice: Splice(afterBlock: 3) { (_, _) throws(Failure) in
          calls += 1
          throw .data("stop here")
        })
    }
    // No further batch begins; each of the two threads may be in one.
    #expect(found?.message == "stop here" && calls <= 2)
    // The model then works as before.
    #expect(try !model.losses(of: Self.contexts(model), splice: nil).joined().isEmpty)
  }

  @Test func tokensAreTheModelsAndTextNeverBecomesSpecial() throws {
    let gemma = try Self.load("gemma-3-270m").tokenizer
    #expect(gemma.prefix == [2] && gemma.isSpecial(2) && gemma.isSpecial(1))
    let tokens = gemma.encode(Array("<bos> dog<eos>".utf8)[...])
    #expect(!tokens.contains { gemma.isSpecial($0) })
    #expect(tokens.map { gemma.pieces[Int($0)] }.joined() == "<bos>▁dog<eos>")
    #expect(gemma.encode([]).isEmpty)
    // Bytes that are not UTF-8 stop nothing.
    #expect(!gemma.encode([0x61, 0xFF, 0xC3, 0x00, 0x62]).isEmpty)
    // BOS may be known and not declared.
    let smol = try Self.load("smollm2-135m").tokenizer
    #expect(smol.prefix == [] && smol.prefix(.always) == [1] && smol.pieces[1] == "<|im_start|>")
    #expect(gemma.prefix(.always) == [2] && gemma.prefix(.never) == [])
    #expect(smol.encode(Array(" dog".utf8)[...]).map { smol.pieces[Int($0)] } == ["▁dog"])
  }

  @Test func longContextsAndBadFilesAreRefused() throws {
    let path = ModelCache().path(of: try #require(ModelCatalogue.model(named: "smollm2-135m")))
    for (file, length, kind) in [
      (path, 1 << 20, Failure.Kind.usage), (path + ".lock", 8, .data), ("/nowhere", 8, .missing),
    ] {
      let found = #expect(throws: Failure.self) {
        _ = try LlamaModel(path: file, weights: .keep, contextLength: length)
      }
      #expect(found?.kind == kind)
    }
  }

  /// Converted weights are made once, under the hash of the file, and are complete.
  @Test func weightsAreConvertedOnce() throws {
    let scratch = try Scratch()
    let cache = ModelCache(folder: scratch.path)
    let path = ModelCache().path(of: try #require(ModelCatalogue.model(named: "smollm2-135m")))
    func prepare() throws -> (PreparedWeights, [String]) {
      var said: [String] = []
      let prepared = try PreparedWeights(
        GGUFFile(path: path), sha256: String(repeating: "ab", count: 32), choice: .type(.q8),
        cache: cache, threads: 2, say: { said.append($0) })
      return (prepared, said)
    }
    let (first, said) = try prepare()
    #expect(first.type == "q8_0" && said.count == 1)
    #expect(first.path.contains("abababababababab-"))
    let (second, nothing) = try prepare()
    #expect(second.path == first.path && nothing.isEmpty)
    // A file that already has the wanted type is used as it is.
    let own = try PreparedWeights(
      GGUFFile(path: first.path), sha256: "", choice: .type(.q8), cache: cache, threads: 2,
      say: { _ in })
    #expect(own.path == first.path)
    #expect(
      try PreparedWeights(
        GGUFFile(path: path), sha256: "", choice: .keep, cache: cache, threads: 2, say: { _ in }
      ).path == path)
  }
}
