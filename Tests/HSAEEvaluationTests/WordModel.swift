// A synthetic language model whose tokens are words and whose residual stream encodes the word's first
// letter, so the result of the first-letter task is known.

import HSAESupport
import HSAETensors

@testable import HSAEEvaluation
@testable import HSAELanguageModels

/// Words of three letters, `each` for every letter, half of them with a leading space. A word's row is the
/// letter's axis plus noise.
final class WordModel: ResidualStreamModel {
  let description: ModelDescription
  let tokenizer: any Tokenizer
  let contextLength = 128
  private let letters: [Int?]

  init(each: Int) {
    let words = WordTokenizer(each: each)
    tokenizer = words
    letters = words.pieces.enumerated().map { token, piece in
      FirstLetterWord(token: Int32(token), piece: piece)?.letter
    }
    description = ModelDescription(
      name: "words", sha256: "", weightsType: "f32", width: 64, blockCount: 2, longestContext: 128)
  }

  func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
    shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool {
    var row = 0
    for context in contexts {
      for (position, token) in context.enumerated() {
        var noise = SeededGenerator(seed: UInt64(token)).split(UInt64(position))
        for column in 26..<64 { rows[row, column] = Float(noise.nextSymmetric()) }
        if let letter = letters[Int(token)] { rows[row, letter] = 5 }
        row += 1
      }
    }
    return true
  }

  func logits(
    after tokens: [Int32], at position: Int, splice: Splice?
  ) throws(Failure) -> [Float] {
    Array(repeating: 0, count: tokenizer.pieces.count)
  }

  func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
    contexts.map { Array(repeating: 0, count: max(0, $0.count - 1)) }
  }

  func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
    let losses = try losses(of: contexts, splice: nil)
    return SpliceEffects(
      losses: losses, splices: splices.map { _ in .init(losses: losses, divergences: losses) })
  }
}

/// Tokens are words, the pieces of the question, and bytes.
private struct WordTokenizer: Tokenizer {
  let pieces: [String]
  let prefix: [Int32] = []
  let bos: Int32? = nil
  private let tokens: [String: Int32]

  init(each: Int) {
    var pieces = ["\n", "\u{2581}has", "\u{2581}the", "\u{2581}first", "\u{2581}letter", ":"]
    for letter in 0..<26 {
      pieces.append("\u{2581}" + FirstLetterWord.name(of: letter).uppercased())
      for word in 0..<each {
        let tail = FirstLetterWord.name(of: word / 26 % 26) + FirstLetterWord.name(of: word % 26)
        pieces.append((word % 2 == 0 ? "\u{2581}" : "") + FirstLetterWord.name(of: letter) + tail)
      }
    }
    self.pieces = pieces
    tokens = Dictionary(pieces.enumerated().map { ($1, Int32($0)) }) { first, _ in first }
  }

  func encode(_ text: ArraySlice<UInt8>) -> [Int32] {
    var result: [Int32] = []
    var word = ""
    func end() {
      if let token = tokens[word] { result.append(token) }
      word = ""
    }
    for character in String(decoding: text, as: UTF8.self) {
      switch character {
      case " ":
        end()
        word = "\u{2581}"
      case "\n", ":":
        end()
        word = String(character)
        end()
      default: word.append(character)
      }
    }
    end()
    return result
  }

  func isSpecial(_ token: Int32) -> Bool { false }
}
