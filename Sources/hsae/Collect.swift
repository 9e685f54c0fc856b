// hsae collect: writes a language model's residual stream over a corpus as an activation store. `Collector`
// does the work.

public import ArgumentParser
import Foundation
public import HSAEActivations
import HSAEDistribution
public import HSAELanguageModels
import HSAESupport
import HSAETensors

struct Collect: ParsableCommand, RunsOnRanks {
  static let configuration = CommandConfiguration(
    abstract: "Write a model's residual stream over a corpus as a shuffled store.",
    discussion: """
      Rows are the output of block --layer (counting from 0) for every token of the corpus, in \
      shuffled order. Each document gives its first --context tokens; with --whole-documents it \
      gives all of them, in contexts that do not see each other. The model reads special tokens, but \
      they get no row. The share --holdout of the documents goes to STORE/holdout, for evaluation.

      If the command stops for any reason, the same command continues where it stopped. With \
      --shard, several processes fill one store: run each i of 1/N to N/N, at once or in turn. The \
      bytes of the store do not depend on shards, threads or interruptions. Processes started \
      together by mpirun or srun take one shard each.

      MODEL may be "synthetic": made-up rows of width 64 with planted two-level features.

      \(CorpusFormatOptions.help)
      """)

  @Argument(
    help: "A model's name (it is fetched), the path of a GGUF file, or synthetic.",
    completion: .modelOrSynthetic)
  var model: String

  @Option(help: "The block whose output to collect, counting from 0.")
  var layer: Int

  @Option(parsing: .upToNextOption, help: "Corpus files, or folders of them.", completion: .file())
  var text: [String]

  @Option(help: "The store to write or to continue.", completion: .directory)
  var out: String

  @Option(help: "Rows to collect, such as 2M (default: the whole corpus); cannot change later.")
  var tokens: String?

  @Option(help: "Tokens in a context, including special tokens.")
  var context = 256

  @Flag(help: "Use all of each document, in several contexts.")
  var wholeDocuments = false

  @OptionGroup var format: CorpusFormatOptions

  @Option(help: "Documents to hold out for evaluation, such as 5% or 0.05.")
  var holdout = "5%"

  @Option(help: "Seed of the shuffle and of the choice of held-out documents.")
  var seed: UInt64 = 0

  @Option(help: "Tokens before this position in their context get no row.")
  var minPosition = 0

  @Flag(help: "Give special tokens (BOS, EOS, …) rows too.")
  var keepSpecial = false

  @Option(
    help: """
      Whether contexts begin with BOS, the model's beginning-of-sequence token: if its file says so \
      (auto), always, or never.
      """)
  var bos = BOSRule.auto

  @Option(
    help: "Flag rows whose norm exceeds this multiple of the median; training skips flagged rows.")
  var giantNorm = CollectionSettings.giantNormMultiple

  @Option(
    help: """
      Weights to compute with: the file's own (keep), converted once to q8_0, bf16 or f32, or \
      whichever of q8_0 and bf16 is faster on this processor (auto).
      """)
  var weights = WeightsChoice.auto

  @Option(help: "Do only the i-th of N parts of the work, such as 2/4. (default: 1/1)")
  var shard: Shard?

  @Option(help: "Seconds between writes of rows to the disk.")
  var flushSeconds = 60.0

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print a summary as JSON.")
  var json = false

  func validate() throws {
    if let tokens, (try? SizeArgument.count(tokens)) ?? 0 < 1 {
      throw ValidationError("--tokens must be a whole number of at least 1, such as 2000000 or 2M.")
    }
    guard (1...1 << 20).contains(context) else {
      throw ValidationError("--context must be between 1 and 1048576.")
    }
    guard holdoutFraction != nil else {
      throw ValidationError("--holdout must be at least 0 and less than 1, such as 5% or 0.05.")
    }
    guard minPosition >= 0, minPosition < context else {
      throw ValidationError("--min-position must be at least 0 and less than --context.")
    }
    guard giantNorm > 1, giantNorm.isFinite else {
      throw ValidationError("--giant-norm must be more than 1.")
    }
    guard flushSeconds >= 0, flushSeconds.isFinite else {
      throw ValidationError("--flush-seconds must not be negative.")
    }
    if Launch.announced.size > 1, shard != nil {
      throw ValidationError(
        "--shard is for processes started one by one; processes started together take a shard each."
      )
    }
    guard layer >= 0 else { throw ValidationError("--layer counts from 0.") }
  }

  private var holdoutFraction: Double? {
    let isPercent = holdout.hasSuffix("%")
    guard let number = Double(isPercent ? holdout.dropLast() : holdout[...]) else { return nil }
    let fraction = isPercent ? number / 100 : number
    return fraction >= 0 && fraction < 1 ? fraction : nil
  }

  func run() throws {
    let start = Date()
    let say = { @Sendable (text: String) in report("hsae collect: \(text)") }
    // For lines that concern all processes that were started together.
    let sayOnce = { @Sendable (line: String) in if Launch.isFirst { say(line) } }
    let interruption = Interruption(notify: { _ in
      announceStop("once finished work is on the disk")
    })
    let line = ProgressLine("collect", isQuiet: !Launch.isFirst)
    defer { line.end() }
    line.begin("opening the model")
    try Path.requireParent(of: out)
    let corpus = try CollectionAttributes.sources(at: text)
    let collector = try Collector(
      model: loaded(sayOnce), settings: settings(), path: out, corpus: corpus)
    let reader = try CorpusReader(paths: text, format: format.format)
    let prepared = try prepare(collector, reader, interruption, line, say)
    if prepared.isComplete, prepared.wasThere {
      // One process reports this: the first, unless another completed the store just now and reports that.
      guard Launch.isFirst else { return }
      let manifest = Path.join(out, "zarr.json")
      let completion =
        try? FileManager.default.attributesOfItem(atPath: manifest)[.modificationDate] as? Date
      if Launch.announced.size > 1, let completion, completion > start { return }
      say("\(out) is complete; nothing is left to do")
    }
    let begin = ContinuousClock.now
    var (first, last): (Int?, Int) = (nil, 0)
    if !prepared.isComplete {
      var pace = Collector.Pace()
      pace.seconds = flushSeconds
      let shard = shard ?? .ofThisProcess
      let stage = shard.count > 1 ? "shard \(shard)" : ""
      let outcome = try collector.run(
        shard: shard.index, of: shard.count, pace: pace,
        shouldStop: { interruption.signalNumber != nil }
      ) { done, total in
        if first == nil {
          first = done
          line.begin(stage, unit: "tokens", total: total, done: done)
        }
        last = done
        line.update(done)
      }
      line.end()
      if outcome == .stopped, let signal = interruption.signalNumber {
        say("stopped; the same command continues from here")
        throw ExitCode(128 + signal)
      }
      if outcome == .shardDone {
        say("shard \(shard) is done; \(out) is complete when the other shards are")
      }
      // Of several processes, the one that completes the store prints the summary.
      if Launch.announced.size > 1, outcome != .complete { return }
    }
    try summarise(tokens: last - (first ?? 0), (ContinuousClock.now - begin) / .seconds(1))
  }

  private func settings() throws -> CollectionSettings {
    var settings = CollectionSettings(block: layer)
    settings.contextLength = context
    settings.wholeDocuments = wholeDocuments
    settings.rowLimit = try tokens.map { (text) throws(Failure) in try SizeArgument.count(text) }
    settings.holdoutFraction = holdoutFraction ?? 0
    settings.seed = seed
    settings.minimumPosition = minPosition
    settings.keepsSpecialTokens = keepSpecial
    settings.bos = bos
    settings.giantNormMultiple = giantNorm
    return settings
  }

  private func loaded(
    _ say: @escaping @Sendable (String) -> Void
  ) throws -> any ResidualStreamModel {
    if model == "synthetic" { return SyntheticModel(contextLength: context) }
    return try LlamaModel(
      path: ModelFetcher(say: say).resolve(model), weights: weights, contextLength: context,
      block: layer, threads: threading.count, say: say)
  }

  private func prepare(
    _ collector: Collector, _ reader: CorpusReader, _ interruption: Interruption,
    _ line: ProgressLine, _ say: (String) -> Void
  ) throws -> Collector.Preparation {
    line.begin(
      "tokenising", unit: "rows", total: try tokens.map { try SizeArgument.count($0) })
    defer { line.clear() }
    let prepared: Collector.Preparation
    do {
      prepared = try collector.prepare(
        documents: { reader }, threads: threading.count, say: say,
        shouldStop: { interruption.signalNumber != nil }, progress: { line.update($0) })
    } catch {
      // The reason may be that documents were skipped.
      line.clear()
      report(reader.summary, command: "collect")
      throw error
    }
    line.clear()
    if prepared.isStopped, let signal = interruption.signalNumber {
      say("stopped during tokenisation; the next call tokenises again from the start")
      throw ExitCode(128 + signal)
    }
    report(reader.summary, command: "collect")
    if prepared.documentsWithoutRows > 0 {
      say(
        "skipped \(counted(prepared.documentsWithoutRows, "document")) without a token to collect")
    }
    return prepared
  }

  private func summarise(tokens: Int, _ seconds: Double) throws {
    let attributes = try ResidualStoreWriter.attributes(of: out)
    if json {
      try output(
        JSONFile.encode(
          Summary(out: out, attributes: attributes, tokens: tokens, seconds: seconds)))
      return
    }
    guard let collection = attributes.collection else { return }
    var text =
      "\(out): \(counted(collection.trainingRows, "row")) of width \(attributes.width)"
      + " and \(grouped(collection.holdoutRows)) held out, from"
      + " \(counted(collection.documentCount, "document")); \(attributes.modelName)"
      + " (\(attributes.weightsType ?? "?")), \(attributes.hookPoint)"
    if let median = collection.medianNorm, let flagged = collection.flaggedRows {
      text +=
        "; median norm \(grouped(Double(median), digits: 4)), \(counted(flagged, "row")) flagged"
    }
    if !attributes.complete { text += "; incomplete" }
    try output(text + "\n")
  }

  /// What `--json` prints.
  private struct Summary: Encodable {
    var out: String
    var attributes: StoreAttributes
    /// Tokens the model read in this call, and the seconds it took to read them and write the rows.
    var tokens: Int
    var seconds: Double
  }
}

/// One of several parts of the work: "2/4".
struct Shard: ExpressibleByArgument, CustomStringConvertible {
  /// The whole work, or this process's part if several processes were started together.
  static let ofThisProcess = Shard(
    index: Launch.announced.rank + 1, count: Launch.announced.size)

  var index: Int
  var count: Int
  var description: String { "\(index)/\(count)" }

  init(index: Int, count: Int) { (self.index, self.count) = (index, count) }

  init?(argument: String) {
    let parts = argument.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let index = parts[0], let count = parts[1], index >= 1, index <= count,
      count <= 1 << 20
    else { return nil }
    self.init(index: index, count: count)
  }
}

extension BOSRule: ExpressibleByArgument {}

extension WeightsChoice: ExpressibleByArgument {
  /// The choice of that name.
  public init?(argument: String) { self.init(name: argument) }
  /// The names of all choices.
  public static var allValueStrings: [String] { names }
  /// The name of the default.
  public var defaultValueDescription: String { "auto" }
}
