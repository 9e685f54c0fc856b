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
      path, state: state, shape: own.shape, activation: own.activation,
      selection: own.selection ?? .topK)
    normalize = own.normalize
    step = state.step
  }
}

extension Checkpoint {
  /// The dictionary in the checkpoint `path`, which `verify` has checked. `selection` is that of its training.
  package static func dictionary(
    _ path: String, state: TrainerState, shape: DictionaryShape, activation: ActivationFunction,
    selection: SelectionKind
  ) throws(Failure) -> SparseAutoencoder {
    let parameters = try WeightsFile.read(
      from: Path.join(path, CheckpointName.weights), shape: shape)
    let thresholds =
      state.hashes[CheckpointName.thresholds] != nil
      ? try ThresholdsFile.read(Path.join(path, CheckpointName.thresholds), shape) : nil
    let vectors = parameters.vectors
    if thresholds != nil || selection != .topK || vectors.contains(.encoderBias),
      activation.slope > 0
    {
      throw .data(
        "\(path): a dictionary with thresholds of latents must have slope 0; it is damaged.")
    }
    guard (selection == .jumpReLU) == vectors.contains(.thresholds),
      (selection == .batchTopK) == (state.batchThreshold != nil)
    else {
      throw .data(
        "\(path): the thresholds do not fit the selection \(selection.rawValue); it is damaged.")
    }
    if let thresholds {
      return SparseAutoencoder(
        parameters: parameters, activation: activation, selection: .thresholds(thresholds))
    }
    let recipe = Recipe(
      shape: shape, selection: selection.usual(active: shape.activeExperts),
      activation: activation, objective: Objective(beta: 0, ortho: 0, l1: 0))
    return recipe.dictionary(parameters, batchThreshold: state.batchThreshold ?? 0)
  }
}

extension SelectionKind {
  /// A selection of this kind with usual settings: after training only the kind matters.
  fileprivate func usual(active: Int) -> Selection {
    switch self {
    case .topK: .topK
    case .batchTopK: .batchTopK(BatchTopK(active: Double(active)))
    case .jumpReLU: .jumpReLU(JumpReLU())
    }
  }
}
