// hsae bench: measures how fast training steps are, where their time goes and how far they are from the
// machine's limit. `TrainingBench` measures, `BenchPreparation` makes weights and rows.

import ArgumentParser
import HSAEActivations
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Measure training: rows per second, seconds per phase, distance to the machine's limit.",
    discussion: """
      Measures training steps that start from the weights of --from RUN. Without --from it first \
      trains such a run: 1000 steps (--steps) of at most 4096 rows on DATA, or without DATA on the \
      unembedding of Gemma 3 270M if the width is 640, else on made-up rows with a two-level \
      structure. The run is kept in the folder bench of the cache (HSAE_CACHE), and the next bench \
      of the same sizes uses it again. The default sizes are those of --preset unembedding.

      The limit is the sum of three times: the encoder product alone and the 6·m·d² operations of \
      the orthogonality penalty, both at oneDNN's best rate, and 28 bytes for each parameter at \
      memory bandwidth. The rates are measured in the same process, before and after the steps. On \
      processors without a matrix unit the float32 limit is the fairer comparison; both are printed. \
      A second pair of ratios adds the work on pairs of rows and experts, which matters where m is small.
      """)

  @Argument(help: "Rows to train and measure on.", completion: .file())
  var data: String?

  @Option(help: .option("tensor"))
  var tensor: String?

  @Option(
    help: "Start from the weights of this run, which is not changed.", completion: .directory)
  var from: String?

  @OptionGroup(title: "Dictionary and objective")
  var given: TrainingArguments

  @Option(help: "Width of the rows, if there is no DATA (default: the preset's).")
  var width: Int?

  @Option(help: "Steps before the measurement.")
  var warmSteps = 3

  @Option(help: "Blocks of steps to measure; the result is the median block.")
  var blocks = 7

  @Option(help: "Steps in each block.")
  var blockSteps = 3

  @Option(help: "Batch of the comparison with a flat dictionary; 0 for none.")
  var comparisonBatch = "32512"

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard warmSteps >= 0, blocks >= 1, blockSteps >= 1 else {
      throw ValidationError(
        "--warm-steps must not be negative, --blocks and --block-steps at least 1.")
    }
    if let width, !(1...1 << 16).contains(width) {
      throw ValidationError("--width must be between 1 and 65536.")
    }
    if tensor != nil, data == nil { throw ValidationError("--tensor needs DATA.") }
    if width != nil, data != nil || from != nil {
      throw ValidationError(
        "--width is for rows that hsae bench makes; leave it out with DATA or --from.")
    }
  }

  func run() throws {
    guard try given.options().initialWeights == nil else {
      throw Failure.usage("hsae bench starts from the weights of a run: give --from, not --init.")
    }
    var plan = BenchPlan()
    (plan.warmSteps, plan.blocks, plan.blockSteps) = (warmSteps, blocks, blockSteps)
    do throws(Failure) {
      let batch = try SizeArgument.count(comparisonBatch)
      plan.comparisonBatch = batch == 0 ? nil : batch
    } catch {
      throw Failure.usage("--comparison-batch \(comparisonBatch): \(error.message)")
    }

    let prepared = try from.map(existing) ?? made()
    let bench = try TrainingBench(
      configuration: prepared.configuration, source: prepared.source, run: prepared.run,
      threads: threading.count, warn: { report("hsae: \($0)") })
    let line = ProgressLine("bench")
    defer { line.end() }
    line.begin("measuring", unit: "blocks of steps", total: bench.blocks(plan))
    let result = try bench.measure(
      plan,
      note: {
        line.clear()
        report("hsae bench: \($0)")
      }, progress: { line.update($0) })
    line.end()
    if json {
      try output(JSONFile.encode(result))
    } else {
      try output(benchText(result, data: prepared.source.summary, run: prepared.run.path, plan))
    }
  }

  /// The settings of the measured steps, their rows, and the run whose weights they start from.
  private typealias Prepared = (
    configuration: TrainingConfiguration, source: any RowSource, run: RunDirectory
  )

  /// The run at `path`, on DATA or on the rows it was trained on.
  private func existing(_ path: String) throws -> Prepared {
    var options = try given.options()
    let (batch, precision) = (options.batch, options.precision)
    (options.batch, options.precision) = (nil, nil)
    guard options == TrainingOptions() else {
      throw Failure.usage(
        "--from takes sizes and settings from \(path)/config.json; give no training options with it"
          + " except --batch and --precision.")
    }
    let run = try RunDirectory(path: path)
    var configuration = try run.trainingConfiguration()
    if let batch { configuration.batch = batch }
    switch precision {
    case .float32: configuration.precision = .float32
    case .bfloat16: configuration.precision = .bfloat16
    case .auto: configuration.precision = .best
    case nil: break
    }
    if let complaint = configuration.complaint { throw Failure.usage(complaint) }
    let source = try run.openRows(
      at: data, tensor: tensor, advice: "name others: hsae bench DATA --from \(path).")
    return (configuration, source, run)
  }

  /// A run made for the measurement, or found in the cache.
  private func made() throws -> Prepared {
    var options = try given.options()
    let preset = options.preset
    options.preset = preset ?? .unembedding
    if options.steps == nil, options.epochs == nil { options.steps = 1_000 }
    options.checkpointEvery = options.checkpointEvery ?? 0
    options.keep = options.keep ?? 1
    let say = { @Sendable (line: String) in report("hsae bench: \(line)") }
    let preparation = BenchPreparation(threads: threading.count, say: say)
    let restoresLengths = options.normalize?.restoresLengths == true
    let source: any RowSource
    if let data {
      source = try openRows(path: data, tensor: tensor, restoresLengths: restoresLengths)
      if let preset, source.width != preset.width {
        say(
          "--preset \(preset.rawValue) is meant for rows of width \(preset.width);"
            + " measuring at \(source.width), the width of \(data)")
      }
    } else {
      source = try preparation.rows(
        width: width ?? options.preset?.width ?? 640, restoresLengths: restoresLengths)
    }
    let configuration = try resolve(options, source)
    // Resolve again: other settings depend on the batch, and batches above the largest share one run.
    options.batch = min(configuration.batch, BenchPreparation.largestBatch)
    let run = try preparation.run(resolve(options, source), source)
    return (configuration, source, run)
  }
}
