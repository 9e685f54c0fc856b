// hsae export-features: writes explained latents as JSON for other tools. `HSAEExplorer` does the work.

#if Explorer
import ArgumentParser
import HSAEExplorer
import HSAEModels
import HSAESupport

struct ExportFeatures: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export-features",
    abstract: "Write explained latents as JSON in the layout of SAEDashboard and Neuronpedia.",
    discussion: """
      Writes OUT/batch-N.json with 128 live latents each: strongest contexts, samples, promoted and \
      suppressed tokens, density, histograms, nearest latents; and your labels and lists as OUT/labels.json. The layout has no parents and children: \
      --sublatents writes the sublatents as a set of their own, in which sublatent q of expert j has the \
      index j·a + q.
      """)

  @Argument(help: "A folder that hsae explain wrote, or its features.sqlite.", completion: .file())
  var features: String

  @Option(help: "The folder to write; it must be empty or not exist yet.", completion: .directory)
  var out: String

  @Option(name: .customLong("run"), help: "The run (default: the only one).")
  var runName: String?

  @Option(help: "The name of the set (default: the run's).")
  var set: String?

  @Flag(help: "Write the sublatents instead of the top level.")
  var sublatents = false

  func run() throws {
    let database = try FeatureDatabase(path: features)
    let record = try record(database)
    if sublatents, record.shape.isFlat {
      throw Failure.usage("\(record.name) is flat: it has no sublatents; leave out --sublatents.")
    }
    guard try !Path.exists(out) || (Path.isDirectory(out) && Path.list(out).isEmpty) else {
      throw Failure(.cannotCreate, "\(out): something is already here; choose an empty folder.")
    }
    try Path.requireParent(of: out)
    try Path.createDirectories(out)
    let line = ProgressLine("export-features")
    defer { line.end() }
    let kind = sublatents ? "sublatent" : record.shape.isFlat ? "latent" : "expert"
    line.begin(unit: kind + "s")
    let written = try database.exportForNeuronpedia(
      record, sublatents: sublatents, set: set ?? record.name, to: out
    ) { line.update($0) }
    line.end()
    try output(
      "\(out): \(counted(written, kind)) of \(record.name)\n")
  }

  private func record(_ database: FeatureDatabase) throws(Failure) -> RunRecord {
    let runs = try database.runs()
    let names = runs.map(\.name).joined(separator: ", ")
    guard let run = runs.first(where: { $0.name == runName ?? $0.name }),
      runName != nil || runs.count == 1
    else {
      throw .usage(
        runName.map { "\(database.path) has no run called \($0); it has: \(names)." }
          ?? "\(database.path) has \(runs.count) runs (\(names)); choose one with --run.")
    }
    guard run.isComplete else {
      throw .data(
        "\(database.path): \(run.name) is not complete; run the same hsae explain command again."
      )
    }
    return run
  }
}
#endif
