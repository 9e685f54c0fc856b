// hsae evaluate: measures runs side by side with the suites of `HSAEEvaluation`. This file has the options,
// opens runs, rows and model, and writes the results.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAEDistribution
import HSAEEvaluation
import HSAELanguageModels
import HSAEReport
import HSAERuns
import HSAESupport
import HSAETensors

struct Evaluate: ParsableCommand, RunsOnRanks {
  static let configuration = CommandConfiguration(
    abstract: "Measure runs side by side, on held-out documents by default.",
    discussion: """
      Suites (docs/evaluation.md defines every number):
      \(EvaluationSuites.all.map { "  \($0.name): \($0.about)" }.joined(separator: "\n"))

      Rows come from the documents that the store holds out; a synthetic forest (hsae synth) has held-out \
      rows of its own. If there are none, they are the rows the runs were trained on, and the output says \
      so. With --model the suite core also splices reconstructions into the model and measures its losses \
      on the same documents, or on --text. Means over tokens or sentences have 95 % intervals, from a \
      bootstrap over documents or sentences.

      Processes started together by mpirun or srun divide rows, contexts and prompts (docs/scale.md); \
      each holds the runs and the model.

      --out FILE.json writes all results; --out FOLDER also writes a page and SAEBench's files. hsae \
      report --evaluation takes either.
      """)

  @Argument(help: "Run directories.", completion: .directory)
  var runs: [String]

  @Option(help: "Suites, separated by commas.", completion: .suites)
  var suite = "core,cost"

  @Option(
    help: "The store or matrix to evaluate on (default: what the runs were trained on).",
    completion: .file())
  var store: String?

  @Option(help: .tensor)
  var tensor: String?

  @Option(
    help: "The language model: a name, a GGUF file, or synthetic.", completion: .modelOrSynthetic)
  var model: String?

  @Option(
    parsing: .upToNextOption, help: "Text to evaluate on instead of a store's held-out documents.",
    completion: .file())
  var text: [String] = []

  @Option(help: "The block whose output the rows are, if neither a store nor the run records it.")
  var layer: Int?

  @Option(help: "Rows to reconstruct, at most.")
  var tokens = "1M"

  @Option(help: "Tokens to measure the model's losses on; each run takes a pass through the model.")
  var lossTokens = "10k"

  @Option(
    help: """
      Parallel sentences for the suite crosslingual, as JSON: [{"en": …, "fr": …}, …] (default: \
      verses of the Bible in en, fr, es, de, which are fetched).
      """, completion: .file(extensions: ["json"]))
  var sentences: String?

  @Option(help: "Sentences to draw for the suite crosslingual, at most.")
  var sentenceCount = 500

  @Option(help: "Words for the suite absorption; each costs a prompt of about 83 tokens.")
  var maxWords = "10k"

  @Option(help: "Solved examples before each of these words; the suite's definition has 10.")
  var examples = 10

  @Option(
    help: """
      Sets of labelled texts for the suite probing: how many to draw, all, or names separated by commas \
      (sae-probes 0.4.2, which is fetched).
      """)
  var probeSets = "16"

  @Option(help: "Texts of each of these sets, at most; two thirds of them train the probes.")
  var probeTexts = "600"

  @Option(
    help: """
      Steps of the small dictionary of decoder rows that the suite structure trains; 0 leaves \
      meta-structure out.
      """)
  var metaSteps = 1_500

  @Option(
    help: "The folder of WordNet's files, for the suite hierarchy.", completion: .directory
  )
  var wordnet = WordNet.defaultFolder

  @Option(help: "Seed of all draws.")
  var seed: UInt64 = 0

  @OptionGroup var threading: ThreadsOption

  @Option(help: "Write the results to this .json file, or into this folder.", completion: .file())
  var out: String?

  @Flag(help: "Print the results as JSON.")
  var json = false

  func validate() throws {
    for (name, value) in [
      ("--tokens", tokens), ("--loss-tokens", lossTokens), ("--max-words", maxWords),
    ] {
      guard (try? SizeArgument.count(value)) ?? 0 >= 1 else {
        throw ValidationError("\(name) must be a whole number of at least 1, such as 20k.")
      }
    }
    guard sentenceCount >= 2 else { throw ValidationError("--sentence-count must be at least 2.") }
    guard (0...100).contains(examples) else {
      throw ValidationError("--examples must be between 0 and 100.")
    }
    guard (try? SizeArgument.count(probeTexts)) ?? 0 >= ProbingSuite.leastTexts else {
      throw ValidationError("--probe-texts must be at least \(ProbingSuite.leastTexts).")
    }
    guard metaSteps >= 0 else { throw ValidationError("--meta-steps must not be negative.") }
    if tensor != nil, store == nil { throw ValidationError("--tensor needs --store.") }
    if !text.isEmpty, model == nil { throw ValidationError("--text needs --model to read it.") }
  }

  func run() throws {
    let world = try Launch.world(for: "evaluate")
    let watch = try watchOthers(world)
    defer { withExtendedLifetime(watch) {} }
    let line = ProgressLine("evaluate", isQuiet: !Launch.isFirst)
    defer { line.end() }
    let threads = try threading.threads ?? Ranks(world).defaultThreads()
    let (suites, evaluated, input) = try world.agree { () throws(Failure) in
      let suites = try EvaluationSuites.named(suite, processes: world.size)
      if let out, world.rank == 0 { try requireWritable(out) }
      try requireDistinct(runs)
      let names = runNames(runs)
      var evaluated: [LoadedRun] = []
      for (path, name) in zip(runs, names) {
        evaluated.append(
          try LoadedRun(path: path, name: name, warn: { sayFirst("hsae: \($0)") }))
      }
      return (suites, evaluated, try self.input(evaluated, suites, world, threads: threads, line))
    }
    // Print what was measured even if a later suite or writing the files fails.
    var failure: Failure?
    let evaluation = try Evaluation(
      of: evaluated, suites: suites, input: input, onFailure: { failure = $0 })
    line.end()
    try world.onFirst { () throws(Failure) in
      try output(
        json
          ? JSONFile.encode(evaluation)
          : evaluationText(evaluation, width: terminalWidth(otherwise: .max)))
      if let out { try write(evaluation, to: out) }
    }
    if let failure { throw failure }
  }

  /// Reports, if several processes work together, which one died when the launcher ends the others.
  private func watchOthers(_ world: any Communicator) throws(Failure) -> Interruption? {
    guard world.size > 1 else { return nil }
    let peers = try Peers(world)
    return Interruption(notify: { signal in
      peers.leave(signal) { report("hsae: \($0); start again with the same command.") }
    })
  }

  // MARK: What is given

  /// Fails if a run is named twice, because its columns would have the same name.
  private func requireDistinct(_ runs: [String]) throws(Failure) {
    var known: Set<String> = []
    for path in runs {
      let place = URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
      guard known.insert(place).inserted else {
        throw .usage("\(path): this run is named twice; name each once.")
      }
    }
  }

  private func input(
    _ runs: [LoadedRun], _ suites: [any EvaluationSuite.Type], _ world: any Communicator,
    threads: Int, _ line: ProgressLine
  ) throws(Failure) -> EvaluationInput {
    var options = EvaluationOptions()
    (options.seed, options.threads) = (seed, threads)
    options.rowLimit = try SizeArgument.count(tokens)
    options.lossTokens = try SizeArgument.count(lossTokens)
    options.maxWords = try SizeArgument.count(maxWords)
    (options.examples, options.wordNet) = (examples, wordnet)
    (options.sentences, options.metaSteps) = (sentenceCount, metaSteps)
    (options.probeSets, options.probeTexts) = (probeSets, try SizeArgument.count(probeTexts))
    let say = { @Sendable (text: String) in sayFirst("hsae evaluate: \(text)") }
    let source = try source(runs, suites)
    // A store names the block itself.
    var block = layer
    if block == nil, !(source is ActivationStore) { block = try recordedBlock(of: runs) }
    var (units, isDone) = ("", true)
    return EvaluationInput(
      options: options, source: source, text: try documents(),
      textName: text.map(Path.name).joined(separator: ", "),
      layer: block,
      loader: try loader(say, threads: threads),
      sentences: { () throws(Failure) in
        if let sentences { return try ParallelSentences(path: sentences) }
        return try .verses(ModelFetcher(say: say))
      }, probing: { () throws(Failure) in try ProbingTexts(ModelFetcher(say: say)) }, ranks: world,
      say: { (text) in
        // "suite core: what it measures" begins the stage "suite core".
        line.begin(String(text.prefix { $0 != ":" }))
        say(text)
      },
      progress: { done, total, now in
        if isDone || units != now { line.count(now, of: total) }
        (units, isDone) = (now, done >= total)
        line.update(done)
        if isDone { line.clear() }
      })
  }

  /// The rows that were named, or those all runs were trained on; nil if no suite reads rows.
  private func source(
    _ runs: [LoadedRun], _ suites: [any EvaluationSuite.Type]
  ) throws(Failure) -> (any RowSource)? {
    if store == nil {
      guard suites.contains(where: { $0.measures }) else { return nil }
      let data = runs[0].description.data
      for run in runs where run.description.data?.fingerprint != data?.fingerprint {
        throw .usage(
          "\(runs[0].path) and \(run.path) were trained on different rows; name the rows to evaluate both"
            + " on with --store.")
      }
      if !text.isEmpty, !Path.exists(data?.path ?? "") { return nil }
    }
    // Rows stay at unit norm: a suite gives them their lengths where a run needs them.
    return try runs[0].openRows(
      at: store, tensor: tensor, restoresLengths: false, advice: "name them with --store.")
  }

  /// The block that the runs record; nil if none records one. Fails with `.usage` if they record different ones.
  private func recordedBlock(of runs: [LoadedRun]) throws(Failure) -> Int? {
    var found: (block: Int, run: String)?
    for run in runs {
      guard let block = try run.block() else { continue }
      if let found, found.block != block {
        throw .usage(
          "\(found.run) is for the output of block \(found.block), and \(run.path) for that of block"
            + " \(block); evaluate each by itself.")
      }
      found = (block, run.path)
    }
    return found?.block
  }

  private func documents() throws(Failure) -> [Document]? {
    guard !text.isEmpty else { return nil }
    let reader = try CorpusReader(paths: text)
    var documents: [Document] = []
    var bytes = 0
    // More text than is ever read with a model.
    while bytes < 64 << 20, let document = try reader.next() {
      bytes += document.text.count
      documents.append(document)
    }
    return documents
  }

  private func loader(
    _ say: @escaping @Sendable (String) -> Void, threads: Int
  ) throws(Failure) -> EvaluationInput.ModelLoader? {
    guard let model else { return nil }
    if model == "synthetic" {
      return { (length, _) throws(Failure) in SyntheticModel(contextLength: length) }
    }
    let path = try ModelFetcher(say: say).resolve(model)
    return { (length, weights) throws(Failure) in
      try LlamaModel(
        path: path, weights: weights.flatMap(WeightsChoice.init(name:)) ?? .auto,
        contextLength: length, threads: threads, say: say)
    }
  }

  // MARK: What is written

  private var isFolder: Bool { out.map { !$0.hasSuffix(".json") } ?? false }

  /// Fails if --out cannot be written. It makes no folder, because the evaluation may still be refused.
  private func requireWritable(_ out: String) throws(Failure) {
    guard !out.isEmpty else { throw .usage("--out is empty; name a folder or a .json file.") }
    var folder = isFolder ? out : Path.parent(out)
    if isFolder {
      while !Path.exists(folder), Path.parent(folder) != folder { folder = Path.parent(folder) }
      guard Path.isDirectory(folder) else {
        throw Failure(
          .cannotCreate, "\(folder): this is not a folder; name another one with --out.")
      }
    } else {
      try Path.requireParent(of: out)
    }
    guard Path.isWritable(folder) else {
      throw Failure(.cannotCreate, "\(folder): no permission to write here.")
    }
  }

  private func write(_ evaluation: Evaluation, to out: String) throws(Failure) {
    guard isFolder else {
      try JSONFile.write(evaluation, to: out)
      report("hsae evaluate: wrote \(out)")
      return
    }
    let bench = Path.join(out, "saebench")
    try Path.createDirectories(bench)
    try JSONFile.write(evaluation, to: Path.join(out, Evaluation.fileName))
    let milliseconds = Int(Date().timeIntervalSince1970 * 1000)
    for file in evaluation.saeBenchFiles(milliseconds: milliseconds) {
      try DurableFile.write(file.text, to: Path.join(bench, file.name))
    }
    let page = ReportInput(
      title: "Evaluation", subtitle: evaluation.runs.map(\.name).joined(separator: ", "), runs: [],
      evaluation: evaluation)
    try DurableFile.write(makeReport(page), to: Path.join(out, "index.html"))
    report("hsae evaluate: wrote \(out)/evaluation.json, index.html and saebench/")
  }
}

/// Writes `line` to standard error; of several processes only the first does.
private func sayFirst(_ line: String) { if Launch.isFirst { report(line) } }
