// Makes what hsae bench needs and keeps it in the folder `bench` of the cache: a trained run, and rows to
// train on if none are given.

import ArgumentParser
import HSAEActivations
import HSAELanguageModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

/// Makes rows and a trained run, or finds them in the cache.
struct BenchPreparation {
  /// Most rows in a batch of the prepared run. Larger batches take longer and hardly change the weights.
  static let largestBatch = 4_096

  let threads: Int
  let say: @Sendable (String) -> Void
  private let folder = Path.join(ModelCache().folder, "bench")

  /// Rows of `width`: the default model's unembedding if it has that width, else made-up `PlantedRows`.
  /// `restoresLengths`: whether the unembedding's rows have the lengths they have in the model.
  func rows(width: Int, restoresLengths: Bool) throws -> any RowSource {
    try Path.createDirectories(folder)
    if width == Preset.unembedding.width, let model = ModelCatalogue.models.first {
      return try openRows(path: unembedding(of: model), restoresLengths: restoresLengths)
    }
    let planted = PlantedRows(width: width)
    let path = Path.join(folder, planted.fileName)
    if !Path.exists(path) {
      say(
        "making \(counted(planted.count, "row")) of width \(width) with planted structure: \(path)")
      try planted.write(to: path)
    } else {
      say("using made-up rows of width \(width) with planted structure: \(path)")
    }
    return try openRows(path: path)
  }

  /// The store that `hsae unembed` makes of `model` with its default options.
  private func unembedding(of model: CatalogueFile) throws -> String {
    let path = Path.join(folder, "unembedding-\(model.name)-\(model.sha256.prefix(8)).store")
    guard !Path.exists(path) else { return path }
    let file = try ModelFetcher(say: say).fetch(model)
    var options = UnembeddingRows.Options()
    options.threads = threads
    let rows = try UnembeddingRows(file: GGUFFile(path: file), options: options, progress: say)
    say("writing \(counted(rows.directions.rows, "row")) to \(path)")
    try rows.writeStore(at: path, modelSHA256: model.sha256, shuffleSeed: 0)
    return path
  }

  /// A run of `settings`, trained to its end.
  ///
  /// A hash of its settings and of the data's fingerprint names its folder. After Ctrl-C the next call
  /// resumes it from the checkpoint.
  func run(
    _ settings: TrainingConfiguration, _ source: any RowSource
  ) throws -> RunDirectory {
    var key = settings
    key.data.path = ""
    let path = Path.join(folder, "run-\(SHA256.hash(try JSONFile.encode(key)).prefix(16))")
    let begun = Path.exists(Path.join(path, "config.json"))
    if begun {
      let run = try RunDirectory(path: path)
      if try run.checkpointSteps().last == settings.steps { return run }
    }
    try Path.createDirectories(folder)
    let resources = TrainingResources(threads: threads)
    let trainer =
      begun
      ? try Trainer(
        resuming: path, source: source, with: resources, warn: { report("hsae: \($0)") })
      : try Trainer.begin(at: path, configuration: settings, source: source, with: resources)
    say(
      "training \(grouped(settings.steps)) steps of \(counted(settings.batch, "row")) first, on"
        + " \(source.path); kept in \(path)")
    let interruption = Interruption(notify: { _ in announceStop() })
    let outcome = try runWithProgress(
      TrainingGroup([trainer]), label: "bench", stage: "training first",
      interruption: interruption)
    if case .interrupted(let signal) = outcome { throw ExitCode(128 + signal) }
    return try RunDirectory(path: path)
  }
}
