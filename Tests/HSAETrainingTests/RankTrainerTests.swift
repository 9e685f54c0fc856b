// Runs on several ranks have the same curve as on one, also when they are resumed on another number of ranks.
// Readers join the shards of a checkpoint. A failure of one rank stops all with one message.

import HSAEActivations
import HSAEDistribution
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Synchronization
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

extension TrainingFixture {
  /// Trains the run `name` to its end on `world` ranks in groups of `group`, from the start or from its newest
  /// checkpoint. Returns the last record.
  @discardableResult
  fileprivate func train(
    _ name: String, world: Int, group: Int? = nil, options: TrainingOptions? = nil,
    resumes: Bool = false
  ) throws -> MetricsRecord {
    let configuration = try configuration(options)
    return try withRanks(world) { communicator in
      let ranks = try Ranks(communicator, dictionaryRanks: group)
      let source = try self.source()
      let runs =
        try resumes
        ? TrainingGroup(
          resuming: [self.path(name)], source: source,
          with: TrainingResources(threads: 1, ranks: ranks))
        : TrainingGroup(
          beginning: [(self.path(name), configuration)], source: source,
          with: TrainingResources(threads: 1, ranks: ranks))
      #expect(try runs.run { _ in } == .finished)
      return runs.trainers[0].lastRecord
    }[0]
  }

  /// The weights of the run `name`, by tensor.
  fileprivate func weights(_ name: String) throws -> ReferenceParameters {
    ReferenceParameters(try RunDirectory(path: path(name)).dictionary().model.parameters)
  }

  fileprivate func expectSame(
    _ name: String, as other: String, at location: SourceLocation = #_sourceLocation
  ) throws {
    let (a, b) = try (result(name), result(other))
    #expect(a.checkpoints == b.checkpoints, sourceLocation: location)
    #expect(a.records.count == b.records.count, sourceLocation: location)
    for (x, y) in zip(a.records, b.records) {
      #expect(
        x.step == y.step && x.tokens == y.tokens && abs(x.loss - y.loss) < 1e-5 * y.loss
          && abs(x.l0 - y.l0) < 1e-6 && x.deadLatents == y.deadLatents
          && x.deadSublatents == y.deadSublatents
          && abs((x.explainedVariance ?? 0) - (y.explainedVariance ?? 0)) < 1e-5,
        "step \(x.step): \(x) \(y)", sourceLocation: location)
    }
    let (v, w) = try (weights(name), weights(other))
    for tensor in v.names {
      let error = relativeError(v[tensor], w[tensor])
      #expect(error < 1e-4, "\(tensor.rawValue): \(error)", sourceLocation: location)
    }
  }
}

/// Rows that can no longer be read after the first `limit`.
private final class FailingRows: RowSource {
  private let rows: any RowSource
  private let limit: Int
  private let done = Mutex(0)
  var rowCount: Int { rows.rowCount }
  var width: Int { rows.width }
  var path: String { rows.path }
  var summary: String { rows.summary }
  var fingerprint: String { rows.fingerprint }

  init(rows: any RowSource, limit: Int) { (self.rows, self.limit) = (rows, limit) }

  func read(_ own: Span<Int>, into target: inout MutableSpan<Float>) throws(Failure) {
    let count = own.count
    let total = done.withLock { number in
      number += count
      return number
    }
    if total > limit { throw .data("rows.npy: the disk is broken.") }
    try rows.read(own, into: &target)
  }
}

/// The same rows but for one, with the same fingerprint.
private struct OtherRows: RowSource {
  let rows: any RowSource
  var rowCount: Int { rows.rowCount }
  var width: Int { rows.width }
  var path: String { "/elsewhere/rows.npy" }
  var summary: String { rows.summary }
  var fingerprint: String { rows.fingerprint }

  func read(_ own: Span<Int>, into target: inout MutableSpan<Float>) throws(Failure) {
    try rows.read(own, into: &target)
    for place in own.indices where own[place] == 211 {
      for column in 0..<2 { target[place * width + column].negate() }
    }
  }
}

@Suite struct RankTrainerTests {
  @Test(arguments: [PrecisionOption.float32, .auto])
  func twoHundredStepsOnAnyNumberOfRanks(_ precision: PrecisionOption) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.steps, options.checkpointEvery, options.precision) = (200, 100, precision)
      (options.bias, options.learningRate) = (.geometricMedian, 3e-4)
      try fixture.train("1", options: options)
      for (world, group) in [(2, 2), (4, 4), (3, 3), (4, 2), (2, 1)] {
        let name = "\(world)-\(group)"
        try fixture.train(name, world: world, group: group, options: options)
        try fixture.expectSame(name, as: "1")
        let names = try Path.list(fixture.checkpoint(name, 200)).sorted()
        let shards = (1...group).map { "hsae_weights-0000\($0)-of-0000\(group).safetensors" }
        #expect(names.filter { $0.hasPrefix("hsae_weights-") } == (group > 1 ? shards : []))
      }
    }
  }

  @Test(arguments: TrainerTests.variants.indices)
  func aRunGoesOnWithAnyNumberOfRanks(_ variant: Int) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      TrainerTests.variants[variant].change(&options)
      options.keep = 10
      try fixture.train("one", options: options)
      // Stopped after 14 of 24 steps on 3 ranks; any number of ranks can resume that.
      try fixture.train("three", world: 3, options: options)
      for step in [21, 24] { Path.removeAll(fixture.checkpoint("three", step)) }
      for (name, world, group) in [("1", 1, 1), ("2", 2, 2), ("4", 4, 2)] {
        try copyAll(fixture.path("three"), to: fixture.path(name))
        try fixture.train(name, world: world, group: group, options: options, resumes: true)
        try fixture.expectSame(name, as: "one")
      }
      // Several ranks can resume what one wrote.
      try copyAll(fixture.path("one"), to: fixture.path("back"))
      for step in [14, 21, 24] { Path.removeAll(fixture.checkpoint("back", step)) }
      try fixture.train("back", world: 4, options: options, resumes: true)
      try fixture.expectSame("back", as: "one")
    }
  }

  @Test func aDamagedShardIsPassedOver() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("run", world: 2)
      let file = Path.join(
        fixture.checkpoint("run", 24), "hsae_weights-00002-of-00002.safetensors")
      var bytes = fileBytes(file)
      bytes[bytes.count / 2] ^= 1
      try DurableFile.write(bytes, to: file)
      var warnings: [String] = []
      let (_, step) = try RunDirectory(path: fixture.path("run")).dictionary {
        warnings.append($0)
      }
      #expect(step == 21 && warnings.count == 1)
      #expect(warnings[0].contains("hsae_weights-00002-of-00002.safetensors"))
      Path.removeAll(file)
      #expect(try RunDirectory(path: fixture.path("run")).dictionary().step == 21)
    }
  }

  /// The failure that `body` throws on three ranks; nil if it throws none.
  private func failure(_ body: @escaping (any Communicator) throws -> Void) -> Failure? {
    do {
      _ = try withRanks(3, body)
      return nil
    } catch { return error as? Failure }
  }

  @Test func ranksWithOtherDataOrSettingsAreRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      let configuration = try fixture.configuration()
      func begun(_ change: @escaping (inout TrainingConfiguration) -> Void) -> Failure? {
        failure { world in
          var own = configuration
          if world.rank == 2 { change(&own) }
          _ = try TrainingGroup(
            beginning: [(fixture.path("run"), own)], source: try fixture.source(),
            with: TrainingResources(threads: 1, ranks: Ranks(world)))
        }
      }
      let settings = begun { $0.batch = 78 }
      #expect(settings?.kind == .usage)
      #expect(settings?.message.contains("\"batch\": 78, not \"batch\": 77") == true)
      let data = begun { $0.data.fingerprint = "other" }
      #expect(data?.kind == .data && data?.message.contains("rank 2") == true)
      #expect(!Path.exists(fixture.path("run")))
      #expect(begun { $0.data.path = "/elsewhere/rows.npy" } == nil)
    }
  }

  @Test func aRankThatCannotReadStopsAllAndLeavesTheLastCheckpoint() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.keep = 10
      let configuration = try fixture.configuration(options)
      let failure = failure { world in
        var source = try fixture.source()
        if world.rank == 2 { source = FailingRows(rows: source, limit: 9 * 77) }
        let group = try TrainingGroup(
          beginning: [(fixture.path("run"), configuration)], source: source,
          with: TrainingResources(threads: 1, ranks: Ranks(world)))
        _ = try group.run { _ in }
      }
      #expect(failure == .data("rank 2 of 3: rows.npy: the disk is broken."))
      #expect(try RunDirectory(path: fixture.path("run")).checkpointSteps() == [7])
      #expect(try RunDirectory(path: fixture.path("run")).dictionary().step == 7)
      try fixture.train("run", world: 2, options: options, resumes: true)
      try fixture.train("one", options: options)
      try fixture.expectSame("run", as: "one")
    }
  }

  /// A fingerprint covers only a sample, so other rows can have the same one. So batches are compared too.
  @Test func otherRowsUnderTheSameFingerprintStopAll() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.checkpointEvery = 1
      let configuration = try fixture.configuration(options)
      func trained(_ group: Int, count: Int) -> Failure? {
        do {
          _ = try withRanks(count) { world in
            var source = try fixture.source()
            if world.rank == count - 1 { source = OtherRows(rows: source) }
            let runs = try TrainingGroup(
              beginning: [(fixture.path("run\(group)"), configuration)], source: source,
              with: TrainingResources(threads: 1, ranks: Ranks(world, dictionaryRanks: group)))
            #expect(try runs.run { _ in } == .finished)
          }
          return nil
        } catch { return error as? Failure }
      }
      let failure = trained(2, count: 4)
      #expect(failure?.kind == .data)
      for part in ["/elsewhere/rows.npy: in step ", "rank 3 has read other rows than rank 2"] {
        #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "")")
      }
      // Earlier checkpoints are kept. Ranks of different groups read different rows, so nothing is compared.
      let step = failure?.message.split(separator: " ").compactMap { Int($0) }.first ?? 0
      let steps = try RunDirectory(path: fixture.path("run2")).checkpointSteps()
      #expect(step >= 1 && steps.max() ?? 0 == step - 1, "\(step) \(steps)")
      #expect(trained(1, count: 2) == nil)
    }
  }

  @Test func marksOfDifferentBatchesDiffer() {
    func mark(_ values: [Float], cutAt cut: Int = 64) -> UInt64 {
      var mark = BatchMark()
      let (head, tail) = (Array(values[..<cut]), Array(values[cut...]))
      mark.add(head.span)
      mark.add(tail.span)
      return mark.value
    }
    let values = (0..<107).map { Float($0) - 31.5 }
    var marks: Set<UInt64> = [mark(values), BatchMark().value]
    #expect(mark(values) == mark(values))
    for first in [0, 5, 63, 64, 101, 106] {
      var other = values
      other[first].negate()
      marks.insert(mark(other))
      // Two changed signs in one lane; two values swapped.
      other[(first + 16) % 107].negate()
      marks.insert(mark(other))
      other = values
      other.swapAt(first, (first + 8) % 107)
      marks.insert(mark(other))
    }
    #expect(marks.count == 20)
  }

  @Test func wrongNumbersOfRanksAreRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      #expect(failure { world in _ = try Ranks(world, dictionaryRanks: 2) }?.kind == .usage)
      #expect(
        failure { world in
          var configuration = try fixture.configuration()
          (configuration.shape.experts, configuration.shape.activeExperts) = (2, 1)
          _ = try TrainingGroup(
            beginning: [(fixture.path("run"), configuration)], source: try fixture.source(),
            with: TrainingResources(threads: 1, ranks: Ranks(world)))
        }?.message.contains("--experts must be at least 3") == true)
    }
  }

  @Test func theBytesOnTheWireAreTheFormulas() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.batch = 500
      for (index, (world, group)) in [(2, 2), (3, 3), (4, 2), (2, 1), (6, 3)].enumerated() {
        options.precision = index == 1 ? .auto : .float32
        options.bias = index == 2 ? .geometricMedian : BiasOption.none
        var withinGroup: [Int] = []
        for experts in [40, 80] {
          options.experts = experts
          let configuration = try fixture.configuration(options)
          let bytes = try withRanks(world) { communicator in
            let ranks = try Ranks(communicator, dictionaryRanks: group)
            let engine = try freshEngine(configuration, try fixture.source(), ranks)
            let rows = engine.share.rows.count
            engine.fill((0..<rows * 20).map { Float($0 % 7) - 2.5 })
            let before = ranks.bytesSent
            _ = try engine.step(StepSettings(number: 1, learningRate: 1e-3))
            return ranks.bytesSent - before
          }
          let formulas = (0..<world).map {
            StepTraffic(
              configuration, dictionaryRanks: group, groups: world / group, rank: $0)
          }
          #expect(bytes == formulas.map(\.total), "\(formulas)")
          withinGroup.append(formulas[0].total - formulas[0].betweenGroups)
        }
        // Traffic within a group does not grow with the dictionary.
        #expect(withinGroup[0] == withinGroup[1])
      }
    }
  }

  @Test(arguments: [(2, 2), (3, 3), (4, 2), (2, 1)], [1, 3, 320])
  func theBytesOfDeadLatentsAreTheFormulas(_ ranks: (world: Int, group: Int), _ active: Int) throws
  {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.sublatents, options.subspace, options.k, options.batch) = (0, 0, 1, 500)
      (options.auxk, options.auxkK) = (0.03, active)
      let configuration = try fixture.configuration(options)
      // Two steps; latents that are not active in the first are dead in the second.
      let steps = try withRanks(ranks.world) { communicator in
        let ranks = try Ranks(communicator, dictionaryRanks: ranks.group)
        let engine = try freshEngine(configuration, try fixture.source(), ranks)
        let rows = engine.share.rows.count
        return try (1...2).map { number in
          engine.fill((0..<rows * 20).map { Float($0 % 7) - 2.5 })
          let dead = number == 1 ? 0 : engine.withState { $0.usage.deadLatents(window: 500) }
          let before = ranks.bytesSent
          let report = try engine.step(
            StepSettings(number: number, learningRate: 1e-3, deadWindow: 500))
          return (dead: dead, acts: report.auxk > 0, bytes: ranks.bytesSent - before)
        }
      }
      for step in 0..<2 {
        let most = steps.map { $0[step].dead }.max() ?? 0
        for rank in 0..<ranks.world {
          func formula(_ dead: Int?) -> StepTraffic {
            StepTraffic(
              configuration, dictionaryRanks: ranks.group, groups: ranks.world / ranks.group,
              rank: rank, deadLatents: dead)
          }
          #expect(steps[rank][step].acts == (step == 1) && (most > 0) == (step == 1))
          #expect(steps[rank][step].bytes == formula(most).total)
          #expect(formula(nil).total >= formula(most).total)
          #expect(formula(0).auxiliary == 0)
        }
      }
    }
  }
}

/// A rank's engine with the weights that a run of `configuration` begins with.
private func freshEngine(
  _ configuration: TrainingConfiguration, _ source: any RowSource, _ ranks: Ranks
) throws(Failure) -> any StepBackend {
  try Trainer.freshBackend(
    configuration, nil, source: source, TrainingResources(threads: 1, ranks: ranks))
}

extension StepBackend {
  fileprivate func fill(_ rows: [Float]) {
    batchRows.withMutableSpan(0..<rows.count) {
      for index in rows.indices { $0[index] = rows[index] }
    }
  }
}
