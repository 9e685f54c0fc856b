// What `lookup`, `report` and `quickstart` share: a run's dictionary applied to every row of the
// vocabulary store it was trained on.

import HSAEActivations
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAEReport
import HSAESupport
import HSAETensors
import HSAETraining

/// The words of Figures 6 and 8–21, and a few of their kind.
let paperWords = [
  "▁dog", "▁puppy", "▁Chicago", "▁London", "▁python", "▁Queen", "▁red", "▁violin", "▁September",
  "▁the",
]

/// The rows and words of a vocabulary store, normalised as a run wants them.
final class VocabularyRows {
  let path: String
  let rows: Matrix
  let words: WordTable

  /// The rows of the store at `path`.
  init(path: String, normalise: Normalisation) throws(Failure) {
    let store = try ActivationStore(path: path)
    guard store.attributes.kind == .unembedding, !store.vocabulary.isEmpty else {
      throw .data(
        "\(path): this store has no vocabulary, so there are no words to show; it must come from"
          + " hsae unembed.")
    }
    var rows = try store.matrix(rows: 0..<store.rowCount)
    if normalise == .unit { rows.scaleRowsToUnit() }
    self.path = path
    self.rows = rows
    words = WordTable(tokens: store.tokens, vocabulary: store.vocabulary)
  }
}

/// A run, its dictionary, and what the dictionary makes of every row.
struct EvaluatedRun {
  let run: RunDirectory
  let step: Int
  let dictionary: SparseAutoencoder
  let rows: VocabularyRows
  let codes: Codes

  /// Evaluates the run at `path` on its own store, or on the one at `store`; `shared` is used if it is
  /// the right one.
  init(
    path: String, store: String?, sharing shared: VocabularyRows? = nil, threads: Int
  ) throws(Failure) {
    run = try RunDirectory(path: path)
    let data = run.configuration.data
    (dictionary, step) = try run.dictionary(warn: { report("hsae: \($0)") })
    let place = store ?? data.path
    if let shared, shared.path == place {
      rows = shared
    } else {
      guard Path.exists(place) else {
        throw .missing(
          "\(place): the store this run was trained on is not there any more; name it with --store."
        )
      }
      rows = try VocabularyRows(path: place, normalise: run.configuration.normalize)
    }
    guard rows.rows.columns == dictionary.shape.width else {
      throw .data(
        "\(place): rows of width \(rows.rows.columns), and the run \(path) has width"
          + " \(dictionary.shape.width).")
    }
    codes = dictionary.encode(rows.rows, threads: threads)
  }

  /// Words of experts and sublatents.
  func profiles() -> ExpertProfiles {
    var profiles = ExpertProfiles(
      shape: dictionary.shape, subThreshold: dictionary.activation.subThreshold)
    profiles.add(codes, firstRow: 0)
    return profiles
  }

  /// The run's part of a page.
  func reported(name: String, words: [String], threads: Int) throws(Failure) -> RunReport {
    let evaluation = DictionaryEvaluation(
      dictionary, rows: rows.rows, codes: codes, words: rows.words, threads: threads)
    return RunReport(
      name: name, evaluation: evaluation, words: rows.words, codes: codes, lookupWords: words,
      configuration: configurationEntries(run.configuration, step: step),
      metrics: MetricsRecord.parse(jsonLines: try run.metricsText()),
      evaluatedOn: "the \(rows.rows.rows) rows it was trained on")
  }
}

/// The configuration as a page lists it.
private func configurationEntries(
  _ configuration: TrainingConfiguration, step: Int
) -> [ConfigurationEntry] {
  let shape = configuration.shape
  let objective = configuration.objective
  return [
    ("steps", "\(step) of \(configuration.steps)"), ("batch", "\(configuration.batch)"),
    ("experts m", "\(shape.experts)"), ("sublatents a", "\(shape.sublatents)"),
    ("subspace s", "\(shape.subspace)"), ("active k", "\(shape.activeExperts)"),
    ("width d", "\(shape.width)"), ("β", "\(objective.beta)"), ("λ₁ ortho", "\(objective.ortho)"),
    ("λ₂ l1", "\(objective.l1) (\(objective.l1Scope.rawValue))"), ("AuxK", "\(objective.auxk)"),
    ("threshold", "\(configuration.activation.threshold)"),
    ("learning rate", "\(configuration.learningRate.peak)"),
    ("warm-up", "\(configuration.learningRate.warmup)"), ("clip", "\(configuration.clip)"),
    ("precision", configuration.precision.rawValue), ("seed", "\(configuration.seed)"),
    ("data", Path.name(configuration.data.path)),
  ].map { ConfigurationEntry($0.0, $0.1) }
}

/// Codes of tokens that were dropped from the store, from the model's raw rows.
final class RawRowEncoder {
  private let raw: Matrix
  private let vocabulary: StoredVocabulary
  private let dictionary: SparseAutoencoder

  /// An encoder for `run`, whose words' raw rows are read from the model `model` (a name or a path).
  init(
    model: String, run: RunDirectory, dictionary: SparseAutoencoder
  ) throws(Failure) {
    guard let vocabulary = try run.vocabulary(), vocabulary.mean != nil else {
      throw .data("\(run.path): the run was not trained on a vocabulary; --model has no use here.")
    }
    let path = try ModelFetcher(say: { report("hsae: \($0)") }).resolve(model)
    let file = try GGUFFile(path: path)
    let stored = try file.unembeddingMatrix()
    guard stored.columns == dictionary.shape.width, stored.rows >= vocabulary.texts.count else {
      throw .data(
        "\(path): its unembedding is \(stored.rows) × \(stored.columns), which does not fit the run."
      )
    }
    raw = try file.floats(of: stored)
    self.vocabulary = vocabulary
    self.dictionary = dictionary
  }

  /// The codes of `token`, treated as the training rows were: centred, whitened, unit norm.
  func codes(token: Int) -> [Activation]? {
    guard token < raw.rows, let mean = vocabulary.mean else { return nil }
    let d = raw.columns
    let whitening = vocabulary.whitening.map { Matrix(rows: d, columns: d, elements: $0) }
    let transform = UnembeddingTransform(mean: mean, whitening: whitening)
    let values = (0..<d).map { raw[token, $0] }
    let direction = transform.apply(values.span).direction
    let single = Matrix(rows: 1, columns: d, elements: direction)
    return Array(dictionary.encode(single, threads: 1)[0])
  }
}
