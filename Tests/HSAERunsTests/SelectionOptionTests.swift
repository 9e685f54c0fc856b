// BatchTopK, JumpReLU, Matryoshka prefixes and controls as options: defaults that follow the rows, options beside
// those of another selection, vectors of a file, and settings that were damaged. `ConfigurationTests` has the refusals.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct SelectionOptionTests {
  typealias Change = @Sendable (inout TrainingOptions) -> Void

  /// SAELens's 0.05, 0.01 and 1 belong to rows of norm √d.
  @Test func jumpReLUsDefaultsFollowTheRows() throws {
    let root = 1 / 640.0.squareRoot()
    let unit = try resolve { ($0.activation, $0.l0Target) = (.jumprelu, 32) }
    let settings = try #require(unit.jumpReLU)
    #expect(abs(settings.bandwidth - 0.05 * root) < 1e-15)
    #expect(abs(settings.thresholdStart - 0.01 * root) < 1e-15)
    #expect(abs(settings.sparsity - root * root) < 1e-15)
    #expect(settings.target == 32 && settings.deadPenalty == 0)
    for normalize in [Normalisation.original, .none] {
      let long = try resolve { ($0.activation, $0.normalize) = (.jumprelu, normalize) }
      #expect(long.jumpReLU == JumpReLU())
    }
    var options = TrainingOptions()
    (options.activation, options.normalize) = (.jumprelu, Normalisation.none)
    let stored = try TrainingConfiguration(
      options, data: DataDescription(path: "/d", fingerprint: "f", rows: 10, width: 640),
      isStore: true)
    #expect(stored.jumpReLU?.bandwidth == settings.bandwidth)
  }

  @Test func theWholeDictionaryAloneIsNoPrefix() throws {
    let change: Change = { ($0.experts, $0.matryoshka) = (2_048, [2_048]) }
    let run = try resolve(change)
    #expect(run.objective.prefixes == nil)
    var options = TrainingOptions()
    change(&options)
    #expect(try options.differences(from: run).isEmpty)
    let weighted = try resolve {
      ($0.experts, $0.matryoshka, $0.matryoshkaWeights) = (2_048, [512, 2_048], [0.5, 2])
    }
    #expect(
      weighted.recipe.objective.reconstructions.map(\.weight) == [2, Double(Float(0.1)), 0.5])
    #expect(weighted.recipe.objective.reconstructions.map(\.experts) == [nil, nil, 512])
  }

  /// A run beside another, or a command line over a file, may choose another selection or control.
  @Test func optionsOfAnotherSelectionAreLeftOut() throws {
    func given(_ own: Change, _ other: Change) -> TrainingOptions {
      var (first, second) = (TrainingOptions(), TrainingOptions())
      own(&first)
      other(&second)
      return first.given(over: second)
    }
    let jump = given(
      { ($0.activation, $0.l0Target) = (.jumprelu, 16) },
      { ($0.k, $0.seed, $0.l1, $0.threshold) = (32, 3, 1e-4, 0.1) })
    #expect(jump.k == nil && jump.l0Target == 16 && jump.seed == 3)
    #expect(jump.l1 == nil && jump.threshold == nil)
    #expect(throws: Never.self) { try resolve { $0 = jump } }
    let plain = given(
      { $0.activation = .topk }, { ($0.activation, $0.l0Target, $0.clip) = (.jumprelu, 16, 1) })
    #expect(plain.l0Target == nil && plain.clip == 1)
    let rate = given(
      { $0.activation = .topk },
      { ($0.activation, $0.k, $0.batchTopKRate) = (.batchtopk, 32, 0.1) })
    #expect(rate.batchTopKRate == nil && rate.k == 32)
    let same = given(
      { $0.activation = .jumprelu }, { ($0.activation, $0.l0Target) = (.jumprelu, 16) })
    #expect(same.l0Target == 16)
    #expect(given({ $0.freeze = .decoder }, { $0.decoderCosine = 0.8 }).decoderCosine == nil)
    let plainRows = given(
      { $0.whiten = WhitenOption.none },
      { ($0.whiten, $0.whitenLoss, $0.whitenRidge) = (.activations, .original, 0.1) })
    #expect(plainRows.whitenLoss == nil && plainRows.whitenRidge == nil)
    #expect(
      given({ $0.whitenLoss = .original }, { $0.whiten = .activations }).whiten == .activations)
    #expect(given({ $0.decoderCosine = 0.8 }, { $0.freeze = .decoder }).freeze == nil)
    let prefixes = given(
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
    #expect(try resolve([]) { $0.activation = .jumprelu }.vectors == [.encoderBias, .thresholds])
    let all: TrainedVectors = [.inputBias, .encoderBias, .thresholds]
    #expect(try resolve(all) { $0.activation = .jumprelu }.vectors == all)
    let biasless = failure {
      _ = try resolve(.encoderBias) { $0.encoderBias = EncoderBiasOption.none }
    }
    #expect(biasless?.kind == .usage && biasless?.message.hasPrefix("--encoder-bias none") == true)
    let plain = failure { _ = try resolve(.thresholds) { _ in } }
    #expect(plain?.kind == .usage && plain?.message.contains("--activation jumprelu") == true)
  }

  /// JumpReLU has no k: the paper's 32 does not count in a smaller dictionary, and messages name its own option.
  @Test func jumpReLUHasNoK() throws {
    let small = try resolve { ($0.activation, $0.experts) = (.jumprelu, 20) }
    #expect(small.shape.activeExperts == 20 && small.complaint == nil)
    #expect(
      try resolve { ($0.activation, $0.mostActive) = (.jumprelu, 77) }.shape.activeExperts == 77)
    let large = failure {
      _ = try resolve { ($0.activation, $0.mostActive, $0.batch) = (.jumprelu, 1_000, 1 << 22) }
    }
    #expect(large?.message.contains("--most-active 1000 is too large") == true)
    for k in [-1e300, -.infinity, .nan, 1e300] {
      #expect(failure { _ = try resolve { $0.k = k } }?.message.hasPrefix("--k ") == true)
    }
  }

  @Test func aRoomThatIsTooSmallIsRefused() {
    let refusal = failure {
      _ = try resolve { ($0.activation, $0.mostActive, $0.l0Target) = (.jumprelu, 9, 10) }
    }
    #expect(refusal?.kind == .usage)
    #expect(refusal?.message == "--most-active 9 is below --l0-target 10.")
  }

  /// Settings that were edited or damaged are refused.
  @Test func damagedSettingsAreRefused() throws {
    let batch = try resolve { $0.activation = .batchtopk }
    let jump = try resolve { $0.activation = .jumprelu }
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
