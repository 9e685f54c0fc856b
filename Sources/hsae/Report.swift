// hsae report: one self-contained page about one or more runs.

import ArgumentParser
import HSAEActivations
import HSAEReport
import HSAESupport
import HSAETensors
import HSAETraining

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write one self-contained HTML page about runs.",
    discussion: """
      One hierarchical run, alone or with a flat one as its baseline, gets a page about its \
      hierarchies; any other set of runs is compared side by side. Runs must have been trained on a \
      store of hsae unembed.
      """)

  @Argument(help: "Run directories.")
  var runs: [String]

  @Option(help: "The page to write.")
  var out: String

  @Option(help: "The page's title.")
  var title = "What the vocabulary holds"

  @Option(help: "A word to look up on the page; may be given several times (default: the paper's).")
  var word: [String] = []

  @Option(help: "The store, if it is not where the runs were trained on it.")
  var store: String?

  @Option(help: "Threads (default: all processors).")
  var threads = processorCount

  func validate() throws {
    guard threads >= 1, threads <= 4096 else {
      throw ValidationError("--threads must be between 1 and 4096.")
    }
  }

  func run() throws {
    guard Path.isDirectory(Path.parent(out)) else {
      throw Failure(
        .cannotCreate, "\(Path.parent(out)): there is no such folder to write \(out) in.")
    }
    let page = try reportPage(
      runs: runs, title: title, words: word.isEmpty ? paperWords : word, store: store,
      threads: threads)
    try DurableFile.write(page, to: out)
    print(out)
  }
}

/// The page about `runs`, which may share a store.
func reportPage(
  runs: [String], title: String, words: [String], store: String?, threads: Int
) throws(Failure) -> String {
  var reports: [RunReport] = []
  var shared: VocabularyRows?
  var subtitle = ""
  for path in runs {
    report("hsae report: evaluating \(path)")
    let evaluated = try EvaluatedRun(
      path: path, store: store, sharing: shared, threads: threads)
    shared = evaluated.rows
    reports.append(
      try evaluated.reported(name: Path.name(Path.trimmed(path)), words: words, threads: threads))
    if let vocabulary = try evaluated.run.vocabulary() {
      subtitle =
        "The unembedding of \(vocabulary.attributes.modelName): \(evaluated.rows.rows.rows) tokens, "
        + (vocabulary.attributes.preprocessing ?? "as they are")
    }
  }
  return try makeReport(
    ReportInput(
      title: title, subtitle: subtitle, runs: reports,
      command: "hsae report " + runs.map { Path.name(Path.trimmed($0)) }.joined(separator: " ")))
}
