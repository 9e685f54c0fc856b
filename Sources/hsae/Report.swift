// hsae report: makes a page about a run, or several runs side by side, and prints a table. `HSAEReport` writes
// the page.

import ArgumentParser
import HSAEActivations
import HSAEEvaluation
import HSAEReport
import HSAERuns
import HSAESupport
import HSAETensors

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make one self-contained HTML page about runs.",
    discussion: """
      One hierarchical run, alone or with one flat run, gets a page about its hierarchies; any other \
      set of runs is compared side by side. Every run is evaluated on the rows it was trained on, or, for a \
      synthetic forest, on held-out ones; with --evaluation the numbers at the top are for held-out rows. \
      The page of a run on a residual stream ends with facts about its rows: norms, languages, tokens in \
      context. A store alone gets a page of these.
      """)

  /// The words of the paper's Figure 6 and of its ablations.
  static let paperWords = [
    "dog", "Chicago", "Queen", "python", "red", "London", "violin", "September", "the",
  ]

  @Argument(
    help: "Run directories, or one activation store; may be left out with --evaluation.",
    completion: .directory)
  var runs: [String] = []

  @Option(help: "The page to write.", completion: .file())
  var out: String

  @Option(parsing: .upToNextOption, help: "Words to look up; the default is the paper's.")
  var words: [String] = Self.paperWords

  @Option(help: "The page's title.")
  var title: String?

  @Option(help: "Seed of the random sample of hierarchies.")
  var seed: UInt64 = 0

  @Option(
    help: "The store to evaluate on instead of the ones the runs were trained on.",
    completion: .file())
  var store: String?

  @Option(help: .tensor)
  var tensor: String?

  @Option(
    parsing: .upToNextOption,
    help: "Files or folders that hsae evaluate --out wrote, for a section of the page.",
    completion: .file())
  var evaluation: [String] = []

  @Option(
    help: """
      A folder for the paper's figures as SVG and its results as Markdown, made from --evaluation; \
      the page then has only the evaluation.
      """, completion: .directory)
  var figures: String?

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print the numbers and the ten clearest hierarchies as JSON.")
  var json = false

  func validate() throws {
    if runs.isEmpty, evaluation.isEmpty {
      throw ValidationError("Name a run, a store, or a file of hsae evaluate with --evaluation.")
    }
    if tensor != nil, store == nil { throw ValidationError("--tensor needs --store.") }
    if figures != nil, evaluation.isEmpty {
      throw ValidationError("--figures needs --evaluation.")
    }
  }

  func run() throws {
    try Path.requireParent(of: out)
    // Fail now if the page cannot be written, not after measuring.
    _ = try DurableFile(path: out)
    let evaluation = try merged(evaluation)
    var input: ReportInput
    if let evaluation, runs.isEmpty || figures != nil {
      if let figures { try write(evaluation, figuresTo: figures) }
      input = ReportInput(
        title: title ?? "Evaluation",
        subtitle: counted(evaluation.runs.count, "run"), runs: [],
        command: "hsae report --evaluation … --out \(Path.name(out))")
    } else if runs.count == 1, Path.exists(Path.join(runs[0], "zarr.json")) {
      input = try storeInput(runs[0])
    } else {
      input = try reportInput(
        runs: runs, title: title, words: words, seed: seed, store: store, tensor: tensor,
        threads: threading.count, page: Path.name(out))
    }
    input.evaluation = evaluation
    try DurableFile.write(try makeReport(input), to: out)
    if json {
      try output(
        input.runs.isEmpty && input.store == nil
          ? JSONFile.encode(input.evaluation)
          : input.runs.isEmpty
            ? JSONFile.encode(input.store) : JSONFile.encode(input.runs.map(RunSummary.init)))
    } else {
      if !input.runs.isEmpty { try output(summaryTable(input.runs, evaluation)) }
      report("hsae report: wrote \(out)")
    }
  }
}

extension Report {
  /// Writes the paper's figures and tables of `evaluation`, with the runs' training curves, into `folder`.
  private func write(_ evaluation: Evaluation, figuresTo folder: String) throws(Failure) {
    try Path.createDirectories(folder)
    var curves: [(name: String, records: [MetricsRecord])] = []
    for (path, name) in zip(runs, runNames(runs)) {
      curves.append((name, try RunDirectory(path: path).metrics()))
    }
    for file in paperFiles(evaluation, curves: curves) {
      try DurableFile.write(file.text, to: Path.join(folder, file.name))
    }
    report("hsae report: wrote figures to \(folder)")
  }

  /// The input of a page about the rows in the store at `path`.
  private func storeInput(_ path: String) throws(Failure) -> ReportInput {
    let store = try ActivationStore(path: path)
    var limits = StoreSummary.Limits()
    limits.seed = seed
    return ReportInput(
      title: title ?? "Activations of \(store.attributes.modelName)",
      subtitle: "\(store.attributes.hookPoint), \(counted(store.rowCount, "row"))", runs: [],
      command: "hsae report \(Path.name(Path.trimmed(path))) --out \(Path.name(out))",
      store: try StoreSummary(store, limits: limits))
  }
}

/// The evaluations in the files at `paths`, merged; nil if there are none.
private func merged(_ paths: [String]) throws(Failure) -> Evaluation? {
  var result: Evaluation?
  for path in paths {
    let next = try Evaluation.read(
      from: Path.isDirectory(path) ? Path.join(path, Evaluation.fileName) : path)
    if result == nil { result = next } else { result?.merge(next) }
  }
  return result
}

/// A summary of the rows in `source` if they are a store of a residual stream.
private func activations(_ source: any RowSource) throws(Failure) -> StoreSummary? {
  guard let store = source as? ActivationStore, store.attributes.kind == .residualStream
  else { return nil }
  return try StoreSummary(store)
}

/// Evaluates `runs` and collects the input of their page.
func reportInput(
  runs: [String], title: String?, words: [String], seed: UInt64, store: String?,
  tensor: String? = nil,
  threads: Int, page: String
) throws(Failure) -> ReportInput {
  var reports: [RunReport] = []
  var subject: String?
  var subtitle = ""
  var summary: StoreSummary?
  for (path, name) in zip(runs, runNames(runs)) {
    report("hsae report: evaluating \(path)")
    let trained = try TrainedRun(
      path: path, store: store, tensor: tensor, threads: threads, warn: { report("hsae: \($0)") })
    reports.append(
      try RunReport(trained, name: name, lookupWords: words, seed: seed, threads: threads))
    if subject == nil {
      subject = trained.title
      subtitle = trained.subtitle
      if trained.attributes?.kind == .residualStream {
        summary = try activations(
          trained.directory.openRows(at: store, tensor: tensor, advice: "name them with --store."))
      }
    }
  }
  return ReportInput(
    title: title ?? subject ?? "", subtitle: subtitle, runs: reports,
    command: "hsae report \(runNames(runs).joined(separator: " ")) --out \(page)",
    store: summary)
}

/// Short names for runs: the folder's name, or the whole path if two folders have the same name.
func runNames(_ paths: [String]) -> [String] {
  let names = paths.map { Path.name(Path.trimmed($0)) }
  return zip(paths, names).map { path, name in
    names.count { $0 == name } > 1 ? Path.trimmed(path) : name
  }
}
