// The options of training: one optional member and one row of the table for each. The row gives its name on
// the command line and in a file of options (`--config`), its help and its bounds. `TrainingConfiguration`
// resolves options.

public import HSAEModels
public import HSAESupport
public import HSAETensors

/// The order in which rows are read.
public enum RowOrder: String, Codable, Sendable, CaseIterable {
  /// Every epoch reads all rows in a new seeded order.
  case shuffled
  /// Every epoch reads chunks in a new seeded order, several at a time, and mixes their rows. This is for rows that
  /// were shuffled when they were written and are too many for random reads from a disk.
  case chunks
  /// As they are stored, again from the start at the end.
  case file
}

/// How a row is scaled before training.
public enum Normalisation: String, Codable, Sendable, CaseIterable {
  /// Not at all. Rows of an activation store are stored at unit norm.
  case none
  /// x / ‖x‖; a row of zeros stays as it is.
  case unit
  /// Rows of an activation store get back the lengths they had in the model; other rows stay as they are.
  case original
  /// Rows of a store get back their lengths; then (x − μ) / (‖x − μ‖ + √(d − 1)·1e-5), with the mean μ of a row's
  /// numbers. Times √(d − 1) this is SAELens's `layer_norm`.
  case layerNorm = "layer-norm"
}

/// The input bias and its first value.
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

/// The inner product asked for.
public enum WhitenOption: String, Codable, Sendable, CaseIterable {
  /// The plain one.
  case none
  /// By the covariance of the training rows.
  case activations
  /// By the covariance of the model's unembedding.
  case unembedding
}

extension Preset: OptionValue {}
extension WhitenOption: OptionValue {}
extension WhiteningSettings.Loss: OptionValue {}
extension RowOrder: OptionValue {}
extension Normalisation: OptionValue {}
extension BiasOption: OptionValue {}
extension PrecisionOption: OptionValue {}
extension Precision: OptionValue {}
extension L1Scope: OptionValue {}
extension LearningRateSchedule.Form: OptionValue {}

/// The options of training; nil means the default.
///
/// In a file of options each has the name of its long option: `{"experts": 2048, "l1-scope": "all"}`.
public struct TrainingOptions: Hashable, Sendable {
  /// Named settings for options that are not given.
  public var preset: Preset?
  /// m, the number of top-level latents.
  public var experts: Int?
  /// a, the sublatents of each expert.
  public var sublatents: Int?
  /// s, the dimension of each subspace.
  public var subspace: Int?
  /// k, the active experts of each row; of a row on average with BatchTopK, and then it may be a fraction.
  public var k: Double?
  /// The active sublatents of a row on average; nil: one in each active expert.
  public var kSub: Double?
  /// How active latents are selected.
  public var activation: SelectionOption?
  /// The weight of a new batch in BatchTopK's running threshold.
  public var batchTopKRate: Double?
  /// BatchTopK's running threshold before the first step.
  public var batchTopKStart: Double?
  /// ε, the width of JumpReLU's kernel.
  public var jumpBandwidth: Double?
  /// JumpReLU's thresholds before the first step.
  public var jumpStart: Double?
  /// The weight of JumpReLU's sparsity penalty.
  public var l0Weight: Double?
  /// The number of active latents of a row that JumpReLU is pulled to.
  public var l0Target: Double?
  /// The weight of JumpReLU's penalty on dead latents.
  public var deadPenalty: Double?
  /// The most active latents of a row, on average over a batch, that JumpReLU has room for in training.
  public var mostActive: Int?
  /// The numbers of experts whose reconstructions are compared with the row too (Matryoshka).
  public var matryoshka: NumberList<Int>?
  /// The weights of their errors.
  public var matryoshkaWeights: NumberList<Double>?
  /// The encoder bias of the top-level latents.
  public var encoderBias: EncoderBiasOption?
  /// The weights that are not trained.
  public var freeze: FrozenPart?
  /// The least cosine between a decoder row and its first value.
  public var decoderCosine: Double?
  /// Length of the run in steps.
  public var steps: Int?
  /// Length of the run in passes over the data.
  public var epochs: Double?
  /// Rows in a batch.
  public var batch: Int?
  /// Seed of the weights and of the order of rows.
  public var seed: UInt64?
  /// Seed of the order of rows alone.
  public var orderSeed: UInt64?
  /// Arithmetic of the dense products.
  public var precision: PrecisionOption?
  /// Format of Adam's moments.
  public var moments: Precision?
  /// Order of rows.
  public var order: RowOrder?
  /// Normalisation of rows.
  public var normalize: Normalisation?
  /// The inner product in which the dictionary is trained.
  public var whiten: WhitenOption?
  /// Where errors are measured if rows are whitened.
  public var whitenLoss: WhiteningSettings.Loss?
  /// What is added to the eigenvalues of the covariance, as a fraction of their mean.
  public var whitenRidge: Double?
  /// A `.safetensors` file with the initial weights, which also set the sizes.
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
  /// The top-level latents that λ₂ applies to.
  public var l1Scope: L1Scope?
  /// Steps over which λ₁ and λ₂ grow from 0.
  public var regularizerWarmup: Int?
  /// α of the top-level latents.
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
  /// Which dead latents explain which error in the auxiliary loss.
  public var auxkScope: AuxiliaryScope?
  /// What the auxiliary loss is divided by.
  public var auxkScale: AuxiliaryScale?
  /// Rows without activity after which the auxiliary loss takes a latent for dead.
  public var deadWindow: Int?
  /// Steps between checkpoints; 0 for only one at the end.
  public var checkpointEvery: Int?
  /// Steps between records in `metrics.jsonl`.
  public var recordEvery: Int?
  /// Checkpoints kept.
  public var keep: Int?
  /// Threads. The result does not depend on them, so `TrainingConfiguration` does not have them.
  public var threads: Int?
  /// The tensor to read, if the data are a `.safetensors` file. The caller that opens the rows uses it.
  public var tensor: String?

  /// Options with none set.
  public init() {}

  /// The table: one row for each option, in the order of `hsae train --help`.
  package static let table: [TrainingOption] = [
    .init(
      "preset", \.preset,
      "Named settings for options that are not given; the README lists their sizes."),
    .init("experts", \.experts, "Top-level latents, m (16k is 16384).", as: .size),
    .init("sublatents", \.sublatents, "Sublatents of each expert, a; 0 for a flat dictionary."),
    .init("subspace", \.subspace, "Dimension of each expert's subspace, s."),
    .init(
      "k", \.k,
      "Active experts for each row, k; with batchtopk on average, and it may be a fraction."),
    .init(
      "k-sub", \.kSub,
      "Active sublatents of a row on average; one threshold for all sublatents follows this number (default: one in each active expert).",
      .positive),
    .init(
      "activation", \.activation,
      "How active latents are selected: topk (default; the k largest of each row), batchtopk (the k·B largest of a batch) or jumprelu (all above learned thresholds)."
    ),
    .init(
      "batchtopk-rate", \.batchTopKRate,
      "Weight of a new batch in batchtopk's running threshold, which is used after training (default 0.01).",
      .positive),
    .init(
      "batchtopk-start", \.batchTopKStart,
      "The running threshold before the first step (default 0).", .notNegative),
    .init(
      "l0-target", \.l0Target,
      "Active latents of a row that jumprelu is pulled to; without it the penalty grows with their number.",
      .positive),
    .init(
      "l0-weight", \.l0Weight,
      "Weight of jumprelu's sparsity penalty (default 1; rows of unit norm: 1/d).",
      .notNegative),
    .init(
      "jumprelu-bandwidth", \.jumpBandwidth,
      "Width of jumprelu's kernel, ε (default 0.05; rows of unit norm: 0.05/√d).", .positive),
    .init(
      "jumprelu-start", \.jumpStart,
      "Jumprelu's thresholds before the first step (default 0.01; rows of unit norm: 0.01/√d).",
      .notNegative),
    .init(
      "dead-penalty", \.deadPenalty,
      "Weight of jumprelu's penalty that pulls dead latents back (default 0).", .notNegative),
    .init(
      "most-active", \.mostActive,
      "Active latents of a row, on average over a batch, that jumprelu has memory for in training (default 4 · l0-target + 64, or 512); more are cut off, the weakest first.",
      .positive),
    .init(
      "matryoshka", \.matryoshka,
      "Numbers of experts, such as 512,1024,2048: the reconstruction by the first so many is compared with the row too."
    ),
    .init(
      "matryoshka-weights", \.matryoshkaWeights,
      "Weights of these errors, one for each number (default 1)."),
    .init(
      "encoder-bias", \.encoderBias,
      "Encoder bias of the latents: none (default) or zero (trained from 0; default for jumprelu)."
    ),
    .init(
      "freeze", \.freeze,
      "A control: leave decoder or encoder as they were drawn, and train the rest."),
    .init(
      "decoder-cosine", \.decoderCosine,
      "A control: keep each decoder row within this cosine of its first value, such as 0.8.",
      .positive),
    .init("steps", \.steps, "Length of the run in steps.", as: .count, .positive),
    .init("epochs", \.epochs, "Length of the run in passes over the data (default 4).", .positive),
    .init("batch", \.batch, "Rows in a batch.", as: .count, .positive),
    .init("seed", \.seed, "Seed of the weights and of the order of rows (default 0)."),
    .init("order-seed", \.orderSeed, "Seed of the order of rows alone (default: --seed)."),
    .init("precision", \.precision, "Arithmetic of dense products: float32, bfloat16 or auto."),
    .init(
      "moments", \.moments,
      "Format of Adam's moments: float32 (default) or bfloat16, which halves them."),
    .init(
      "order", \.order,
      "Order of rows: shuffled, chunks (default for shuffled stores), or file (as stored)."),
    .init(
      "normalize", \.normalize,
      "Normalisation of rows: none, unit, original (lengths of a store's rows), or layer-norm."),
    .init(
      "whiten", \.whiten,
      "Whiten rows, after --normalize: none (default), activations (by their covariance) or unembedding (by the model's causal inner product)."
    ),
    .init(
      "whiten-loss", \.whitenLoss,
      "Where errors are measured: whitened (default) or original (after going back to the rows)."),
    .init(
      "whiten-ridge", \.whitenRidge,
      "Add this fraction of the mean eigenvalue of the covariance to each eigenvalue (default 0.001).",
      .notNegative),
    .init(
      "init", \.initialWeights, "Take sizes and weights from a .safetensors file.",
      as: .file(extensions: ["safetensors"])),
    .init("learning-rate", \.learningRate, "Peak learning rate.", .positive),
    .init(
      "learning-rate-start", \.learningRateStart,
      "Learning rate of the first step, if there is a warm-up.", .notNegative),
    .init(
      "learning-rate-floor", \.learningRateFloor,
      "Learning rate at the end of the cosine, as a fraction of the peak.", .notNegative),
    .init("warmup", \.warmup, "Steps of the learning rate's warm-up.", as: .count, .notNegative),
    .init("schedule", \.schedule, "What follows the warm-up: cosine or constant."),
    .init("clip", \.clip, "Largest global norm of the gradient; 0 for none.", .notNegative),
    .init("beta", \.beta, "Weight of the top level's own error, β.", .notNegative),
    .init("ortho", \.ortho, "Weight of the bi-orthogonality penalty, λ₁.", .notNegative),
    .init("l1", \.l1, "Weight of the sparsity penalty, λ₂.", .notNegative),
    .init("l1-scope", \.l1Scope, "Latents the sparsity penalty reaches: all or topk."),
    .init(
      "regularizer-warmup", \.regularizerWarmup, "Steps over which λ₁ and λ₂ grow from 0.",
      as: .count, .notNegative),
    .init(
      "threshold", \.threshold, "Threshold of latents, α (default 1/√d; flat: 0).", .notNegative),
    .init("threshold-sub", \.thresholdSub, "Threshold of sublatents (default 1/√d).", .notNegative),
    .init("slope-top", \.slopeTop, "Slope below the threshold, latents (default 0).", .notNegative),
    .init(
      "slope-sub", \.slopeSub, "Slope below the threshold, sublatents (default 0.01).", .notNegative
    ),
    .init("bias", \.bias, "Input bias: none or geometric-median."),
    .init(
      "auxk", \.auxk, "Weight of the auxiliary loss of dead latents (flat: 1/30, else 0).",
      .notNegative),
    .init(
      "auxk-k", \.auxkK, "Dead latents that may explain one row's error (default d/2).", .positive),
    .init(
      "auxk-scope", \.auxkScope,
      "Which error dead latents explain: all (of the whole dictionary; default) or prefixes (each that of its own matryoshka prefix)."
    ),
    .init(
      "auxk-scale", \.auxkScale,
      "What the auxiliary loss is divided by: variance (of the error; default) or dead-share (as in SAELens)."
    ),
    .init(
      "dead-window", \.deadWindow,
      "Rows without activity after which the auxiliary loss takes a latent for dead.", as: .count,
      .positive),
    .init(
      "checkpoint-every", \.checkpointEvery,
      "Steps between checkpoints (default 1000); 0 for only one at the end.", as: .count,
      .notNegative),
    .init(
      "record-every", \.recordEvery, "Steps between records in metrics.jsonl.", as: .count,
      .positive),
    .init("keep", \.keep, "Checkpoints kept (default 2).", .positive),
    .init(
      "threads", \.threads, "Threads (default: all processors). The result does not depend on it.",
      .range(1...4096), isShared: false),
    .init(
      "tensor", \.tensor,
      "The tensor to read, if DATA is a .safetensors file with several, or the index of several files.",
      isShared: false),
  ]

  /// The options in the JSON file at `path`.
  ///
  /// Fails with `.data` if a key is not an option or a value is not one the option can have.
  public static func read(from path: String) throws(Failure) -> TrainingOptions {
    let tree = try JSONFile.readTree(from: path)
    // Only a run's config.json has these two keys.
    if tree["shape"] != nil, tree["objective"] != nil {
      throw .data(
        "\(path): this is the config.json of a run, not a file of options; write a file of your own, such as"
          + " {\"experts\": 4096, \"k\": 32}, or continue the run with --resume.")
    }
    try JSONFile.rejectUnknownKeys(of: tree, known: table.map(\.name), source: path)
    // The decoder's messages would not tell what is allowed.
    for option in table {
      guard let value = tree[option.name], value != .null else { continue }
      if let complaint = option.complaint(json: value) {
        throw .data("\(path): \"\(option.name)\" \(complaint)")
      }
    }
    let options = try JSONFile.read(TrainingOptions.self, from: path)
    if let (name, complaint) = options.complaint {
      throw .data("\(path): \"\(name)\" \(complaint)")
    }
    return options
  }

  /// The first option whose value is out of bounds, and the end of a sentence about it.
  var complaint: (name: String, sentence: String)? {
    for option in Self.table {
      if let sentence = option.complaint(self) { return (option.name, sentence) }
    }
    return nil
  }

  /// These options; those that are nil are taken from `other`.
  public func filled(from other: TrainingOptions) -> TrainingOptions {
    var (result, other) = (self, other)
    // Sublatents and subspace are both 0 or neither is, so one that is given decides for the other.
    let sizes = [sublatents, subspace].compactMap(\.self)
    if !sizes.isEmpty {
      let isFlat = sizes.contains(0)
      if isFlat || other.sublatents == 0 { other.sublatents = nil }
      if isFlat || other.subspace == 0 { other.subspace = nil }
    }
    // Steps and epochs are one setting.
    if steps != nil || epochs != nil { (other.steps, other.epochs) = (nil, nil) }
    for option in Self.table { option.fill(&result, other) }
    return result
  }
}

extension TrainingOptions: Codable {
  /// Reads an object whose keys are names of options.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: NameKey.self)
    for option in Self.table { try option.decode(&self, values) }
  }

  /// Writes an object with the options that are set.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: NameKey.self)
    for option in Self.table { try option.encode(self, &values) }
  }
}
