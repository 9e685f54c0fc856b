// What the absorption measure needs of a model, whatever the dictionary: words, their vectors, the
// probe for the first letter, and the words whose letter the probe knows, asked for a second time.

public import HSAEDistribution
public import HSAELanguageModels
public import HSAESupport
import HSAETensors

/// The first-letter task of one model and block, ready to measure dictionaries on.
public struct FirstLetterTask: ~Copyable, Sendable {
  /// The training words with their vectors.
  public let training: FirstLetterVectors
  /// The test words with theirs.
  public let test: FirstLetterVectors
  /// The probe on the model's own vectors.
  public let probe: LetterProbe
  /// F1 of the probe on the test words, for each letter.
  public let probeF1: [Double]
  /// The test words whose letter the probe knows, with vectors of fresh prompts: what is measured.
  public let measured: FirstLetterVectors
  /// Chooses all that is drawn.
  public let seed: UInt64
  /// How many words the vocabulary has.
  public let vocabularyWords: Int

  /// A letter counts if the probe's F1 exceeds this.
  public static let requiredF1 = 0.6

  /// A task of given vectors. `fresh` returns the vectors of the test words with the given indices,
  /// asked for again.
  public init(
    training: consuming FirstLetterVectors, test: consuming FirstLetterVectors, seed: UInt64,
    vocabularyWords: Int,
    fresh: (_ words: [FirstLetterWord]) throws(Failure) -> FirstLetterVectors
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

  /// Asks `model`: a prompt for each word, and a second one for each test word whose letter the probe
  /// knows. `progress` is told how many of how many prompts are done; how many come in the end is only
  /// known then. Where there are several `ranks`, each asks for some of the words.
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
            + " z, and there are \(words.testCount); give more words with --max-words.")
      }
    }
    let root = SeededGenerator(seed: settings.seed)
    let all = words.trainingCount + 2 * words.testCount
    var done = 0
    func ask(
      _ asked: [FirstLetterWord], _ pool: [FirstLetterWord], _ stream: UInt64
    ) throws(Failure) -> FirstLetterVectors {
      let before = done
      let vectors = try FirstLetterVectors(
        words: asked, examplesFrom: pool, settings: settings, model: model,
        generator: root.split(stream), ranks: ranks
      ) { (count) throws(Failure) in progress(before + count, all) }
      done += asked.count
      return vectors
    }
    try self.init(
      training: ask(Array(words.training.prefix(words.trainingCount)), words.training, 3),
      test: ask(Array(words.test.prefix(words.testCount)), words.test, 4), seed: settings.seed,
      vocabularyWords: words.training.count + words.test.count
    ) { (known) throws(Failure) in try ask(known, words.training + words.test, 5) }
  }
}
