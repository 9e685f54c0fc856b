// The values of options that are not given: the paper's, those of presets, and those of a flat dictionary. Defaults
// that depend on the data are in `TrainingConfiguration.swift`.

internal import HSAEModels
internal import HSAETensors

/// Named sets of hyper-parameters.
public enum Preset: String, Codable, Sendable, CaseIterable {
  /// The paper's (section A.2): 16,384 experts, a 16, s 4, k 32, batch 32,512, warm-ups of 1,000 steps.
  case paper
  /// The study of an unembedding matrix (Appendix B): 2,048 experts, a 32, s 5, k 5, batch 8,192.
  case unembedding
  /// For residual streams of small models and a few million rows: 4,096 experts, a 16, s 4, k 32,
  /// no thresholds, a bias, learning rate 2e-3, λ₂ 1e-4 (docs/decisions/0008).
  case residualStream = "residual-stream"
  /// As `residualStream`, but with a budget of sublatents, so that a row has about 32 codes: a 16, s 8, k 24, 8 sublatents
  /// a row, β 1, no penalties (docs/method.md, "Other recipes"). A flat dictionary gets k 32.
  case residualStreamBudget = "residual-stream-budget"
  /// For rows of Gemma 3 270M: 16,384 experts, a 16, s 4, k 32, batch 8,192.
  case gemma270M = "gemma-3-270m"
  /// The paper's settings with 8,192 experts, a 16, s 4.
  case paper8k = "paper-8k"
  /// The paper's settings with 16,384 experts, a 16, s 4: the same as `paper`.
  case paper16k16 = "paper-16k-16"
  /// The paper's settings with 16,384 experts, a 64, s 8.
  case paper16k64 = "paper-16k-64"
  /// The paper's settings with 32,768 experts, a 64, s 8.
  case paper32k64 = "paper-32k-64"

  /// Width of the rows the preset is meant for. Training uses the width of its data; `hsae bench` uses this
  /// if it is given no data.
  public var width: Int {
    switch self {
    case .unembedding, .gemma270M, .residualStream, .residualStreamBudget: 640
    case .paper, .paper8k, .paper16k16, .paper16k64, .paper32k64: 2_304
    }
  }

  /// The options that the preset sets. A flat dictionary spends the codes of the preset's sublatents on latents, so that
  /// rows have equal numbers of codes.
  func options(isFlat: Bool) -> TrainingOptions {
    var options = options
    if isFlat, let budget = options.kSub {
      (options.k, options.kSub) = (options.k.map { $0 + budget }, nil)
    }
    return options
  }

  /// The options that the preset sets for an H-SAE; the paper's defaults apply to the others.
  public var options: TrainingOptions {
    var options = TrainingOptions()
    switch self {
    case .gemma270M: options.batch = 8_192
    case .residualStream, .residualStreamBudget:
      options.experts = 4_096
      options.learningRate = 2e-3
      options.l1 = 1e-4
      options.threshold = 0
      options.thresholdSub = 0
      options.bias = .geometricMedian
      if self == .residualStreamBudget {
        (options.k, options.kSub, options.subspace) = (24, 8, 8)
        (options.beta, options.l1, options.ortho) = (1, 0, 0)
      }
    case .paper, .paper8k, .paper16k16, .paper16k64, .paper32k64:
      options.batch = 32_512
      options.warmup = 1_000
      options.regularizerWarmup = 1_000
      if self == .paper8k { options.experts = 8_192 }
      if self == .paper32k64 { options.experts = 32_768 }
      if self == .paper16k64 || self == .paper32k64 {
        options.sublatents = 64
        options.subspace = 8
      }
    case .unembedding:
      options.experts = 2_048
      options.sublatents = 32
      options.subspace = 5
      options.k = 5
      options.steps = 5_000
      options.batch = 8_192
      options.learningRate = 8_192e-6
      options.learningRateStart = 8_192e-15
      options.regularizerWarmup = 0
      options.clip = 1
      options.ortho = 2.5e-2
      options.l1 = 2.5e-3
    }
    return options
  }
}

extension TrainingOptions {
  /// The paper's defaults (`method.md`, "Step"). Those that depend on the data are nil.
  public static var paperDefaults: TrainingOptions {
    var options = TrainingOptions()
    options.experts = 16_384
    options.sublatents = 16
    options.subspace = 4
    options.k = 32
    options.epochs = 4
    options.seed = 0
    options.precision = .auto
    options.moments = .float32
    options.order = .shuffled
    options.normalize = .unit
    options.learningRate = 5e-4
    options.learningRateStart = 1e-11
    options.learningRateFloor = 0.1
    options.schedule = .cosine
    options.clip = 0.75
    options.beta = 0.1
    options.ortho = 0.1
    options.l1 = 1e-3
    options.l1Scope = .all
    options.slopeTop = 0
    options.slopeSub = 0.01
    options.bias = BiasOption.none
    options.auxk = 0
    options.activation = .topk
    options.checkpointEvery = 1_000
    options.keep = 2
    return options
  }

  /// What a flat dictionary has instead of the values of presets and paper (`method.md`, "Flat baseline").
  static var flatDefaults: TrainingOptions {
    var options = TrainingOptions()
    options.beta = 0
    options.ortho = 0
    options.l1 = 0
    options.threshold = 0
    options.thresholdSub = 0
    options.auxk = 1.0 / 30
    return options
  }
}
