// A checkpoint: a folder with the dictionary, the optimizer's state and where the run is. It appears
// under its name only when all of it is on the disk, and its files are verified by hash when read.
//
//   step-00001500/hsae.json                  what the dictionary is (`DictionaryDescription`)
//                 hsae_weights.safetensors   its weights, tensors named as in `method.md`
//                 optimizer.safetensors      first.* and second.* moments, usage statistics
//                 trainer_state.json         step, rows seen, hashes of the other files

internal import HSAEActivations
public import HSAEModels
internal import HSAESupport
internal import HSAETensors

/// What must be known of a dictionary besides its weights: `hsae.json`.
public struct DictionaryDescription: Codable, Hashable, Sendable {
  /// The version of the layout.
  public var format = 1
  /// The sizes.
  public var shape: DictionaryShape
  /// Thresholds and slopes.
  public var activation: ActivationSettings
  /// Normalisation its input needs.
  public var normalize: Normalisation
  /// Whether the weights include an input bias.
  public var hasBias: Bool
  /// Steps of training it has had.
  public var step: Int
  /// Rows it has seen.
  public var tokens: Int
}

/// Where a run is: `trainer_state.json`.
struct TrainerState: Codable, Hashable, Sendable {
  var format = 1
  /// Steps done.
  var step: Int
  /// Rows seen.
  var tokens: Int
  /// Seconds of training so far.
  var seconds: Double
  /// Weight of the usage averages.
  var rateWeight: Double
  /// SHA-256 of the other files, by name.
  var hashes: [String: String]
  /// SHA-256 of this file as it would be without this line.
  var seal: String?

  /// The same state with its seal.
  func sealed() throws(Failure) -> TrainerState {
    var state = self
    state.seal = nil
    state.seal = SHA256.hash(try JSONFile.encode(state))
    return state
  }
}

/// The names of a checkpoint's files and of its folder.
enum CheckpointName {
  static let description = "hsae.json"
  static let weights = "hsae_weights.safetensors"
  static let optimizer = "optimizer.safetensors"
  static let state = "trainer_state.json"

  static func folder(step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  static func step(of folder: String) -> Int? {
    guard folder.hasPrefix("step-") else { return nil }
    return Int(folder.dropFirst(5))
  }
}

/// Writing and reading checkpoints.
enum Checkpoint {
  /// Writes the state of `engine` after `step` steps into `folder` (the run's `checkpoints`).
  static func write(
    _ engine: TrainingEngine, configuration: TrainingConfiguration, step: Int, seconds: Double,
    into folder: String
  ) throws(Failure) {
    let path = Path.join(folder, CheckpointName.folder(step: step))
    let directory = try DurableDirectory(path: path, replacing: true)
    var hashes: [String: String] = [:]
    let description = DictionaryDescription(
      shape: configuration.shape, activation: configuration.activation,
      normalize: configuration.normalize, hasBias: engine.parameters.hasBias, step: step,
      tokens: engine.usage.vectors)
    let text = try JSONFile.encode(description)
    try DurableFile.write(text, to: directory.file(CheckpointName.description))
    hashes[CheckpointName.description] = SHA256.hash(text)
    hashes[CheckpointName.weights] = try WeightsFile.write(
      engine.parameters, to: directory.file(CheckpointName.weights))
    hashes[CheckpointName.optimizer] = try writeOptimizer(
      engine, to: directory.file(CheckpointName.optimizer))
    let state = TrainerState(
      step: step, tokens: engine.usage.vectors, seconds: seconds,
      rateWeight: engine.usage.rateWeight, hashes: hashes)
    try JSONFile.write(state.sealed(), to: directory.file(CheckpointName.state))
    try directory.commit()
  }

  /// Checks every file of the checkpoint `path` against its hash and returns its state.
  static func verify(_ path: String) throws(Failure) -> TrainerState {
    let file = Path.join(path, CheckpointName.state)
    let state = try JSONFile.read(TrainerState.self, from: file)
    guard try state == state.sealed() else {
      throw .data("\(file): the content does not fit the seal in it; it is damaged.")
    }
    for name in [CheckpointName.description, CheckpointName.weights, CheckpointName.optimizer] {
      let file = Path.join(path, name)
      guard let expected = state.hashes[name] else {
        throw .data(
          "\(path): trainer_state.json has no hash of \(name); the checkpoint is damaged.")
      }
      guard try SHA256.hash(file: file) == expected else {
        throw .data("\(file): the content does not have its recorded SHA-256; it is damaged.")
      }
    }
    return state
  }

  /// An engine with the state in checkpoint `path`, already verified.
  static func restore(
    _ configuration: TrainingConfiguration, from path: String, state: TrainerState, threads: Int
  ) throws(Failure) -> TrainingEngine {
    let shape = configuration.shape
    let weights = try WeightsFile.read(
      from: Path.join(path, CheckpointName.weights), shape: shape)
    guard weights.hasBias == (configuration.bias != .none) else {
      throw .data("\(path): the checkpoint's bias does not fit config.json.")
    }
    let engine = TrainingEngine(
      parameters: weights, configuration: configuration, threads: threads)
    // Straight into the engine's memory: large dictionaries have no room for a second copy.
    let file = try SafetensorsFile(path: Path.join(path, CheckpointName.optimizer))
    try engine.moments.read(from: file)
    var usage = Usage(shape: shape)
    usage.vectors = state.tokens
    usage.rateWeight = state.rateWeight
    usage.latentLastFired = try integers(file, "usage.latent_last_fired", shape.experts)
    usage.latentRate = try floats(file, "usage.latent_rate", shape.experts)
    if !shape.isFlat {
      let sublatents = shape.experts * shape.sublatents
      usage.sublatentLastFired = try integers(file, "usage.sublatent_last_fired", sublatents)
      usage.sublatentRate = try floats(file, "usage.sublatent_rate", sublatents)
    }
    engine.usage = usage
    return engine
  }

  private static func writeOptimizer(
    _ engine: TrainingEngine, to path: String
  ) throws(Failure) -> String {
    let shape = engine.shape
    let sublatents = shape.experts * shape.sublatents
    var tensors = engine.moments.declarations
    tensors.append(.init("usage.latent_last_fired", shape: [shape.experts], type: .int64))
    tensors.append(.init("usage.latent_rate", shape: [shape.experts]))
    if !shape.isFlat {
      tensors.append(.init("usage.sublatent_last_fired", shape: [sublatents], type: .int64))
      tensors.append(.init("usage.sublatent_rate", shape: [sublatents]))
    }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    try engine.moments.append(to: &writer)
    let usage = engine.usage
    unsafe try writer.append("usage.latent_last_fired", bytes: usage.latentLastFired.span.bytes)
    try writer.append("usage.latent_rate", usage.latentRate)
    if !shape.isFlat {
      unsafe try writer.append(
        "usage.sublatent_last_fired", bytes: usage.sublatentLastFired.span.bytes)
      try writer.append("usage.sublatent_rate", usage.sublatentRate)
    }
    return try writer.finish()
  }

  private static func integers(
    _ file: SafetensorsFile, _ name: String, _ count: Int
  ) throws(Failure) -> [Int64] {
    let tensor = try file.tensor(name, shape: [count])
    guard tensor.type == .int64 else {
      throw .data("\(file.path): \(name) has the type \(tensor.type.rawValue), not I64.")
    }
    let bytes = file.bytes(of: tensor)
    return (0..<count).map {
      unsafe Int64(
        littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))
    }
  }

  private static func floats(
    _ file: SafetensorsFile, _ name: String, _ count: Int
  ) throws(Failure) -> [Float] {
    _ = try file.tensor(name, shape: [count])
    return try file.floats(name)
  }
}
