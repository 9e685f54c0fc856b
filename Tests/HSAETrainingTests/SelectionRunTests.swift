// Runs with BatchTopK, JumpReLU, Matryoshka prefixes and controls: they are resumed with the same bits, their
// checkpoints can be used alone, and a row is encoded alone as in any company.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct SelectionRunTests {
  typealias Change = @Sendable (inout TrainingOptions) -> Void

  static let recipes: [(name: String, change: Change)] = [
    ("batchtopk", { ($0.activation, $0.k, $0.encoderBias) = (.batchtopk, 2.5, .zero) }),
    (
      "flat batchtopk, prefixes, AuxK by prefix",
      {
        ($0.activation, $0.k, $0.batchTopKRate, $0.batchTopKStart) = (.batchtopk, 2.5, 0.1, 0.05)
        ($0.sublatents, $0.subspace, $0.bias) = (0, 0, .geometricMedian)
        ($0.matryoshka, $0.auxkScope, $0.auxkScale) = ([10, 20, 40], .prefixes, .deadShare)
        ($0.auxk, $0.deadWindow) = (0.1, 77)
      }
    ),
    ("topk, prefixes", { ($0.matryoshka, $0.matryoshkaWeights) = ([10, 40], [0.5, 1]) }),
    (
      "jumprelu",
      {
        ($0.activation, $0.k, $0.l0Target, $0.l1) = (.jumprelu, nil, 4, nil)
        ($0.auxk, $0.deadWindow, $0.mostActive) = (0.1, 77, 40)
      }
    ),
    (
      "budget of sublatents, batchtopk",
      {
        ($0.activation, $0.k, $0.kSub, $0.thresholdSub, $0.slopeSub) = (
          .batchtopk, 2.5, 1, nil, nil
        )
      }
    ),
    ("frozen", { $0.freeze = .decoder }), ("soft-frozen", { $0.decoderCosine = 0.9 }),
  ]

  private func fixture(_ index: Int, in folder: String) throws -> TrainingFixture {
    var fixture = try TrainingFixture(in: folder)
    Self.recipes[index].change(&fixture.options)
    return fixture
  }

  /// Devices refuse these recipes, which `BackendTests` checks.
  @Test(arguments: recipes.indices, [Backend.cpu, .reference])
  func aStoppedRunGoesOnWithTheSameBits(_ index: Int, _ backend: Backend) throws {
    try withTemporaryFolder { folder in
      let fixture = try fixture(index, in: folder)
      let stops = backend == .cpu ? [1, 7, 8, 14, 23] : [8]
      try fixture.train("whole", backend: backend) { step, _ in
        guard stops.contains(step) else { return }
        do { try copyAll(fixture.path("whole"), to: fixture.path("at-\(step)")) } catch {
          Issue.record("\(error)")
        }
      }
      let whole = try fixture.result("whole")
      let configuration = try fixture.configuration()
      #expect(whole.thresholds.allSatisfy { ($0 != nil) == (configuration.batchTopK != nil) })
      for record in whole.records {
        #expect((record.threshold != nil) == (configuration.selection != .topK))
        #expect((record.jumpPenalty != nil) == (configuration.jumpReLU != nil))
        #expect((record.subL0 != nil) == (configuration.sublatentBudget != nil))
      }
      if configuration.batchTopK != nil {
        #expect(whole.thresholds.last == whole.records.last?.threshold)
      }
      for stop in stops {
        let threads = stop % 3 + 1
        let warnings = try fixture.resume("at-\(stop)", threads: threads, backend: backend)
        #expect(warnings.isEmpty)
        #expect(try fixture.result("at-\(stop)") == whole, "stopped at \(stop)")
      }
    }
  }

  /// Writes a checkpoint of a state with made-up vectors; returns its folder.
  private func writeCheckpoint(
    _ fixture: TrainingFixture, threshold: Double = 0.4
  ) throws -> (folder: String, configuration: TrainingConfiguration) {
    let configuration = try fixture.configuration()
    var parameters = Parameters.initial(
      shape: configuration.shape, seed: 3, vectors: configuration.vectors)
    for latent in 0..<configuration.shape.experts {
      if parameters.vectors.contains(.encoderBias) {
        parameters.encoderBias[0, latent] = Float(latent % 5) / 50
      }
      if parameters.vectors.contains(.thresholds) {
        parameters.thresholds[0, latent] = Float(latent % 7) / 10
      }
    }
    var state = TrainingState(parameters: parameters, momentFormat: .float32, seed: 3)
    (state.step, state.batchThreshold, state.subThreshold) = (7, threshold, 0.3)
    let run = fixture.path("run")
    try Path.createDirectories(RunDirectory.checkpointsFolder(run))
    try JSONFile.write(configuration, to: RunDirectory.configurationFile(run))
    let share = RankShare(shape: configuration.shape, batch: configuration.batch)
    try Checkpoint.write(
      state, of: share, configuration: configuration, whitening: nil, seconds: 1,
      into: RunDirectory.checkpointsFolder(run))
    return (fixture.checkpoint("run", 7), configuration)
  }

  @Test(arguments: recipes.indices)
  func aBatchTopKDictionaryEncodesARowAloneAsInAnyCompany(_ index: Int) throws {
    try withTemporaryFolder { folder in
      let fixture = try fixture(index, in: folder)
      let (checkpoint, configuration) = try writeCheckpoint(fixture)
      let (dictionary, step) = try RunDirectory(path: fixture.path("run")).dictionary()
      #expect(
        step == 7
          && dictionary.parameters.vectors == (configuration.vectors.intersection(.inputBias)))
      let kind = configuration.selection
      #expect(dictionary.shape.activeExperts == (kind == .topK ? 3 : 40))
      var rows = Matrix(rows: 90, columns: 20)
      let planted = PlantedHierarchy(
        width: 20, parents: 12, children: 3, subspace: 2, active: 2, seed: 9
      ).rows(90)
      for (place, value) in planted.enumerated() { rows[place / 20, place % 20] = 2 * value }
      let together = dictionary.encode(rows, threads: 2)
      var counts: Set<Int> = []
      for row in 0..<rows.rows {
        var alone = Matrix(rows: 1, columns: 20)
        for column in 0..<20 { alone[0, column] = rows[row, column] }
        #expect(
          Array(dictionary.encode(alone, threads: 1)[0]) == Array(together[row]), "row \(row)")
        counts.insert(together[row].count)
        guard kind != .topK else { continue }
        // u > θ, latent by latent.
        let weights = ReferenceParameters(dictionary.parameters)
        for latent in 0..<40 {
          let thresholds = try #require(dictionary.thresholds)
          let bias = thresholds.encoderBias.isEmpty ? 0 : Double(thresholds.encoderBias[latent])
          let u = (0..<20).reduce(bias) { sum, column in
            let shift = weights.bias.isEmpty ? 0 : weights.bias[column]
            return sum + (Double(rows[row, column]) - shift) * weights.encoder[latent * 20 + column]
          }
          let least = max(
            Double(thresholds.threshold[latent]), Double(configuration.activation.threshold))
          guard abs(u - least) > 1e-5 else { continue }
          #expect(together[row].contains { $0.expert == latent } == (u > least))
        }
      }
      #expect(kind == .topK || counts.count > 1)
      if configuration.sublatentBudget != nil {
        #expect(dictionary.activation.subThreshold == 0.3)
        let codes = together.all.map(\.subValue)
        #expect(together.all.allSatisfy { ($0.sublatent < 0) == ($0.subValue == 0) })
        #expect(
          codes.contains(0) && codes.contains { $0 > 0.3 }
            && !codes.contains { $0 != 0 && $0 < 0.3 })
      }
      // The checkpoint alone is the same dictionary.
      let lone = try StoredDictionary(path: checkpoint)
      #expect(lone.model.selection == dictionary.selection && lone.model.shape == dictionary.shape)
      #expect(lone.model.activation == dictionary.activation)
    }
  }

  @Test func aCheckpointThatDoesNotFitIsRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try fixture(0, in: folder)
      let (checkpoint, configuration) = try writeCheckpoint(fixture)
      let share = RankShare(shape: configuration.shape, batch: configuration.batch)
      let state = try Checkpoint.verify(checkpoint)
      #expect(state.batchThreshold == 0.4)
      let read = try Checkpoint.read(
        checkpoint, state: state, configuration: configuration, share: share)
      #expect(read.batchThreshold == 0.4 && read.parameters.vectors == .encoderBias)
      var other = configuration
      other.batchTopK = nil
      var biasless = configuration
      biasless.encoderBias = nil
      for wrong in [other, biasless] {
        let refusal = failure {
          _ = try Checkpoint.read(checkpoint, state: state, configuration: wrong, share: share)
        }
        #expect(refusal?.kind == .data, "\(refusal?.message ?? "")")
      }
    }
  }

  /// What a run starts with: θ and the running threshold have their first values, b_enc is 0; a file's vectors stay.
  @Test func runsBeginWithTheirFirstThresholds() throws {
    try withTemporaryFolder { folder in
      var fixture = try fixture(3, in: folder)
      fixture.options.jumpStart = 0.25
      func begun(_ fixture: TrainingFixture) throws -> any StepBackend {
        try Trainer.freshBackend(
          fixture.configuration(), nil, source: fixture.source(),
          TrainingResources(threads: 1, backend: .reference))
      }
      try begun(fixture).withState {
        #expect($0.parameters.vectors == [.encoderBias, .thresholds] && $0.batchThreshold == 0)
        #expect($0.parameters.thresholds.elements == [Float](repeating: 0.25, count: 40))
        #expect($0.parameters.encoderBias.elements == [Float](repeating: 0, count: 40))
      }
      let batch = try self.fixture(1, in: folder)
      try begun(batch).withState { #expect($0.batchThreshold == 0.05) }
      // From a file without thresholds, and from one with.
      for vectors in [TrainedVectors.inputBias, [.encoderBias, .thresholds]] {
        let file = fixture.path("w\(vectors.rawValue).safetensors")
        let shape = try fixture.configuration().shape
        var weights = Parameters.initial(shape: shape, seed: 1, vectors: vectors)
        if vectors.contains(.thresholds) { weights.thresholds[0, 3] = 0.75 }
        try WeightsFile.write(weights, to: file)
        var options = fixture.options
        (options.initialWeights, options.experts) = (file, nil)
        (options.sublatents, options.subspace) = (nil, nil)
        let source = try fixture.source()
        let described = try WeightsFile.shape(of: file)
        let configuration = try TrainingConfiguration(
          options,
          data: DataDescription(
            path: source.path, fingerprint: source.fingerprint, rows: source.rowCount, width: 20),
          initialShape: described.shape, initialVectors: described.vectors)
        let backend = try Trainer.freshBackend(
          configuration, nil, source: source, TrainingResources(threads: 1, backend: .reference))
        backend.withState {
          #expect($0.parameters.vectors == configuration.vectors)
          #expect($0.parameters.thresholds[0, 3] == (vectors.contains(.thresholds) ? 0.75 : 0.25))
        }
      }
    }
  }

  /// Several ranks refuse what they cannot train by its option, and nothing is written.
  @Test func ranksRefuseByNameBeforeAnythingStarts() throws {
    for (index, option) in [
      (0, "--activation batchtopk"), (2, "--matryoshka"), (3, "--activation jumprelu"),
    ] {
      try withTemporaryFolder { folder in
        let fixture = try fixture(index, in: folder)
        let messages = try withRanks(2) { communicator in
          let ranks = try Ranks(communicator)
          return failure {
            _ = try Trainer.begin(
              at: fixture.path("run"), configuration: fixture.configuration(),
              source: fixture.source(), with: TrainingResources(threads: 1, ranks: ranks))
          }?.message ?? ""
        }
        #expect(messages.allSatisfy { $0.contains(option) }, "\(messages)")
        #expect(!Path.exists(fixture.path("run")))
      }
    }
  }
}
