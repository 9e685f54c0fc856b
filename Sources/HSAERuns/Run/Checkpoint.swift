// A checkpoint: a folder with the dictionary, the optimizer's state and the progress of the run. The folder
// gets its name only when it is complete on the disk. Readers verify its files by their hashes.
//
//   step-00001500/hsae.json                  what the dictionary is (`DictionaryDescription`)
//                 hsae_weights.safetensors   its weights, tensors named as in `docs/method.md`
//                 hsae_whitened_weights.safetensors   the trained weights of a whitened run; hsae_weights then has
//                                          the folded ones
//                 optimizer.safetensors      first.* and second.* moments, usage statistics
//                 trainer_state.json         step, rows seen, hashes of the other files
//
// An imported run's checkpoint has no optimizer state, and may have gate.safetensors
// (`ThresholdsFile.swift`).
//
// If several ranks share the dictionary, each writes a shard with the weights and state of its experts, and
// rank 0 writes the indices (`TensorShards.swift`). Any number of ranks can read either form.

internal import HSAEActivations
internal import HSAEDistribution
public import HSAEModels
package import HSAESupport
internal import HSAETensors

/// What a reader must know of a dictionary besides its weights: `hsae.json`.
public struct DictionaryDescription: Codable, Hashable, Sendable {
  /// The version of the layout.
  public var format = 1
  /// The sizes.
  public var shape: DictionaryShape
  /// Thresholds and slopes.
  public var activation: ActivationFunction
  /// The settings of BatchTopK, if latents were selected by it in training.
  public var batchTopK: BatchTopK?
  /// The settings of JumpReLU, if latents were selected by it in training.
  public var jumpReLU: JumpReLU?
  /// The normalisation that its input rows need.
  public var normalize: Normalisation
  /// Whether the weights include an input bias.
  public var hasBias: Bool
  /// The number of steps it was trained for.
  public var step: Int
  /// The number of rows it has seen.
  public var tokens: Int
}

extension DictionaryDescription {
  /// How latents were selected in training.
  var selection: Selection {
    batchTopK.map(Selection.batchTopK) ?? jumpReLU.map(Selection.jumpReLU) ?? .topK
  }
}

/// The progress of a run: `trainer_state.json`.
package struct TrainerState: Codable, Hashable, Sendable {
  package var format = 1
  /// Steps done.
  package var step: Int
  /// The number of rows seen.
  package var tokens: Int
  /// Seconds of training so far.
  package var seconds: Double
  /// Weight of the usage averages.
  package var rateWeight: Double
  /// The running threshold of BatchTopK; nil for other selections.
  package var batchThreshold: Double?
  /// The threshold of sublatents that follows their budget; nil without one.
  package var subThreshold: Double?
  /// SHA-256 of the run's whitening.safetensors; nil if rows are not whitened.
  package var whitening: String?
  /// SHA-256 of the other files, by name.
  package var hashes: [String: String]
  /// SHA-256 of this file without this line.
  package var seal: String?

  /// Whether the weights were folded after training on whitened rows.
  package var isFolded: Bool {
    hashes.keys.contains(CheckpointName.whitenedWeights)
      || hashes.keys.contains(ShardIndex.path(for: CheckpointName.whitenedWeights))
  }

  /// The same state with its seal.
  package func sealed() throws(Failure) -> TrainerState {
    var state = self
    state.seal = nil
    state.seal = SHA256.hash(try JSONFile.encode(state))
    return state
  }
}

/// The names of a checkpoint's files and of its folder.
package enum CheckpointName {
  package static let description = "hsae.json"
  package static let weights = "hsae_weights.safetensors"
  /// The weights that a run with whitening trains.
  package static let whitenedWeights = "hsae_whitened_weights.safetensors"
  package static let optimizer = "optimizer.safetensors"
  package static let state = "trainer_state.json"
  package static let thresholds = "gate.safetensors"
  /// Files that may be divided into shards with an index.
  package static let tensors = [weights, optimizer]

  /// The file of the weights that a run with these settings trains.
  package static func trainedWeights(_ configuration: TrainingConfiguration) -> String {
    configuration.whitening == nil ? weights : whitenedWeights
  }

  package static func folder(step: Int) -> String {
    "step-" + padded(step, 8)
  }

  package static func step(of folder: String) -> Int? {
    folder.hasPrefix("step-") ? Int(folder.dropFirst(5)) : nil
  }
}

/// `number` with zeros before it, so that it has at least `digits` digits.
func padded(_ number: Int, _ digits: Int) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}

package enum Checkpoint {
  /// Writes `state`, this rank's share of a dictionary, into `folder` (the run's `checkpoints`), which all
  /// ranks must see. All ranks make this call. The checkpoint appears only when all have written their part.
  package static func write(
    _ state: borrowing TrainingState, of share: RankShare, configuration: TrainingConfiguration,
    whitening: Whitening?, seconds: Double, into folder: String
  ) throws(Failure) {
    let path = Path.join(folder, CheckpointName.folder(step: state.step))
    let world = share.world
    var directory: DurableDirectory?
    var partialPath = ""
    try world.onFirst { () throws(Failure) in
      let begun = try DurableDirectory(path: path, replacing: true)
      partialPath = begun.partialPath
      directory = consume begun
    }
    partialPath = world.gathered(partialPath)[0]
    let hashes = try writeTensors(state, share, whitening, into: partialPath)
    var whiteningHash: String?
    try world.onFirst { () throws(Failure) in
      if whitening != nil {
        whiteningHash = try SHA256.hash(file: RunDirectory.whiteningFile(Path.parent(folder)))
      }
    }
    let rest = TrainerState(
      step: state.step, tokens: state.usage.rows, seconds: seconds,
      rateWeight: state.usage.rateWeight,
      batchThreshold: configuration.batchTopK == nil ? nil : state.batchThreshold,
      subThreshold: configuration.sublatentBudget == nil ? nil : state.subThreshold,
      whitening: whiteningHash, hashes: hashes)
    var activation = configuration.activation
    if let threshold = rest.subThreshold { activation.subThreshold = Float(threshold) }
    let description = DictionaryDescription(
      shape: configuration.shape, activation: activation,
      batchTopK: configuration.batchTopK, jumpReLU: configuration.jumpReLU,
      normalize: configuration.normalize,
      hasBias: configuration.bias != .none || whitening?.isShifting == true, step: rest.step,
      tokens: rest.tokens)
    try world.onFirst { () throws(Failure) in
      guard let directory = directory.take() else { return }
      try writeRest(rest, description, into: directory.partialPath)
      try directory.commit()
    }
  }

  /// Writes the files without tensors into `folder`; `state` has the hashes of the others.
  static func writeRest(
    _ state: TrainerState, _ description: DictionaryDescription, into folder: String
  ) throws(Failure) {
    var state = state
    let text = try JSONFile.encode(description)
    try DurableFile.write(text, to: Path.join(folder, CheckpointName.description))
    state.hashes[CheckpointName.description] = SHA256.hash(text)
    try JSONFile.write(state.sealed(), to: Path.join(folder, CheckpointName.state))
  }

  /// The progress recorded in the checkpoint `path`.
  package static func state(of path: String) throws(Failure) -> TrainerState {
    let file = Path.join(path, CheckpointName.state)
    let state = try JSONFile.read(TrainerState.self, from: file)
    guard try state == state.sealed() else {
      throw .data("\(file): the content does not match its seal; the checkpoint is damaged.")
    }
    return state
  }

  /// Checks every file of the checkpoint `path` against its hash and returns its state. With `isImported` it
  /// needs no optimizer state, as training cannot continue from an imported run.
  package static func verify(_ path: String, isImported: Bool = false) throws(Failure)
    -> TrainerState
  {
    let state = try state(of: path)
    let tensors = isImported ? [CheckpointName.weights] : CheckpointName.tensors
    let needed = tensors.map {
      state.hashes[$0] == nil && state.hashes[ShardIndex.path(for: $0)] != nil
        ? ShardIndex.path(for: $0) : $0
    }
    for name in Set([CheckpointName.description] + needed).union(state.hashes.keys).sorted() {
      let file = Path.join(path, name)
      guard let expected = state.hashes[name] else {
        throw .data(
          "\(path): trainer_state.json has no hash of \(name); the checkpoint is damaged.")
      }
      guard try SHA256.hash(file: file) == expected else {
        throw .data(
          "\(file): the content does not match its recorded SHA-256; the file is damaged.")
      }
    }
    return state
  }

  /// The state in the checkpoint `path`, which `verify` has checked: this rank's share of it.
  package static func read(
    _ path: String, state: TrainerState, configuration: TrainingConfiguration, share: RankShare
  ) throws(Failure) -> TrainingState {
    let whole = configuration.shape
    let weights = try WeightsFile.read(
      from: Path.join(path, CheckpointName.trainedWeights(configuration)), shape: whole,
      experts: share.experts)
    guard weights.vectors == configuration.vectors,
      (state.batchThreshold != nil) == (configuration.batchTopK != nil),
      (state.subThreshold != nil) == (configuration.sublatentBudget != nil)
    else {
      throw .data("\(path): the checkpoint's biases and thresholds do not fit config.json.")
    }
    var result = TrainingState(
      parameters: weights, momentFormat: configuration.moments ?? .float32,
      seed: configuration.seed, firstExpert: share.experts.lowerBound)
    let shards = try TensorShards(path: Path.join(path, CheckpointName.optimizer))
    try result.moments.read(from: shards, share.experts, of: whole)
    func collect<Element>(
      _ name: String, _ perExpert: Int,
      _ read: (SafetensorsFile, String, Int) throws(Failure) -> [Element]
    ) throws(Failure) -> [Element] {
      try shards.collect(
        name, of: share.experts, perExpert: perExpert, experts: whole.experts, read)
    }
    var usage = Usage(shape: share.ownShape)
    usage.rows = state.tokens
    usage.rateWeight = state.rateWeight
    usage.latentLastActive = try collect("usage.latent_last_fired", 1, integers)
    usage.latentRate = try collect("usage.latent_rate", 1, floats)
    if !whole.isFlat {
      let a = whole.sublatents
      usage.sublatentLastActive = try collect("usage.sublatent_last_fired", a, integers)
      usage.sublatentRate = try collect("usage.sublatent_rate", a, floats)
    }
    result.usage = usage
    result.step = state.step
    result.batchThreshold = state.batchThreshold ?? 0
    result.subThreshold = state.subThreshold ?? 0
    return result
  }

  /// Writes this rank's tensors into `folder`; rank 0 also writes the indices if there are shards. Returns
  /// the hashes of all files.
  private static func writeTensors(
    _ state: borrowing TrainingState, _ share: RankShare, _ whitening: Whitening?,
    into folder: String
  ) throws(Failure) -> [String: String] {
    let names = CheckpointName.tensors + (whitening == nil ? [] : [CheckpointName.whitenedWeights])
    let world = share.world
    let parts = share.dictionary.size
    func name(_ whole: String, _ part: Int) -> String {
      parts == 1 ? whole : ShardIndex.name(whole, part, of: parts)
    }
    // If several groups have the same weights, the first writes them.
    let own = try world.agree { () throws(Failure) in
      guard share.copies.rank == 0 else { return names.map { _ in "" } }
      if !Path.isDirectory(folder) {
        throw Ranks.unshared(folder, rank: world.rank)
      }
      let rank = share.dictionary.rank
      return try names.map { (whole) throws(Failure) in
        let file = Path.join(folder, name(whole, rank))
        if whole == CheckpointName.optimizer { return try writeOptimizer(state, to: file) }
        if whole == CheckpointName.weights, let whitening {
          return try WeightsFile.write(whitening.folded(state.parameters), to: file)
        }
        return try WeightsFile.write(state.parameters, to: file)
      }
    }
    var hashes: [String: String] = [:]
    for (whole, hash) in zip(names, own) {
      let all = world.gathered(hash)
      try world.check()
      let shards = (0..<parts).map { part in
        let experts = evenPart(part, of: parts, count: share.shape.experts)
        return ShardIndex.Shard(
          file: name(whole, part), firstExpert: experts.lowerBound, experts: experts.count,
          sha256: all[part])
      }
      for shard in shards { hashes[shard.file] = shard.sha256 }
      guard parts > 1 else { continue }
      try world.onFirst { () throws(Failure) in
        let text = try JSONFile.encode(ShardIndex(shards: shards))
        try DurableFile.write(text, to: Path.join(folder, ShardIndex.path(for: whole)))
        hashes[ShardIndex.path(for: whole)] = SHA256.hash(text)
      }
    }
    return hashes
  }

  private static func writeOptimizer(
    _ state: borrowing TrainingState, to path: String
  ) throws(Failure) -> String {
    let shape = state.shape
    let sublatents = shape.experts * shape.sublatents
    var tensors = state.moments.declarations
    tensors.append(.init("usage.latent_last_fired", shape: [shape.experts], type: .int64))
    tensors.append(.init("usage.latent_rate", shape: [shape.experts]))
    if !shape.isFlat {
      tensors.append(.init("usage.sublatent_last_fired", shape: [sublatents], type: .int64))
      tensors.append(.init("usage.sublatent_rate", shape: [sublatents]))
    }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    try state.moments.append(to: &writer)
    let usage = state.usage
    // Safe: Int64 has no padding bytes, so all bytes of the two arrays are initialised.
    unsafe try writer.append("usage.latent_last_fired", bytes: usage.latentLastActive.span.bytes)
    try writer.append("usage.latent_rate", usage.latentRate)
    if !shape.isFlat {
      unsafe try writer.append(
        "usage.sublatent_last_fired", bytes: usage.sublatentLastActive.span.bytes)
      try writer.append("usage.sublatent_rate", usage.sublatentRate)
    }
    return try writer.finish()
  }

  private static func integers(
    _ file: SafetensorsFile, _ name: String, _ count: Int
  ) throws(Failure) -> [Int64] {
    let tensor = try file.tensor(name, shape: [count])
    guard tensor.type == .int64 else {
      throw .data("\(file.path): \(name) has the type \(tensor.typeName), not I64.")
    }
    let bytes = file.bytes(of: tensor)
    return (0..<count).map {
      // Safe: the tensor has `count` elements of 8 bytes.
      unsafe Int64(
        littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))
    }
  }

  /// The floats of the tensor `name`, which must have the shape [count].
  static func floats(
    _ file: SafetensorsFile, _ name: String, _ count: Int
  ) throws(Failure) -> [Float] {
    _ = try file.tensor(name, shape: [count])
    return try file.floats(name)
  }
}
