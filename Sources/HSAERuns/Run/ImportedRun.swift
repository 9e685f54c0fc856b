// Writes the run directory of a dictionary that another tool trained: config.json with its origin, and a
// checkpoint without optimizer state. Every command that reads a run accepts it, except those that train.

internal import HSAEActivations
public import HSAEModels
public import HSAESupport
internal import HSAETensors

extension RunDirectory {
  /// Writes a run with `dictionary` into the folder `path`, which must not exist. The folder appears only
  /// when it is complete.
  ///
  /// - Parameters:
  ///   - dictionary: the dictionary, in our form.
  ///   - normalize: what is done to rows before the dictionary sees them.
  ///   - origin: where it came from.
  ///   - codeScale: our codes divided by those of the source, latent by latent; empty if `origin` has one
  ///     number for all.
  ///   - path: the folder to write.
  public static func write(
    imported dictionary: SparseAutoencoder, normalize: Normalisation, origin: Origin,
    codeScale: [Float] = [], to path: String
  ) throws(Failure) {
    let imported = ImportedDictionary(
      shape: dictionary.shape, activation: dictionary.activation, normalize: normalize,
      origin: origin)
    if let complaint = RunDescription.imported(imported).complaint {
      throw .data("\(origin.path): \(complaint)")
    }
    let run = try DurableDirectory(path: path)
    try JSONFile.write(imported, to: run.file("config.json"))
    let checkpoint = Path.join(run.file("checkpoints"), CheckpointName.folder(step: 0))
    try Path.createDirectories(checkpoint)
    var hashes: [String: String] = [:]
    hashes[CheckpointName.weights] = try WeightsFile.write(
      dictionary.parameters, to: Path.join(checkpoint, CheckpointName.weights))
    hashes[CheckpointName.thresholds] = try ThresholdsFile.write(
      dictionary.thresholds, codeScale: codeScale,
      to: Path.join(checkpoint, CheckpointName.thresholds))
    try Checkpoint.writeRest(
      TrainerState(step: 0, tokens: 0, seconds: 0, rateWeight: 0, hashes: hashes),
      DictionaryDescription(
        shape: imported.shape, activation: imported.activation, normalize: normalize,
        hasBias: dictionary.parameters.hasBias, step: 0, tokens: 0), into: checkpoint)
    try run.commit()
  }
}
