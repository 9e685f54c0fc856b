// Opens a run for inspection: its dictionary and rows, with their codes and words.

public import HSAEActivations
public import HSAEModels
public import HSAESupport
public import HSAETensors
public import HSAETraining

/// A trained dictionary with rows, their codes and words.
public struct TrainedRun: ~Copyable, Sendable {
  /// The run's folder.
  public let path: String
  /// Its resolved configuration.
  public let configuration: TrainingConfiguration
  /// The step of the checkpoint that was read.
  public let step: Int
  /// The dictionary of that checkpoint.
  public let dictionary: SparseAutoencoder
  /// The rows [n × d], scaled as in training.
  public let rows: Matrix
  /// Number of rows in their source; `rows` may be fewer.
  public let availableRows: Int
  /// Whether their source is the one the run was trained on.
  public let isTrainingData: Bool
  /// The codes of the rows.
  public let codes: Codes
  /// The words of the rows.
  public let words: WordTable
  /// The attributes of their store; nil if they do not come from a store.
  public let attributes: StoreAttributes?

  /// Whether the dictionary sees rows at unit norm: rows of a store, or rows that it scales itself.
  public var seesUnitRows: Bool {
    switch configuration.normalize {
    case .none: attributes != nil
    case .unit: true
    case .original: false
    }
  }

  /// Whether the rows have words.
  public var hasWords: Bool { !words.vocabulary.isEmpty }

  /// Opens the run at `path` with its newest complete checkpoint, and encodes the rows it was trained on or
  /// those of `store`, at most the first `rowLimit` (a store's rows are shuffled).
  ///
  /// `warn` is called with a message for each checkpoint that is skipped, and if the rows of `store` are
  /// other ones than the training rows. Fails with `.missing` if the run, a checkpoint or the rows are not
  /// there. Fails with `.data` if the rows have another width or, without `store`, are no longer those the
  /// run was trained on.
  public init(
    path: String, store: String? = nil, rowLimit: Int = 1_000_000, threads: Int = processorCount,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try RunDirectory(path: path)
    let (dictionary, step) = try run.dictionary(warn: warn)
    let data = run.configuration.data
    let source = try Self.open(store, of: run.configuration, run: path)
    guard source.width == dictionary.shape.width else {
      throw .data(
        "\(source.path): its rows have the width \(source.width), and the dictionary of \(path) is"
          + " for \(dictionary.shape.width); give the store it was trained on.")
    }
    let isTrainingData = source.fingerprint == data.fingerprint
    if !isTrainingData {
      guard store != nil else {
        throw .data(
          "\(source.path): it is no longer what \(path) was trained on; restore it, or name a store"
            + " with --store.")
      }
      if run.configuration.knowsRows {
        warn("\(source.path) is not what \(path) was trained on.")
      }
    }
    guard source.rowCount > 0 else { throw .data("\(source.path): there are no rows.") }
    let count = min(source.rowCount, max(1, rowLimit))
    var rows = try source.matrix(rows: 0..<count)
    if run.configuration.normalize == .unit { rows.scaleRowsToUnit() }
    let opened = source as? ActivationStore

    self.path = path
    configuration = run.configuration
    self.dictionary = dictionary
    self.step = step
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

  private static func open(
    _ store: String?, of configuration: TrainingConfiguration, run: String
  ) throws(Failure) -> any RowSource {
    let data = configuration.data
    let path = store ?? data.path
    guard Path.exists(path) else {
      if let store { throw .missing("\(store): there is no such store.") }
      throw configuration.missingRows(of: run, "name them with --store.")
    }
    // In another file the rows are most likely a tensor of the same name; otherwise the file may have only
    // one tensor.
    let norms = data.giantNorms ?? .skip
    let restores = configuration.normalize == .original
    if store != nil,
      let rows = try? openRows(
        path: path, tensor: data.tensor, giantNorms: norms, restoresLengths: restores)
    {
      return rows
    }
    return try openRows(
      path: path, tensor: store == nil ? data.tensor : nil, giantNorms: norms,
      restoresLengths: restores)
  }

  /// A description of the rows, as a clause.
  public var evaluatedOn: String {
    let those =
      isTrainingData
      ? " it was trained on"
      : configuration.knowsRows ? ", other ones than it was trained on" : ""
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
      let isOwn = configuration.origin != nil || configuration.data.isStream
      return isOwn ? Path.name(Path.trimmed(path)) : configuration.data.name
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
