// What a user may say about a training run: every option optional, under the name it has on the
// command line and in a configuration file. `TrainingConfiguration` resolves them, in one place.

public import HSAEModels
public import HSAESupport
public import HSAETensors

/// Named sets of hyper-parameters.
public enum Preset: String, Codable, Sendable, CaseIterable {
  /// The paper's (section A.2): 16,384 experts, a 16, s 4, k 32, batch 32,512, warm-ups of 1,000 steps.
  case paper
  /// The study of an unembedding matrix (Appendix B): 2,048 experts, a 32, s 5, k 5, batch 8,192.
  case unembedding
  /// What serves residual streams of small models over a few million rows: 4,096 experts, a 16, s 4, k 32,
  /// no thresholds, a bias, learning rate 2e-3, λ₂ 1e-4 (docs/decisions/0008).
  case residualStream = "residual-stream"
  /// For vectors of Gemma 3 270M: 16,384 experts, a 16, s 4, k 32, batch 8,192.
  case gemma270M = "gemma-3-270m"
  /// The paper's settings with 8,192 experts, a 16, s 4.
  case paper8k = "paper-8k"
  /// The paper's settings with 16,384 experts, a 16, s 4: the same as `paper`.
  case paper16k16 = "paper-16k-16"
  /// The paper's settings with 16,384 experts, a 64, s 8.
  case paper16k64 = "paper-16k-64"
  /// The paper's settings with 32,768 experts, a 64, s 8.
  case paper32k64 = "paper-32k-64"

  /// Width of the vectors the preset is meant for. Training takes its data's; `hsae bench` uses this
  /// where it is given no data.
  public var width: Int {
    switch self {
    case .unembedding, .gemma270M, .residualStream: 640
    case .paper, .paper8k, .paper16k16, .paper16k64, .paper32k64: 2_304
    }
  }
}

/// In which order rows are read.
public enum RowOrder: String, Codable, Sendable, CaseIterable {
  /// Every epoch in a new seeded order of all rows.
  case shuffled
  /// Every epoch takes chunks in a new seeded order, some at a time, and mixes their rows: for rows
  /// that were shuffled when they were written, and are too many to be read from all over a disk.
  case chunks
  /// As they are stored, wrapping round at the end.
  case file
}

/// What is done to a row before it is learned from.
public enum Normalisation: String, Codable, Sendable, CaseIterable {
  /// Nothing: as they are stored, which in an activation store is at unit norm.
  case none
  /// x / (‖x‖ + 1e-6).
  case unit
  /// Rows of an activation store get back the lengths they had in the model; others stay as they are.
  case original
}

/// How an input bias starts, if there is one.
public enum BiasOption: String, Codable, Sendable, CaseIterable {
  /// No bias.
  case none
  /// The geometric median of a sample of rows (Gao et al.).
  case geometricMedian = "geometric-median"
}

/// The arithmetic asked for.
public enum PrecisionOption: String, Codable, Sendable, CaseIterable {
  /// fp32 throughout.
  case float32
  /// Dense products in bf16 with fp32 sums.
  case bfloat16
  /// bf16 where the processor has it.
  case auto
}

/// The options of `hsae train`; nil where nothing was said.
///
/// In a configuration file each has the name of its long option: `{"experts": 2048, "l1-scope": "all"}`.
public struct TrainingOptions: Codable, Hashable, Sendable {
  /// A named set of values for what is not given.
  public var preset: Preset?
  /// m, the number of top-level latents.
  public var experts: Int?
  /// a, the sublatents of each expert.
  public var sublatents: Int?
  /// s, the dimension of each subspace.
  public var subspace: Int?
  /// k, the active experts of each row.
  public var k: Int?
  /// Length of the run in steps.
  public var steps: Int?
  /// Length of the run in passes over the data.
  public var epochs: Double?
  /// Rows in a batch.
  public var batch: Int?
  /// Seed of weights and order.
  public var seed: UInt64?
  /// Seed of the order alone.
  public var orderSeed: UInt64?
  /// Arithmetic.
  public var precision: PrecisionOption?
  /// Format of Adam's moments.
  public var moments: Precision?
  /// Order of rows.
  public var order: RowOrder?
  /// Normalisation of rows.
  public var normalize: Normalisation?
  /// A `.safetensors` file to take sizes and weights from.
  public var initialWeights: String?
  /// Peak learning rate.
  public var learningRate: Double?
  /// Learning rate of step 0, if there is a warm-up.
  public var learningRateStart: Double?
  /// Learning rate at the end of the cosine, as a fraction of the peak.
  public var learningRateFloor: Double?
  /// Steps of the learning rate's warm-up.
  public var warmup: Int?
  /// What follows the warm-up.
  public var schedule: LearningRateSchedule.Form?
  /// Largest gradient norm; 0 for none.
  public var clip: Double?
  /// β, the weight of the top level's own error (eq. 3.3).
  public var beta: Double?
  /// λ₁, the weight of the bi-orthogonality penalty (eq. 3.4).
  public var ortho: Double?
  /// λ₂, the weight of the sparsity penalty.
  public var l1: Double?
  /// Which top-level latents λ₂ reaches.
  public var l1Scope: L1Scope?
  /// Steps over which λ₁ and λ₂ grow from 0.
  public var regularizerWarmup: Int?
  /// α of the top level.
  public var threshold: Double?
  /// α of the sublatents.
  public var thresholdSub: Double?
  /// Slope below α, top level.
  public var slopeTop: Double?
  /// Slope below α, sublatents.
  public var slopeSub: Double?
  /// Input bias.
  public var bias: BiasOption?
  /// Weight of the auxiliary loss of dead latents.
  public var auxk: Double?
  /// Dead latents that may explain one row's error.
  public var auxkK: Int?
  /// Rows after which a silent latent is dead to the auxiliary loss.
  public var deadWindow: Int?
  /// Steps between checkpoints; 0 for one at the end only.
  public var checkpointEvery: Int?
  /// Steps between records.
  public var recordEvery: Int?
  /// Checkpoints kept.
  public var keep: Int?
  /// Threads. The result does not depend on them, so `TrainingConfiguration` has none.
  public var threads: Int?
  /// The tensor to read, if the data are a `.safetensors` file; for whoever opens the rows.
  public var tensor: String?

  /// Options that say nothing.
  public init() {}

  /// The option names, which are also the keys of a configuration file.
  package enum CodingKeys: String, CodingKey, CaseIterable {
    case preset, experts, sublatents, subspace, k, steps, epochs, batch, seed
    case orderSeed = "order-seed"
    case precision, moments, order, normalize
    case initialWeights = "init"
    case learningRate = "learning-rate"
    case learningRateStart = "learning-rate-start"
    case learningRateFloor = "learning-rate-floor"
    case warmup, schedule, clip, beta, ortho, l1
    case l1Scope = "l1-scope"
    case regularizerWarmup = "regularizer-warmup"
    case threshold
    case thresholdSub = "threshold-sub"
    case slopeTop = "slope-top"
    case slopeSub = "slope-sub"
    case bias, auxk
    case auxkK = "auxk-k"
    case deadWindow = "dead-window"
    case checkpointEvery = "checkpoint-every"
    case recordEvery = "record-every"
    case keep, threads, tensor
  }

  /// The options in the JSON file at `path`. A key that is no option is refused.
  public static func read(from path: String) throws(Failure) -> TrainingOptions {
    let tree = try JSONFile.readTree(from: path)
    // Its members are what options came to, under other names, and the data they came from.
    if tree["shape"] != nil, tree["objective"] != nil {
      throw .data(
        "\(path): this is the config.json of a run, which says what its options came to, and no file of options;"
          + " write those of your own, as in {\"experts\": 4096, \"k\": 32}, or go on with the run by --resume."
      )
    }
    try JSONFile.rejectUnknownKeys(
      of: tree, known: CodingKeys.allCases.map(\.rawValue), source: path)
    // What the decoder would refuse without saying what is allowed, or where it is.
    for key in CodingKeys.allCases {
      guard let value = tree[key.rawValue], value != .null else { continue }
      if let names = key.names {
        guard let name = value.string, names.contains(name) else {
          throw .data(
            "\(path): \"\(key.rawValue)\" must be one of \(names.joined(separator: ", ")).")
        }
      } else if key.isCount, !Self.isWhole(value, isSeed: key == .seed || key == .orderSeed) {
        throw .data(
          "\(path): \"\(key.rawValue)\" must be a whole number, neither too small nor too large.")
      }
    }
    let options = try JSONFile.read(TrainingOptions.self, from: path)
    guard (1...4096).contains(options.threads ?? 1) else {
      throw .data("\(path): \"threads\" must be between 1 and 4096.")
    }
    return options
  }

  /// Whether `value` is a whole number that the option can hold, however it is written.
  private static func isWhole(_ value: JSONValue, isSeed: Bool) -> Bool {
    guard let number = value.number, number.rounded() == number else { return false }
    return isSeed ? number >= 0 && number < 0x1p64 : abs(number) < 0x1p62
  }

  /// These options, and for what they leave open, those of `other`.
  public func filled(from other: TrainingOptions) -> TrainingOptions {
    var result = self
    result.preset = preset ?? other.preset
    result.experts = experts ?? other.experts
    // Sublatents and subspace are both 0 or neither is: what is said of one decides for the other.
    let sizes = [sublatents, subspace].compactMap(\.self)
    if !sizes.contains(0) {
      func fits(_ size: Int?) -> Int? { size == 0 && !sizes.isEmpty ? nil : size }
      result.sublatents = sublatents ?? fits(other.sublatents)
      result.subspace = subspace ?? fits(other.subspace)
    }
    result.k = k ?? other.k
    // Steps and epochs are one setting: whoever says either says both.
    if steps == nil && epochs == nil {
      result.steps = other.steps
      result.epochs = other.epochs
    }
    result.batch = batch ?? other.batch
    result.seed = seed ?? other.seed
    result.orderSeed = orderSeed ?? other.orderSeed
    result.precision = precision ?? other.precision
    result.moments = moments ?? other.moments
    result.order = order ?? other.order
    result.normalize = normalize ?? other.normalize
    result.initialWeights = initialWeights ?? other.initialWeights
    result.learningRate = learningRate ?? other.learningRate
    result.learningRateStart = learningRateStart ?? other.learningRateStart
    result.learningRateFloor = learningRateFloor ?? other.learningRateFloor
    result.warmup = warmup ?? other.warmup
    result.schedule = schedule ?? other.schedule
    result.clip = clip ?? other.clip
    result.beta = beta ?? other.beta
    result.ortho = ortho ?? other.ortho
    result.l1 = l1 ?? other.l1
    result.l1Scope = l1Scope ?? other.l1Scope
    result.regularizerWarmup = regularizerWarmup ?? other.regularizerWarmup
    result.threshold = threshold ?? other.threshold
    result.thresholdSub = thresholdSub ?? other.thresholdSub
    result.slopeTop = slopeTop ?? other.slopeTop
    result.slopeSub = slopeSub ?? other.slopeSub
    result.bias = bias ?? other.bias
    result.auxk = auxk ?? other.auxk
    result.auxkK = auxkK ?? other.auxkK
    result.deadWindow = deadWindow ?? other.deadWindow
    result.checkpointEvery = checkpointEvery ?? other.checkpointEvery
    result.recordEvery = recordEvery ?? other.recordEvery
    result.keep = keep ?? other.keep
    result.threads = threads ?? other.threads
    result.tensor = tensor ?? other.tensor
    return result
  }
}

extension TrainingOptions.CodingKeys {
  /// The values an option by name may have; nil for options that are numbers or paths.
  fileprivate var names: [String]? {
    switch self {
    case .preset: Preset.allCases.map(\.rawValue)
    case .precision: PrecisionOption.allCases.map(\.rawValue)
    case .moments: Precision.allCases.map(\.rawValue)
    case .order: RowOrder.allCases.map(\.rawValue)
    case .normalize: Normalisation.allCases.map(\.rawValue)
    case .schedule: LearningRateSchedule.Form.allCases.map(\.rawValue)
    case .l1Scope: L1Scope.allCases.map(\.rawValue)
    case .bias: BiasOption.allCases.map(\.rawValue)
    default: nil
    }
  }

  /// Whether the option is a whole number.
  fileprivate var isCount: Bool {
    switch self {
    case .experts, .sublatents, .subspace, .k, .steps, .batch, .warmup, .regularizerWarmup, .auxkK,
      .deadWindow, .checkpointEvery, .recordEvery, .keep, .seed, .orderSeed, .threads:
      true
    default: false
    }
  }
}
