// The conformance suite: what every backend behind `StepBackend` must do. A new backend is tested as soon as it
// is a case of `Backend`. Each is compared with the reference twin in double precision, over 1 step and over 50,
// and continues from checkpoints that another backend wrote.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

/// A recipe that backends must support.
struct BackendCase: Sendable, CustomTestStringConvertible {
  var name: String
  /// The option that devices refuse; nil if they train this.
  var refused: String?
  var change: @Sendable (inout TrainingOptions) -> Void

  var testDescription: String { name }

  func isTrained(by backend: Backend) -> Bool { backend != .pjrt || refused == nil }

  static let all = [
    BackendCase(name: "hierarchical") { _ in },
    BackendCase(name: "hierarchical, bias, scope topk") {
      ($0.bias, $0.l1Scope, $0.slopeTop) = (.geometricMedian, .topK, 0.1)
    },
    BackendCase(name: "flat with AuxK") {
      ($0.sublatents, $0.subspace, $0.auxk, $0.auxkK) = (0, 0, 0.03, 6)
      ($0.deadWindow, $0.experts, $0.bias) = (77, 120, .geometricMedian)
    },
    BackendCase(name: "batchtopk", refused: "--activation batchtopk") {
      ($0.activation, $0.k, $0.encoderBias) = (.batchtopk, 2.5, .zero)
      ($0.batchTopKStart, $0.bias) = (0.1, .geometricMedian)
    },
    BackendCase(
      name: "flat matryoshka, batchtopk, AuxK by share", refused: "--activation batchtopk"
    ) {
      ($0.activation, $0.k, $0.sublatents, $0.subspace) = (.batchtopk, 3, 0, 0)
      ($0.matryoshka, $0.matryoshkaWeights) = ([5, 20], [2, 1, 0.5])
      ($0.auxk, $0.auxkK, $0.auxkScale, $0.deadWindow) = (0.03, 6, .deadShare, 77)
      ($0.encoderBias, $0.auxkScope) = (.zero, .prefixes)
    },
    BackendCase(name: "budget of sublatents", refused: "--k-sub") {
      ($0.kSub, $0.thresholdSub, $0.slopeSub) = (0.8, nil, nil)
    },
    BackendCase(
      name: "budget of sublatents, batchtopk, matryoshka, AuxK", refused: "--activation batchtopk"
    ) {
      ($0.kSub, $0.thresholdSub, $0.slopeSub) = (0.8, nil, nil)
      ($0.activation, $0.k, $0.encoderBias, $0.matryoshka) = (.batchtopk, 2.5, .zero, [7, 21])
      ($0.auxk, $0.auxkK, $0.deadWindow) = (0.03, 6, 77)
    },
    BackendCase(name: "matryoshka", refused: "--matryoshka") { $0.matryoshka = [7, 21] },
    BackendCase(name: "jumprelu", refused: "--activation jumprelu") {
      ($0.activation, $0.k, $0.l1) = (.jumprelu, nil, nil)
      ($0.l0Target, $0.l0Weight, $0.jumpStart, $0.jumpBandwidth) = (3, 1e-3, 0.1, 0.1)
    },
    BackendCase(name: "flat jumprelu", refused: "--activation jumprelu") {
      ($0.activation, $0.k, $0.l1, $0.sublatents, $0.subspace) = (.jumprelu, nil, nil, 0, 0)
      ($0.l0Weight, $0.jumpStart, $0.jumpBandwidth) = (1e-3, 0.1, 0.1)
    },
    BackendCase(name: "jumprelu, penalty on dead latents", refused: "--activation jumprelu") {
      ($0.activation, $0.k, $0.l1, $0.bias) = (.jumprelu, nil, nil, .geometricMedian)
      ($0.l0Target, $0.l0Weight, $0.jumpStart, $0.jumpBandwidth) = (3, 1e-3, 0.2, 0.1)
      ($0.deadPenalty, $0.deadWindow) = (1e-3, 77)
    },
    BackendCase(name: "flat jumprelu, AuxK, matryoshka", refused: "--activation jumprelu") {
      ($0.activation, $0.k, $0.l1, $0.sublatents, $0.subspace) = (.jumprelu, nil, nil, 0, 0)
      ($0.l0Weight, $0.jumpStart, $0.jumpBandwidth) = (1e-3, 0.1, 0.1)
      ($0.auxk, $0.auxkK, $0.deadWindow, $0.matryoshka) = (0.03, 6, 77, [9])
    },
    BackendCase(name: "batchtopk, matryoshka with weights, AuxK", refused: "--activation batchtopk")
    {
      ($0.activation, $0.k, $0.encoderBias) = (.batchtopk, 2.5, .zero)
      ($0.matryoshka, $0.matryoshkaWeights) = ([7, 21], [0.5, 1, 2])
      ($0.auxk, $0.auxkK, $0.deadWindow) = (0.03, 6, 77)
    },
    BackendCase(name: "frozen decoder") { $0.freeze = .decoder },
    BackendCase(name: "frozen encoder") { $0.freeze = .encoder },
    BackendCase(name: "bounded decoder", refused: "--decoder-cosine") { $0.decoderCosine = 0.999 },
    BackendCase(name: "whitened") { $0.whiten = .activations },
    BackendCase(name: "whitened, errors of the original rows, bias", refused: "--whiten-loss") {
      ($0.whiten, $0.whitenLoss, $0.bias) = (.activations, .original, .geometricMedian)
    },
    BackendCase(
      name: "whitened, errors of the original rows, β 0, matryoshka, AuxK", refused: "--matryoshka"
    ) {
      ($0.whiten, $0.whitenLoss, $0.beta, $0.matryoshka) = (.activations, .original, 0, [7, 21])
      ($0.auxk, $0.auxkK, $0.deadWindow) = (0.03, 6, 77)
    },
    BackendCase(
      name: "whitened, errors of the original rows, a prefix without weight",
      refused: "--matryoshka"
    ) {
      ($0.whiten, $0.whitenLoss) = (.activations, .original)
      ($0.matryoshka, $0.matryoshkaWeights) = ([7, 21], [0, 1, 0.5])
    },
    BackendCase(name: "flat, whitened, errors of the original rows, AuxK", refused: "--whiten-loss")
    {
      ($0.whiten, $0.whitenLoss, $0.sublatents, $0.subspace) = (.activations, .original, 0, 0)
      ($0.auxk, $0.auxkK, $0.deadWindow, $0.experts) = (0.03, 6, 77, 120)
    },
  ]
}

extension TrainingFixture {
  /// Trains the run `name` with `backend` up to `steps`, from its newest checkpoint or from the start.
  @discardableResult
  fileprivate func train(
    _ name: String, _ options: TrainingOptions, by backend: Backend, steps: Int? = nil
  ) throws -> Trainer {
    let resources = TrainingResources(threads: 2, tested: backend)
    let trainer =
      Path.exists(path(name))
      ? try Trainer(resuming: path(name), source: try source(), with: resources)
      : try Trainer.begin(
        at: path(name), configuration: try configuration(options), source: try source(),
        with: resources)
    if let steps {
      let reader = BatchReader(
        source: try source(),
        sequence: RowSequence(count: 300, order: .shuffled, seed: trainer.configuration.rowSeed),
        batch: trainer.configuration.batch, normalisation: .unit, whitening: trainer.whitening,
        firstBatch: trainer.step,
        bufferSize: trainer.backend.batchRows.count)
      try trainer.openLog()
      while trainer.step < steps {
        try reader.next(trainer.step, into: &trainer.backend.batchRows)
        try trainer.advance(waited: 0)
      }
      try trainer.checkpointIfDue(isLast: true)
      reader.finish()
    } else {
      #expect(try trainer.run { _, _ in } == .finished)
    }
    return trainer
  }

  fileprivate func options(_ example: BackendCase, steps: Int) -> TrainingOptions {
    var options = options
    (options.steps, options.batch, options.precision) = (steps, 33, .float32)
    (options.recordEvery, options.checkpointEvery) = (1, 0)
    example.change(&options)
    return options
  }
}

@Suite struct BackendTests {
  private static let pairs = Backend.tested.flatMap { backend in
    BackendCase.all.filter { $0.isTrained(by: backend) }.map { (backend, $0) }
  }

  @Test(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin)))
  func devicesAreTested() { #expect(Backend.tested.contains(.pjrt)) }

  @Test(arguments: pairs, [1, 50])
  func stepsAreThoseOfTheReference(_ pair: (Backend, BackendCase), _ steps: Int) throws {
    try withTemporaryFolder { folder in
      let (backend, example) = pair
      let fixture = try TrainingFixture(in: folder)
      let options = fixture.options(example, steps: steps)
      let own = try fixture.train("own", options, by: backend)
      let twin = try fixture.train("twin", options, by: .reference)
      try requireNear("own", "twin", fixture, backend == .pjrt ? (steps == 1 ? 2e-6 : 1e-5) : 2e-3)
      let (a, b) = (own.backend.withState { $0.usage }, twin.backend.withState { $0.usage })
      #expect(a.rows == b.rows && own.step == steps)
      if steps == 1 { #expect(a.latentLastActive == b.latentLastActive) }
      let last = own.lastRecord
      #expect(abs(last.l0 - twin.lastRecord.l0) < 0.05 * last.l0)
      #expect(last.explainedVariance != nil && last.gradientNorm > 0)
    }
  }

  @Test(arguments: pairs)
  func anInterruptedRunGoesOnWithTheSameBits(_ pair: (Backend, BackendCase)) throws {
    try withTemporaryFolder { folder in
      let (backend, example) = pair
      let fixture = try TrainingFixture(in: folder)
      let options = fixture.options(example, steps: 12)
      try fixture.train("whole", options, by: backend)
      try fixture.train("parts", options, by: backend, steps: 5)
      try fixture.train("parts", options, by: backend)
      let (whole, parts) = (try fixture.result("whole"), try fixture.result("parts"))
      #expect(whole.files.last == parts.files.last && whole.records == parts.records)
    }
  }

  @Test(arguments: pairs)
  func anotherBackendGoesOnFromItsCheckpoint(_ pair: (Backend, BackendCase)) throws {
    try withTemporaryFolder { folder in
      let (backend, example) = pair
      let fixture = try TrainingFixture(in: folder)
      let options = fixture.options(example, steps: 12)
      try fixture.train("twin", options, by: .reference)
      for other in Backend.tested where other != backend && example.isTrained(by: other) {
        let name = "\(backend) then \(other)"
        try fixture.train(name, options, by: backend, steps: 6)
        try fixture.train(name, options, by: other)
        try requireNear(name, "twin", fixture, 1e-3)
      }
    }
  }

  @Test(arguments: Backend.tested)
  func aBatchThatIsNotFiniteChangesNothing(_ backend: Backend) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      let trainer = try Trainer.begin(
        at: "", configuration: try fixture.configuration(), source: try fixture.source(),
        with: TrainingResources(threads: 1, tested: backend))
      let before = trainer.backend.withState { ReferenceParameters($0.parameters) }
      trainer.backend.batchRows.withMutableSpan(0..<40) { $0[3] = .nan }
      #expect(try !trainer.backend.step(StepSettings(number: 1, learningRate: 1e-3)).loss.isFinite)
      try trainer.backend.updateState()
      #expect(trainer.backend.withState { ReferenceParameters($0.parameters) } == before)
      #expect(trainer.backend.withState { $0.step } == 0)
    }
  }

  @Test(arguments: [Backend.cpu, .reference])
  func theRunningThresholdFollowsTheBatches(_ backend: Backend) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.activation, options.k, options.batchTopKRate) = (.batchtopk, 2.5, 0.25)
      (options.batchTopKStart, options.precision) = (0.4, .float32)
      let trainer = try Trainer.begin(
        at: "", configuration: try fixture.configuration(options), source: try fixture.source(),
        with: TrainingResources(threads: 1, tested: backend))
      #expect(trainer.backend.withState { $0.batchThreshold } == 0.4)
      /// Makes a batch of zeros whose first number is `first`.
      func fill(_ first: Float) {
        let batch = trainer.backend.batchRows
        batch.withMutableSpan(0..<batch.count) { rows in
          for index in rows.indices { rows[index] = index == 0 ? first : 0 }
        }
      }
      // A batch of zeros has no active code.
      fill(0)
      let silent = try trainer.backend.step(StepSettings(number: 1, learningRate: 1e-3))
      #expect(silent.threshold == 0.4 && silent.l0 == 0)
      // One row has codes, fewer than there are places. With a rate of 1/4, the threshold moves by a quarter.
      fill(1)
      let recipe = trainer.backend.recipe
      let least = trainer.backend.withState { state in
        (0..<recipe.shape.experts).map {
          state.parameters.encoderSide[$0 * recipe.shape.rowsPerExpert, 0]
        }.filter { $0 > 0 && $0 >= recipe.activation.threshold }.min()
      }
      let step = try trainer.backend.step(StepSettings(number: 2, learningRate: 1e-3))
      #expect(abs(step.threshold - (0.3 + 0.25 * Double(try #require(least)))) < 1e-6)
      #expect(trainer.backend.withState { $0.batchThreshold } == step.threshold)
    }
  }

  @Test func theReferenceRefusesASecondThresholdWithJumpReLU() throws {
    let shape = DictionaryShape(
      width: 4, experts: 6, sublatents: 0, subspace: 0, activeExperts: 6)
    func complaint(_ change: (inout Recipe) -> Void) -> String? {
      var recipe = Recipe(
        shape: shape, selection: .jumpReLU(JumpReLU(deadPenalty: 0.1)),
        activation: ActivationFunction(threshold: 0, subThreshold: 0),
        objective: Objective(beta: 0, ortho: 0, l1: 0), vectors: .thresholds)
      change(&recipe)
      return ReferenceBackend.complaint(recipe, share: RankShare(shape: shape, batch: 8))
    }
    #expect(complaint { _ in } == nil)
    #expect(complaint { $0.activation.threshold = 0.1 }?.contains("--threshold") == true)
    #expect(complaint { $0.activation.slope = 0.1 }?.contains("--slope-top") == true)
    #expect(complaint { $0.objective.l1 = 0.1 }?.contains("--l1") == true)
    #expect(complaint { $0.vectors = [] }?.contains("thresholds") == true)
  }

  @Test(arguments: Backend.allCases)
  func unsupportedRecipesAreRefusedByName(_ backend: Backend) throws {
    try withTemporaryFolder { folder in
      let configuration = try TrainingFixture(in: folder).configuration()
      let share = RankShare(shape: configuration.shape, batch: configuration.batch)
      var recipe = configuration.recipe
      recipe.precision = .float32
      #expect(backend.type.complaint(recipe, share: share) == nil)
      #expect(backend.type.memoryNeed(recipe, share: share, threads: 2).total > MemoryNeed.program)
      recipe.selection = .thresholds(LatentThresholds(threshold: [0]))
      #expect(backend.type.complaint(recipe, share: share)?.contains("thresholds") == true)
    }
  }

  @Test(arguments: BackendCase.all)
  func devicesRefuseByName(_ example: BackendCase) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var configuration = try fixture.configuration(fixture.options(example, steps: 1))
      let share = RankShare(shape: configuration.shape, batch: configuration.batch)
      let complaint = PJRTBackend.complaint(configuration.recipe, share: share)
      #expect(complaint?.contains(example.refused ?? "?") == (example.refused == nil ? nil : true))
      configuration.moments = .bfloat16
      #expect(PJRTBackend.complaint(configuration.recipe, share: share) != nil)
    }
  }

  /// Expects the losses of two runs to agree, and their weights to `tolerance`.
  private func requireNear(
    _ name: String, _ twin: String, _ fixture: TrainingFixture, _ tolerance: Double
  ) throws {
    let (own, other) = (try fixture.result(name), try fixture.result(twin))
    #expect(own.records.count == other.records.count)
    for (a, b) in zip(own.records, other.records) {
      #expect(abs(a.loss - b.loss) < 1e-4 * b.loss, "step \(a.step): \(a.loss), \(b.loss)")
    }
    let (a, b) = try (weights(fixture.path(name)), weights(fixture.path(twin)))
    for name in b.names {
      #expect(relativeError(a[name], b[name]) < tolerance, "\(name.rawValue)")
    }
  }

  private func weights(_ path: String) throws -> ReferenceParameters {
    try ReferenceParameters(RunDirectory(path: path).dictionary().model.parameters)
  }
}
