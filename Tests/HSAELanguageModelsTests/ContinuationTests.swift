// Tests of text that models write: token by token is the same as reading everything again, an edit of the
// residual stream changes the text, the seed determines it, and it ends where it must.

import Foundation
import HSAESupport
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct ContinuationTests {
  private let model = SyntheticModel(contextLength: 64)

  private func prompt(_ text: String, _ model: any ResidualStreamModel) -> [Int32] {
    model.tokenizer.prefix + model.tokenizer.encode(Array(text.utf8)[...])
  }

  /// Adds `factor` times a row's length in the direction of row `index` of `directions`.
  private func push(
    _ directions: borrowing Matrix, _ index: Int, _ factor: Float, afterBlock block: Int
  ) -> Splice {
    let direction = directions.row(index).indices.map { directions[index, $0] }
    return Splice(afterBlock: block) { rows, places in
      let norms = rows.rowNorms()
      for row in places.indices {
        for column in direction.indices {
          rows[row, column] += factor * norms[row] * direction[column]
        }
      }
    }
  }

  /// The most probable tokens, each found by reading everything from the beginning.
  private func anew(
    _ prompt: [Int32], _ count: Int, _ model: any ResidualStreamModel, _ splice: Splice?
  ) throws -> [Int32] {
    var tokens = prompt
    for _ in 0..<count {
      let logits = try model.logits(after: tokens, at: 0, splice: splice)
      let best = try #require(logits.indices.max { (logits[$0], $1) < (logits[$1], $0) })
      if model.tokenizer.isSpecial(Int32(best)) { break }
      tokens.append(Int32(best))
    }
    return Array(tokens.dropFirst(prompt.count))
  }

  @Test func writingAgreesWithReadingFromTheStart() throws {
    let prompt = prompt("to be or not", model)
    for splice in [nil, push(model.readout, 65, 0.3, afterBlock: 1)] {
      var continuation = Continuation(of: prompt, by: model, splice: splice)
      let written = try continuation.next(30)
      #expect(try written == anew(prompt, 30, model, splice))
      // Bit for bit, in pieces of any size.
      let whole = try model.logits(after: prompt, at: 0, splice: splice)
      _ = try model.logits(after: Array(prompt.prefix(5)), at: 0, splice: splice)
      let parts = try model.logits(after: Array(prompt.dropFirst(5)), at: 5, splice: splice)
      #expect(whole == parts)
    }
  }

  @Test func aPushTowardsATokenRaisesIt() throws {
    let prompt = prompt("to be or not", model)
    let plain = try model.logits(after: prompt, at: 0, splice: nil)
    var last = -Float.infinity
    for factor in [-1, 0, 0.5, 1, 4] as [Float] {
      let pushed = try model.logits(
        after: prompt, at: 0, splice: push(model.readout, 65, factor, afterBlock: 3))
      if factor == 0 { #expect(pushed == plain) }
      #expect(pushed[65] > last, "\(factor)")
      last = pushed[65]
    }
    var continuation = Continuation(
      of: prompt, by: model, splice: push(model.readout, 65, 4, afterBlock: 1))
    #expect(try continuation.next(5) == Array(repeating: 65, count: 5))
  }

  @Test func placesSayWhereRowsAre() throws {
    let prompt = prompt("abc", model)
    var seen: [Splice.Place] = []
    let splice = Splice(afterBlock: 0) { _, places in seen += places }
    var continuation = Continuation(of: prompt, by: model, splice: splice)
    let written = try continuation.next(3)
    // The last token is written but not read.
    #expect(seen.map(\.token) == prompt + written.dropLast())
    #expect(seen.map(\.position) == Array(0..<6) && seen.allSatisfy { $0.context == 0 })
  }

  @Test func seedsAndTemperaturesDecide() throws {
    let prompt = prompt("to be", model)
    func text(_ sampling: Sampling) throws -> [Int32] {
      var continuation = Continuation(of: prompt, by: model, sampling: sampling)
      return try continuation.next(20)
    }
    let warm = Sampling(temperature: 1, seed: 1)
    #expect(try text(warm) == text(warm))
    #expect(try text(warm) != text(Sampling(temperature: 1, seed: 2)))
    #expect(try text(Sampling(temperature: 1e-6, seed: 1)) == text(Sampling()))
    let penalised = try text(Sampling(frequencyPenalty: 1e6))
    #expect(Set(penalised).count == penalised.count)
    #expect(throws: Failure.self) {
      var continuation = Continuation(
        of: prompt, by: model, splice: push(model.readout, 1, .infinity, afterBlock: 0))
      _ = try continuation.next()
    }
  }

  @Test func aTextEndsWithItsContextOrAtASpecialToken() throws {
    let short = SyntheticModel(contextLength: 8)
    var continuation = Continuation(of: prompt("abcde", short), by: short)
    #expect(try continuation.next(20).count <= 3)
    var ended = Continuation(
      of: prompt("abc", model), by: model, splice: push(model.readout, 257, 9, afterBlock: 0))
    #expect(try ended.next(20).isEmpty)
    #expect(try ended.next() == nil)
  }

  @Test func tokensSpellText() throws {
    struct Pieces: Tokenizer {
      let pieces = ["▁dog", "<0xE2>", "<0x82>", "<0xAC>", "a▁b", "<0x", "\n", "<bos>"]
      let prefix: [Int32] = []
      let bos: Int32? = nil
      func encode(_ text: ArraySlice<UInt8>) -> [Int32] { [] }
      func isSpecial(_ token: Int32) -> Bool { token == 7 }
    }
    #expect(Pieces().text(of: [0, 1, 2, 3, 4, 5, 6]) == " dog€a b<0x\n")
    #expect(Pieces().text(of: [1, 2]) == "\u{FFFD}" && Pieces().bytes(of: 99).isEmpty)
    let text = "“naïve” ☕"
    #expect(model.tokenizer.text(of: model.tokenizer.encode(Array(text.utf8)[...])) == text)
  }

  /// The cross-entropy of `next`.
  private static func loss(_ logits: [Float], _ next: Int32) -> Float {
    let largest = logits.max() ?? 0
    let sum = logits.reduce(0.0) { $0 + exp(Double($1 - largest)) }
    return Float(log(sum)) + largest - logits[Int(next)]
  }

  @Test(arguments: ["gemma-3-270m", "smollm2-135m"])
  func llamaWritingAgreesWithReadingFromTheStart(_ name: String) throws {
    let path = ModelCache().path(of: try #require(ModelCatalogue.model(named: name)))
    func load(_ threads: Int) throws -> LlamaModel {
      try LlamaModel(path: path, weights: .type(.bf16), contextLength: 64, threads: threads)
    }
    let model = try load(2)
    let prompt = prompt("The capital of France is", model)
    // Logits agree with losses, which are computed for all positions of padded batches.
    let next = try #require(anew(prompt, 1, model, nil).first)
    let loss = try #require(try model.losses(of: [prompt + [next]], splice: nil)[0].last)
    #expect(abs(Self.loss(try model.logits(after: prompt, at: 0, splice: nil), next) - loss) < 0.02)
    let blocks = model.description.blockCount
    var axis = Matrix(rows: 1, columns: model.description.width)
    axis[0, 3] = 1
    for block in [0, blocks / 2, blocks - 1] {
      // Rows that stay as they are change no bit.
      let same = Splice(afterBlock: block) { _, _ in }
      let plain = try model.logits(after: prompt, at: 0, splice: nil)
      #expect(try model.logits(after: prompt, at: 0, splice: same) == plain, "\(block)")
      let splice = push(axis, 0, 0.3, afterBlock: block)
      #expect(try model.logits(after: prompt, at: 0, splice: splice) != plain, "\(block)")
      // One row is summed in another order than many rows, and rounding to bf16 makes that visible. So near
      // ties may be decided differently.
      var continuation = Continuation(of: prompt, by: model, splice: splice)
      let written = try continuation.next(12)
      var worst: Float = 0
      for count in 1..<written.count {
        let read = prompt + written.prefix(count)
        let anew = try model.logits(after: read, at: 0, splice: splice)
        _ = try model.logits(after: Array(read.dropLast()), at: 0, splice: splice)
        let cached = try model.logits(after: read.suffix(1), at: read.count - 1, splice: splice)
        worst = max(worst, zip(anew, cached).reduce(0) { max($0, abs($1.0 - $1.1)) })
      }
      #expect(worst < 0.5, "\(block)")
    }
    var one = Continuation(of: prompt, by: try load(1))
    var two = Continuation(of: prompt, by: model)
    #expect(try one.next(12) == two.next(12))
    // An edit's error is passed on, and the next context works as always.
    #expect(throws: Failure.self) {
      _ = try model.logits(
        after: prompt, at: 0,
        splice: Splice(afterBlock: 2) { (_, _) throws(Failure) in throw .data("no") })
    }
    var again = Continuation(of: prompt, by: model)
    var first = Continuation(of: prompt, by: try load(2))
    #expect(try again.next(3) == first.next(3))
  }
}
