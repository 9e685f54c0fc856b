// How options become a configuration: the paper's defaults, presets, short runs, refusals.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

/// The configuration of `options` for `rows` rows of width `width`.
func resolve(
  rows: Int = 1_000_000, width: Int = 640, _ change: (inout TrainingOptions) -> Void = { _ in }
) throws(Failure) -> TrainingConfiguration {
  var options = TrainingOptions()
  change(&options)
  return try TrainingConfiguration(
    options, data: DataDescription(path: "/data.npy", fingerprint: "f", rows: rows, width: width))
}

@Suite struct ConfigurationTests {
  @Test func defaultsAreThePapers() throws {
    let paper = try resolve(rows: 1_000_000_000)
    #expect(
      paper.shape
        == DictionaryShape(
          width: 640, experts: 16_384, sublatents: 16, subspace: 4, activeExperts: 32))
    #expect(paper.batch == 32_512)
    #expect(paper.steps == 123_032)  // 4 epochs, rounded up
    #expect(paper.learningRate.start == 1e-11)
    #expect(paper.learningRate.peak == 5e-4)
    #expect(paper.learningRate.floor == 0.1)
    #expect(paper.learningRate.form == .cosine)
    #expect(paper.learningRate.warmup == 1000)
    #expect(paper.learningRate.steps == paper.steps)
    #expect(paper.regularizerWarmup.steps == 1000)
    #expect(paper.clip == 0.75)
    #expect(paper.objective.beta == 0.1)
    #expect(paper.objective.ortho == 0.1)
    #expect(paper.objective.l1 == 1e-3)
    #expect(paper.objective.l1Scope == .all)
    #expect(paper.objective.auxk == 0)
    let root = Float(1 / 640.0.squareRoot())
    #expect(paper.activation.threshold == root)
    #expect(paper.activation.subThreshold == root)
    #expect(paper.activation.slope == 0)
    #expect(paper.activation.subSlope == 0.01)
    #expect(paper.normalize == .unit)
    #expect(paper.bias == .none)
    #expect(paper.order == .shuffled)
    #expect(paper.seed == 0)
    #expect(paper.precision == Precision.best)
    #expect(paper.complaint == nil)
  }

  /// `method.md`, "Short runs": rows, and the batch they get.
  @Test(arguments: [
    (1, 512), (1_000, 512), (511_999, 512), (512_000, 1024), (2_000_000, 2048),
    (8_191_999, 8192), (8_192_000, 16_384), (16_255_999, 16_384), (16_256_000, 32_512),
    (1_000_000_000, 32_512),
  ])
  func shortRunsHaveSmallerBatches(_ rows: Int, _ batch: Int) throws {
    let short = try resolve(rows: rows)
    #expect(short.batch == batch)
    #expect(short.steps == (4 * rows + batch - 1) / batch)
    let twentieth = max(1, min(1000, short.steps / 20))
    #expect(short.learningRate.warmup == twentieth)
    #expect(short.regularizerWarmup.steps == twentieth)
    #expect(short.deadWindow == max(1, min(10_000_000, short.steps * batch / 20)))
    // The preset `paper` keeps the paper's batch and warm-ups.
    let paper = try resolve(rows: rows) { $0.preset = .paper }
    #expect(paper.batch == 32_512)
    #expect(paper.learningRate.warmup == 1000)
    #expect(paper.regularizerWarmup.steps == 1000)
  }

  @Test func epochsAndStepsSetTheLength() throws {
    let once = try resolve(rows: 100_000) {
      $0.epochs = 0.5; $0.batch = 1000
    }
    #expect(once.steps == 50)
    #expect(once.epochs == 0.5)
    #expect(
      try resolve(rows: 100_000) {
        $0.steps = 7; $0.batch = 1000
      }.epochs == 0.07)
    let preset = try resolve(rows: 100_000) {
      $0.preset = .unembedding; $0.epochs = 2
    }
    #expect(preset.steps == (200_000 + 8191) / 8192)
  }

  @Test func theResidualStreamPreset() throws {
    let budget = try resolve(rows: 2_000_000) { $0.preset = .residualStreamBudget }
    #expect(budget.sublatentBudget?.active == 8 && budget.shape.activeExperts == 24)
    #expect(budget.activation.subThreshold == 0 && budget.activation.subSlope == 0)
    // A flat dictionary has no sublatents to give a budget to, and as many codes.
    let flatBudget = try resolve(rows: 2_000_000) {
      $0.preset = .residualStreamBudget; $0.sublatents = 0
    }
    #expect(flatBudget.sublatentBudget == nil && flatBudget.shape.activeExperts == 32)
    let flatGiven = try resolve(rows: 2_000_000) {
      $0.preset = .residualStreamBudget; $0.sublatents = 0; $0.k = 20
    }
    #expect(flatGiven.shape.activeExperts == 20)
    let preset = try resolve(rows: 2_000_000) { $0.preset = .residualStream }
    #expect(preset.shape.experts == 4096 && preset.shape.activeExperts == 32)
    #expect(preset.activation.threshold == 0 && preset.activation.subThreshold == 0)
    #expect(preset.bias == .geometricMedian)
    #expect(preset.learningRate.peak == 2e-3)
    #expect(preset.objective.l1 == 1e-4)
    #expect(preset.batch == 2048)
    // Given options win over the preset, and a flat dictionary has no penalty.
    let flat = try resolve(rows: 2_000_000) {
      $0.preset = .residualStream; $0.sublatents = 0; $0.bias = BiasOption.none
    }
    #expect(flat.shape.isFlat && flat.objective.l1 == 0 && flat.bias == .none)
  }

  @Test func theUnembeddingPreset() throws {
    let preset = try resolve(rows: 200_000) { $0.preset = .unembedding }
    #expect(
      preset.shape
        == DictionaryShape(
          width: 640, experts: 2048, sublatents: 32, subspace: 5, activeExperts: 5))
    #expect(preset.batch == 8192)
    #expect(preset.steps == 5000)
    #expect(preset.learningRate.peak == 8192e-6)
    #expect(preset.learningRate.start == 8192e-15)
    #expect(preset.learningRate.warmup == 250)
    #expect(preset.regularizerWarmup.factor(at: 0) == 1)
    #expect(preset.clip == 1)
    #expect(preset.objective.ortho == 2.5e-2)
    #expect(preset.objective.l1 == 2.5e-3)
    // Given options win over the preset.
    let other = try resolve {
      $0.preset = .unembedding; $0.experts = 100; $0.clip = 0
    }
    #expect(other.shape.experts == 100)
    #expect(other.clip == 0)
  }

  @Test(arguments: [Preset?.none, .paper, .unembedding])
  func aFlatDictionaryIsTheBaseline(_ preset: Preset?) throws {
    let flat = try resolve {
      $0.sublatents = 0; $0.preset = preset
    }
    #expect(flat.shape.isFlat && flat.shape.subspace == 0)
    #expect(flat.objective.beta == 0)
    #expect(flat.objective.ortho == 0)
    #expect(flat.objective.l1 == 0)
    #expect(flat.objective.auxk == Float(1.0 / 30))
    #expect(flat.objective.auxkActive == 320)
    #expect(flat.activation.threshold == 0)
    #expect(try resolve { $0.subspace = 0 }.shape.isFlat)
    #expect(
      try resolve {
        $0.sublatents = 0; $0.threshold = 0.5
      }.activation.threshold == 0.5)
  }

  @Test func smallSizesGetDefaultsThatFit() throws {
    #expect(try resolve(width: 2).shape.subspace == 2)
    #expect(
      try resolve {
        $0.sublatents = 0; $0.experts = 40
      }.objective.auxkActive == 40)
    #expect(try resolve { $0.learningRate = 1e-12 }.learningRate.start == 1e-12)
    #expect(try resolve(width: 1) { $0.sublatents = 0 }.objective.auxkActive == 1)
  }

  @Test func weightsFromAFileSetTheSizes() throws {
    let initial = DictionaryShape(
      width: 64, experts: 100, sublatents: 3, subspace: 2, activeExperts: 0)
    func resolve(
      bias: Bool = false, width: Int = 64, _ change: (inout TrainingOptions) -> Void
    ) throws(Failure) -> TrainingConfiguration {
      var options = TrainingOptions()
      options.k = 4
      options.initialWeights = "/w.safetensors"
      change(&options)
      return try TrainingConfiguration(
        options, data: DataDescription(path: "/d", fingerprint: "f", rows: 10, width: width),
        initialShape: initial, initialVectors: bias ? .inputBias : [])
    }
    let plain = try resolve { _ in }
    #expect(plain.shape.experts == 100 && plain.shape.activeExperts == 4 && plain.bias == .none)
    #expect(try resolve { $0.experts = 100 }.shape == plain.shape)
    #expect(try resolve(bias: true) { _ in }.bias == .geometricMedian)
    let refusals: [(String, Failure?)] = [
      ("--experts", failure { _ = try resolve { $0.experts = 99 } }),
      ("--sublatents", failure { _ = try resolve { $0.sublatents = 0 } }),
      ("--subspace", failure { _ = try resolve { $0.subspace = 3 } }),
      ("--init", failure { _ = try resolve(width: 65) { _ in } }),
      ("--k", failure { _ = try resolve { $0.k = 101 } }),
      ("--bias", failure { _ = try resolve { $0.bias = .geometricMedian } }),
      ("--bias", failure { _ = try resolve(bias: true) { $0.bias = BiasOption.none } }),
    ]
    for (option, refusal) in refusals { expectSentence(refusal, option) }
  }

  /// Changes that are refused, each with the option that the message must name.
  static let refusals: [(option: String, change: @Sendable (inout TrainingOptions) -> Void)] = [
    ("--experts", { $0.experts = 0 }), ("--experts", { $0.experts = -5 }),
    ("--k", { $0.k = 0 }), ("--k", { $0.k = 16_385 }), ("--k", { $0.experts = 31 }),
    ("--sublatents", { $0.sublatents = -1 }), ("--subspace", { $0.subspace = -1 }),
    ("--subspace", { $0.subspace = 641 }),
    (
      "--sublatents",
      {
        $0.sublatents = 3; $0.subspace = 0
      }
    ),
    (
      "--sublatents",
      {
        $0.sublatents = 0; $0.subspace = 3
      }
    ),
    ("too large", { $0.experts = .max }), ("too large", { $0.sublatents = .max }),
    ("too large", { $0.experts = Int(Int32.max) }),
    ("--batch", { $0.batch = 0 }), ("--batch", { $0.batch = -1 }), ("--batch", { $0.batch = .max }),
    (
      "--batch",
      {
        $0.batch = 1 << 22; $0.k = 1000
      }
    ),
    (
      "--auxk-k",
      {
        $0.batch = 1 << 20; $0.auxk = 1; $0.auxkK = 4096
      }
    ),
    ("--steps", { $0.steps = 0 }), ("--steps", { $0.steps = -1 }), ("--steps", { $0.steps = .max }),
    (
      "--steps",
      {
        $0.steps = 5; $0.epochs = 1
      }
    ),
    ("--epochs", { $0.epochs = 0 }), ("--epochs", { $0.epochs = -1 }),
    ("--epochs", { $0.epochs = .nan }), ("--epochs", { $0.epochs = .infinity }),
    ("--epochs", { $0.epochs = 1e300 }),
    ("--warmup", { $0.warmup = -1 }), ("--regularizer-warmup", { $0.regularizerWarmup = -1 }),
    ("--learning-rate", { $0.learningRate = 0 }), ("--learning-rate", { $0.learningRate = -1 }),
    ("--learning-rate", { $0.learningRate = .nan }),
    ("--learning-rate", { $0.learningRate = 1e300 }),
    ("--learning-rate-start", { $0.learningRateStart = -1 }),
    ("--learning-rate-floor", { $0.learningRateFloor = .infinity }),
    ("--clip", { $0.clip = -0.5 }), ("--clip", { $0.clip = .nan }),
    ("--beta", { $0.beta = -1 }), ("--ortho", { $0.ortho = .nan }), ("--l1", { $0.l1 = -1 }),
    ("--threshold", { $0.threshold = -0.1 }), ("--threshold-sub", { $0.thresholdSub = .nan }),
    ("--slope-top", { $0.slopeTop = 1.5 }), ("--slope-sub", { $0.slopeSub = -1 }),
    ("--slope-sub", { $0.slopeSub = 2 }),
    ("--auxk", { $0.auxk = -1 }), ("--auxk-k", { $0.auxkK = 0 }),
    ("--dead-window", { $0.deadWindow = 0 }),
    ("--checkpoint-every", { $0.checkpointEvery = -1 }),
    ("--record-every", { $0.recordEvery = 0 }), ("--keep", { $0.keep = 0 }),
    ("--k 2.5", { $0.k = 2.5 }), ("--k", { $0.k = .nan }), ("--k", { $0.k = 1e300 }),
    ("--k", { ($0.activation, $0.k) = (.batchtopk, 16_384.5) }),
    ("--k", { ($0.activation, $0.k, $0.batch) = (.batchtopk, 0.001, 100) }),
    ("--batchtopk-rate", { ($0.activation, $0.batchTopKRate) = (.batchtopk, 1.5) }),
    ("--batchtopk-rate needs --activation batchtopk", { $0.batchTopKRate = 0.5 }),
    ("--l0-target needs --activation jumprelu", { $0.l0Target = 9 }),
    (
      "--l0-target needs --activation jumprelu", { ($0.activation, $0.l0Target) = (.batchtopk, 9) }
    ),
    ("--l0-target", { ($0.activation, $0.l0Target) = (.jumprelu, 17_000) }),
    ("--k", { ($0.activation, $0.k) = (.jumprelu, 9) }),
    ("--l1", { ($0.activation, $0.l1) = (.jumprelu, 9) }),
    ("--k-sub 33", { $0.kSub = 33 }), ("--k-sub", { $0.kSub = 0 }),
    ("--k-sub 3 needs sublatents", { ($0.kSub, $0.sublatents) = (3, 0) }),
    ("--k-sub", { ($0.kSub, $0.thresholdSub) = (3, 0.1) }),
    ("--k-sub", { ($0.kSub, $0.slopeSub) = (3, 0.1) }),
    (
      "--k-sub (set by --preset residual-stream-budget)",
      { ($0.preset, $0.thresholdSub) = (.residualStreamBudget, 0.1) }
    ),
    ("--threshold", { ($0.activation, $0.threshold) = (.jumprelu, 0.1) }),
    ("--most-active", { ($0.activation, $0.mostActive) = (.jumprelu, 0) }),
    ("--matryoshka 5,5", { $0.matryoshka = [5, 5] }),
    ("--matryoshka 0", { $0.matryoshka = [0, 5] }),
    ("--matryoshka 5,20000", { $0.matryoshka = [5, 20_000] }),
    ("--matryoshka-weights", { $0.matryoshkaWeights = [1, 2] }),
    (
      "--matryoshka-weights",
      { ($0.matryoshka, $0.matryoshkaWeights) = ([5, 16_384], [1, 2, 3]) }
    ),
    (
      "--matryoshka-weights", { ($0.matryoshka, $0.matryoshkaWeights) = ([5, 16_384], [1, 0]) }
    ),
    ("--auxk-scope", { $0.auxkScope = .prefixes }),
    ("--decoder-cosine", { $0.decoderCosine = 1.1 }),
    ("--decoder-cosine", { ($0.decoderCosine, $0.freeze) = (0.8, .decoder) }),
  ]

  @Test func otherSelectionsAndPrefixes() throws {
    let batch = try resolve {
      ($0.activation, $0.k, $0.matryoshka) = (.batchtopk, 31.5, [512, 2_048])
    }
    #expect(batch.selection == .batchTopK(BatchTopK(active: 31.5)))
    #expect(batch.shape.activeExperts == 32 && batch.objective.prefixes == [512, 2_048, 16_384])
    #expect(batch.vectors == [] && batch.recipe.objective.reconstructions.count == 4)
    let jump = try resolve {
      ($0.activation, $0.l0Target, $0.preset, $0.experts) = (
        .jumprelu, 32, .residualStream, 2_048
      )
    }
    #expect(jump.vectors == [.inputBias, .encoderBias, .thresholds])
    #expect(jump.objective.l1 == 0 && jump.activation.threshold == 0)
    #expect(jump.shape.activeExperts == 192 && jump.jumpReLU?.target == 32)
    #expect(abs((jump.jumpReLU?.bandwidth ?? 0) - 0.05 / 640.0.squareRoot()) < 1e-12)
    let plain = try resolve { ($0.encoderBias, $0.freeze) = (.zero, .decoder) }
    #expect(plain.selection == .topK && plain.vectors == .encoderBias)
    #expect(plain.recipe.frozen == .decoder)
    for configuration in [batch, jump, plain] {
      let bytes = Array(try JSONFile.encode(configuration).utf8)
      let read = try JSONFile.decode(TrainingConfiguration.self, from: bytes, source: "text")
      #expect(read == configuration && read.complaint == nil)
    }
    // Settings of the paper's recipe have none of the new keys.
    let text = try JSONFile.encode(try resolve())
    for key in ["batchTopK", "jumpReLU", "prefixes", "freeze", "encoderBias", "auxkScale"] {
      #expect(!text.contains(key), "\(key)")
    }
  }

  @Test func listsAreWrittenWithCommasOrSlashes() {
    #expect(NumberList<Int>(option: "512,1024/2048") == [512, 1024, 2048])
    #expect(NumberList<Double>(option: "0.5")?.optionText == "0.5")
    for text in ["", "1,", "1,,2", "1 2", "a"] { #expect(NumberList<Int>(option: text) == nil) }
  }

  @Test(arguments: refusals.indices)
  func invalidOptionsAreRefused(_ index: Int) {
    let (option, change) = Self.refusals[index]
    expectSentence(failure { _ = try resolve(change) }, option)
  }

  /// Whether `failure` is one sentence about the option.
  private func expectSentence(
    _ failure: Failure?, _ option: String, at location: SourceLocation = #_sourceLocation
  ) {
    #expect(failure?.kind == .usage, sourceLocation: location)
    let message = failure?.message ?? ""
    #expect(message.contains(option), "\(message)", sourceLocation: location)
    #expect(
      message.hasSuffix(".") && !message.contains("\n"), "\(message)", sourceLocation: location)
  }
}

@Suite struct OptionTableTests {
  @Test func everyPropertyHasARow() {
    #expect(Mirror(reflecting: TrainingOptions()).children.count == TrainingOptions.table.count)
    #expect(Set(TrainingOptions.table.map(\.name)).count == TrainingOptions.table.count)
    #expect(TrainingOptions.table.allSatisfy { $0.help.hasSuffix(".") })
  }

  @Test func theCommandLineSetsEveryOption() throws {
    var options = TrainingOptions()
    for row in TrainingOptions.table {
      var one = TrainingOptions()
      let text =
        switch row.notation {
        case .count, .size: "2k"
        case .plain, .file: row.type.choices.last ?? "3"
        }
      try row.set(&one, text)
      #expect(one != TrainingOptions(), "\(row.name)")
      #expect(one.complaint == nil, "\(row.name)")
      options = one.filled(from: options)
    }
    #expect(options.experts == 2_048 && options.batch == 2_000 && options.k == 3)
    #expect(options.seed == 3 && options.tensor == "3" && options.schedule == .constant)
    let refusal = failure {
      try TrainingOptions.table.first { $0.name == "steps" }?.set(&options, "many")
    }
    #expect(refusal?.message.hasPrefix("--steps: \"many\"") == true)
  }

  @Test func optionsRoundTripAsJSON() throws {
    var options = Preset.unembedding.options.filled(from: .paperDefaults)
    (options.seed, options.tensor, options.preset) = (.max, "rows", .paper8k)
    let bytes = Array(try JSONFile.encode(options).utf8)
    #expect(try JSONFile.decode(TrainingOptions.self, from: bytes, source: "text") == options)
  }

  @Test func presetsAndDefaultsAreWithinBounds() {
    for preset in Preset.allCases { #expect(preset.options.complaint == nil) }
    #expect(TrainingOptions.paperDefaults.complaint == nil)
    #expect(TrainingOptions.flatDefaults.complaint == nil)
  }
}
