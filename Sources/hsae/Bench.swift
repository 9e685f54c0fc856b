// hsae bench: how fast training steps are, and where their time goes.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETraining

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Measure training: rows per second, seconds per phase, distance to the machine's limit.",
    discussion: """
      Trains on DATA (or on random rows of --width) for some steps, then measures the steps \
      after them; nothing is written. Sizes are those of --preset unembedding unless given.
      """)

  @Argument(help: "Rows to train on; random ones if left out.")
  var data: String?

  @OptionGroup(title: "Dictionary and objective")
  var given: TrainingArguments

  @Option(help: "Width of random rows.")
  var width = 640

  @Option(help: "Steps before the measurement.")
  var warmSteps = 20

  @Option(help: "Steps measured.")
  var measured = 10

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard warmSteps >= 0, measured >= 1 else {
      throw ValidationError("--warm-steps must not be negative, --measured at least 1.")
    }
    guard width >= 1, width <= 1 << 16 else {
      throw ValidationError("--width must be between 1 and 65536.")
    }
  }

  func run() throws {
    guard given.initialWeights == nil else {
      throw Failure.usage("hsae bench starts from random weights; leave out --init.")
    }
    let source: any RowSource =
      try data.map { (path) throws(Failure) in try openRows(path: path) }
      ?? RandomRows(rowCount: 100_000, width: width, seed: 0)
    var options = try given.options()
    options.preset = options.preset ?? .unembedding
    let configuration = try resolve(options, source)
    let bench = try TrainingBench(
      configuration: configuration, source: source, threads: threading.count)
    let result = try bench.measure(warmSteps: warmSteps, steps: measured)
    if json {
      try output(JSONFile.encode(result))
      return
    }
    try output(
      String(
        format: "%.0f rows/s, %.4f s a step (%@, %d threads, kernels %@), batch %d\n",
        result.tokensPerSecond, result.secondsPerStep, configuration.precision.rawValue,
        threading.count,
        kernelsName, configuration.batch))
    try output(
      String(
        format: "limit %.4f s a step (product %.0f GFLOP/s, memory %.1f GB/s); step / limit %.2f\n",
        result.limitSeconds, result.productRate / 1e9, result.bandwidth / 1e9,
        result.stepOverLimit))
    if let above = result.aboveThreshold {
      try output(String(format: "%.2f %% of latents above the threshold\n", above * 100))
    }
    for phase in Phase.allCases {
      let seconds = result.phases["\(phase)"] ?? 0
      try output(
        "\(phase)".padding(toLength: 14, withPad: " ", startingAt: 0)
          + String(
            format: "%8.2f ms %5.1f %%\n", seconds * 1e3, seconds / result.secondsPerStep * 100))
    }
  }
}

/// Seeded random rows, for measurements without data.
struct RandomRows: RowSource {
  let rowCount: Int
  let width: Int
  let seed: UInt64
  var path: String { "random" }
  var summary: String { "random rows, \(rowCount) × \(width)" }
  var fingerprint: String { "random-\(rowCount)-\(width)-\(seed)" }

  func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    let root = SeededGenerator(seed: seed)
    for place in rows.indices {
      var generator = root.split(UInt64(rows[place]))
      for column in 0..<width {
        destination[place * width + column] = Float(generator.nextSymmetric())
      }
    }
  }
}
