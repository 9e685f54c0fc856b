// hsae train: options, the progress line and how the run ended. The options' meaning and defaults are
// `TrainingConfiguration`'s, the work is `Trainer`'s.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETraining

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a hierarchical (or flat) dictionary on a store or a matrix.",
    discussion: """
      DATA is an activation store, a .npy or a .safetensors matrix [rows × width]. Defaults are the \
      paper's, shortened for short runs: batch 32512 where that gives 2000 steps, else the largest \
      power of two that does (at least 512); warm-ups of at most 5 % of the run. --sublatents 0 \
      trains a flat TopK dictionary (beta, ortho, l1 and threshold 0; AuxK 1/30).

      Every option but --out, --resume, --config, --allow-incomplete and --json is also a key of a \
      --config file (JSON), by its long name; the command line wins. \
      Ctrl-C and SIGTERM write a checkpoint and exit 130 and 143; --resume goes on from the newest \
      checkpoint with the same bits as if nothing had happened.
      """)

  @Argument(help: "The rows to train on; may be left out with --resume.")
  var data: String?

  @Option(help: "The run directory to write.")
  var out: String

  @Flag(help: "Go on with the run at --out from its newest checkpoint.")
  var resume = false

  @Option(help: "A JSON file of options.")
  var config: String?

  @OptionGroup(title: "Dictionary and objective")
  var given: TrainingArguments

  @Option(help: "Threads (default: all processors). The result does not depend on it.")
  var threads: Int?

  @Option(help: "The tensor to read, if DATA is a .safetensors file with several.")
  var tensor: String?

  @Option(help: "Skip or keep rows that a store flags for their giant norm (default skip).")
  var giantNorms: GiantNorms?

  @Flag(help: "Train on a store whose collection has not ended.")
  var allowIncomplete = false

  @Flag(help: "Print a summary of the run as JSON.")
  var json = false

  func validate() throws {
    guard (1...4096).contains(threads ?? 1) else {
      throw ValidationError("--threads must be between 1 and 4096.")
    }
    if data == nil && !resume { throw ValidationError("Missing expected argument '<data>'.") }
  }

  func run() throws {
    let trainer = try resume ? resumed() : created()
    let interruption = Interruption(notify: announceStop)
    let outcome = try runWithProgress(trainer, label: "train", interruption: interruption)
    try summarise(trainer)
    if case .interrupted(let signal) = outcome { throw ExitCode(128 + signal) }
  }

  private func created() throws -> Trainer {
    var options = try given.options()
    (options.threads, options.tensor) = (threads, tensor)
    if let config { options = options.filled(from: try TrainingOptions.read(from: config)) }
    let source = try openRows(
      path: data ?? "", tensor: options.tensor, allowIncomplete: allowIncomplete,
      giantNorms: giantNorms ?? .skip)
    let configuration = try resolve(options, source)
    return try Trainer(
      creating: out, configuration: configuration, source: source,
      threads: options.threads ?? processorCount)
  }

  private func resumed() throws -> Trainer {
    guard try given.options() == TrainingOptions(), config == nil else {
      throw Failure.usage(
        "--resume takes its settings from \(out)/config.json; leave out the other options.")
    }
    let run = try RunDirectory(path: out)
    let begun = run.configuration.data
    guard data != nil || Path.exists(begun.path) else {
      throw Failure.missing(
        "\(begun.path): the rows \(out) was begun on are gone; name their new place:"
          + " hsae train DATA --out \(out) --resume.")
    }
    let source = try openRows(
      path: data ?? begun.path, tensor: tensor ?? begun.tensor, allowIncomplete: allowIncomplete,
      giantNorms: giantNorms ?? begun.giantNorms ?? .skip)
    return try Trainer(
      resuming: out, source: source, threads: threads ?? processorCount,
      warn: { report("hsae: \($0)") })
  }

  private func summarise(_ trainer: Trainer) throws {
    guard let last = try RunDirectory(path: out).metrics().last else { return }
    if json {
      try output(JSONFile.encode(TrainingSummary(run: out, last: last)))
    } else {
      try output(summaryLine(trainer, last) + "\n")
    }
  }
}

/// Runs `trainer` with a progress line.
func runWithProgress(
  _ trainer: Trainer, label: String, interruption: Interruption
) throws(Failure) -> TrainingOutcome {
  let batch = trainer.configuration.batch
  var line = ProgressLine(
    label, unit: "rows", total: trainer.configuration.steps * batch, done: trainer.step * batch)
  defer { line.clear() }
  return try trainer.run(interruption: interruption) { step, record in
    line.update(step * batch, note: progressNote(record))
  }
}

private func progressNote(_ record: MetricsRecord) -> String {
  var note = String(format: "loss %.4f", record.loss)
  if let variance = record.explainedVariance {
    note += String(format: "  explained %.3f", variance)
  }
  if record.deadLatents > 0 { note += "  dead \(record.deadLatents)" }
  return note
}

/// Says that Ctrl-C was heard, in the place of the progress line.
@Sendable func announceStop() {
  let clear = isatty(STDERR_FILENO) == 1 ? "\r\u{1B}[K" : ""
  report(clear + "hsae: stopping after a checkpoint (again to kill).")
}

/// How a run stands, in one line.
func summaryLine(_ trainer: Trainer, _ last: MetricsRecord) -> String {
  let shape = trainer.configuration.shape
  var parts = [
    "\(trainer.path): step \(trainer.step) of \(trainer.configuration.steps)",
    "\(grouped(last.tokens)) rows", String(format: "loss %.5f", last.loss),
  ]
  if let variance = last.explainedVariance {
    parts.append(String(format: "explained variance %.4f", variance))
  }
  // Nothing can be called dead before a million rows were seen.
  if last.tokens >= Usage.reportingWindow {
    let latents = "dead lately \(grouped(last.deadLatents)) of \(grouped(shape.experts)) latents"
    let all = grouped(shape.experts * shape.sublatents)
    parts.append(
      latents
        + (shape.isFlat ? "" : " and \(grouped(last.deadSublatents)) of \(all) sublatents"))
  }
  parts.append("\(grouped(Int(Double(last.tokens) / max(last.seconds, 1e-9)))) rows/s")
  return parts.joined(separator: ", ")
}

/// What `hsae train --json` prints.
struct TrainingSummary: Encodable {
  var run: String
  var last: MetricsRecord
}

/// Resolves `options` for `source`, reading the sizes of the file `--init` names.
func resolve(
  _ options: TrainingOptions, _ source: any RowSource
) throws(Failure) -> TrainingConfiguration {
  guard source.rowCount > 0 else { throw .data("\(source.path): there are no rows to train on.") }
  let absolute = URL(fileURLWithPath: source.path).standardizedFileURL.path
  let data = DataDescription(
    path: absolute, fingerprint: source.fingerprint, rows: source.rowCount, width: source.width,
    tensor: (source as? SafetensorsRows)?.tensor,
    giantNorms: (source as? ActivationStore)?.giantNorms == .keep ? .keep : nil)
  var options = options
  options.order = options.order ?? (source.isShuffled ? .chunks : .shuffled)
  guard let file = options.initialWeights else {
    return try TrainingConfiguration(options, data: data)
  }
  options.initialWeights = URL(fileURLWithPath: file).standardizedFileURL.path
  let initial = try WeightsFile.shape(of: file)
  return try TrainingConfiguration(
    options, data: data, initialShape: initial.shape, initialHasBias: initial.hasBias)
}
