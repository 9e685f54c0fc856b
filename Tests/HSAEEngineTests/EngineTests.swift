// Compares the fast step with its slow twin (`HSAEModels/Reference`) on the same batches and weights: every
// gradient, every part of the loss, and the weights after several steps. The number of threads changes no bit.

import Foundation
import HSAEActivations
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAEModels
@testable import HSAERuns

/// A dictionary, an objective and a batch to compare on.
struct EngineCase: Sendable, CustomTestStringConvertible {
  var name: String
  var shape: DictionaryShape
  var activation = ActivationFunction(threshold: 0.05, subThreshold: 0.05)
  var objective = Objective(beta: 0.1, ortho: 0.1, l1: 1e-2)
  var selection = Selection.topK
  var vectors: TrainedVectors = []
  var frozen: FrozenPart?
  var decoderCosine: Double?
  var batch = 96
  var seed: UInt64 = 1

  var testDescription: String { name }

  func recipe(_ precision: Precision = .float32) -> Recipe {
    Recipe(
      shape: shape, selection: selection, activation: activation, objective: objective,
      vectors: vectors, frozen: frozen, decoderCosine: decoderCosine, precision: precision,
      seed: seed)
  }

  var settings: ReferenceSettings { ReferenceSettings(recipe()) }

  /// Random unit rows with a part in common, so that some latents are chosen often.
  func rows(_ stream: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed).split(1000 + stream)
    var rows = [Float](repeating: 0, count: batch * shape.width)
    for row in 0..<batch {
      var norm: Float = 0
      for column in 0..<shape.width {
        let x = Float(generator.nextSymmetric()) + (column % 7 == row % 3 ? 0.6 : 0)
        rows[row * shape.width + column] = x
        norm += x * x
      }
      for column in 0..<shape.width { rows[row * shape.width + column] /= norm.squareRoot() }
    }
    return rows
  }

  func parameters() -> Parameters {
    var parameters = Parameters.initial(shape: shape, seed: seed, vectors: vectors)
    for latent in 0..<shape.experts {
      let wave = Float(latent % 7) / 7
      if vectors.contains(.encoderBias) { parameters.encoderBias[0, latent] = 0.1 * (wave - 0.5) }
      if vectors.contains(.thresholds) { parameters.thresholds[0, latent] = 0.25 + 0.1 * wave }
    }
    if vectors.contains(.inputBias) {
      var generator = SeededGenerator(seed: seed).split(99)
      for column in 0..<shape.width {
        parameters.bias[0, column] = Float(generator.nextSymmetric()) * 0.05
      }
    }
    return parameters
  }

  func engine(threads: Int, precision: Precision = .float32) -> TrainingEngine {
    TrainingEngine(
      recipe(precision), parameters: parameters(), batch: batch, threads: threads)
  }

  static let all: [EngineCase] = [
    EngineCase(
      name: "hierarchical",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 5)),
    EngineCase(
      name: "hierarchical, odd sizes",
      shape: DictionaryShape(
        width: 67, experts: 129, sublatents: 17, subspace: 5, activeExperts: 9),
      batch: 77),
    EngineCase(
      name: "hierarchical, several panels of columns",
      shape: DictionaryShape(width: 133, experts: 10, sublatents: 4, subspace: 6, activeExperts: 5),
      batch: 200),
    EngineCase(
      name: "flat, several panels of columns",
      shape: DictionaryShape(width: 133, experts: 10, sublatents: 0, subspace: 0, activeExperts: 5),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0), batch: 200),
    EngineCase(
      name: "hierarchical, several tiles",
      shape: DictionaryShape(width: 24, experts: 600, sublatents: 4, subspace: 4, activeExperts: 3),
      batch: 300),
    EngineCase(
      name: "hierarchical, scope topk, slopes",
      shape: DictionaryShape(width: 33, experts: 50, sublatents: 5, subspace: 2, activeExperts: 8),
      activation: ActivationFunction(
        threshold: 0.2, subThreshold: 0.1, slope: 0.3, subSlope: 0.05),
      objective: Objective(beta: 0.3, ortho: 0, l1: 2e-2, l1Scope: .topK)),
    EngineCase(
      name: "hierarchical with a bias",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 5),
      vectors: .inputBias),
    EngineCase(
      name: "flat",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 0, subspace: 0, activeExperts: 5),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0)),
    EngineCase(
      name: "flat with a bias and AuxK",
      shape: DictionaryShape(width: 40, experts: 700, sublatents: 0, subspace: 0, activeExperts: 4),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0, auxk: 0.1, auxkActive: 20),
      vectors: .inputBias),
    EngineCase(
      name: "hierarchical with AuxK",
      shape: DictionaryShape(width: 40, experts: 300, sublatents: 6, subspace: 3, activeExperts: 4),
      objective: Objective(beta: 0.1, ortho: 0.1, l1: 1e-2, auxk: 0.05, auxkActive: 12)),
    EngineCase(
      name: "one expert",
      shape: DictionaryShape(width: 5, experts: 1, sublatents: 2, subspace: 2, activeExperts: 1),
      batch: 3),
    EngineCase(
      name: "flat, topk with both biases",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 0, subspace: 0, activeExperts: 5),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 1e-2), vectors: [.inputBias, .encoderBias]),
    EngineCase(
      name: "flat, batchtopk of several tiles, AuxK by share",
      shape: DictionaryShape(width: 24, experts: 600, sublatents: 0, subspace: 0, activeExperts: 3),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: .with(auxk: 0.1, auxkActive: 30) { $0.auxkScale = .deadShare },
      selection: .batchTopK(BatchTopK(active: 2.6)), vectors: [.inputBias, .encoderBias],
      batch: 700),
    EngineCase(
      name: "hierarchical, batchtopk, penalty on all latents",
      shape: DictionaryShape(width: 40, experts: 300, sublatents: 6, subspace: 3, activeExperts: 5),
      selection: .batchTopK(BatchTopK(active: 4.5, thresholdRate: 0.3, thresholdStart: 0.2)),
      vectors: .inputBias),
    EngineCase(
      name: "batchtopk with more places than codes",
      shape: DictionaryShape(width: 9, experts: 12, sublatents: 2, subspace: 2, activeExperts: 12),
      objective: Objective(beta: 0.1, ortho: 0, l1: 0),
      selection: .batchTopK(BatchTopK(active: 12)), batch: 70),
    EngineCase(
      name: "flat, matryoshka, batchtopk, AuxK",
      shape: DictionaryShape(width: 40, experts: 300, sublatents: 0, subspace: 0, activeExperts: 4),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: .with(auxk: 0.05, auxkActive: 12) {
        ($0.prefixes, $0.prefixWeights) = ([10, 77, 300], [0.5, 2, 1.5])
      },
      selection: .batchTopK(BatchTopK(active: 4)), vectors: [.inputBias, .encoderBias]),
    EngineCase(
      name: "flat, matryoshka, AuxK by prefix and share",
      shape: DictionaryShape(width: 40, experts: 600, sublatents: 0, subspace: 0, activeExperts: 4),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: .with(auxk: 0.5, auxkActive: 60) {
        ($0.prefixes, $0.prefixWeights) = ([10, 300, 600], [0.5, 2, 1.5])
        ($0.auxkByPrefix, $0.auxkScale) = (true, .deadShare)
      },
      selection: .batchTopK(BatchTopK(active: 4)), vectors: [.inputBias, .encoderBias]),
    EngineCase(
      name: "hierarchical, matryoshka, AuxK by prefix",
      shape: DictionaryShape(width: 40, experts: 300, sublatents: 6, subspace: 3, activeExperts: 4),
      objective: .with(beta: 0.2, auxk: 0.05, auxkActive: 12) {
        ($0.prefixes, $0.auxkByPrefix) = ([77, 300], true)
      }),
    EngineCase(
      name: "hierarchical, matryoshka",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 5),
      objective: .with(beta: 0.2, ortho: 0.1, l1: 1e-2) { $0.prefixes = [5, 6, 33, 70] },
      vectors: .inputBias),
    EngineCase(
      name: "flat, jumprelu, quadratic",
      shape: DictionaryShape(
        width: 40, experts: 300, sublatents: 0, subspace: 0, activeExperts: 60),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0),
      selection: .jumpReLU(JumpReLU(bandwidth: 0.15, sparsity: 0.02, target: 9)),
      vectors: [.inputBias, .encoderBias, .thresholds]),
    EngineCase(
      name: "hierarchical, jumprelu, step",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 30),
      activation: ActivationFunction(threshold: 0, subThreshold: 0.05),
      objective: Objective(beta: 0.1, ortho: 0.1, l1: 0),
      selection: .jumpReLU(JumpReLU(bandwidth: 0.1, sparsity: 0.01)),
      vectors: [.encoderBias, .thresholds]),
    EngineCase(
      name: "hierarchical, frozen decoder",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 5),
      vectors: .inputBias, frozen: .decoder),
    EngineCase(
      name: "hierarchical, frozen encoder",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 6, subspace: 3, activeExperts: 5),
      frozen: .encoder),
    EngineCase(
      name: "flat, bounded decoder",
      shape: DictionaryShape(width: 40, experts: 70, sublatents: 0, subspace: 0, activeExperts: 5),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0), decoderCosine: 0.99999),
    EngineCase(
      name: "flat, jumprelu, penalty on dead latents",
      shape: DictionaryShape(
        width: 40, experts: 300, sublatents: 0, subspace: 0, activeExperts: 60),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0),
      selection: .jumpReLU(
        JumpReLU(bandwidth: 0.15, sparsity: 0.02, target: 9, deadPenalty: 0.03)),
      vectors: [.inputBias, .encoderBias, .thresholds]),
  ]

  /// The case called `name`.
  static func named(_ name: String) -> EngineCase { all.first { $0.name == name } ?? all[0] }
}

extension Objective {
  /// An objective whose further coefficients `change` sets.
  static func with(
    beta: Float = 0, ortho: Float = 0, l1: Float = 0, auxk: Float = 0, auxkActive: Int = 0,
    _ change: (inout Objective) -> Void
  ) -> Objective {
    var result = Objective(beta: beta, ortho: ortho, l1: l1, auxk: auxk, auxkActive: auxkActive)
    change(&result)
    return result
  }
}

extension TrainingEngine {
  func fill(_ rows: [Float]) {
    for index in rows.indices { unsafe batchRows.base[index] = rows[index] }
  }
}

@Suite struct EngineTests {
  @Test(arguments: EngineCase.all)
  func gradientsAndLossesAgreeWithTheTwin(_ example: EngineCase) {
    let engine = example.engine(threads: 2)
    var twin = ReferenceTrainer(parameters: ReferenceParameters(example.parameters()))
    // AuxK needs dead latents. With a window of one batch there are some from the second step on.
    let window = example.batch
    var least: Double?
    for step in 1...3 {
      let rows = example.rows(UInt64(step))
      var settings = example.settings
      if example.objective.auxk > 0 || settings.jumpDead > 0 {
        settings.dead = (0..<example.shape.experts).map {
          engine.state.usage.isDead($0, window: window)
        }
      }
      let wide = rows.map(Double.init)
      let pass = twin.parameters.forward(wide, settings)
      var gradient = twin.parameters.gradients(wide, settings, pass)
      twin.parameters.projectDecoderGradients(&gradient)
      let reference = twin.step(wide, settings, learningRate: 1e-3, clip: 0.5)

      engine.fill(rows)
      let report = engine.step(
        StepSettings(number: step, learningRate: 1e-3, clip: 0.5, deadWindow: window))
      #expect(abs(report.loss - reference.loss.total) < 1e-4 * reference.loss.total)
      #expect(
        abs(report.reconstruction - reference.loss.reconstruction)
          < 1e-4 * reference.loss.reconstruction)
      #expect(abs(report.topReconstruction - reference.loss.topLevel) < 1e-3)
      #expect(
        abs(report.l1 - reference.loss.sparsity) <= 1e-3 * max(1, reference.loss.sparsity)
          || example.objective.l1 == 0)
      #expect(abs(report.auxk - reference.loss.auxiliary) < 1e-3)
      #expect(
        abs(report.jumpPenalty - reference.loss.jump) <= 1e-4 * max(1, reference.loss.jump))
      let active = reference.pass.codes.joined().count
      #expect(report.l0 == Double(active) / Double(example.batch))
      if case .batchTopK(let batchTopK) = example.selection {
        least = batchTopK.threshold(
          after: least ?? batchTopK.thresholdStart,
          least: reference.pass.codes.joined().map(\.value).min())
        #expect(abs(report.threshold - (least ?? .nan)) < 1e-6)
      }
      if step > 1, example.objective.auxk > 0 { #expect(report.auxkLatents > 0) }
      if example.objective.ortho > 0, example.shape.experts > 1 {
        #expect(
          abs(report.ortho - reference.loss.orthogonality) < 1e-4 * reference.loss.orthogonality)
      }
      #expect(abs(report.gradientNorm - reference.gradientNorm) < 1e-3 * reference.gradientNorm)
      let mine = ReferenceParameters(engine.gradients)
      for name in twin.parameters.names {
        let error = relativeError(mine[name], gradient[name])
        #expect(error < 2e-4, "gradient of \(name.rawValue) at step \(step): \(error)")
      }
      let weights = ReferenceParameters(engine.state.parameters)
      for name in twin.parameters.names {
        let error = relativeError(weights[name], twin.parameters[name])
        #expect(error < 1e-4, "\(name.rawValue) after step \(step): \(error)")
      }
    }
  }

  @Test(arguments: Precision.supported, [0, 1, 2, 4, 6, 10, 11, 13, 14, 15, 16])
  func bitsDoNotDependOnThreads(_ precision: Precision, _ index: Int) {
    let example = EngineCase.all[index]
    let one = example.engine(threads: 1, precision: precision)
    let three = example.engine(threads: 3, precision: precision)
    for step in 1...4 {
      for engine in [one, three] {
        engine.fill(example.rows(UInt64(step)))
        _ = engine.step(
          StepSettings(number: step, learningRate: 1e-3, deadWindow: example.batch))
      }
    }
    let (a, b) = (
      ReferenceParameters(one.state.parameters), ReferenceParameters(three.state.parameters)
    )
    for name in a.names { #expect(a[name] == b[name], "\(name.rawValue)") }
  }

  @Test(
    .enabled(if: Precision.best == .bfloat16, "this processor has no products of bfloat16"),
    arguments: [
      "hierarchical, several tiles", "flat, batchtopk of several tiles, AuxK by share",
      "flat, jumprelu, quadratic",
    ])
  func bfloat16ChoosesTheSameLatents(_ name: String) {
    var example = EngineCase.named(name)
    example.shape.width = 256
    let exact = example.engine(threads: 2)
    let fast = example.engine(threads: 2, precision: .bfloat16)
    let settings = StepSettings(number: 1, learningRate: 1e-3)
    for engine in [exact, fast] { engine.fill(example.rows(5)) }
    let a = exact.step(settings)
    let b = fast.step(settings)
    #expect(abs(a.loss - b.loss) < 1e-3 * a.loss)
    #expect(shareOfEqualChoices(exact, fast) >= 0.9999)
  }

  /// On real rows, with weights trained on them: HSAE_STORE names a store, HSAE_RUN a run on it.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["HSAE_RUN"] != nil))
  func bfloat16ChoosesTheSameLatentsOfRealRows() throws {
    let environment = ProcessInfo.processInfo.environment
    let source = try openRows(path: #require(environment["HSAE_STORE"]))
    let run = try RunDirectory(path: #require(environment["HSAE_RUN"]))
    let newest = try run.newestWholeCheckpoint(warn: { _ in })
    let (folder, state) = try #require(newest)
    let batch = 8192
    let engines = try [Precision.float32, .bfloat16].map { precision in
      var configuration = try run.trainingConfiguration()
      configuration.batch = batch
      configuration.precision = precision
      let share = RankShare(shape: configuration.shape, batch: batch)
      let engine = TrainingEngine(
        try Checkpoint.read(folder, state: state, configuration: configuration, share: share),
        recipe: configuration.recipe, share: share, threads: processorCount)
      var rows = Matrix(rows: batch, columns: source.width)
      let order = Permutation(count: source.rowCount, seed: 3)
      try source.gather((0..<batch).map(order.index(at:)), into: &rows)
      rows.scaleRowsToUnit()
      engine.fill((0..<rows.count).map { rows.span[$0] })
      _ = engine.step(StepSettings(number: state.step + 1, learningRate: 1e-4))
      return engine
    }
    let share = shareOfEqualChoices(engines[0], engines[1])
    print("bf16 chose \(share * 100) % of the latents that fp32 chose")
    #expect(share >= 0.9999)
  }

  private func shareOfEqualChoices(_ exact: TrainingEngine, _ fast: TrainingEngine) -> Double {
    var (equal, total) = (0, 0)
    for row in 0..<exact.batch {
      let chosen = [exact, fast].map { engine in
        Set(
          engine.encoder.slots(of: row)
            .filter { unsafe engine.jump == nil || engine.encoder.values.base[$0] > 0 }
            .map { unsafe engine.encoder.experts.base[$0] })
      }
      equal += chosen[0].intersection(chosen[1]).count
      total += chosen[0].count
    }
    return Double(equal) / Double(total)
  }

  @Test func aBatchThatIsNotFiniteChangesNothing() {
    let example = EngineCase.all[0]
    let engine = example.engine(threads: 2)
    var rows = example.rows(1)
    rows[3] = .nan
    engine.fill(rows)
    let before = ReferenceParameters(engine.state.parameters)
    let report = engine.step(StepSettings(number: 1, learningRate: 1e-3))
    #expect(!report.loss.isFinite)
    #expect(ReferenceParameters(engine.state.parameters) == before)
  }
}
