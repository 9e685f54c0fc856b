// A run opened to be looked at: its dictionary, the rows to look at it with, their codes and words.
// Where things lie in a run's folder is `HSAETraining`'s.

public import HSAEActivations
public import HSAEModels
public import HSAESupport
public import HSAETensors
public import HSAERuns

/// A trained dictionary with the vectors it is evaluated on.
public struct TrainedRun: ~Copyable, Sendable {
  /// The run's folder.
  public let path: String
  /// How it was trained, or where it was imported from.
  public let description: RunDescription
  /// The step of the checkpoint that was read.
  public let step: Int
  /// The dictionary of that checkpoint.
  public let dictionary: SparseAutoencoder
  /// The vectors [n × d], normalised as in training.
  public let rows: Matrix
  /// Number of vectors their source has; `rows` may be fewer.
  public let availableRows: Int
  /// Whether their source is what the run was trained on.
  public let isTrainingData: Bool
  /// Their codes.
  public let codes: Codes
  /// The words they stand for.
  public let words: WordTable
  /// What their store says of itself; nil if they do not come from a store.
  public let attributes: StoreAttributes?

  /// Whether the dictionary sees rows at unit norm, as a store has them or as it was trained to scale them.
  public let seesUnitRows: Bool

  /// Whether the rows have words, and not only numbers.
  public var hasWords: Bool { !words.vocabulary.isEmpty }

  /// Opens the run at `path`, reads its newest whole checkpoint and encodes the rows it was trained
  /// on, or those of `store`.
  ///
  /// Of more than `rowLimit` rows the first are taken; a store's rows are shuffled. What is passed
  /// over or looks wrong is told to `warn`. Fails with `.missing` if the run, a checkpoint or the
  /// rows are not there, and with `.data` if the rows are not those the run was trained on (unless
  /// `store` was given) or have another width.
  public init(
    path: String, store: String? = nil, rowLimit: Int = 1_000_000, threads: Int = processorCount,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try LoadedRun(path: path, warn: warn)
    let source = try run.openRows(at: store, advice: "name them with --store.")
    let isTrainingData = source.fingerprint == run.description.data?.fingerprint
    if !isTrainingData, run.description.knowsRows {
      warn("\(source.path) is not what \(path) was trained on.")
    }
    guard source.rowCount > 0 else { throw .data("\(source.path): there are no rows.") }
    let count = min(source.rowCount, max(1, rowLimit))
    var rows = try source.matrix(rows: 0..<count)
    run.prepare(&rows)
    let opened = source as? ActivationStore

    // From here on nothing fails.
    self.path = path
    description = run.description
    dictionary = run.dictionary
    step = run.step
    seesUnitRows = run.seesUnitRows(ofStore: opened != nil)
    availableRows = source.rowCount
    self.isTrainingData = isTrainingData
    codes = dictionary.encode(rows, threads: threads)
    self.rows = rows
    attributes = opened?.attributes
    if let opened {
      words = WordTable(tokens: (0..<count).map(opened.token), vocabulary: opened.vocabulary)
    } else {
      words = WordTable(tokens: (0..<count).map(Int32.init), vocabulary: [])
    }
  }

  /// What the rows are, as a clause.
  public var evaluatedOn: String {
    let those =
      isTrainingData
      ? " it was trained on"
      : description.knowsRows ? ", other ones than it was trained on" : ""
    return rows.rows == availableRows
      ? "\(isTrainingData ? "all" : "the") \(counted(availableRows, "row"))\(those)"
      : "\(grouped(rows.rows)) of \(counted(availableRows, "row"))\(those)"
  }

  /// What the dictionary makes of each of `words`, listing at most `limit` words of a latent.
  /// `encode` gives the activations of a token without a row (see `Lookup.lookup`).
  public func lookup(
    _ asked: [String], limit: Int = 10, mergesForms: Bool = false,
    encode: (_ token: Int) -> [Code]? = { _ in nil }
  ) -> [WordLookup] {
    var profiles = ExpertProfiles(
      shape: dictionary.shape, subThreshold: dictionary.activation.subThreshold)
    profiles.add(codes, firstRow: 0)
    let lookup = Lookup(profiles: profiles, words: words, mergesForms: mergesForms)
    // A copy, for closures cannot borrow a run.
    let codes = codes
    return asked.map { word in
      lookup.lookup(word, limit: limit, codes: { Array(codes[$0]) }, encode: encode)
    }
  }

  /// What the dictionary is of, as a title.
  public var title: String {
    guard let attributes else {
      let name = description.knowsRows ? description.data?.name : nil
      return name ?? Path.name(Path.trimmed(path))
    }
    return attributes.kind == .unembedding
      ? "The vocabulary of \(attributes.modelName)"
      : "\(attributes.modelName), \(attributes.hookPoint)"
  }

  /// The rows it is of, as a sentence.
  public var subtitle: String {
    let rows = "\(counted(availableRows, "row")) of width \(dictionary.shape.width)"
    guard let attributes else { return rows }
    return attributes.kind == .unembedding
      ? "A dictionary of its unembedding matrix: \(rows), one for each token"
        + (attributes.preprocessing.map { ", \($0)." } ?? ".")
      : "A dictionary of its activations: \(rows)."
  }
}
