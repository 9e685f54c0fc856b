// Tests words, prompts and captured rows of the first-letter task, with a tokenizer of bytes.

import HSAELanguageModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct FirstLetterTests {
  @Test func wordsAreLettersAfterAtMostOneSpace() throws {
    let dog = try #require(FirstLetterWord(token: 3, piece: "\u{2581}Dog"))
    #expect(dog.text == " Dog" && dog.letter == 3)
    #expect(FirstLetterWord(token: 0, piece: "zoo")?.letter == 25)
    for piece in ["", "\u{2581}", "\u{2581}\u{2581}a", "a1", "é", "a b", "don't", "<a>", "狗"] {
      #expect(FirstLetterWord(token: 0, piece: piece) == nil)
    }
  }

  @Test func wordsAreSplitBySeed() {
    // Half of the pieces are words: their number in letters.
    let pieces = (0..<1000).map { number in
      number % 2 == 0
        ? "\u{2581}"
          + String(number).compactMap { "abcdefghij".dropFirst(Int(String($0)) ?? 0).first }
        : "\(number)"
    }
    let words = FirstLetterWords(pieces: pieces, limit: 100, seed: 1)
    #expect(words.training.count == 400 && words.test.count == 100)
    #expect(words.trainingCount == 80 && words.testCount == 20)
    #expect(Set(words.training.map(\.token)).isDisjoint(with: words.test.map(\.token)))
    #expect(FirstLetterWords(pieces: pieces, limit: 100, seed: 1).training == words.training)
    #expect(FirstLetterWords(pieces: pieces, limit: 100, seed: 2).training != words.training)
    let all = FirstLetterWords(pieces: pieces, limit: 5000, seed: 1)
    #expect(all.trainingCount == 400 && all.testCount == 100)
  }

  @Test func thePositionIsThatOfTheWordsLastToken() throws {
    let model = SyntheticModel(contextLength: 2048)
    let pieces = model.tokenizer.pieces
    let words = ["\u{2581}dog", "cat", "\u{2581}Fly"].compactMap {
      FirstLetterWord(token: 0, piece: $0)
    }
    let prompt = try FirstLetterPrompt(
      word: words[0], examples: Array(words[1...]), tokenizer: model.tokenizer, pieces: pieces,
      prefix: [256])
    let text = FirstLetterPrompt.text(word: words[0], examples: Array(words[1...]))
    #expect(
      text
        == "\ncat has the first letter: C\n Fly has the first letter: F\n dog has the first letter:"
    )
    #expect(prompt.tokens.first == 256)
    #expect(prompt.tokens.suffix(4) == " dog".utf8.map { Int32($0) })
    #expect(prompt.tokens.count == 1 + text.utf8.count - " has the first letter:".utf8.count)
  }

  @Test func vectorsAreThoseAtTheWords() throws {
    let model = SyntheticModel(width: 16, contextLength: 512)
    let words = "abcdefgh".compactMap {
      FirstLetterWord(token: Int32($0.asciiValue ?? 0), piece: String($0))
    }
    var settings = FirstLetterSettings(block: 1)
    settings.examples = 3
    let found = try FirstLetterRows(
      words: words, examplesFrom: words, settings: settings, model: model,
      generator: SeededGenerator(seed: 4))
    #expect(found.rows.rows == 8)
    // The row of the last byte depends on it and the three bytes before it.
    var context = model.tokenizer.prefix + model.tokenizer.encode(Array("\nz: Z\nc has".utf8)[...])
    context.removeLast(4)
    let place = context.count - 1
    #expect(context[place] == Int32(UInt8(ascii: "c")))
    let features = model.features(of: context, at: place)
    var target = [Float](repeating: 0, count: 16)
    for (parent, child) in features.prefix(1) {
      for column in 0..<16 {
        target[column] +=
          model.parents[parent, column] + 0.5 * model.children[parent * 4 + child, column]
      }
    }
    let row = found.rows.row(2)
    #expect(dot(row, target.span) > 0.2 * dot(row, row).squareRoot())
  }

  @Test func aModelWithoutWordsIsRefused() throws {
    let model = SyntheticModel(contextLength: 64)
    let words = "ab".compactMap { FirstLetterWord(token: 0, piece: String($0)) }
    let few = failure {
      _ = try FirstLetterRows(
        words: words, examplesFrom: words, settings: FirstLetterSettings(block: 0), model: model,
        generator: SeededGenerator(seed: 0))
    }
    #expect(few?.kind == .data && few?.message.contains("too few words") == true)
    // 52 words of one byte are enough, but ten examples in bytes do not fit 64 tokens.
    let long = failure {
      _ = try FirstLetterTask(model: model, settings: FirstLetterSettings(block: 0))
    }
    #expect(long?.kind == .data)
  }
}
