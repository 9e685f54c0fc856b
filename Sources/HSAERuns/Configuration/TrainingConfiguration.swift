// The settings of a training run with all values known, as in `config.json`, and how options become settings
// (`method.md`: "Step", "Short runs", "Flat baseline", "Unembedding"). Fixed defaults are in `Presets.swift`.

public import HSAEActivations
public import HSAEModels
public import HSAESupport
public import HSAETensors

/// Where a run's rows come from.
public struct DataDescription: Codable, Hashable, Sendable {
  /// The path as the user gave it, made absolute; empty if there is none.
  public var path: String
  /// Identifies the content (`RowSource.fingerprint`).
  public var fingerprint: String
  /// Number of rows.
  public var rows: Int
  /// Width of a row.
  public var width: Int
  /// The tensor the rows are, if the data are a `.safetensors` file.
  public var tensor: String?
  /// Whether the store's rows of giant norm are skipped or kept; nil: skipped.
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

/// The settings of a training run; none is open.
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
  /// The settings of BatchTopK; nil for other selections.
  public var batchTopK: BatchTopK?
  /// The settings of JumpReLU; nil for other selections.
  public var jumpReLU: JumpReLU?
  /// The budget of active sublatents; nil: one in each active expert.
  public var sublatentBudget: SublatentBudget?
  /// Encoder bias of the top-level latents; nil for none.
  public var encoderBias: EncoderBiasOption?
  /// The weights that are not trained.
  public var freeze: FrozenPart?
  /// The least cosine between a decoder row and its first value.
  public var decoderCosine: Double?
  /// Input bias.
  public var bias: BiasOption
  /// Number of steps.
  public var steps: Int
  /// Rows in a batch.
  public var batch: Int
  /// Seed of weights and order.
  public var seed: UInt64
  /// Seed of the order, if it is not `seed`.
  public var orderSeed: UInt64?
  /// Arithmetic of the dense products on the machine where the run began.
  public var precision: Precision
  /// Format of Adam's moments; fp32 if a file does not have it.
  public var moments: Precision?
  /// Order of rows.
  public var order: RowOrder
  /// Normalisation of rows.
  public var normalize: Normalisation
  /// How normalised rows are whitened; nil: not at all.
  public var whitening: WhiteningSettings?
  /// The file of the initial weights, if they were not random.
  public var initialWeights: String?
  /// The learning rate.
  public var learningRate: LearningRateSchedule
  /// Warm-up of λ₁ and λ₂.
  public var regularizerWarmup: RegularizerWarmup
  /// Largest gradient norm; 0 for none.
  public var clip: Double
  /// Rows without activity after which AuxK takes a latent for dead.
  public var deadWindow: Int
  /// Steps between checkpoints; 0 for none before the last.
  public var checkpointEvery: Int
  /// Steps between records in `metrics.jsonl`.
  public var recordEvery: Int
  /// Checkpoints kept.
  public var keep: Int

  /// The parts of the settings that a backend needs. If errors are measured after going back from whitened rows, the
  /// numbers of the inner product are missing: they follow from the rows (``recipe(_:)``).
  public var recipe: Recipe {
    var recipe = Recipe(
      shape: shape, selection: selection, activation: activation,
      sublatentBudget: sublatentBudget, objective: objective,
      vectors: vectors, frozen: freeze, decoderCosine: decoderCosine, precision: precision,
      momentFormat: moments ?? .float32, seed: seed)
    if whitening?.loss == .original { recipe.errorMetric = ErrorMetric([]) }
    return recipe
  }

  /// The same for rows that `whitening` changes.
  package func recipe(_ whitening: Whitening?) -> Recipe {
    var recipe = recipe
    if recipe.errorMetric != nil, let whitening {
      recipe.errorMetric = ErrorMetric(whitening.metric.map { Float($0) })
    }
    return recipe
  }

  /// The seed of the order of rows.
  public var rowSeed: UInt64 { orderSeed ?? seed }

  /// Epochs of the run.
  public var epochs: Double { Double(steps) * Double(batch) / Double(max(1, data.rows)) }
}

/// Options that all have the values that are read here; `TrainingOptions.paperDefaults` are the last resort.
@dynamicMemberLookup
private struct CompleteOptions {
  let options: TrainingOptions

  subscript<Value>(dynamicMember path: KeyPath<TrainingOptions, Value?>) -> Value {
    get throws(Failure) {
      guard let value = options[keyPath: path] else {
        throw Failure(.software, "An option of training has no default (\(path)).")
      }
      return value
    }
  }
}

extension TrainingConfiguration {
  /// Resolves `given` for `data`.
  ///
  /// `initialShape` are the sizes of the file that `--init` names, without k; `initialVectors` are the vectors that the
  /// file holds. `isStore` says whether the rows come from a store, which keeps them at unit norm. Fails with `.usage`
  /// and the option's name if values do not fit together.
  public init(
    _ given: TrainingOptions, data: DataDescription, initialShape: DictionaryShape? = nil,
    initialVectors: TrainedVectors = [], isStore: Bool = false
  ) throws(Failure) {
    if let (name, complaint) = given.complaint { throw .usage("--\(name) \(complaint)") }
    if given.steps != nil, given.epochs != nil {
      throw .usage("--steps and --epochs both set the length of the run; give one.")
    }
    let paper = TrainingOptions.paperDefaults
    let isFlat = initialShape?.isFlat ?? (given.sublatents == 0)
    let preset = (given.preset?.options(isFlat: isFlat) ?? TrainingOptions()).filled(from: paper)
    self.data = data
    shape = try Self.shape(given, given.filled(from: preset), data.width, initial: initialShape)
    let options = given.filled(from: shape.isFlat ? .flatDefaults : TrainingOptions())
      .filled(from: preset)
    let all = CompleteOptions(options: options)

    let usualEpochs = try CompleteOptions(options: paper).epochs
    let epochs = options.epochs ?? usualEpochs
    batch = options.batch ?? Self.batch(rows: epochs * Double(data.rows))
    if let complaint = Self.complaint(batch: batch, shape) { throw .usage(complaint) }
    guard
      let steps = options.steps ?? Self.steps(epochs: epochs, rows: data.rows, batch: batch)
    else { throw .usage("--epochs \(epochs) make too many steps.") }
    self.steps = steps

    let shortWarmup = min(1_000, max(1, steps / 20))
    let (start, peak) = (try all.learningRateStart, try all.learningRate)
    learningRate = try LearningRateSchedule(
      form: all.schedule, start: given.learningRateStart ?? min(start, peak),
      peak: peak, floor: all.learningRateFloor,
      warmup: options.warmup ?? shortWarmup, steps: steps)
    regularizerWarmup = RegularizerWarmup(steps: options.regularizerWarmup ?? shortWarmup)
    clip = try all.clip

    let root = 1 / Double(data.width).squareRoot()
    activation = try ActivationFunction(
      threshold: Float(options.threshold ?? root),
      subThreshold: Float(options.thresholdSub ?? root),
      slope: Float(all.slopeTop), subSlope: Float(all.slopeSub))
    objective = try Objective(
      beta: Float(all.beta), ortho: Float(all.ortho), l1: Float(all.l1), l1Scope: all.l1Scope,
      auxk: Float(all.auxk),
      auxkActive: min(options.auxkK ?? max(1, shape.width / 2), shape.experts))
    let hasInitialBias = initialVectors.contains(.inputBias)
    let usualBias = try hasInitialBias ? .geometricMedian : all.bias
    bias = given.bias ?? usualBias
    if initialShape != nil, hasInitialBias != (bias != .none) {
      throw .usage(
        hasInitialBias
          ? "--bias none contradicts --init, whose file has a bias (b_dec); leave out --bias."
          : "--bias \(bias.rawValue) contradicts --init, whose file has no bias (b_dec).")
    }

    seed = try all.seed
    switch try all.precision {
    case .auto: precision = .best
    case .float32: precision = .float32
    case .bfloat16: precision = .bfloat16
    }
    moments = try all.moments
    order = try all.order
    orderSeed = order == .file || options.orderSeed == seed ? nil : options.orderSeed
    normalize = try all.normalize
    whitening = try Self.whitening(given, options)
    initialWeights = options.initialWeights
    let total = batch.multipliedReportingOverflow(by: steps)
    deadWindow =
      options.deadWindow ?? max(1, min(10_000_000, total.partialValue / 20))
    checkpointEvery = try all.checkpointEvery
    recordEvery = options.recordEvery ?? max(1, min(100, steps / 100))
    keep = try all.keep
    // The mean of ‖z‖² of whitened rows is 1.
    let seesUnitRows =
      whitening != nil || normalize == .unit || normalize == .layerNorm
      || normalize == .none && isStore
    try setRecipe(given, options, seesUnitRows: seesUnitRows)
    if initialVectors.contains(.encoderBias) {
      if given.encoderBias == EncoderBiasOption.none {
        throw .usage(
          "--encoder-bias none contradicts --init, whose file has an encoder bias (b_enc); leave it out."
        )
      }
      encoderBias = .zero
    }
    if initialVectors.contains(.thresholds), jumpReLU == nil {
      throw .usage("The file of --init has learned thresholds; add --activation jumprelu.")
    }
    if let complaint { throw .usage(complaint) }
  }

  /// What is wrong with these settings, as a sentence that names the option; nil if nothing is.
  ///
  /// Checked when a configuration is resolved and when one is read from a file, which may have been edited or
  /// damaged.
  public var complaint: String? {
    if let complaint = Self.complaint(format: format) ?? shape.complaint { return complaint }
    let room = jumpReLU == nil ? "--k" : "--most-active"
    if let complaint = Self.complaint(batch: batch, shape, room) { return complaint }
    guard shape.width == data.width, data.rows >= 1 else {
      return "The data, \(data.rows) rows of width \(data.width), do not fit the dictionary."
    }
    if steps < 1 { return "--steps must be at least 1, not \(steps)." }
    if batch.multipliedReportingOverflow(by: steps).overflow {
      return "--steps \(steps) of \(batch) rows are too many."
    }
    if let (name, complaint) = options.complaint { return "--\(name) \(complaint)" }
    let dead = batch.multipliedReportingOverflow(by: objective.auxkActive)
    if objective.auxk > 0, dead.overflow || dead.partialValue > Int(Int32.max) {
      return "--auxk-k \(objective.auxkActive) with --batch \(batch) is too large."
    }
    return recipeComplaint ?? activation.complaint
  }

  /// What is wrong with a file of layout `format`.
  static func complaint(format: Int) -> String? {
    format == 1 ? nil : "The layout is version \(format); this program knows version 1."
  }

  /// The steps that make `epochs` passes over `rows` rows, at least 1; nil if they are too many.
  static func steps(epochs: Double, rows: Int, batch: Int) -> Int? {
    let wanted = (epochs * Double(rows) / Double(max(1, batch))).rounded(.up)
    return wanted < 1e12 ? Int(max(1, wanted)) : nil
  }

  /// What is wrong with batches of `batch` rows; `room` is the option that says how many latents of a row are active.
  private static func complaint(
    batch: Int, _ shape: DictionaryShape, _ room: String = "--k"
  ) -> String? {
    if batch < 1 { return "--batch must be at least 1, not \(batch)." }
    if batch > 1 << 22 { return "--batch \(batch) is too large; 4194304 rows are the limit." }
    let pairs = batch.multipliedReportingOverflow(by: shape.activeExperts)
    if pairs.overflow || pairs.partialValue > Int(Int32.max) {
      return "--batch \(batch) with \(room) \(shape.activeExperts) is too large."
    }
    return nil
  }

  /// The sizes; `filled` are the `given` options with defaults.
  private static func shape(
    _ given: TrainingOptions, _ filled: TrainingOptions, _ width: Int, initial: DictionaryShape?
  ) throws(Failure) -> DictionaryShape {
    let all = CompleteOptions(options: filled)
    var shape: DictionaryShape
    if let initial {
      for (name, given, found) in [
        ("--experts", given.experts, initial.experts),
        ("--sublatents", given.sublatents, initial.sublatents),
        ("--subspace", given.subspace, initial.subspace),
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
      // Of sublatents and subspace, one that is nil is 0 because the other was given as 0.
      shape = try DictionaryShape(
        width: width, experts: all.experts, sublatents: filled.sublatents ?? 0,
        subspace: given.subspace ?? min(filled.subspace ?? 0, width), activeExperts: 0)
    }
    // JumpReLU has no k; `setRecipe` sets the room for its active latents.
    let k = try filled.activation == .jumprelu ? given.k ?? 1 : all.k
    guard abs(k) <= 1e9 else { throw .usage("--k \(k.optionText) is no possible number.") }
    if filled.activation != .batchtopk, k.rounded() != k {
      throw .usage(
        "--k \(k.optionText) must be a whole number; only --activation batchtopk takes a fraction.")
    }
    shape.activeExperts = Int(k.rounded(.up))
    if let complaint = shape.complaint { throw .usage(complaint) }
    return shape
  }

  /// The batch of a run over `rows` rows, all epochs together: 32,512 if that gives 2,000 steps, else the largest
  /// power of two that does, at least 512 (`method.md`, "Short runs").
  private static func batch(rows: Double) -> Int {
    if rows / 32_512 >= 2_000 { return 32_512 }
    var batch = 16_384
    while batch > 512, rows / Double(batch) < 2_000 { batch /= 2 }
    return batch
  }
}
