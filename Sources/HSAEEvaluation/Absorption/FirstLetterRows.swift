// Captures the residual stream at the words of first-letter prompts. The probe and all dictionaries of one
// model and block are measured on these rows.

public import HSAEDistribution
public import HSAELanguageModels
public import HSAESupport
public import HSAETensors

/// Settings of the first-letter task (docs/evaluation.md, "Absorption").
public struct FirstLetterSettings: Hashable, Sendable, Codable {
  /// The block after which the residual stream is read, counting from 0.
  public var block: Int
  /// Limit on the number of words, training and test words together.
  public var maxWords = 10_000
  /// Number of solved examples before the word.
  public var examples = 10
  /// The tokens before each prompt; nil: those that the model declares.
  public var prefix: [Int32]?
  /// The seed for words, split, examples, and the probe's initial weights.
  public var seed: UInt64 = 0

  /// The task after block `block`, with ten examples and at most 10,000 words.
  public init(block: Int) { self.block = block }
}

/// Words with the residual stream at their last token, scaled to the norm √d: row i belongs to word i.
///
/// Lengths of these rows differ between models by a factor of a hundred, and the recipe's learning rates and
/// penalties suit coordinates of about 1. `norms` keeps the lengths for dictionaries of unscaled rows.
public struct FirstLetterRows: ~Copyable, Sendable {
  /// The words.
  public let words: [FirstLetterWord]
  /// The rows [words × d].
  public let rows: Matrix
  /// The rows' lengths in the model [words].
  public let norms: [Float]

  /// One row for each word; `norms` are their lengths in the model (default: the lengths of `rows`).
  public init(words: [FirstLetterWord], rows: consuming Matrix, norms: [Float]? = nil) {
    precondition(words.count == rows.rows, "\(words.count) words, \(rows.rows) rows.")
    self.words = words
    self.norms = norms ?? rows.rowNorms()
    self.rows = rows
  }

  /// Gives `model` a prompt for each of `words`, with examples drawn from `pool` by `generator`, and captures
  /// the residual stream at the word's last token. The `ranks` divide the words; each gets all rows in the
  /// end. `progress` is called with the number of words done.
  ///
  /// Fails with `.data` if `pool` has too few words, a prompt does not fit into the context, or the probes of
  /// the ranks differ.
  public init(
    words: [FirstLetterWord], examplesFrom pool: [FirstLetterWord],
    settings: FirstLetterSettings, model: any ResidualStreamModel, generator: SeededGenerator,
    ranks: any Communicator = SingleProcess(),
    progress: (Int) throws(Failure) -> Void = { _ throws(Failure) in }
  ) throws(Failure) {
    try ranks.agree { () throws(Failure) in
      guard pool.count > settings.examples else {
        throw .data(
          "\(model.description.name): its vocabulary has too few words of letters a to z for the"
            + " first-letter task; evaluate without absorption.")
      }
    }
    try ranks.requireAlike("\(words.map(\.token))") { rank, _, _ in
      .data(
        "The probe of rank \(rank) recognises other words than the probe of rank 0; run all ranks on the same"
          + " kind of machine.")
    }
    let tokenizer = model.tokenizer
    let pieces = tokenizer.pieces
    let width = model.description.width
    var result = Matrix(rows: words.count, columns: width)
    let groups = pieceCount(words.count, size: Self.groupSize)
    let own = ranks.share(of: groups)
    try ranks.agree { () throws(Failure) in
      for group in own {
        let range = pieceRange(group, size: Self.groupSize, count: words.count)
        var prompts: [FirstLetterPrompt] = []
        for index in range {
          let word = words[index]
          // The examples depend only on the seed and the word's number.
          var draw = generator.split(UInt64(index))
          let examples = Self.examples(settings.examples, from: pool, not: word, using: &draw)
          let prompt = try FirstLetterPrompt(
            word: word, examples: examples, tokenizer: tokenizer, pieces: pieces,
            prefix: settings.prefix ?? tokenizer.prefix)
          guard prompt.tokens.count <= model.contextLength else {
            throw .data(
              "The prompt for \"\(word.text)\" has \(prompt.tokens.count) tokens, but the model's context"
                + " holds \(model.contextLength); give fewer examples with --examples.")
          }
          prompts.append(prompt)
        }
        let captured = try model.captureLast(prompts.map(\.tokens), afterBlock: settings.block)
        for (place, index) in range.enumerated() { result.setRow(index, to: place, of: captured) }
        try progress((group + 1 - own.lowerBound) * words.count / own.count)
      }
    }
    ranks.gather(
      &result,
      rows: (0..<ranks.size).map { rank in
        let groups = ranks.share(of: groups, rank: rank)
        let end = min(words.count, groups.upperBound * Self.groupSize)
        return min(end, groups.lowerBound * Self.groupSize)..<end
      })
    try ranks.check()
    let norms = result.rowNorms()
    result.scaleRowsToUnit()
    result.scale(by: Float(width).squareRoot())
    self.init(words: words, rows: result, norms: norms)
  }

  /// Number of prompts the model gets together: enough to pack prompts of similar length.
  private static let groupSize = 128

  /// `count` different words of `pool`, none of them `word`.
  private static func examples(
    _ count: Int, from pool: [FirstLetterWord], not word: FirstLetterWord,
    using generator: inout SeededGenerator
  ) -> [FirstLetterWord] {
    var chosen: [Int] = []
    while chosen.count < count {
      let index = Int.random(in: 0..<pool.count, using: &generator)
      if pool[index].token != word.token, !chosen.contains(index) { chosen.append(index) }
    }
    return chosen.map { pool[$0] }
  }
}
