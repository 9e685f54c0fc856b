// Opens a run for inspection: its dictionary and rows, with their codes and words.

public import HSAEActivations
public import HSAEModels
public import HSAERuns
public import HSAESupport
public import HSAETensors

/// A trained dictionary with rows, their codes and words.
public struct TrainedRun: ~Copyable, Sendable {
  /// The run's folder.
  public let path: String
  /// How it was trained, or where it was imported from.
  public let description: RunDescription
  /// The step of the checkpoint that was read.
  public let step: Int
  /// The dictionary of that checkpoint.
  public let dictionary: SparseAutoencoder
  /// The rows [n × d], scaled as in training.
  public let rows: Matrix
  /// Number of rows in their source; `rows` may be fewer.
  public let availableRows: Int
  /// Whether the run was trained on them.
  public let isTrainingData: Bool
  /// Whether they are held-out rows of a synthetic forest.
  public let isSynthetic: Bool
  /// The codes of the rows.
  public let codes: Codes
  /// The words of the rows.
  public let words: WordTable
  /// The attributes of their store; nil if they do not come from a store.
  public let attributes: StoreAttributes?

  /// Whether the dictionary sees rows at unit norm: rows of a store, or rows that it scales itself.
  public let seesUnitRows: Bool

  /// The run's folder, for its files and vocabulary.
  public var directory: RunDirectory { RunDirectory(path: path, description: description) }

  /// Whether the rows have words.
  public var hasWords: Bool { !words.vocabulary.isEmpty }

  /// Opens the run at `path` with its newest complete checkpoint, and encodes the rows it was trained on or
  /// those of `store` (of its tensor `tensor`), at most the first `rowLimit` (a store's rows are shuffled). It reads held-out
  /// rows of a synthetic forest, at most 100,000.
  ///
  /// `warn` is called with a message for each checkpoint that is skipped, and if the rows of `store` are not
  /// the training rows. Fails with `.missing` if the run, a checkpoint or the rows are not there. Fails with
  /// `.data` if the rows have another width or, without `store`, are no longer those the run was trained on.
  public init(
    path: String, store: String? = nil, tensor: String? = nil, rowLimit: Int = 1_000_000,
    threads: Int = processorCount,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try LoadedRun(path: path, warn: warn)
    var source = try run.openRows(at: store, tensor: tensor, advice: "name them with --store.")
    let opened = source as? ActivationStore
    let isTrainingSource = source.fingerprint == run.description.data?.fingerprint
    if !isTrainingSource, run.description.knowsRows {
      warn("\(source.path) is not what \(path) was trained on.")
    }
    if let note = try run.difference(from: RowsPlace(source)) { warn("note: \(note)") }
    guard source.rowCount > 0 else { throw .data("\(source.path): there are no rows.") }
    var limit = max(1, rowLimit)
    let forest = source as? SyntheticRows
    if let forest {
      (source, limit) = (forest.heldOut(threads: threads), min(limit, 100_000))
    }
    let count = min(source.rowCount, limit)
    var rows = try source.matrix(rows: 0..<count)
    run.prepare(&rows)

    self.path = path
    description = run.description
    dictionary = run.dictionary
    step = run.step
    seesUnitRows = run.seesUnitRows(ofStore: opened != nil)
    availableRows = source.rowCount
    isSynthetic = forest != nil
    isTrainingData = isTrainingSource && forest == nil
    codes = dictionary.encode(rows, threads: threads)
    self.rows = rows
    attributes = opened?.attributes
    if let opened {
      words = WordTable(tokens: (0..<count).map(opened.token), vocabulary: opened.vocabulary)
    } else {
      words = WordTable(tokens: (0..<count).map(Int32.init), vocabulary: [])
    }
  }

  /// A description of the rows, as a clause.
  public var evaluatedOn: String {
    if isSynthetic { return "\(counted(rows.rows, "held-out row")) of the forest" }
    let those =
      isTrainingData
      ? " it was trained on"
      : description.knowsRows ? ", not those it was trained on" : ""
    return rows.rows == availableRows
      ? "\(isTrainingData ? "all" : "the") \(counted(availableRows, "row"))\(those)"
      : "\(grouped(rows.rows)) of \(counted(availableRows, "row"))\(those)"
  }

  /// Looks up each of the words `asked`, with at most `limit` words for each latent. `encode` returns the
  /// codes of a token without a row (see `Lookup.lookup`).
  public func lookup(
    _ asked: [String], limit: Int = 10, mergesForms: Bool = false,
    encode: (_ token: Int) -> [Code]? = { _ in nil }
  ) -> [WordLookup] {
    var profiles = ExpertProfiles(
      shape: dictionary.shape, subThreshold: dictionary.activation.subThreshold)
    profiles.add(codes, firstRow: 0)
    let lookup = Lookup(profiles: profiles, words: words, mergesForms: mergesForms)
    // Closures cannot borrow a run, so they get a copy.
    let codes = codes
    return asked.map { word in
      lookup.lookup(word, limit: limit, codes: { Array(codes[$0]) }, encode: encode)
    }
  }

  /// What the dictionary explains, as a title.
  public var title: String {
    guard let attributes else {
      let name = description.knowsRows ? description.data?.name : nil
      return name ?? Path.name(Path.trimmed(path))
    }
    return attributes.kind == .unembedding
      ? "The vocabulary of \(attributes.modelName)"
      : "\(attributes.modelName), \(attributes.hookPoint)"
  }

  /// The rows that it explains, as a sentence.
  public var subtitle: String {
    let rows = "\(counted(availableRows, "row")) of width \(dictionary.shape.width)"
    guard let attributes else { return rows }
    return attributes.kind == .unembedding
      ? "A dictionary of its unembedding matrix: \(rows), one for each token"
        + (attributes.preprocessing.map { ", \($0)." } ?? ".")
      : "A dictionary of its activations: \(rows)."
  }
}
