// A small run for tests: planted data in a file, its configuration, and what a run leaves behind in
// a form that can be compared.

import HSAEActivations
import HSAEDevices
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

extension Backend {
  /// The backends that can be tested here: `pjrt` needs a plugin.
  static var tested: [Backend] { allCases.filter { $0 != .pjrt || devicePlugin != nil } }
}

extension TrainingResources {
  /// Resources with any backend that can be tested.
  init(threads: Int, tested backend: Backend) {
    let device = backend == .pjrt ? devicePlugin.map { DeviceChoice(plugin: $0) } : nil
    self.init(threads: threads, backend: backend, device: device)
  }
}

/// A data file and the options of runs on it.
struct TrainingFixture {
  let folder: String
  let dataPath: String
  var options: TrainingOptions

  /// Planted rows in `folder`/rows.npy, and options of a hierarchical run of 24 steps.
  init(in folder: String) throws {
    self.folder = folder
    dataPath = Path.join(folder, "rows.npy")
    let planted = PlantedHierarchy(
      width: 20, parents: 12, children: 3, subspace: 2, active: 2, seed: 1)
    try writeNumpy(planted.rows(300), width: 20, to: dataPath)
    options = TrainingOptions()
    options.experts = 40
    options.sublatents = 4
    options.subspace = 3
    options.k = 3
    options.steps = 24
    // Not a divisor of the number of rows, so batches span epochs. Not a multiple of 64, so kernels have tails.
    options.batch = 77
    options.seed = 5
    options.learningRate = 1e-3
    options.l1 = 1e-2
    options.recordEvery = 5
    options.checkpointEvery = 7
  }

  func source() throws(Failure) -> any RowSource { try openRows(path: dataPath) }

  func configuration(_ options: TrainingOptions? = nil) throws(Failure) -> TrainingConfiguration {
    let source = try source()
    return try TrainingConfiguration(
      options ?? self.options,
      data: DataDescription(
        path: dataPath, fingerprint: source.fingerprint, rows: source.rowCount,
        width: source.width))
  }

  func path(_ name: String) -> String { Path.join(folder, name) }

  /// Begins the run `name`.
  func create(
    _ name: String, options: TrainingOptions? = nil, threads: Int = 2, backend: Backend = .cpu
  ) throws(Failure) -> Trainer {
    try Trainer.begin(
      at: path(name), configuration: configuration(options), source: source(),
      with: TrainingResources(threads: threads, backend: backend))
  }

  /// Trains the run `name` to its end; `each` is called after every step.
  @discardableResult
  func train(
    _ name: String, options: TrainingOptions? = nil, threads: Int = 2, backend: Backend = .cpu,
    each: (Int, MetricsRecord) -> Void = { _, _ in }
  ) throws(Failure) -> Trainer {
    let trainer = try create(name, options: options, threads: threads, backend: backend)
    let outcome = try trainer.run(progress: each)
    #expect(outcome == .finished)
    return trainer
  }

  /// Resumes the run `name` and trains it to its end. Returns the warnings.
  @discardableResult
  func resume(
    _ name: String, threads: Int = 2, backend: Backend = .cpu
  ) throws(Failure) -> [String] {
    var warnings: [String] = []
    let trainer = try Trainer(
      resuming: path(name), source: source(),
      with: TrainingResources(threads: threads, backend: backend),
      warn: { warnings.append($0) })
    let outcome = try trainer.run { _, _ in }
    #expect(outcome == .finished)
    return warnings
  }

  /// The folder of the checkpoint of the run `name` after `step` steps.
  func checkpoint(_ name: String, _ step: Int) -> String {
    Path.join(path(name), "checkpoints/\(CheckpointName.folder(step: step))")
  }

  /// The result of the run `name`.
  func result(_ name: String) throws(Failure) -> RunResult { try RunResult(path(name)) }
}

/// The parts of a run that must not depend on threads, interruptions or time.
struct RunResult: Equatable {
  var checkpoints: [Int]
  /// The bytes of the files of each checkpoint.
  var files: [[UInt8]]
  /// The running threshold of each checkpoint.
  var thresholds: [Double?]
  var records: [MetricsRecord]
  /// Names in the run directory and below `checkpoints`.
  var names: [String]

  init(_ path: String) throws(Failure) {
    let run = try RunDirectory(path: path)
    checkpoints = try run.checkpointSteps()
    files = []
    thresholds = []
    for step in checkpoints {
      thresholds.append(try Checkpoint.state(of: run.checkpoint(step: step)).batchThreshold)
      for name in [CheckpointName.description, CheckpointName.weights, CheckpointName.optimizer] {
        files.append(fileBytes(Path.join(run.checkpoint(step: step), name)))
      }
      let trained = Path.join(run.checkpoint(step: step), CheckpointName.whitenedWeights)
      if Path.exists(trained) { files.append(fileBytes(trained)) }
    }
    records = try run.metrics().map {
      var record = $0
      record.seconds = 0
      record.tokensPerSecond = 0
      return record
    }
    names = try Path.list(path) + Path.list(Path.join(path, "checkpoints"))
  }
}
