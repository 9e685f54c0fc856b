// A run folder for a dictionary that was trained elsewhere: config.json with its origin, and a checkpoint
// without a state of training. Everything that takes a run takes it, but for what would train it.

internal import HSAEActivations
public import HSAEModels
public import HSAESupport
internal import HSAETensors

extension RunDirectory {
  /// Writes a run with `dictionary` into the folder `path`, which must not exist; nothing is there until all
  /// of it is.
  ///
  /// - Parameters:
  ///   - dictionary: the dictionary, in our form.
  ///   - normalize: what is done to rows before the dictionary sees them.
  ///   - origin: where it came from.
  ///   - codeScale: our codes over those it had where it came from, latent by latent; empty if `origin` has
  ///     one number for all.
  ///   - path: the folder to write.
  public static func write(
    imported dictionary: SparseAutoencoder, normalize: Normalisation, origin: Origin,
    codeScale: [Float] = [], to path: String
  ) throws(Failure) {
    let configuration = TrainingConfiguration(
      imported: dictionary, normalize: normalize, origin: origin)
    if let complaint = configuration.complaint { throw .data("\(origin.path): \(complaint)") }
    let run = try DurableDirectory(path: path)
    try JSONFile.write(configuration, to: run.file("config.json"))
    let checkpoint = Path.join(run.file("checkpoints"), CheckpointName.folder(step: 0))
    try Path.createDirectories(checkpoint)
    func file(_ name: String) -> String { Path.join(checkpoint, name) }
    let description = try JSONFile.encode(
      DictionaryDescription(
        shape: configuration.shape, activation: configuration.activation, normalize: normalize,
        hasBias: dictionary.parameters.hasBias, step: 0, tokens: 0))
    try DurableFile.write(description, to: file(CheckpointName.description))
    var hashes = [
      CheckpointName.description: SHA256.hash(description),
      CheckpointName.weights: try WeightsFile.write(
        dictionary.parameters, to: file(CheckpointName.weights)),
    ]
    if ThresholdsFile.isNeeded(dictionary.thresholds, codeScale: codeScale) {
      hashes[CheckpointName.thresholds] = try ThresholdsFile.write(
        dictionary.thresholds, codeScale: codeScale, to: file(CheckpointName.thresholds))
    }
    let state = TrainerState(step: 0, tokens: 0, seconds: 0, rateWeight: 0, hashes: hashes)
    try JSONFile.write(state.sealed(), to: file(CheckpointName.state))
    try run.commit()
  }

  /// Our codes over those of the source, latent by latent; empty if the origin's one number says it all.
  public func importedCodeScale() throws(Failure) -> [Float] {
    let file = Path.join(checkpoint(step: 0), CheckpointName.thresholds)
    return Path.exists(file) ? try ThresholdsFile.codeScale(file) : []
  }
}

extension TrainingConfiguration {
  /// The configuration of an imported run: what is said of data and training is empty.
  fileprivate init(
    imported dictionary: SparseAutoencoder, normalize: Normalisation, origin: Origin
  ) {
    self.init(
      data: DataDescription(path: "", fingerprint: "", rows: 0, width: dictionary.shape.width),
      shape: dictionary.shape, activation: dictionary.activation,
      objective: Objective(
        beta: 0, ortho: 0, l1: 0, l1Scope: .all, auxk: 0, auxkActive: 1),
      bias: dictionary.parameters.hasBias ? .geometricMedian : .none, steps: 0, batch: 1, seed: 0,
      precision: .float32, order: .shuffled, normalize: normalize,
      learningRate: LearningRateSchedule(
        form: .constant, start: 0, peak: 0, floor: 0, warmup: 0, steps: 0),
      regularizerWarmup: RegularizerWarmup(steps: 0), clip: 0, deadWindow: 1, checkpointEvery: 0,
      recordEvery: 1, keep: 1, origin: origin)
  }
}
