// Options for a run that has begun: those it was begun with are no difference, and each other one is named with both
// values.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct ResumedOptionsTests {
  typealias Change = (inout TrainingOptions) -> Void

  private func differences(
    _ given: Change, begun: Change = { _ in }, width: Int = 640
  ) throws -> [String] {
    var options = TrainingOptions()
    given(&options)
    return try options.differences(from: resolve(width: width, begun)).map(\.text)
  }

  /// The same options resolve to the same settings, whatever they are.
  @Test func theSameOptionsAreNoDifference() throws {
    let changes: [Change] = [
      { _ in }, { $0.sublatents = 0 }, { ($0.sublatents, $0.subspace) = (8, 2) },
      { $0.steps = 77 }, { $0.epochs = 2.5 }, { ($0.epochs, $0.batch) = (3, 1_000) },
      { ($0.seed, $0.orderSeed) = (4, 4) }, { ($0.seed, $0.orderSeed) = (4, 5) },
      { ($0.order, $0.orderSeed) = (.file, 5) }, { $0.precision = .auto },
      { ($0.precision, $0.moments) = (.float32, .bfloat16) },
      { ($0.learningRate, $0.learningRateStart, $0.warmup) = (1e-12, nil, 0) },
      { ($0.beta, $0.ortho, $0.l1, $0.l1Scope) = (0.3, 0.07, 1e-5, .topK) },
      { ($0.threshold, $0.thresholdSub, $0.slopeTop, $0.slopeSub) = (0.1, 0.2, 0.3, 0.7) },
      { ($0.auxk, $0.auxkK, $0.deadWindow) = (1.0 / 30, 50_000, 12_345) },
      { ($0.auxkK, $0.bias) = (12, .geometricMedian) },
      { ($0.checkpointEvery, $0.recordEvery, $0.keep, $0.threads) = (0, 3, 5, 7) },
      { ($0.activation, $0.k, $0.encoderBias) = (.batchtopk, 1.5, .zero) },
      { ($0.activation, $0.l0Target, $0.mostActive) = (.jumprelu, 3, 7) },
      { ($0.matryoshka, $0.matryoshkaWeights) = ([5, 9], [1, 2, 3]) },
      { ($0.auxkScale, $0.decoderCosine) = (.deadShare, 0.8) }, { $0.freeze = .encoder },
    ]
    for preset in [nil] + Preset.allCases {
      for width in [3, 640] {
        for (index, change) in changes.enumerated() {
          for isFlat in [false, true] {
            let begun: Change = {
              if isFlat { $0.sublatents = 0 }
              $0.preset = preset
              change(&$0)
              // A budget of sublatents is refused beside these.
              if preset == .residualStreamBudget { ($0.thresholdSub, $0.slopeSub) = (nil, nil) }
            }
            #expect(
              try differences(begun, begun: begun, width: width) == [],
              "\(preset?.rawValue ?? "") \(width) \(index) \(isFlat)")
            // And the settings written out.
            #expect(
              try resolve(width: width, begun).options.differences(
                from: resolve(width: width, begun)) == [])
          }
        }
      }
    }
  }

  /// 4 epochs of a million rows in batches of 1,024: 3,907 steps; the threshold is 1/√640 in single precision.
  @Test func everyOptionIsNamedWithBothValues() throws {
    let expected: [(change: Change, text: String)] = [
      ({ $0.experts = 4_096 }, "--experts 16384, not 4096"),
      ({ $0.sublatents = 0 }, "--sublatents 16, not 0"),
      ({ $0.subspace = 5 }, "--subspace 4, not 5"), ({ $0.k = 16 }, "--k 32, not 16"),
      ({ $0.steps = 600 }, "--steps 3907, not 600"),
      ({ $0.epochs = 3 }, "--steps 3907, not 2930 (--epochs 3)"),
      ({ $0.epochs = 1e29 }, "--steps 3907, not 9223372036854775807 (--epochs 1e+29)"),
      ({ $0.batch = 512 }, "--batch 1024, not 512"), ({ $0.seed = 1 }, "--seed 0, not 1"),
      ({ $0.orderSeed = 9 }, "--order-seed 0, not 9"),
      ({ $0.moments = .bfloat16 }, "--moments float32, not bfloat16"),
      ({ $0.order = .file }, "--order shuffled, not file"),
      ({ $0.normalize = .original }, "--normalize unit, not original"),
      ({ $0.whiten = .activations }, "--whiten none, not activations"),
      ({ $0.whitenLoss = .original }, "no --whiten-loss, not original"),
      ({ $0.whitenRidge = 0.1 }, "no --whiten-ridge, not 0.1"),
      ({ $0.initialWeights = "/w.safetensors" }, "no --init, not /w.safetensors"),
      ({ $0.learningRate = 1e-3 }, "--learning-rate 0.0005, not 0.001"),
      ({ $0.learningRateStart = 0 }, "--learning-rate-start 1e-11, not 0"),
      ({ $0.learningRateFloor = 0.2 }, "--learning-rate-floor 0.1, not 0.2"),
      ({ $0.warmup = 7 }, "--warmup 195, not 7"),
      ({ $0.schedule = .constant }, "--schedule cosine, not constant"),
      ({ $0.clip = 1 }, "--clip 0.75, not 1"), ({ $0.beta = 0.2 }, "--beta 0.1, not 0.2"),
      ({ $0.ortho = 0 }, "--ortho 0.1, not 0"), ({ $0.l1 = 1e-4 }, "--l1 0.001, not 0.0001"),
      ({ $0.l1Scope = .topK }, "--l1-scope all, not topk"),
      ({ $0.regularizerWarmup = 0 }, "--regularizer-warmup 195, not 0"),
      ({ $0.threshold = 0 }, "--threshold 0.03952847, not 0"),
      ({ $0.thresholdSub = 0.04 }, "--threshold-sub 0.03952847, not 0.04"),
      ({ $0.slopeTop = 0.5 }, "--slope-top 0, not 0.5"),
      ({ $0.slopeSub = 0.02 }, "--slope-sub 0.01, not 0.02"),
      ({ $0.bias = .geometricMedian }, "--bias none, not geometric-median"),
      ({ $0.auxk = 0.5 }, "--auxk 0, not 0.5"),
      ({ $0.deadWindow = 8 }, "--dead-window 200038, not 8"),
      ({ $0.checkpointEvery = 10 }, "--checkpoint-every 1000, not 10"),
      ({ $0.recordEvery = 1 }, "--record-every 39, not 1"), ({ $0.keep = 9 }, "--keep 2, not 9"),
      ({ $0.kSub = 5 }, "no --k-sub, not 5"),
      ({ $0.activation = .batchtopk }, "--activation topk, not batchtopk"),
      ({ $0.batchTopKRate = 0.5 }, "no --batchtopk-rate, not 0.5"),
      ({ $0.batchTopKStart = 0.5 }, "no --batchtopk-start, not 0.5"),
      ({ $0.l0Target = 5 }, "no --l0-target, not 5"),
      ({ $0.l0Weight = 0.5 }, "no --l0-weight, not 0.5"),
      ({ $0.jumpBandwidth = 0.5 }, "no --jumprelu-bandwidth, not 0.5"),
      ({ $0.jumpStart = 0.5 }, "no --jumprelu-start, not 0.5"),
      ({ $0.deadPenalty = 0.5 }, "no --dead-penalty, not 0.5"),
      ({ $0.mostActive = 5 }, "no --most-active, not 5"),
      ({ $0.matryoshka = [5] }, "no --matryoshka, not 5,16384"),
      ({ $0.matryoshkaWeights = [0.5, 1] }, "no --matryoshka-weights, not 0.5,1"),
      ({ $0.encoderBias = .zero }, "--encoder-bias none, not zero"),
      ({ $0.freeze = .decoder }, "no --freeze, not decoder"),
      ({ $0.decoderCosine = 0.5 }, "no --decoder-cosine, not 0.5"),
      ({ $0.auxkScope = .prefixes }, "--auxk-scope all, not prefixes"),
      ({ $0.auxkScale = .deadShare }, "--auxk-scale variance, not dead-share"),
    ]
    for (change, text) in expected { #expect(try differences(change) == [text]) }
    // Every option is tried, but for those that name no setting, have no effect here or depend on the machine.
    let tried = Set(
      expected.flatMap { change, _ in
        var options = TrainingOptions()
        change(&options)
        return TrainingOptions.table.filter { $0.isSet(options) }.map(\.name)
      })
    #expect(
      TrainingOptions.table.map(\.name).filter { !tried.contains($0) } == [
        "preset", "precision", "auxk-k", "threads", "tensor",
      ])
    #expect(
      try differences({ $0.precision = .float32 }, begun: { $0.precision = .bfloat16 })
        == ["--precision bfloat16, not float32"])
    let budget: Change = { ($0.preset, $0.kSub) = (.residualStream, 5) }
    #expect(try differences(budget, begun: budget).isEmpty)
    #expect(
      try differences({ ($0.preset, $0.kSub) = (.residualStream, 6) }, begun: budget)
        == ["--k-sub 5, not 6"])
    let preset: Change = { $0.preset = .residualStreamBudget }
    #expect(try differences(preset, begun: preset).isEmpty)
    #expect(
      try differences(preset, begun: { $0.preset = .residualStream }).map {
        $0.prefix { $0 != "," }
      } == ["--subspace 4", "--k 32", "no --k-sub", "--beta 0.1", "--ortho 0.1", "--l1 0.0001"])
    let auxiliary: Change = { $0.auxk = 0.1 }
    #expect(
      try differences({ $0.auxkK = 12 }, begun: auxiliary) == ["--auxk-k 320, not 12"])
    #expect(
      try differences({ ($0.k, $0.seed) = (8, 1) }) == ["--k 32, not 8", "--seed 0, not 1"])
  }

  @Test func aPresetStandsForItsOptions() throws {
    let unembedding: Change = { $0.preset = .unembedding }
    let named = "(--preset unembedding)"
    #expect(
      try differences({ $0.preset = .gemma270M }) == [
        "--batch 1024, not 8192 (--preset gemma-3-270m)"
      ])
    #expect(
      try differences({ ($0.preset, $0.k) = (.unembedding, 6) }, begun: unembedding) == [
        "--k 5, not 6"
      ])
    #expect(
      try differences(unembedding, begun: { ($0.preset, $0.steps) = (.unembedding, 600) }) == [
        "--steps 600, not 5000 \(named)"
      ])
    #expect(
      try differences(unembedding, begun: { ($0.preset, $0.sublatents) = (.unembedding, 0) }) == [
        "--sublatents 0, not 32 \(named)", "--subspace 0, not 5 \(named)",
      ])
    // What neither the preset nor the user sets may be anything.
    #expect(
      try differences(
        unembedding, begun: { ($0.preset, $0.seed, $0.beta) = (.unembedding, 3, 0.7) }) == [])
    #expect(try differences({ _ in }, begun: { ($0.k, $0.beta) = (3, 0.7) }) == [])
  }

  @Test func valuesThatNoRunCanHaveAreRefused() throws {
    for change: Change in [{ $0.epochs = -1e300 }, { $0.epochs = .nan }, { $0.steps = 0 }] {
      #expect(failure { _ = try differences(change) }?.kind == .usage)
    }
  }
}
