// A run to evaluate: its dictionary, and how to scale rows for it.

public import HSAEModels
public import HSAESupport
public import HSAETensors
public import HSAETraining

/// A trained dictionary to evaluate.
public struct EvaluatedRun: Sendable {
  /// Its name among the runs of this evaluation.
  public let name: String
  /// Its folder.
  public let path: String
  /// Its resolved configuration.
  public let configuration: TrainingConfiguration
  /// The step of the checkpoint that was read.
  public let step: Int
  /// The dictionary of that checkpoint.
  public let dictionary: SparseAutoencoder

  /// The sizes of the dictionary.
  public var shape: DictionaryShape { dictionary.shape }

  /// A run with the given parts.
  public init(
    name: String, path: String, configuration: TrainingConfiguration, step: Int,
    dictionary: SparseAutoencoder
  ) {
    (self.name, self.path, self.configuration) = (name, path, configuration)
    (self.step, self.dictionary) = (step, dictionary)
  }

  /// The run at `path` with its newest complete checkpoint. `warn` is called with a message for each
  /// checkpoint that is skipped.
  public init(
    path: String, name: String, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let run = try RunDirectory(path: path)
    let (dictionary, step) = try run.dictionary(warn: warn)
    self.init(
      name: name, path: path, configuration: run.configuration, step: step, dictionary: dictionary)
  }

  /// Scales `rows` [n × d] as in training. Rows of a store have unit norm, and `norms` are their original
  /// lengths; without `norms`, a run that needs original lengths gets rows unchanged.
  public func prepare(_ rows: inout Matrix, norms: ArraySlice<Float> = []) {
    switch configuration.normalize {
    case .none: break
    case .unit: rows.scaleRowsToUnit()
    case .original:
      rows.forEachRow { index, row in
        guard !norms.isEmpty else { return }
        for column in row.indices { row[column] *= norms[norms.startIndex + index] }
      }
    }
  }

  /// Whether the dictionary sees rows at unit norm: it scales them itself, or was trained on unscaled rows of
  /// a store (`ofStore`), which have unit norm.
  public func seesUnitRows(ofStore: Bool) -> Bool {
    switch configuration.normalize {
    case .none: ofStore
    case .unit: true
    case .original: false
    }
  }
}
