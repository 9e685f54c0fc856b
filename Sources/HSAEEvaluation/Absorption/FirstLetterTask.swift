// What the absorption measure needs from a model, independent of any dictionary: words with their rows, the
// first-letter probe, and new rows of the test words whose letter the probe recognises.

public import HSAEDistribution
public import HSAELanguageModels
public import HSAESupport
import HSAETensors

/// The first-letter task of one model and block.
public struct FirstLetterTask: ~Copyable, Sendable {
  /// The training words with their rows.
  public let training: FirstLetterRows
  /// The test words with their rows.
  public let test: FirstLetterRows
  /// The probe, trained on the model's own rows.
  public let probe: LetterProbe
  /// F1 of the probe on the test words, for each letter.
  public let probeF1: [Double]
  /// The test words whose letter the probe recognises, with rows of new prompts. Dictionaries are measured on
  /// these.
  public let measured: FirstLetterRows
  /// The seed of all draws.
  public let seed: UInt64
  /// Number of words in the vocabulary.
  public let vocabularyWords: Int

  /// A letter counts if the probe's F1 exceeds this.
  public static let requiredF1 = 0.6

  /// A task of given rows. `fresh` returns rows of new prompts for the given test words.
  public init(
    training: consuming FirstLetterRows, test: consuming FirstLetterRows, seed: UInt64,
    vocabularyWords: Int,
    fresh: (_ words: [FirstLetterWord]) throws(Failure) -> FirstLetterRows
  ) throws(Failure) {
    let labels = test.words.map(\.letter)
    probe = LetterProbe(
      rows: training.rows, labels: training.words.map(\.letter),
      generator: SeededGenerator(seed: seed).split(2))
    probeF1 = probe.f1(rows: test.rows, labels: labels)
    var known: [FirstLetterWord] = []
    for (row, letter) in labels.enumerated()
    where probe.logit(test.rows.row(row), output: letter) > 0 { known.append(test.words[row]) }
    measured = try fresh(known)
    self.training = training
    self.test = test
    self.seed = seed
    self.vocabularyWords = vocabularyWords
  }

  /// Gives `model` one prompt for each word, and a second one for each test word whose letter the probe
  /// recognises. Several `ranks` divide the words.
  ///
  /// `progress` is called with the number of prompts done and an upper bound of their total. Fails with `.data`
  /// if the vocabulary has too few words.
  public init(
    model: any ResidualStreamModel, settings: FirstLetterSettings,
    ranks: any Communicator = SingleProcess(),
    progress: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws(Failure) {
    let words = FirstLetterWords(
      pieces: model.tokenizer.pieces, limit: settings.maxWords, seed: settings.seed)
    try ranks.agree { () throws(Failure) in
      guard words.testCount >= 26 else {
        throw .data(
          "\(model.description.name): the first-letter task needs at least 26 test words of letters a to"
            + " z; there are \(words.testCount). Allow more words with --max-words.")
      }
    }
    let root = SeededGenerator(seed: settings.seed)
    let all = words.trainingCount + 2 * words.testCount
    var done = 0
    func ask(
      _ asked: [FirstLetterWord], _ pool: [FirstLetterWord], _ stream: UInt64
    ) throws(Failure) -> FirstLetterRows {
      let before = done
      let rows = try FirstLetterRows(
        words: asked, examplesFrom: pool, settings: settings, model: model,
        generator: root.split(stream), ranks: ranks
      ) { (count) throws(Failure) in progress(before + count, all) }
      done += asked.count
      return rows
    }
    try self.init(
      training: ask(Array(words.training.prefix(words.trainingCount)), words.training, 3),
      test: ask(Array(words.test.prefix(words.testCount)), words.test, 4), seed: settings.seed,
      vocabularyWords: words.training.count + words.test.count
    ) { (known) throws(Failure) in try ask(known, words.training + words.test, 5) }
  }
}
