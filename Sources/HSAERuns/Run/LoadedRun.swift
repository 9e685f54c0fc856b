// A run that was opened to be used: its dictionary, its rows, and how rows are prepared for the dictionary.
// Commands that use a dictionary with rows start here.

public import HSAEActivations
public import HSAEModels
public import HSAESupport
public import HSAETensors

/// The dictionary of a run's newest whole checkpoint, and how to open and prepare its rows.
public struct LoadedRun: Sendable {
  /// Its name, for outputs that show several runs.
  public let name: String
  /// Its folder.
  public let path: String
  /// How it was trained, or where it was imported from.
  public let description: RunDescription
  /// The step of the checkpoint that was read.
  public let step: Int
  /// The dictionary of that checkpoint.
  public let dictionary: SparseAutoencoder

  /// Its folder, for its records, files and vocabulary.
  public var directory: RunDirectory { RunDirectory(path: path, description: description) }

  /// The sizes of the dictionary.
  public var shape: DictionaryShape { dictionary.shape }
}

extension LoadedRun {
  /// Reads the newest whole checkpoint of the run at `path`. `warn` is called with a message for each
  /// checkpoint that is skipped.
  public init(
    path: String, name: String? = nil, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try RunDirectory(path: path)
    let (dictionary, step) = try run.dictionary(warn: warn)
    self.init(
      name: name ?? Path.name(Path.trimmed(path)), path: path, description: run.description,
      step: step, dictionary: dictionary)
  }

  /// Whether contexts began with BOS when the rows were made that the run was trained on; nil if that is not known.
  public func bos() throws(Failure) -> BOSRule? {
    if let origin = description.origin {
      return origin.prependsBOS.map { $0 ? .always : .never }
    }
    return try RunDirectory.storeAttributes(of: path)?.collection.map { $0.bos ?? .auto }
  }

  /// Opens the rows at `store`, or else those the run was trained on.
  ///
  /// - Parameters:
  ///   - store: the rows to take; nil: the run's own.
  ///   - tensor: the tensor of a `.safetensors` file; nil: the one the run was trained on, if the file has it.
  ///   - restoresLengths: whether rows of a store get back the lengths they had in the model; nil: if the run was
  ///     trained on such rows.
  ///   - advice: what to do if the run's own rows cannot be used, such as "name them with --store.".
  ///
  /// Fails with `.missing` if there are no such rows, and with `.data` if the run's own rows are no longer what it was
  /// trained on or if the rows are not as wide as the dictionary.
  public func openRows(
    at store: String? = nil, tensor: String? = nil, restoresLengths: Bool? = nil, advice: String
  ) throws(Failure) -> any RowSource {
    try directory.openRows(
      at: store, tensor: tensor, restoresLengths: restoresLengths, advice: advice)
  }

  /// Fails unless the rows of `source` are as wide as the dictionary.
  public func requireWidth(of source: any RowSource) throws(Failure) {
    try directory.requireWidth(of: source)
  }

  /// Prepares `rows` [n × d] as the run's rows were prepared for training. Rows of a store already have unit
  /// norm, and `norms` are the lengths they had before; without `norms`, rows of original length stay as they
  /// are.
  public func prepare(_ rows: inout Matrix, norms: ArraySlice<Float> = []) {
    if description.normalize.restoresLengths, !norms.isEmpty {
      rows.forEachRow { index, row in
        for column in row.indices { row[column] *= norms[norms.startIndex + index] }
      }
    }
    description.normalize.apply(to: &rows)
  }

  /// How rows of the model are scaled for the dictionary. `ofStore`: the run's other rows come from a store, whose
  /// rows have unit norm.
  public func rowScale(ofStore: Bool) -> RowScale { description.rowScale(ofStore: ofStore) }

  /// The same for rows that a language model computes now. A run that was trained on a store keeps its vocabulary,
  /// so this is known after the store is gone. It looks at the disk: call it once, not for each batch.
  public func modelRowScale(ofStore: Bool) -> RowScale {
    rowScale(ofStore: ofStore || Path.exists(RunDirectory.vocabularyFolder(path)))
  }

  /// Whether the dictionary sees rows scaled to unit norm: because it was trained to scale them, or because a
  /// store's rows are.
  public func seesUnitRows(ofStore: Bool) -> Bool {
    description.seesUnitRows(ofStore: ofStore)
  }
}

extension RunDirectory {
  /// Opens rows for the run without reading its dictionary, as ``LoadedRun/openRows(at:tensor:restoresLengths:advice:)``
  /// does.
  public func openRows(
    at store: String? = nil, tensor: String? = nil, restoresLengths: Bool? = nil, advice: String
  ) throws(Failure) -> any RowSource {
    let source = try description.openRows(
      of: path, at: store, tensor: tensor, restoresLengths: restoresLengths, advice: advice)
    if store == nil, source.fingerprint != description.data?.fingerprint {
      throw .data(
        "\(source.path): it has changed since \(path) was trained on it; restore it, or \(advice)")
    }
    try requireWidth(of: source)
    return source
  }

  /// Fails unless the rows of `source` are as wide as the dictionary.
  func requireWidth(of source: any RowSource) throws(Failure) {
    let width = description.shape.width
    guard source.width == width else {
      throw .data(
        "\(source.path): the rows have width \(source.width), but the dictionary of \(path) needs"
          + " \(width); name other rows.")
    }
  }
}

extension RunDescription {
  /// Opens the rows at `store`, or else those that the run in the folder `run` was trained on.
  ///
  /// The parameters are those of ``LoadedRun/openRows(at:tensor:restoresLengths:advice:)``, and `giantNorms` says what
  /// becomes of a store's rows of giant norm (nil: what became of them in training). Only the path is checked: the rows
  /// may be others than the run's. Fails with `.missing` if there are none.
  public func openRows(
    of run: String, at store: String? = nil, tensor: String? = nil, giantNorms: GiantNorms? = nil,
    restoresLengths: Bool? = nil, allowIncomplete: Bool = false, advice: String
  ) throws(Failure) -> any RowSource {
    let path = store ?? data?.path ?? ""
    guard Path.exists(path) else {
      if let store { throw .missing("\(store): there is no such store or matrix.") }
      throw missingRows(of: run, advice)
    }
    let norms = giantNorms ?? data?.giantNorms ?? .skip
    let restores = restoresLengths ?? normalize.restoresLengths
    func open(_ tensor: String?) throws(Failure) -> any RowSource {
      try HSAEActivations.openRows(
        path: path, tensor: tensor, allowIncomplete: allowIncomplete, giantNorms: norms,
        restoresLengths: restores)
    }
    if store == nil || tensor != nil { return try open(tensor ?? data?.tensor) }
    // Rows in another file are most likely a tensor of the same name.
    if let name = data?.tensor, let same = try? open(name) { return same }
    return try open(nil)
  }
}
