// A training run's settings with nothing left open: what `config.json` holds. Every default is
// computed here and nowhere else (`method.md`: "Step", "Short runs", "Flat baseline", "Unembedding").

public import HSAEActivations
public import HSAEModels
public import HSAESupport
public import HSAETensors

/// Where a run's rows come from.
public struct DataDescription: Codable, Hashable, Sendable {
  /// The path as the user gave it, made absolute; empty if there is none.
  public var path: String
  /// Names the content (`RowSource.fingerprint`).
  public var fingerprint: String
  /// Number of rows.
  public var rows: Int
  /// Width of a row.
  public var width: Int
  /// The tensor the rows are, if the data are a `.safetensors` file.
  public var tensor: String?
  /// What becomes of the store's rows of giant norm; they are left out if this is nil.
  public var giantNorms: GiantNorms?

  /// A description with the given parts.
  public init(
    path: String, fingerprint: String, rows: Int, width: Int, tensor: String? = nil,
    giantNorms: GiantNorms? = nil
  ) {
    self.path = path
    self.tensor = tensor
    self.giantNorms = giantNorms
    self.fingerprint = fingerprint
    self.rows = rows
    self.width = width
  }
}

/// A training run, fully resolved.
public struct TrainingConfiguration: Codable, Hashable, Sendable {
  /// The version of this file's layout.
  public var format = 1
  /// The rows.
  public var data: DataDescription
  /// The dictionary's sizes.
  public var shape: DictionaryShape
  /// Thresholds and slopes.
  public var activation: ActivationFunction
  /// Coefficients of the loss.
  public var objective: Objective
  /// Input bias.
  public var bias: BiasOption
  /// Number of steps.
  public var steps: Int
  /// Rows in a batch.
  public var batch: Int
  /// Seed of weights and order.
  public var seed: UInt64
  /// Seed of the order, where it is not `seed`.
  public var orderSeed: UInt64?
  /// Arithmetic of the dense products on the machine where the run began.
  public var precision: Precision
  /// Format of Adam's moments; fp32 where a file does not say.
  public var moments: Precision?
  /// Order of rows.
  public var order: RowOrder
  /// Normalisation of rows.
  public var normalize: Normalisation
  /// The weights' file, if the run did not start from random ones.
  public var initialWeights: String?
  /// The learning rate.
  public var learningRate: LearningRateSchedule
  /// Warm-up of λ₁ and λ₂.
  public var regularizerWarmup: RegularizerWarmup
  /// Largest gradient norm; 0 for none.
  public var clip: Double
  /// Rows after which a silent latent is dead to AuxK.
  public var deadWindow: Int
  /// Steps between checkpoints; 0 for none before the last.
  public var checkpointEvery: Int
  /// Steps between records in `metrics.jsonl`.
  public var recordEvery: Int
  /// Checkpoints kept.
  public var keep: Int
  /// What is trained, for a backend.
  public var recipe: Recipe {
    Recipe(
      shape: shape, activation: activation, objective: objective, hasBias: bias != .none,
      precision: precision, momentFormat: moments ?? .float32, seed: seed)
  }

  /// The seed of the order of rows.
  public var rowSeed: UInt64 { orderSeed ?? seed }

  /// Epochs of the run.
  public var epochs: Double { Double(steps) * Double(batch) / Double(max(1, data.rows)) }
}

/// The values a preset or the paper gives to what the user leaves open.
private struct Defaults {
  var experts = 16_384
  var sublatents = 16
  var subspace = 4
  var k = 32
  var steps: Int?
  var epochs = 4.0
  var batch: Int?
  var learningRate = 5e-4
  var learningRateStart = 1e-11
  var warmup: Int?
  var regularizerWarmup: Int?
  var clip = 0.75
  var ortho = 0.1
  var l1 = 1e-3
  /// Thresholds of a hierarchical dictionary; nil: 1/√d.
  var threshold: Double?
  var bias = BiasOption.none

  init(_ preset: Preset?) {
    switch preset {
    case nil: break
    case .gemma270M: batch = 8_192
    case .residualStream:
      experts = 4_096
      learningRate = 2e-3
      l1 = 1e-4
      threshold = 0
      bias = .geometricMedian
    case .paper, .paper8k, .paper16k16, .paper16k64, .paper32k64:
      batch = 32_512
      warmup = 1_000
      regularizerWarmup = 1_000
      if preset == .paper8k { experts = 8_192 }
      if preset == .paper32k64 { experts = 32_768 }
      if preset == .paper16k64 || preset == .paper32k64 {
        sublatents = 64
        subspace = 8
      }
    case .unembedding:
      experts = 2_048
      sublatents = 32
      subspace = 5
      k = 5
      steps = 5_000
      batch = 8_192
      learningRate = 8_192e-6
      learningRateStart = 8_192e-15
      regularizerWarmup = 0
      clip = 1
      ortho = 2.5e-2
      l1 = 2.5e-3
    }
  }
}

extension TrainingConfiguration {
  /// Resolves `options` for `data`; `initialShape` are the sizes of the file `--init` names, whose k
  /// is still open, and `initialHasBias` whether it holds a bias.
  ///
  /// Fails with `.usage` and the option's name where values do not fit together.
  public init(
    _ options: TrainingOptions, data: DataDescription, initialShape: DictionaryShape? = nil,
    initialHasBias: Bool = false
  ) throws(Failure) {
    let defaults = Defaults(options.preset)
    self.data = data
    shape = try Self.shape(options, defaults, width: data.width, initial: initialShape)
    let flat = shape.isFlat

    batch = options.batch ?? defaults.batch ?? Self.batch(options, defaults, rows: data.rows)
    if let complaint = Self.complaint(batch: batch, shape) { throw .usage(complaint) }
    steps = try Self.steps(options, defaults, rows: data.rows, batch: batch)

    let twentieth = max(1, steps / 20)
    let warmup = options.warmup ?? defaults.warmup ?? min(1_000, twentieth)
    let regularizer =
      options.regularizerWarmup ?? defaults.regularizerWarmup ?? min(1_000, twentieth)
    let peak = try Self.positive(options.learningRate ?? defaults.learningRate, "--learning-rate")
    learningRate = LearningRateSchedule(
      form: options.schedule ?? .cosine,
      start: try Self.notNegative(
        options.learningRateStart ?? min(defaults.learningRateStart, peak), "--learning-rate-start"),
      peak: peak,
      floor: try Self.notNegative(options.learningRateFloor ?? 0.1, "--learning-rate-floor"),
      warmup: warmup, steps: steps)
    regularizerWarmup = RegularizerWarmup(steps: regularizer)
    clip = try Self.notNegative(options.clip ?? defaults.clip, "--clip")

    activation = try Self.activation(options, defaults, flat: flat, width: data.width)
    objective = try Self.objective(options, defaults, shape: shape)
    bias = options.bias ?? (initialHasBias ? .geometricMedian : defaults.bias)
    if initialShape != nil, initialHasBias != (bias != .none) {
      throw .usage(
        initialHasBias
          ? "--bias none contradicts --init, whose file has a bias (b_dec); leave out --bias."
          : "--bias \(bias.rawValue) contradicts --init, whose file has no bias (b_dec).")
    }

    seed = options.seed ?? 0
    switch options.precision ?? .auto {
    case .auto: precision = .best
    case .float32: precision = .float32
    case .bfloat16: precision = .bfloat16
    }
    moments = options.moments ?? .float32
    order = options.order ?? .shuffled
    orderSeed = order == .file || options.orderSeed == seed ? nil : options.orderSeed
    normalize = options.normalize ?? .unit
    initialWeights = options.initialWeights
    let total = batch.multipliedReportingOverflow(by: steps)
    deadWindow =
      options.deadWindow ?? max(1, min(10_000_000, total.partialValue / 20))
    checkpointEvery = options.checkpointEvery ?? 1_000
    recordEvery = options.recordEvery ?? max(1, min(100, steps / 100))
    keep = options.keep ?? 2
    if let complaint { throw .usage(complaint) }
  }

  /// What is wrong with these settings, as a sentence that names the option; nil if nothing is.
  ///
  /// Asked when a configuration is resolved, and when one is read from a file, which may have been
  /// edited or damaged.
  public var complaint: String? {
    if let complaint = Self.complaint(format: format) ?? shape.complaint { return complaint }
    if let complaint = Self.complaint(batch: batch, shape) { return complaint }
    guard shape.width == data.width, data.rows >= 1 else {
      return "The data, \(data.rows) rows of width \(data.width), do not fit the dictionary."
    }
    if steps < 1 { return "--steps must be at least 1, not \(steps)." }
    if batch.multipliedReportingOverflow(by: steps).overflow {
      return "--steps \(steps) of \(batch) rows are too many."
    }
    for (name, value, least) in [
      ("--warmup", learningRate.warmup, 0), ("--regularizer-warmup", regularizerWarmup.steps, 0),
      ("--dead-window", deadWindow, 1), ("--checkpoint-every", checkpointEvery, 0),
      ("--record-every", recordEvery, 1), ("--keep", keep, 1),
      ("--auxk-k", objective.auxkActive, objective.auxk > 0 ? 1 : 0),
    ] where value < least {
      return "\(name) must \(least == 0 ? "not be negative" : "be at least 1"), not \(value)."
    }
    for (name, value) in [
      ("--learning-rate", learningRate.peak), ("--learning-rate-start", learningRate.start),
      ("--learning-rate-floor", learningRate.floor), ("--clip", clip),
      ("--beta", Double(objective.beta)), ("--ortho", Double(objective.ortho)),
      ("--l1", Double(objective.l1)), ("--auxk", Double(objective.auxk)),
    ] where !(value >= 0 && value <= 2e30) {
      return "\(name) must be a finite number that is not negative, not \(value)."
    }
    let dead = batch.multipliedReportingOverflow(by: objective.auxkActive)
    if objective.auxk > 0, dead.overflow || dead.partialValue > Int(Int32.max) {
      return "--auxk-k \(objective.auxkActive) with --batch \(batch) is too large."
    }
    return activation.complaint
  }

  /// What is wrong with a file of layout `format`.
  static func complaint(format: Int) -> String? {
    format == 1 ? nil : "The layout is version \(format); this program knows version 1."
  }

  /// What is wrong with batches of `batch` rows.
  private static func complaint(batch: Int, _ shape: DictionaryShape) -> String? {
    if batch < 1 { return "--batch must be at least 1, not \(batch)." }
    if batch > 1 << 22 { return "--batch \(batch) is too large; 4194304 rows are the limit." }
    let pairs = batch.multipliedReportingOverflow(by: shape.activeExperts)
    if pairs.overflow || pairs.partialValue > Int(Int32.max) {
      return "--batch \(batch) with --k \(shape.activeExperts) is too large."
    }
    return nil
  }

  private static func shape(
    _ options: TrainingOptions, _ defaults: Defaults, width: Int, initial: DictionaryShape?
  ) throws(Failure) -> DictionaryShape {
    var shape: DictionaryShape
    if let initial {
      for (name, given, found) in [
        ("--experts", options.experts, initial.experts),
        ("--sublatents", options.sublatents, initial.sublatents),
        ("--subspace", options.subspace, initial.subspace),
      ] {
        if let given, given != found {
          throw .usage(
            "\(name) \(given) contradicts --init, whose file has \(found); leave it out.")
        }
      }
      guard initial.width == width else {
        throw .usage("--init holds weights of width \(initial.width), the data has width \(width).")
      }
      shape = initial
    } else {
      let sublatents = options.sublatents ?? (options.subspace == 0 ? 0 : defaults.sublatents)
      shape = DictionaryShape(
        width: width, experts: options.experts ?? defaults.experts, sublatents: sublatents,
        subspace: options.subspace ?? (sublatents == 0 ? 0 : min(defaults.subspace, width)),
        activeExperts: 0)
    }
    shape.activeExperts = options.k ?? defaults.k
    if let complaint = shape.complaint { throw .usage(complaint) }
    return shape
  }

  /// `method.md`, "Short runs": 32,512 where that gives 2,000 steps, else the largest power of two
  /// that does, never under 512.
  private static func batch(_ options: TrainingOptions, _ defaults: Defaults, rows: Int) -> Int {
    let total = (options.epochs ?? defaults.epochs) * Double(rows)
    if total / 32_512 >= 2_000 { return 32_512 }
    var batch = 16_384
    while batch > 512, total / Double(batch) < 2_000 { batch /= 2 }
    return batch
  }

  private static func steps(
    _ options: TrainingOptions, _ defaults: Defaults, rows: Int, batch: Int
  ) throws(Failure) -> Int {
    if options.steps != nil, options.epochs != nil {
      throw .usage("--steps and --epochs both set the length of the run; give one.")
    }
    if let steps = options.steps ?? (options.epochs == nil ? defaults.steps : nil) {
      guard steps >= 1 else { throw .usage("--steps must be at least 1, not \(steps).") }
      return steps
    }
    let epochs = options.epochs ?? defaults.epochs
    guard epochs.isFinite, epochs > 0 else { throw .usage("--epochs must be greater than 0.") }
    let steps = (epochs * Double(rows) / Double(batch)).rounded(.up)
    guard steps < 1e12 else { throw .usage("--epochs \(epochs) make too many steps.") }
    return max(1, Int(steps))
  }

  private static func activation(
    _ options: TrainingOptions, _ defaults: Defaults, flat: Bool, width: Int
  ) throws(Failure) -> ActivationFunction {
    let threshold = flat ? 0 : defaults.threshold ?? 1 / Double(width).squareRoot()
    let slope = try notNegative(options.slopeTop ?? 0, "--slope-top")
    let subSlope = try notNegative(options.slopeSub ?? 0.01, "--slope-sub")
    return ActivationFunction(
      threshold: Float(try notNegative(options.threshold ?? threshold, "--threshold")),
      subThreshold: Float(
        try notNegative(options.thresholdSub ?? threshold, "--threshold-sub")),
      slope: Float(slope), subSlope: Float(subSlope))
  }

  private static func objective(
    _ options: TrainingOptions, _ defaults: Defaults, shape: DictionaryShape
  ) throws(Failure) -> Objective {
    let flat = shape.isFlat
    let auxkActive = options.auxkK ?? max(1, shape.width / 2)
    guard auxkActive >= 1 else { throw .usage("--auxk-k must be at least 1.") }
    return Objective(
      beta: Float(try notNegative(options.beta ?? (flat ? 0 : 0.1), "--beta")),
      ortho: Float(try notNegative(options.ortho ?? (flat ? 0 : defaults.ortho), "--ortho")),
      l1: Float(try notNegative(options.l1 ?? (flat ? 0 : defaults.l1), "--l1")),
      l1Scope: options.l1Scope ?? .all,
      auxk: Float(try notNegative(options.auxk ?? (flat ? 1.0 / 30 : 0), "--auxk")),
      auxkActive: min(auxkActive, shape.experts))
  }

  private static func notNegative(_ value: Double, _ name: String) throws(Failure) -> Double {
    guard value.isFinite, value >= 0, value <= 1e30 else {
      throw .usage("\(name) must be a finite number that is not negative, not \(value).")
    }
    return value
  }

  private static func positive(_ value: Double, _ name: String) throws(Failure) -> Double {
    guard value.isFinite, value > 0, value <= 1e30 else {
      throw .usage("\(name) must be a finite number greater than 0, not \(value).")
    }
    return value
  }
}
