// The folder of a run, for code that reads it: evaluation, look-ups, reports, resuming.
//
//   RUN/config.json          the resolved configuration
//       metrics.jsonl        the records, one on each line
//       whitening.safetensors   how rows were whitened, if they were
//       vocabulary/          of the store, with mean and whitening, if the store had one
//       checkpoints/step-…   the last few checkpoints
//       run.lock             held by the process that trains

public import HSAEActivations
public import HSAEModels
public import HSAESupport
internal import HSAETensors

/// A run that has begun.
public struct RunDirectory: Sendable {
  /// The folder.
  public let path: String
  /// What config.json describes: a run that was trained here, or one that was imported.
  public let description: RunDescription

  /// The settings the run was trained with. Fails with `.usage` if it was imported, as there is no state to
  /// train from.
  public func trainingConfiguration() throws(Failure) -> TrainingConfiguration {
    switch description {
    case .trained(let configuration): return configuration
    case .imported(let dictionary):
      throw .usage(
        "\(path): it was imported (\(dictionary.origin.layout)) and has no training state to resume from; start a new"
          + " run.")
    }
  }

  /// The run at `path`, whose config.json has been read.
  package init(path: String, description: RunDescription) {
    (self.path, self.description) = (path, description)
  }

  /// Opens the run at `path`.
  public init(path: String) throws(Failure) {
    let file = Self.configurationFile(path)
    guard Path.exists(path) else { throw .missing("\(path): there is no such run.") }
    if let tool = Self.otherTool(path) {
      throw .data(
        "\(path): this is a dictionary of \(tool); run hsae import first, then give the run that it writes."
      )
    }
    guard Path.isDirectory(path) else {
      throw .missing(
        "\(path): this is a file, not a run; name the folder of a run (hsae train --out).")
    }
    guard Path.exists(file) else {
      throw .missing("\(path): this folder is not a run: it has no config.json.")
    }
    self.path = path
    description = try JSONFile.read(RunDescription.self, from: file)
    if let complaint = description.complaint { throw .data("\(file): \(complaint)") }
  }

  /// The tool that wrote the dictionary at `path`, a folder or a file, by the names of its files; nil for a run and all
  /// else.
  private static func otherTool(_ path: String) -> String? {
    let isFolder = Path.isDirectory(path)
    if isFolder, Path.exists(checkpointsFolder(path)) { return nil }
    for (file, tool) in [
      ("sae_weights.safetensors", "SAELens"), ("sae.safetensors", "sparsify"),
      ("params.npz", "Gemma Scope"), ("params.safetensors", "Gemma Scope"),
    ] {
      for name in [file, file + ".index.json"] {
        if isFolder ? Path.exists(Path.join(path, name)) : Path.name(path) == name { return tool }
      }
    }
    return nil
  }

  package static func configurationFile(_ path: String) -> String { Path.join(path, "config.json") }
  package static func metricsFile(_ path: String) -> String { Path.join(path, "metrics.jsonl") }
  package static func checkpointsFolder(_ path: String) -> String { Path.join(path, "checkpoints") }
  package static func vocabularyFolder(_ path: String) -> String { Path.join(path, "vocabulary") }
  package static func whiteningFile(_ path: String) -> String {
    Path.join(path, "whitening.safetensors")
  }
  package static func lockFile(_ path: String) -> String { Path.join(path, "run.lock") }

  /// The run's records.
  public func metrics() throws(Failure) -> [MetricsRecord] {
    try MetricsLog.read(Self.metricsFile(path))
  }

  /// The vocabulary and transform of the store the run was trained on; nil if it had none.
  public func vocabulary() throws(Failure) -> StoredVocabulary? {
    let folder = Self.vocabularyFolder(path)
    return Path.exists(folder) ? try StoredVocabulary(path: folder) : nil
  }

  /// The attributes of the store the run was trained on; nil if it was not trained on a store.
  public static func storeAttributes(of path: String) throws(Failure) -> StoreAttributes? {
    let folder = vocabularyFolder(path)
    return Path.exists(folder) ? try StoredVocabulary.attributes(at: folder) : nil
  }

  /// How the rows of the run were whitened; nil if they were not.
  ///
  /// Fails with `.missing` if the file is not there, and with `.data` if it is damaged or has another hash than `sha256`,
  /// which a checkpoint has.
  package func whitening(sha256: String? = nil) throws(Failure) -> Whitening? {
    let file = Self.whiteningFile(path)
    guard description.training?.whitening != nil else { return nil }
    guard Path.exists(file) else {
      throw .missing("\(file): the file is gone; copy it back, or begin the run again.")
    }
    if let sha256, try SHA256.hash(file: file) != sha256 {
      throw .data(
        "\(file): the content does not match its recorded SHA-256; the file is damaged or of another run."
      )
    }
    return try Whitening(path: file, width: description.shape.width)
  }

  /// Steps of the checkpoints there are, in order.
  public func checkpointSteps() throws(Failure) -> [Int] {
    let folder = Self.checkpointsFolder(path)
    guard Path.exists(folder) else { return [] }
    return try Path.list(folder).compactMap(CheckpointName.step(of:)).sorted()
  }

  /// The folder of the checkpoint after `step` steps.
  public func checkpoint(step: Int) -> String {
    Path.join(Self.checkpointsFolder(path), CheckpointName.folder(step: step))
  }

  /// The file that identifies the weights of that checkpoint: the weights, or the index of their shards with
  /// the hash of each.
  public func weightsFile(step: Int) -> String {
    let file = Path.join(checkpoint(step: step), CheckpointName.weights)
    return Path.exists(file) ? file : ShardIndex.path(for: file)
  }

  /// Removes files that a killed trainer left unfinished. The caller must hold the run's lock.
  package func removePartialFiles() {
    for folder in [path, Self.checkpointsFolder(path)] {
      for name in (try? Path.list(folder)) ?? []
      where name.hasPrefix(".") && name.contains(".partial-") {
        Path.removeAll(Path.join(folder, name))
      }
    }
  }

  /// The newest checkpoint whose files are whole. `warn` is called with a message for each checkpoint that is
  /// skipped.
  package func newestWholeCheckpoint(
    warn: (String) -> Void
  ) throws(Failure) -> (path: String, state: TrainerState)? {
    for step in try checkpointSteps().reversed() {
      let folder = checkpoint(step: step)
      do throws(Failure) {
        return (folder, try Checkpoint.verify(folder, isImported: description.origin != nil))
      } catch { warn("\(error.message) Passing over this checkpoint.") }
    }
    return nil
  }

  /// As above; fails with `.missing` if there is none.
  package func requireWholeCheckpoint(
    warn: (String) -> Void
  ) throws(Failure) -> (path: String, state: TrainerState) {
    if let checkpoint = try newestWholeCheckpoint(warn: warn) { return checkpoint }
    throw .missing(
      "\(path): the run has no whole checkpoint yet; train it further (hsae train --resume).")
  }

  /// The dictionary in the newest whole checkpoint, and the number of steps it was trained for.
  public func dictionary(
    warn: (String) -> Void = { _ in }
  ) throws(Failure) -> (model: SparseAutoencoder, step: Int) {
    let (folder, state) = try requireWholeCheckpoint(warn: warn)
    let model = try Checkpoint.dictionary(
      folder, state: state, shape: description.shape, activation: description.activation,
      selection: description.training?.selection ?? .topK)
    return (model, state.step)
  }
}
