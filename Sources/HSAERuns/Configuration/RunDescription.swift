// The content of a run's config.json: a dictionary that was trained here, or one that was imported.

public import HSAEModels
public import HSAESupport

/// A dictionary that another tool trained.
public struct ImportedDictionary: Codable, Hashable, Sendable {
  /// The version of this file's layout.
  public var format = 1
  /// The dictionary's sizes.
  public var shape: DictionaryShape
  /// Thresholds and slopes.
  public var activation: ActivationFunction
  /// How rows are scaled before the dictionary sees them.
  public var normalize: Normalisation
  /// Where the dictionary came from.
  public var origin: Origin

  /// A description of the given parts.
  public init(
    shape: DictionaryShape, activation: ActivationFunction, normalize: Normalisation,
    origin: Origin
  ) {
    (self.shape, self.activation) = (shape, activation)
    (self.normalize, self.origin) = (normalize, origin)
  }
}

/// A run as its config.json describes it.
public enum RunDescription: Hashable, Sendable {
  /// The run was trained here, with these settings.
  case trained(TrainingConfiguration)
  /// The run was imported.
  case imported(ImportedDictionary)

  /// The settings the run was trained with; nil if it was imported.
  public var training: TrainingConfiguration? {
    if case .trained(let configuration) = self { return configuration }
    return nil
  }

  /// Where the run was imported from; nil if it was trained here.
  public var origin: Origin? {
    if case .imported(let dictionary) = self { return dictionary.origin }
    return nil
  }

  /// The rows the run was trained on; nil if it was imported.
  public var data: DataDescription? { training?.data }

  /// The dictionary's sizes.
  public var shape: DictionaryShape {
    switch self {
    case .trained(let configuration): configuration.shape
    case .imported(let dictionary): dictionary.shape
    }
  }

  /// Thresholds and slopes.
  public var activation: ActivationFunction {
    switch self {
    case .trained(let configuration): configuration.activation
    case .imported(let dictionary): dictionary.activation
    }
  }

  /// How rows are scaled before the dictionary sees them.
  public var normalize: Normalisation {
    switch self {
    case .trained(let configuration): configuration.normalize
    case .imported(let dictionary): dictionary.normalize
    }
  }

  /// Whether the dictionary sees rows scaled to unit norm: because it was trained to scale them, or because a
  /// store's rows are.
  public func seesUnitRows(ofStore: Bool) -> Bool {
    rowScale(ofStore: ofStore) != .own
  }

  /// How rows of the model are scaled for the dictionary. `ofStore`: the run's other rows come from a store, whose
  /// rows have unit norm.
  public func rowScale(ofStore: Bool) -> RowScale {
    switch normalize {
    case .none: ofStore ? .unit : .own
    case .unit: .unit
    case .original: .own
    case .layerNorm: .centred
    }
  }

  /// Why this description is invalid, as a sentence that names the option; nil if it is valid.
  public var complaint: String? {
    switch self {
    case .trained(let configuration): configuration.complaint
    case .imported(let dictionary):
      TrainingConfiguration.complaint(format: dictionary.format)
        ?? dictionary.shape.complaint ?? dictionary.activation.complaint
    }
  }

  /// Whether the rows the run was trained on can be found: the run was trained here, on rows that it read
  /// from a file.
  public var knowsRows: Bool { data.map { !$0.isStream } ?? false }

  /// The failure to throw if the rows of the run `path` are needed and missing. `remedy` says what to do.
  public func missingRows(of path: String, _ remedy: String) -> Failure {
    guard let data else {
      return .usage("\(path): the run was imported, and its rows are not known; \(remedy)")
    }
    if data.isStream {
      return .usage(
        "\(path): the run was trained on rows that a program gave it, and they were not kept; \(remedy)"
      )
    }
    return .missing("\(data.path): the rows \(path) was trained on are gone; \(remedy)")
  }

  /// The description without the path of the rows, which may differ between machines.
  package var withoutPath: RunDescription {
    guard case .trained(var configuration) = self else { return self }
    configuration.data.path = ""
    return .trained(configuration)
  }
}

extension RunDescription: Codable {
  private enum Key: String, CodingKey { case origin }

  /// Reads either kind: an imported run has an `origin`.
  public init(from decoder: any Decoder) throws {
    let isImported = try decoder.container(keyedBy: Key.self).contains(.origin)
    self =
      isImported
      ? .imported(try ImportedDictionary(from: decoder))
      : .trained(try TrainingConfiguration(from: decoder))
  }

  /// Writes the members of the case.
  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .trained(let configuration): try configuration.encode(to: encoder)
    case .imported(let dictionary): try dictionary.encode(to: encoder)
    }
  }
}
