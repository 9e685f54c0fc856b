// The words of the first-letter task and their prompts (docs/evaluation.md, "Absorption").

public import HSAELanguageModels
public import HSAESupport
import HSAETensors

/// A token that consists of letters a to z: a word or a piece of one.
public struct FirstLetterWord: Hashable, Sendable {
  /// The token.
  public var token: Int32
  /// Its text in a prompt, with a leading space if the token has one.
  public var text: String
  /// Its first letter in either case: 0 (a) to 25 (z).
  public var letter: Int

  /// The word of a token whose text is `piece` (`▁` stands for a space). Nil unless the piece is at most one
  /// space followed only by letters a to z or A to Z.
  public init?(token: Int32, piece: String) {
    var letters = Substring(piece)
    let hasSpace = letters.first == "\u{2581}"
    if hasSpace { letters.removeFirst() }
    guard let first = letters.utf8.first,
      letters.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) })
    else { return nil }
    self.token = token
    text = (hasSpace ? " " : "") + letters
    letter = Int(first | 0x20) - 0x61
  }

  /// A letter's name: "a" to "z".
  public static func name(of letter: Int) -> String {
    String(UnicodeScalar(UInt8(0x61 + letter)))
  }
}

/// The words of a vocabulary, split by seed into training and test words.
public struct FirstLetterWords: Sendable {
  /// All training words of the vocabulary, in random order.
  public let training: [FirstLetterWord]
  /// All test words, a fifth of the vocabulary's words, in random order.
  public let test: [FirstLetterWord]
  /// The probe learns from this many words at the start of `training`.
  public let trainingCount: Int
  /// The probe is tested on this many words at the start of `test`.
  public let testCount: Int

  /// The words among `pieces`, the vocabulary token by token; at most `limit` words are used.
  public init(pieces: [String], limit: Int, seed: UInt64) {
    var words: [FirstLetterWord] = []
    for (token, piece) in pieces.enumerated() {
      if let word = FirstLetterWord(token: Int32(token), piece: piece) { words.append(word) }
    }
    var generator = SeededGenerator(seed: seed).split(1)
    words.shuffle(using: &generator)
    let cut = words.count - words.count / 5
    training = Array(words[..<cut])
    test = Array(words[cut...])
    let used = min(limit, words.count)
    testCount = min(test.count, used / 5)
    trainingCount = min(training.count, used - testCount)
  }
}

/// A prompt that asks for a word's first letter, cut after the word.
///
/// The question after the word is tokenised with it, but it cannot change the residual stream at the word.
public struct FirstLetterPrompt: Hashable, Sendable {
  /// The tokens, from the prefix of every context to the word's last token.
  public var tokens: [Int32]

  private static let question = " has the first letter:"

  /// The text of a prompt: examples with their answers, then the word.
  public static func text(word: FirstLetterWord, examples: [FirstLetterWord]) -> String {
    examples.map {
      "\n\($0.text)\(question) \(FirstLetterWord.name(of: $0.letter).uppercased())"
    }.joined() + "\n\(word.text)\(question)"
  }

  /// The prompt for `word` after `examples`, with the tokens `prefix` in front. Fails with `.data` if one token
  /// holds the end of the word and the start of the question.
  public init(
    word: FirstLetterWord, examples: [FirstLetterWord], tokenizer: any Tokenizer,
    pieces: [String], prefix: [Int32]
  ) throws(Failure) {
    let text = Self.text(word: word, examples: examples)
    var tokens = prefix + tokenizer.encode(Array(text.utf8)[...])
    // Tokens of the question are removed from the end; the last token of the word remains.
    var missing = Self.question.utf8.count
    while missing > 0, let token = tokens.popLast() {
      let piece = pieces[Int(token)]
      missing -= piece.utf8.count - 2 * piece.unicodeScalars.count { $0 == "\u{2581}" }
    }
    guard missing == 0, tokens.count > prefix.count else {
      throw .data(
        "The tokenizer joins the end of \"\(word.text)\" with the text after it, so this model cannot"
          + " do the first-letter task; evaluate without absorption.")
    }
    self.tokens = tokens
  }
}
