// Reads the dictionary of a checkpoint, for callers that only want to use it. A checkpoint's `hsae.json`
// describes its weights, so the run is not needed.

internal import HSAEActivations
public import HSAEModels
public import HSAESupport

/// A dictionary that was read from a run or from a checkpoint.
public struct StoredDictionary: Sendable {
  /// The dictionary.
  public let model: SparseAutoencoder
  /// The normalisation that its input rows need.
  public let normalize: Normalisation
  /// The number of steps it was trained for; 0 if it was imported.
  public let step: Int

  /// The dictionary at `path`: a run, of which the newest whole checkpoint is read, or one checkpoint,
  /// `RUN/checkpoints/step-…`.
  ///
  /// Every file is checked against its hash. `warn` is called with a message for each checkpoint that is
  /// skipped. Fails with `.missing` if there is no dictionary, and with `.data` if it is damaged.
  public init(
    path: String, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let description = Path.join(path, CheckpointName.description)
    guard Path.exists(description) else {
      let run = try RunDirectory(path: path)
      (model, step) = try run.dictionary(warn: warn)
      normalize = run.description.normalize
      return
    }
    let state = try Checkpoint.verify(path, isImported: true)
    let own = try JSONFile.read(DictionaryDescription.self, from: description)
    if let complaint = own.shape.complaint ?? own.activation.complaint {
      throw .data("\(description): \(complaint)")
    }
    model = try Checkpoint.dictionary(
      path, state: state, shape: own.shape, activation: own.activation, selection: own.selection)
    normalize = own.normalize
    step = state.step
  }
}

extension Checkpoint {
  /// The dictionary in the checkpoint `path`, which `verify` has checked.
  ///
  /// A dictionary that was trained with another selection than TopK, or with an encoder bias, selects by thresholds,
  /// and any number of its latents may be active for a row.
  package static func dictionary(
    _ path: String, state: TrainerState, shape: DictionaryShape, activation: ActivationFunction,
    selection: Selection
  ) throws(Failure) -> SparseAutoencoder {
    var activation = activation
    if let threshold = state.subThreshold { activation.subThreshold = Float(threshold) }
    let parameters = try WeightsFile.read(
      from: Path.join(path, CheckpointName.weights), shape: shape, isFolded: state.isFolded)
    let thresholds =
      state.hashes[CheckpointName.thresholds] != nil
      ? try ThresholdsFile.read(Path.join(path, CheckpointName.thresholds), shape) : nil
    if thresholds != nil, activation.slope > 0 {
      throw .data(
        "\(path): a dictionary with thresholds of latents must have slope 0; it is damaged.")
    }
    if let thresholds {
      return SparseAutoencoder(
        parameters: parameters, activation: activation, selection: .thresholds(thresholds))
    }
    if let complaint = complaint(parameters.vectors, state, activation, selection) {
      throw .data("\(path): \(complaint); it is damaged.")
    }
    let recipe = Recipe(
      shape: shape, selection: selection, activation: activation,
      objective: Objective(beta: 0, ortho: 0, l1: 0))
    return recipe.dictionary(
      parameters, batchThreshold: state.batchThreshold ?? 0, subThreshold: state.subThreshold)
  }

  /// What a dictionary that was trained with `selection` lacks, as the beginning of a sentence; nil if nothing.
  private static func complaint(
    _ vectors: TrainedVectors, _ state: TrainerState, _ activation: ActivationFunction,
    _ selection: Selection
  ) -> String? {
    if activation.slope > 0, selection != .topK || vectors.contains(.encoderBias) {
      return "a dictionary with thresholds or an encoder bias must have slope 0"
    }
    switch selection {
    case .batchTopK where state.batchThreshold == nil:
      return "trainer_state.json lacks the running threshold of batchtopk"
    case .jumpReLU where !vectors.contains(.thresholds):
      return "the weights lack the thresholds of jumprelu"
    default: return nil
    }
  }
}
