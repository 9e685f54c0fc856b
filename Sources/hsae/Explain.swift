// hsae explain: writes what a run's latents are active for into a database. This file has the options, opens
// the inputs and shows progress and a summary; `HSAEExplorer` does the work.

#if Explorer
import ArgumentParser
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEExplorer
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAERuns

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find what a run's latents are active for: contexts, tokens, related latents.",
    discussion: """
      Finds for every latent and sublatent how often and how strongly it is active, its strongest contexts and \
      samples of all strengths, the tokens it promotes, the latents it resembles and the latents it is \
      active with, and makes a full-text index of all this. A sublatent is active if its parent is active and \
      chose it with a code at or above the threshold. docs/formats.md describes the database, \
      OUT/features.sqlite.

      Promoted tokens need --model, the model the store was collected from; a run on a vocabulary has \
      them from its own rows. Several runs can go to one --out; hsae compares runs on the same place in the \
      same model. If the command stops for any reason, the same command continues where it stopped.

      --html PAGES also writes the pages of hsae explore as files that open from a disk and can be put \
      anywhere, search included; without a run, it writes pages of the database as it is. There is a page \
      for each expert that is ever active, with its sublatents.
      """)

  @Argument(
    help: ArgumentHelp("A run directory; may be left out with --html.", valueName: "run"),
    completion: .directory)
  var folder: String?

  @Argument(
    help: "The store or matrix to explain it on (default: what it was trained on).",
    completion: .file())
  var store: String?

  @Option(help: .tensor)
  var tensor: String?

  @Option(help: "The folder to write, or to add to.", completion: .directory)
  var out: String

  @Option(
    help: "A folder for pages of the database; pages already there are replaced.",
    completion: .directory)
  var html: String?

  @Option(
    help: "The language model, for promoted tokens: a name or a GGUF file.", completion: .model)
  var model: String?

  @Option(help: "The run's name in the database (default: the last part of its path).")
  var name: String?

  @Flag(help: "Replace the run of that name. Labels are kept if its weights are the same.")
  var replace = false

  @Option(help: "Strongest contexts of each latent.")
  var contexts = 20

  @Option(help: "Samples from each fifth of a latent's codes, sorted by strength.")
  var quantileSamples = 5

  @Option(help: "Tokens on each side of a context.")
  var window = 16

  @Option(help: "Rows to read, at most (default: all). A store's rows are shuffled.")
  var tokens: String?

  @Option(help: "Seed of the samples.")
  var seed: UInt64 = 0

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print a summary as JSON.")
  var json = false

  func validate() throws {
    guard (1...1000).contains(contexts) else {
      throw ValidationError("--contexts must be between 1 and 1000.")
    }
    guard (0...1000).contains(quantileSamples) else {
      throw ValidationError("--quantile-samples must be between 0 and 1000.")
    }
    guard (0...127).contains(window) else {
      throw ValidationError("--window must be between 0 and 127.")
    }
    if let tokens, (try? SizeArgument.count(tokens)) ?? 0 < 1 {
      throw ValidationError("--tokens must be a whole number of at least 1, such as 200k.")
    }
    if tensor != nil, store == nil {
      throw ValidationError("--tensor needs the file of the tensor after the run.")
    }
    if folder == nil, html == nil {
      throw ValidationError("Name a run to explain, or give --html a folder for pages of --out.")
    }
    if let name, name.isEmpty || name.utf8.count > 200 || name.contains(where: \.isNewline) {
      throw ValidationError("--name must be one line of at most 200 bytes.")
    }
  }

  func run() throws {
    let interruption = Interruption(notify: { _ in
      announceStop("once finished work is on the disk")
    })
    if let html { try PagesWriter.check(html) }
    let line = ProgressLine("explain")
    defer { line.end() }
    if let folder { try explain(folder, interruption, line) }
    if let html { try writePages(html, interruption, line) }
  }

  private func explain(
    _ folder: String, _ interruption: Interruption, _ line: ProgressLine
  ) throws {
    let say = { @Sendable (line: String) in report("hsae explain: \(line)") }
    let evaluated = try LoadedRun(
      path: folder, name: runNames([folder])[0], warn: { report("hsae: \($0)") })
    let source = try evaluated.openRows(
      at: store, tensor: tensor, advice: "name them after the run.")
    if let note = try evaluated.difference(from: RowsPlace(source)) { say("note: \(note)") }
    try requireLimit(tokens, "--tokens", of: source)
    let path = try model.map { try ModelFetcher(say: say).resolve($0) }
    let file = try path.map { (path) throws(Failure) in
      let file = try GGUFFile(path: path)
      return (
        vocabulary: try file.vocabulary().pieces, centres: file.lastNormCentres,
        sha256: try file.sha256()
      )
    }
    let modelHash = file?.sha256
    let rows = try ExplainedRows(
      source, limit: tokens.map { try SizeArgument.count($0) } ?? .max,
      vocabulary: file.flatMap { file in
        (source as? ActivationStore).map { $0.vocabulary.count <= file.vocabulary.count } ?? true
          ? file.vocabulary : nil
      })
    if let path, let modelHash, let stored = rows.store?.attributes, stored.modelSHA256 != modelHash
    {
      throw Failure.data(
        "\(source.path) is of \(stored.modelName) (SHA-256 \(stored.modelSHA256.prefix(12))…), but"
          + " \(path) is another model; give the one the store was made from.")
    }
    var stage: Explainer.Stage?
    let explainer = try Explainer(
      evaluated,
      weights: SHA256.hash(file: evaluated.directory.weightsFile(step: evaluated.step)),
      rows: rows, model: modelHash, centres: rows.kind != .vocabulary && file?.centres == true,
      effects: effects(rows, model: path, width: evaluated.shape.width), folder: out,
      options: options()
    ) { now, done, total in
      if stage != now {
        let (name, unit) = now.words
        line.begin(name, unit: unit, total: total, done: done)
        stage = now
      }
      line.update(done)
      return interruption.signalNumber == nil
    }
    let summary = try explainer.explain()
    if html == nil || summary == nil { line.end() } else { line.clear() }
    guard let summary else {
      say("stopped; the same command continues from here")
      throw ExitCode(128 + (interruption.signalNumber ?? SIGINT))
    }
    try output(json ? JSONFile.encode(summary) : summary.text)
  }

  /// Writes pages of the database in --out.
  private func writePages(
    _ path: String, _ interruption: Interruption, _ line: ProgressLine
  ) throws {
    let writer = try PagesWriter(database: FeatureDatabase(path: out))
    var hasBegun = false
    let summary = try writer.write(to: path) { done, total in
      if !hasBegun { line.begin("pages", unit: "experts", total: total, done: done) }
      hasBegun = true
      line.update(done)
      return interruption.signalNumber == nil
    }
    line.end()
    guard let summary else {
      report("hsae explain: stopped; no pages were written")
      throw ExitCode(128 + (interruption.signalNumber ?? SIGINT))
    }
    let text =
      "\(path): \(grouped(summary.files)) files, \(grouped(summary.bytes)) bytes; open \(path)/index.html\n"
    if folder == nil {
      try output(json ? JSONFile.encode(summary) : text)
    } else {
      report("hsae explain: wrote " + text.dropLast())
    }
  }

  private func options() -> Explainer.Options {
    var options = Explainer.Options()
    options.contexts.strongest = contexts
    options.contexts.samples = quantileSamples
    options.contexts.window = window
    options.contexts.seed = seed
    (options.name, options.replace, options.threads) = (name, replace, threading.count)
    return options
  }

  private func effects(
    _ rows: ExplainedRows, model: String?, width: Int
  ) -> (() throws(Failure) -> TokenEffects)? {
    let threads = threading.count
    if rows.kind == .vocabulary, let store = rows.store {
      return { () throws(Failure) in try .vocabulary(store, threads: threads) }
    }
    guard let model else { return nil }
    return { () throws(Failure) in
      try .unembedding(GGUFFile(path: model), width: width, threads: threads)
    }
  }
}

extension Explainer.Stage {
  /// Its name on the progress line, and what it counts there.
  fileprivate var words: (name: String, unit: String) {
    switch self {
    case .codes: ("encoding", "rows")
    case .explained: ("explained shares", "steps")
    case .latents: ("contexts", "experts")
    case .scores: ("hierarchies", "rows")
    case .nearest: ("nearest latents", "latents")
    case .promoted: ("promoted tokens", "latents")
    case .names: ("names", "latents")
    case .matched: ("other runs", "steps")
    case .search: ("search", "latents")
    case .postings: ("texts", "steps")
    }
  }
}

extension Explainer.Summary {
  fileprivate var text: String {
    let time = seconds.values.reduce(0, +)
    let rate = time > 0 ? Double(rows) / time : 0
    var lines = [
      "\(path): \(name), \(counted(rows, "row"))",
      (sublatents > 0 ? "  live experts          " : "  live latents          ")
        + "\(grouped(liveLatents)) of \(grouped(latents)) on these rows",
    ]
    if sublatents > 0 {
      lines.append(
        "  live sublatents       \(grouped(liveSublatents)) of \(grouped(sublatents)) on these rows"
      )
    }
    lines.append("  database              \(grouped(bytes)) bytes")
    if wasThere {
      lines.append("  nothing was left to do")
    } else {
      lines.append(
        "  time                  \(grouped(time, digits: 3)) s, \(grouped(rate, digits: 3)) rows/s")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
#endif
