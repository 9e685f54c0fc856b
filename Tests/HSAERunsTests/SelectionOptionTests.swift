// BatchTopK, JumpReLU, Matryoshka prefixes and controls as options: what they resolve to, what is refused, and what a
// run's files keep.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct SelectionOptionTests {
  typealias Change = @Sendable (inout TrainingOptions) -> Void

  @Test func batchTopKTakesAFraction() throws {
    let run = try resolve { ($0.activation, $0.k) = (.batchTopK, 12.5) }
    #expect(run.selection == .batchTopK(BatchTopK(active: 12.5)))
    #expect(run.shape.activeExperts == 13 && run.selectionKind == .batchTopK)
    #expect(run.vectors == [] && run.thresholdStart == 0 && run.complaint == nil)
    let other = try resolve {
      ($0.activation, $0.thresholdRate, $0.thresholdStart) = (.batchTopK, 0.5, 0.25)
      ($0.sublatents, $0.encoderBias) = (0, .zero)
    }
    #expect(
      other.selection
        == .batchTopK(BatchTopK(active: 32, thresholdRate: 0.5, thresholdStart: 0.25)))
    #expect(other.vectors == .encoderBias && other.recipe.vectors == .encoderBias)
    #expect(other.objective.auxk == Float(1.0 / 30) && other.thresholdStart == 0.25)
  }

  /// SAELens's 0.05, 0.01 and 1 belong to rows of norm √d.
  @Test func jumpReLUsDefaultsFollowTheRows() throws {
    let root = 1 / 640.0.squareRoot()
    let unit = try resolve { ($0.activation, $0.l0Target) = (.jumpReLU, 32) }
    let settings = try #require(unit.jumpReLU)
    #expect(abs(settings.bandwidth - 0.05 * root) < 1e-15)
    #expect(abs(settings.thresholdStart - 0.01 * root) < 1e-15)
    #expect(abs(settings.sparsity - root * root) < 1e-15)
    #expect(settings.target == 32 && settings.deadPenalty == 0)
    #expect(unit.vectors == [.encoderBias, .thresholds] && unit.shape.activeExperts == 256)
    #expect(unit.activation.threshold == 0 && unit.activation.subThreshold > 0)
    #expect(unit.objective.l1 == 0 && unit.objective.auxk == 0)
    let long = try resolve { ($0.activation, $0.normalize) = (.jumpReLU, .original) }
    #expect(long.jumpReLU == JumpReLU() && long.shape.activeExperts == 256)
    #expect(
      try resolve { ($0.activation, $0.normalize) = (.jumpReLU, Normalisation.none) }.jumpReLU
        == JumpReLU())
    var options = TrainingOptions()
    (options.activation, options.normalize, options.l0Target) = (.jumpReLU, Normalisation.none, 100)
    let stored = try TrainingConfiguration(
      options, data: DataDescription(path: "/d", fingerprint: "f", rows: 10, width: 640),
      isStore: true)
    #expect(stored.jumpReLU?.bandwidth == settings.bandwidth && stored.shape.activeExperts == 800)
    // A preset's k is no k that was given.
    let preset = try resolve { ($0.preset, $0.activation) = (.unembedding, .jumpReLU) }
    #expect(preset.shape.activeExperts == 256 && preset.objective.l1 == 0)
    #expect(
      try resolve { ($0.activation, $0.mostActive) = (.jumpReLU, 77) }.shape.activeExperts == 77)
    #expect(try resolve { ($0.activation, $0.experts) = (.jumpReLU, 50) }.shape.activeExperts == 50)
    #expect(
      try resolve { ($0.activation, $0.encoderBias) = (.jumpReLU, EncoderBiasOption.none) }.vectors
        == .thresholds)
  }

  @Test func prefixesEndWithTheWholeDictionary() throws {
    let run = try resolve { ($0.experts, $0.matryoshka) = (2_048, [512, 1_024]) }
    #expect(run.objective.prefixes == [512, 1_024, 2_048] && run.objective.prefixWeights == nil)
    #expect(run.recipe.objective.reconstructions.map(\.experts) == [nil, nil, 512, 1_024])
    let weighted = try resolve {
      ($0.experts, $0.matryoshka, $0.matryoshkaWeights) = (2_048, [512, 2_048], [0.5, 2])
      ($0.auxkScope, $0.auxkScale) = (.prefixes, .deadShare)
    }
    #expect(
      weighted.recipe.objective.reconstructions.map(\.weight) == [2, Double(Float(0.1)), 0.5])
    #expect(weighted.objective.auxkByPrefix == true && weighted.objective.auxkScale == .deadShare)
    // The whole dictionary alone is no prefix.
    #expect(
      try resolve { ($0.experts, $0.matryoshka) = (2_048, [2_048]) }.objective.prefixes == nil)
    let options = try { () throws(Failure) in
      var options = TrainingOptions()
      for (name, text) in [("matryoshka", "1k,16384"), ("matryoshka-weights", "1,0.5")] {
        try TrainingOptions.table.first { $0.name == name }?.set(&options, text)
      }
      return options
    }()
    #expect(options.matryoshka == [1_024, 16_384] && options.matryoshkaWeights == [1, 0.5])
    for text in ["", "1,", "a", "1;2", "1,-2"] {
      var options = TrainingOptions()
      let refusal = failure {
        try TrainingOptions.table.first { $0.name == "matryoshka" }?.set(&options, text)
      }
      #expect(refusal?.message.hasPrefix("--matryoshka: ") == true, "\(text)")
    }
  }

  @Test func controlsAreInTheRecipe() throws {
    #expect(try resolve { $0.freeze = .encoder }.recipe.frozen == .encoder)
    let soft = try resolve { $0.decoderCosine = 0.8 }
    #expect(soft.recipe.decoderCosine == 0.8 && soft.recipe.frozen == nil)
  }

  /// Changes that are refused, and a part of the sentence, which names the option.
  static let refusals: [(part: String, change: Change)] = [
    ("--k 2.5 must be a whole number", { $0.k = 2.5 }),
    (
      "--k does not go with --activation jumprelu; give --l0-target",
      { ($0.activation, $0.k) = (.jumpReLU, 32) }
    ),
    ("--k", { ($0.activation, $0.k) = (.batchTopK, 16_384.5) }),
    ("--k", { ($0.activation, $0.k) = (.batchTopK, .nan) }),
    ("--k", { ($0.activation, $0.k) = (.batchTopK, .infinity) }),
    ("--k", { ($0.activation, $0.k) = (.batchTopK, 1e20) }),
    ("--k 0.001 with --batch 512", { ($0.activation, $0.k, $0.batch) = (.batchTopK, 0.001, 512) }),
    ("--threshold-rate goes only with --activation batchtopk", { $0.thresholdRate = 0.1 }),
    ("--threshold-rate", { ($0.activation, $0.thresholdRate) = (.jumpReLU, 0.1) }),
    (
      "--threshold-rate must be at most 1",
      { ($0.activation, $0.thresholdRate) = (.batchTopK, 1.5) }
    ),
    ("--threshold-start", { ($0.activation, $0.thresholdStart) = (.batchTopK, -1) }),
    ("--bandwidth goes only with --activation jumprelu", { $0.bandwidth = 0.1 }),
    ("--bandwidth", { ($0.activation, $0.bandwidth) = (.jumpReLU, 0) }),
    ("--jump-threshold", { ($0.activation, $0.jumpThreshold) = (.batchTopK, 0.1) }),
    ("--l0-weight", { $0.l0Weight = 1 }), ("--l0-target", { $0.l0Target = 32 }),
    ("--l0-target", { ($0.activation, $0.l0Target) = (.jumpReLU, 0) }),
    ("--l0-target", { ($0.activation, $0.l0Target) = (.jumpReLU, -3) }),
    (
      "--l0-target 100 is more than there are latents (--experts 64)",
      { ($0.activation, $0.l0Target, $0.experts) = (.jumpReLU, 100, 64) }
    ),
    ("--dead-penalty", { $0.deadPenalty = 1 }), ("--most-active", { $0.mostActive = 9 }),
    ("--most-active", { ($0.activation, $0.mostActive) = (.jumpReLU, 0) }),
    ("--most-active 20000", { ($0.activation, $0.mostActive) = (.jumpReLU, 20_000) }),
    (
      "--most-active 9 is below --l0-target 10",
      { ($0.activation, $0.mostActive, $0.l0Target) = (.jumpReLU, 9, 10) }
    ),
    (
      "--most-active 1000 is too large",
      { ($0.activation, $0.mostActive, $0.batch) = (.jumpReLU, 1_000, 1 << 22) }
    ),
    (
      "--threshold must be 0 with --activation jumprelu",
      { ($0.activation, $0.threshold) = (.jumpReLU, 0.1) }
    ),
    (
      "--slope-top must be 0 with --activation jumprelu",
      { ($0.activation, $0.slopeTop) = (.jumpReLU, 0.1) }
    ),
    (
      "--slope-top must be 0 with --activation batchtopk",
      { ($0.activation, $0.slopeTop) = (.batchTopK, 0.1) }
    ),
    ("--slope-top must be 0 with --encoder-bias", { ($0.encoderBias, $0.slopeTop) = (.zero, 0.1) }),
    ("--matryoshka 512,512", { $0.matryoshka = [512, 512] }),
    ("--matryoshka 512,256", { $0.matryoshka = [512, 256] }),
    ("--matryoshka 0,512", { $0.matryoshka = [0, 512] }),
    ("--matryoshka", { $0.matryoshka = [] }),
    (
      "--matryoshka 512,20000: the largest prefix is the whole dictionary",
      { $0.matryoshka = [512, 20_000] }
    ),
    (
      "--matryoshka-weights 1,2 must be 3 numbers",
      { ($0.matryoshka, $0.matryoshkaWeights) = ([512, 1_024], [1, 2]) }
    ),
    ("--matryoshka-weights needs --matryoshka", { $0.matryoshkaWeights = [1] }),
    (
      "--matryoshka-weights", { ($0.matryoshka, $0.matryoshkaWeights) = ([512, 16_384], [1, -2]) }
    ),
    ("--auxk-scope prefixes needs --matryoshka", { $0.auxkScope = .prefixes }),
    ("--decoder-cosine", { $0.decoderCosine = 0 }),
    ("--decoder-cosine", { $0.decoderCosine = 1.5 }),
    ("--decoder-cosine", { $0.decoderCosine = .nan }),
    ("--freeze decoder", { ($0.decoderCosine, $0.freeze) = (0.8, .decoder) }),
    ("--init", { ($0.decoderCosine, $0.initialWeights) = (0.8, "/w.safetensors") }),
  ]

  @Test(arguments: refusals.indices)
  func badSettingsAreRefusedByName(_ index: Int) {
    let (part, change) = Self.refusals[index]
    let refusal = failure { _ = try resolve(change) }
    let message = refusal?.message ?? ""
    #expect(refusal?.kind == .usage && message.contains(part), "\(part): \(message)")
    #expect(message.hasSuffix(".") && !message.contains("\n"), "\(message)")
  }

  /// A run beside another, or a command line over a file, may choose another selection or control.
  @Test func optionsOfAnotherSelectionAreLeftOut() throws {
    func filled(_ own: Change, _ other: Change) -> TrainingOptions {
      var (first, second) = (TrainingOptions(), TrainingOptions())
      own(&first)
      other(&second)
      return first.filled(from: second)
    }
    let jump = filled(
      { ($0.activation, $0.l0Target) = (.jumpReLU, 16) }, { ($0.k, $0.seed) = (32, 3) })
    #expect(jump.k == nil && jump.l0Target == 16 && jump.seed == 3)
    let plain = filled(
      { $0.activation = .topK }, { ($0.activation, $0.l0Target, $0.clip) = (.jumpReLU, 16, 1) })
    #expect(plain.l0Target == nil && plain.clip == 1)
    let batch = filled({ $0.activation = .batchTopK }, { $0.k = 32 })
    #expect(batch.k == 32)
    let same = filled(
      { $0.activation = .jumpReLU }, { ($0.activation, $0.l0Target) = (.jumpReLU, 16) })
    #expect(same.l0Target == 16)
    #expect(filled({ $0.freeze = .decoder }, { $0.decoderCosine = 0.8 }).decoderCosine == nil)
    #expect(filled({ $0.decoderCosine = 0.8 }, { $0.freeze = .decoder }).freeze == nil)
    let prefixes = filled(
      { $0.matryoshka = [2_048] },
      { ($0.matryoshka, $0.matryoshkaWeights) = ([512, 2_048], [1, 2]) })
    #expect(prefixes.matryoshka == [2_048] && prefixes.matryoshkaWeights == nil)
  }

  @Test func weightsFromAFileBringTheirVectors() throws {
    func resolve(
      _ vectors: TrainedVectors, _ change: Change
    ) throws(Failure) -> TrainingConfiguration {
      var options = TrainingOptions()
      options.initialWeights = "/w.safetensors"
      change(&options)
      return try TrainingConfiguration(
        options, data: DataDescription(path: "/d", fingerprint: "f", rows: 10, width: 64),
        initialShape: DictionaryShape(
          width: 64, experts: 100, sublatents: 0, subspace: 0, activeExperts: 0),
        initialVectors: vectors)
    }
    #expect(try resolve(.encoderBias) { _ in }.vectors == .encoderBias)
    #expect(try resolve([]) { $0.encoderBias = .zero }.vectors == .encoderBias)
    #expect(try resolve([]) { $0.activation = .jumpReLU }.vectors == [.encoderBias, .thresholds])
    let all: TrainedVectors = [.inputBias, .encoderBias, .thresholds]
    #expect(try resolve(all) { $0.activation = .jumpReLU }.vectors == all)
    for (part, refusal) in [
      (
        "--encoder-bias none",
        failure { _ = try resolve(.encoderBias) { $0.encoderBias = EncoderBiasOption.none } }
      ),
      ("give --activation jumprelu", failure { _ = try resolve(.thresholds) { _ in } }),
    ] {
      #expect(refusal?.kind == .usage && refusal?.message.contains(part) == true, "\(part)")
    }
  }

  static let recipes: [Change] = [
    { ($0.activation, $0.k, $0.encoderBias) = (.batchTopK, 12.5, .zero) },
    { ($0.activation, $0.l0Target, $0.deadPenalty) = (.jumpReLU, 12.5, 0.1) },
    { ($0.matryoshka, $0.matryoshkaWeights, $0.auxkScope) = ([64, 512], [1, 0.3, 2], .prefixes) },
    { ($0.auxkScale, $0.freeze) = (.deadShare, .encoder) }, { $0.decoderCosine = 0.8 },
  ]

  @Test(arguments: recipes.indices)
  func aConfigurationRoundTrips(_ index: Int) throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "config.json")
      let run = try resolve(Self.recipes[index])
      try JSONFile.write(run, to: path)
      let read = try JSONFile.read(TrainingConfiguration.self, from: path)
      #expect(read == run && read.complaint == nil && read.recipe == run.recipe)
      // Options written out resolve to the same run.
      let data = DataDescription(path: "/data.npy", fingerprint: "f", rows: 1_000_000, width: 640)
      var options = run.options
      options.precision = nil
      #expect(try TrainingConfiguration(options, data: data) == run)
    }
  }

  /// config.json of a run of an earlier version has none of the new members, and neither has that of such a run now.
  @Test func earlierRunsAreReadAsBefore() throws {
    let run = try resolve { $0.sublatents = 0 }
    let tree = try JSONValue(parsing: Array(JSONFile.encode(run).utf8), source: "text")
    for name in ["batchTopK", "jumpReLU", "encoderBias", "frozen", "decoderCosine"] {
      #expect(tree[name] == nil, "\(name)")
    }
    for name in ["prefixes", "prefixWeights", "auxkScale", "auxkByPrefix"] {
      #expect(tree["objective"]?[name] == nil, "\(name)")
    }
    #expect(run.selection == .topK && run.vectors == [] && run.recipe.frozen == nil)
  }

  /// Settings that were edited or damaged are refused, and no number of theirs is used before.
  @Test func damagedSettingsAreRefused() throws {
    let batch = try resolve { $0.activation = .batchTopK }
    let jump = try resolve { $0.activation = .jumpReLU }
    var bad: [TrainingConfiguration] = []
    for value in [1e300, -1, 0, 12] {
      var changed = batch
      changed.batchTopK?.active = value
      bad.append(changed)
    }
    var changed = jump
    changed.batchTopK = batch.batchTopK
    bad.append(changed)
    changed = jump
    changed.jumpReLU?.bandwidth = 0
    bad.append(changed)
    changed = jump
    changed.jumpReLU?.target = 1e9
    bad.append(changed)
    changed = batch
    changed.objective.prefixes = [5, 4, 16_384]
    bad.append(changed)
    changed.objective.prefixes = [5, 16_384]
    changed.objective.prefixWeights = [1]
    bad.append(changed)
    for (index, settings) in bad.enumerated() { #expect(settings.complaint != nil, "\(index)") }
  }
}
