// Several runs that share one reading of the data: each run directory has the same content as if its run had
// been trained alone, wherever the group was stopped and resumed.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

/// Runs that read the same batches, by name.
private struct GroupFixture {
  let fixture: TrainingFixture
  let all: [(name: String, options: TrainingOptions)]

  init(in folder: String) throws {
    let fixture = try TrainingFixture(in: folder)
    func changed(_ change: (inout TrainingOptions) -> Void) -> TrainingOptions {
      var options = fixture.options
      change(&options)
      return options
    }
    self.fixture = fixture
    all = [
      ("h", fixture.options),
      (
        "flat",
        changed {
          ($0.sublatents, $0.subspace) = (0, 0)
          // A bias changes the batch in place, which the other runs must not see.
          ($0.bias, $0.deadWindow) = (.geometricMedian, 77)
        }
      ),
      (
        "other",
        changed {
          ($0.seed, $0.orderSeed, $0.steps, $0.checkpointEvery) = (9, 5, 31, 4)
          ($0.moments, $0.precision) = (.bfloat16, .float32)
        }
      ),
    ]
  }

  /// Trains each run alone, as NAME-alone. Returns the results by name.
  func alone() throws -> [String: RunResult] {
    var results: [String: RunResult] = [:]
    for (name, options) in all {
      try fixture.train(name + "-alone", options: options)
      results[name] = try fixture.result(name + "-alone")
    }
    return results
  }

  func create(_ names: [String]? = nil, threads: Int = 2) throws -> TrainingGroup {
    let chosen = all.filter { names?.contains($0.name) ?? true }
    return try TrainingGroup(
      beginning: chosen.map { (fixture.path($0.name), try fixture.configuration($0.options)) },
      source: fixture.source(), with: TrainingResources(threads: threads))
  }

  func resume(_ paths: [String]) throws -> TrainingGroup {
    try TrainingGroup(
      resuming: paths, source: fixture.source(), with: TrainingResources(threads: 1))
  }
}

@Suite struct TrainingGroupTests {
  @Test func eachRunIsAsIfItWereAlone() throws {
    try withTemporaryFolder { folder in
      let runs = try GroupFixture(in: folder)
      let alone = try runs.alone()
      var steps: [String: [Int]] = [:]
      let group = try runs.create()
      #expect(
        try group.run { steps[Path.name($0.path), default: []].append($0.step) } == .finished)
      #expect(steps == ["h": Array(1...24), "flat": Array(1...24), "other": Array(1...31)])
      for (name, _) in runs.all {
        #expect(try runs.fixture.result(name) == alone[name], "\(name)")
        #expect(
          fileBytes(runs.fixture.path(name) + "/config.json")
            == fileBytes(runs.fixture.path(name + "-alone") + "/config.json"))
      }
    }
  }

  /// Copies taken at any moment can be resumed together, in any order, or one by one.
  @Test func aStoppedGroupGoesOnTogetherAndSingly() throws {
    try withTemporaryFolder { folder in
      let runs = try GroupFixture(in: folder)
      let fixture = runs.fixture
      let alone = try runs.alone()
      let group = try runs.create()
      var moments: [String] = []
      _ = try group.run { trainer in
        // This is called between the steps of two runs. Checkpoints are at 4, 7, 8, ….
        guard [1, 7, 9, 23, 24, 27].contains(trainer.step) else { return }
        let moment = "at-\(trainer.step)-\(Path.name(trainer.path))"
        do {
          for (name, _) in runs.all {
            try copyAll(fixture.path(name), to: fixture.path("\(moment)-\(name)"))
          }
          moments.append(moment)
        } catch { Issue.record("\(error)") }
      }
      #expect(moments.count == 16)
      for (index, moment) in moments.enumerated() {
        var names = runs.all.map { "\(moment)-\($0.name)" }
        if index % 2 == 1 { names.reverse() }
        if index % 3 == 2 {
          for name in names { try fixture.resume(name) }
        } else {
          #expect(try runs.resume(names.map(fixture.path)).run { _ in } == .finished)
        }
        for (name, _) in runs.all {
          #expect(try fixture.result("\(moment)-\(name)") == alone[name], "\(moment) \(name)")
        }
      }
    }
  }

  /// Runs that are missing begin beside one that is continued, and are as if they had been alone.
  @Test func aGroupBeginsWhatIsMissing() throws {
    try withTemporaryFolder { folder in
      let runs = try GroupFixture(in: folder)
      let fixture = runs.fixture
      let alone = try runs.alone()
      let stopped = try runs.create(["flat"])
      _ = try stopped.run { trainer in
        if trainer.step == 9 {
          #expect(throws: Never.self) {
            try copyAll(fixture.path("flat"), to: fixture.path("later-flat"))
          }
        }
      }
      let group = try TrainingGroup(
        runs.all.map {
          (
            fixture.path("later-" + $0.name), try fixture.configuration($0.options),
            $0.name == "flat"
          )
        }, source: fixture.source(), with: TrainingResources(threads: 2))
      #expect(
        group.trainers.map { Path.name($0.path) } == ["later-h", "later-flat", "later-other"])
      #expect(group.trainers.map(\.step) == [0, 7, 0])
      #expect(try group.run { _ in } == .finished)
      for (name, _) in runs.all {
        #expect(try fixture.result("later-" + name) == alone[name], "\(name)")
      }
    }
  }

  @Test func aRunThatDivergesLeavesTheOthersAlone() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("alone")
      var options = fixture.options
      options.learningRate = 1e30
      options.warmup = 0
      let group = try TrainingGroup(
        beginning: [
          (fixture.path("wild"), try fixture.configuration(options)),
          (fixture.path("tame"), try fixture.configuration()),
        ], source: fixture.source(), with: TrainingResources(threads: 2))
      var warnings: [String] = []
      let refusal = failure { _ = try group.run(warn: { warnings.append($0) }) { _ in } }
      #expect(refusal?.kind == .data)
      #expect(refusal?.message.contains(fixture.path("wild")) == true)
      #expect(warnings.count == 1 && warnings[0].contains("The other runs continue."))
      #expect(try fixture.result("tame") == fixture.result("alone"))
    }
  }

  @Test func runsThatReadOtherBatchesAreRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      let changes: [(String, (inout TrainingOptions) -> Void)] = [
        ("--batch", { $0.batch = 64 }), ("--order", { $0.order = .file }),
        ("--order-seed", { $0.seed = 6 }), ("--normalize", { $0.normalize = Normalisation.none }),
      ]
      for (name, change) in changes {
        var other = fixture.options
        change(&other)
        let refusal = failure {
          _ = try TrainingGroup(
            beginning: [
              (fixture.path("a"), try fixture.configuration()),
              (fixture.path("b"), try fixture.configuration(other)),
            ], source: fixture.source(), with: TrainingResources(threads: 1))
        }
        #expect(refusal?.kind == .usage && refusal?.message.contains(name) == true, "\(name)")
      }
      // The order by chunks depends on the seed too; the order of the file does not.
      for (order, isRefused) in [(RowOrder.chunks, true), (.file, false)] {
        let runs = try [fixture.options.seed ?? 0, 77].enumerated().map { index, seed in
          var options = fixture.options
          (options.order, options.seed) = (order, seed)
          return (fixture.path("\(order)\(index)"), try fixture.configuration(options))
        }
        let refusal = failure {
          _ = try TrainingGroup(
            beginning: runs, source: fixture.source(), with: TrainingResources(threads: 1))
        }
        #expect((refusal?.message.contains("--order-seed") == true) == isRefused, "\(order)")
      }
      // Two runs with one folder. And if one folder is not empty, no run is left in the other.
      let configuration = try fixture.configuration()
      for paths in [["a", "./a/"], ["b", "taken"]] {
        try Path.createDirectories(fixture.path("taken"))
        try DurableFile.write("mine", to: fixture.path("taken/notes"))
        let refusal = failure {
          _ = try TrainingGroup(
            beginning: paths.map { (fixture.path($0), configuration) }, source: fixture.source(),
            with: TrainingResources(threads: 1))
        }
        #expect(refusal != nil)
        #expect(!Path.exists(fixture.path(paths[0])))
      }
    }
  }
}
