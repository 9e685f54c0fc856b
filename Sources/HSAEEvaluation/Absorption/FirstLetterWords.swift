// The words of the first-letter task and their prompts (docs/evaluation.md, "Absorption"). What the
// model makes of the prompts is `FirstLetterVectors`'.

public import HSAELanguageModels
public import HSAESupport
import HSAETensors

/// A token that is a word, or a piece of one, of letters a to z.
public struct FirstLetterWord: Hashable, Sendable {
  /// The token.
  public var token: Int32
  /// Its text as it stands in a prompt: with a leading space if the token has one.
  public var text: String
  /// Its first letter, 0 (a) to 25 (z), whatever its case.
  public var letter: Int

  /// The word of a token whose text is `piece` (`▁` for a space); nil unless that is, after at most
  /// one space, letters a to z or A to Z alone.
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
  /// All training words of the vocabulary, in an order drawn by seed.
  public let training: [FirstLetterWord]
  /// All test words, a fifth of all, likewise.
  public let test: [FirstLetterWord]
  /// How many of `training` the probe learns from: the first ones.
  public let trainingCount: Int
  /// How many of `test` are measured: the first ones.
  public let testCount: Int

  /// The words among `pieces` (token by token), of which at most `limit` are used.
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

/// A prompt that asks for a word's first letter, as far as the model is given it: up to the word.
///
/// What follows the word is tokenised with it, but cannot change the residual stream at the word.
public struct FirstLetterPrompt: Hashable, Sendable {
  /// The tokens, from what every context of the model begins with to the last one of the word.
  public var tokens: [Int32]

  private static let question = " has the first letter:"

  /// The text of a prompt: examples with their answers, then the word.
  public static func text(word: FirstLetterWord, examples: [FirstLetterWord]) -> String {
    examples.map {
      "\n\($0.text)\(question) \(FirstLetterWord.name(of: $0.letter).uppercased())"
    }.joined() + "\n\(word.text)\(question)"
  }

  /// The prompt for `word` after `examples`. Fails with `.data` if the tokenizer makes the word's end
  /// and what follows one token, so that the word has no last token.
  public init(
    word: FirstLetterWord, examples: [FirstLetterWord], tokenizer: any Tokenizer,
    pieces: [String]
  ) throws(Failure) {
    let text = Self.text(word: word, examples: examples)
    var tokens = tokenizer.prefix + tokenizer.encode(Array(text.utf8)[...])
    // The word ends where the pieces after it spell the question, counted from the end.
    var missing = Self.question.utf8.count
    while missing > 0, let token = tokens.popLast() {
      let piece = pieces[Int(token)]
      missing -= piece.utf8.count - 2 * piece.unicodeScalars.count { $0 == "\u{2581}" }
    }
    guard missing == 0, tokens.count > tokenizer.prefix.count else {
      throw .data(
        "The tokenizer joins the end of \"\(word.text)\" with what follows it, so the first-letter"
          + " task cannot be asked of this model; evaluate without absorption.")
    }
    self.tokens = tokens
  }
}
