// hsae quickstart: trains on the default model's vocabulary and makes a page of the result. A later call keeps
// what is finished and continues what was begun.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAELanguageModels
import HSAEReport
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

struct Quickstart: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "From a real model's vocabulary to a page of hierarchies, in minutes.",
    discussion: """
      Fetches Gemma 3 270M, takes its unembedding matrix, trains a hierarchical dictionary and a flat \
      one to compare it with (the paper's section 4 and Appendix B), and writes a page on which dog, for \
      example, divides into breeds. It trains for 600 steps of 8192 rows each; --full for the paper's 5000.
      """)

  @Option(help: "The model: a name of the catalogue or a GGUF file.", completion: .model)
  var model = "gemma-3-270m"

  @Option(
    help: "The folder for everything (default out/quickstart, with --full out/full).",
    completion: .directory)
  var out: String?

  @Flag(help: "Train the paper's 5000 steps.")
  var full = false

  @Option(help: "Steps to train (default 600).")
  var steps: String?

  @Option(help: "Seed of the weights and of the order of rows.")
  var seed: UInt64 = 0

  @OptionGroup var threading: ThreadsOption

  func validate() throws {
    if let steps, (try? SizeArgument.count(steps)) ?? 0 < 1 {
      throw ValidationError("--steps must be a whole number of at least 1.")
    }
    if full && steps != nil { throw ValidationError("--full and --steps exclude each other.") }
  }

  func run() throws {
    let begin = ContinuousClock.now
    let folder = out ?? (full ? "out/full" : "out/quickstart")
    let count = try full ? 5_000 : steps.map(SizeArgument.count) ?? 600
    try Path.createDirectories(folder)

    let store = Path.join(folder, "vocabulary.store")
    try prepare(store)
    let hierarchical = Path.join(folder, "h-sae")
    let flat = Path.join(folder, "flat-sae")
    var options = TrainingOptions()
    options.preset = .unembedding
    options.steps = count
    options.seed = seed
    options.checkpointEvery = 200
    try train(hierarchical, on: store, options)
    options.sublatents = 0
    options.subspace = 0
    try train(flat, on: store, options)

    let page = Path.join(folder, "index.html")
    let input = try reportInput(
      runs: [hierarchical, flat], title: nil, words: Report.paperWords, seed: seed, store: store,
      threads: threading.count, page: Path.name(page))
    try DurableFile.write(makeReport(input), to: page)
    report(summaryTable(input.runs))
    let seconds = Int((ContinuousClock.now - begin) / .seconds(1))
    report("hsae quickstart: done in \(seconds / 60) min \(seconds % 60) s. Look words up with")
    report("    \(CommandLine.arguments[0]) lookup \(hierarchical) dog Chicago python")
    report("and open this page:")
    try output(URL(fileURLWithPath: page).standardizedFileURL.path + "\n")
  }

  private func prepare(_ store: String) throws {
    let say = { @Sendable (line: String) in report("hsae quickstart: \(line)") }
    let path = try ModelFetcher(say: say).resolve(model)
    let file = try GGUFFile(path: path)
    let hash = try file.sha256()
    if Path.exists(store), let old = try? ActivationStore(path: store) {
      guard old.attributes.modelSHA256 == hash else {
        throw Failure.usage("\(store): it was made from another model; choose another --out.")
      }
      return
    }
    try ActivationStore.requireReplaceable(store)
    var options = UnembeddingRows.Options()
    options.threads = threading.count
    let rows = try UnembeddingRows(file: file, options: options, progress: say)
    say("\(rows.directions.rows) of \(rows.vocabulary.count) tokens kept")
    try rows.writeStore(
      at: store, modelSHA256: hash, shuffleSeed: seed, replacing: true)
  }

  private func train(
    _ path: String, on store: String, _ options: TrainingOptions
  ) throws {
    let begun =
      Path.exists(Path.join(path, "config.json")) ? try RunDirectory(path: path) : nil
    let normalize = begun?.description.normalize ?? options.normalize
    let source = try openRows(path: store, restoresLengths: normalize?.restoresLengths == true)
    let resources = TrainingResources(threads: threading.count)
    let trainer: Trainer
    if begun != nil {
      trainer = try Trainer(
        resuming: path, source: source, with: resources, warn: { report("hsae: \($0)") })
      let (steps, oldSeed) = (trainer.configuration.steps, trainer.configuration.seed)
      guard steps == options.steps, oldSeed == seed else {
        throw Failure.usage(
          "\(path): an earlier run there has \(counted(steps, "step")) and seed \(oldSeed); ask for the same, or"
            + " choose another --out.")
      }
    } else {
      trainer = try Trainer.begin(
        at: path, configuration: resolve(options, source), source: source, with: resources)
    }
    if trainer.step == trainer.configuration.steps { return }
    report(
      "hsae quickstart: training \(Path.name(path)), \(counted(trainer.configuration.steps, "step"))"
    )
    let interruption = Interruption(notify: { _ in announceStop() })
    let outcome = try runWithProgress(
      TrainingGroup([trainer]), label: "quickstart", stage: Path.name(path),
      interruption: interruption)
    if case .interrupted(let signal) = outcome { throw ExitCode(128 + signal) }
    if let last = try RunDirectory(path: path).metrics().last {
      report("hsae quickstart: \(summaryLine(trainer, last))")
    }
  }
}
