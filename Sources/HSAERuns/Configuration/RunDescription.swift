// The content of a run's config.json: a dictionary that hsae trained, or one that was imported.

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

/// The settings of a trained run or the description of an imported one.
public enum RunDescription: Hashable, Sendable {
  /// hsae trained it, with these settings.
  case trained(TrainingConfiguration)
  /// It was imported.
  case imported(ImportedDictionary)

  /// The settings of the training; nil if it was imported.
  public var training: TrainingConfiguration? {
    if case .trained(let configuration) = self { return configuration }
    return nil
  }

  /// Where it was imported from; nil if it was trained.
  public var origin: Origin? {
    if case .imported(let dictionary) = self { return dictionary.origin }
    return nil
  }

  /// The rows it was trained on; nil if it was imported.
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

  /// What is wrong with it, as a sentence with the option's name; nil if nothing is.
  public var complaint: String? {
    switch self {
    case .trained(let configuration): configuration.complaint
    case .imported(let dictionary):
      TrainingConfiguration.complaint(format: dictionary.format)
        ?? dictionary.shape.complaint ?? dictionary.activation.complaint
    }
  }

  /// Whether the rows the run was trained on are known. Those of imported runs and those of a stream are not.
  public var knowsRows: Bool { data.map { !$0.isStream } ?? false }

  /// The failure if the rows of the run `path` are needed and missing; `remedy` says what to do.
  public func missingRows(of path: String, _ remedy: String) -> Failure {
    guard let data else {
      return .usage("\(path): it was imported, and nothing says which rows it is of; \(remedy)")
    }
    if data.isStream {
      return .usage(
        "\(path): it was trained on rows that a program gave it, and they were not kept; \(remedy)")
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

  /// Reads either kind; an imported one has an `origin`.
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
