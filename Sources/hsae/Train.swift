// hsae train: options, the progress line and the summary of the runs. `TrainingConfiguration` defines what the
// options mean and their defaults; `Trainer` and `TrainingGroup` train.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAEDistribution
import HSAEEngine
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

struct Train: ParsableCommand, RunsOnRanks {
  static let configuration = CommandConfiguration(
    abstract: "Train a hierarchical (or flat) dictionary on a store or a matrix.",
    discussion: """
      DATA is an activation store, a .npy, .safetensors or Zarr matrix [rows × width], or a synthetic forest \
      (hsae synth), whose rows are computed as they are read. Defaults are the \
      paper's, adapted to short runs: batch 32512 if that gives 2000 steps, else the largest power of \
      two that does (at least 512); warm-ups of at most 5 % of the run. --sublatents 0 trains a flat \
      TopK dictionary (beta, ortho, l1 and threshold 0; AuxK 1/30).

      Every option except --out, --also, --resume, --config, --backend, --plugin, --device, --model, --dictionary-ranks, \
      --giant-norms, --tensorboard, \
      --allow-incomplete and --json is also a key of a --config file (JSON), by its long name; the command line wins.

      --also trains another dictionary on the same batches and may be repeated: \
      --out out/h --also out/flat:sublatents=0 --also out/other:seed=1,config=other.json. Its \
      settings are those of the first run except for what follows the colon; batch, order and \
      normalisation are the same for all. Every run directory is the same, to the bit, as if its run \
      had been trained alone (seed=1 here stands for --seed 1 --order-seed 0).

      mpirun -n 4 hsae train … trains with 4 processes. Each owns a quarter of the experts and sees all \
      rows. With --dictionary-ranks R, processes form groups of R, and each group sees its part of the \
      rows. DATA and the run directory must be visible to all machines. A run can be resumed with any \
      number of processes (docs/scale.md).

      Before training hsae prints the memory it needs and the memory that is free. On Ctrl-C or SIGTERM it \
      writes a checkpoint and exits with 130 or 143. --resume continues from the newest checkpoint with the \
      same bits as an uninterrupted run. With --resume you may repeat the run's options, but not change them. \
      If there is no run yet and you name DATA, --resume begins one, so you can repeat the same line until the \
      run is complete.
      """)

  @Argument(help: "The rows to train on; may be left out with --resume.", completion: .file())
  var data: String?

  @Option(help: "The run directory to write.", completion: .directory)
  var out: String

  @Option(
    help: ArgumentHelp(
      "Another run on the same batches, and its own settings.", valueName: "run[:key=value,...]"))
  var also: [String] = []

  @Flag(
    help: """
      Continue the runs at --out and --also from their newest checkpoints; begin those that are not there yet.
      """)
  var resume = false

  @Option(help: "A JSON file of options.", completion: .file(extensions: ["json"]))
  var config: String?

  @OptionGroup(title: "Dictionary and objective")
  var given: TrainingArguments

  @Option(help: .option("threads"))
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      """
      What computes the steps: cpu; reference, which is slow and in double precision; or pjrt, a device such as a GPU.
      """,
      valueName: "backend"))
  var backend = Backend.cpu

  @Option(
    help: "With --backend pjrt: the plugin's file (default: what hsae fetch plugin has fetched).",
    completion: .file(extensions: ["so"]))
  var plugin: String?

  @Option(help: "With --backend pjrt: the number of the device, from 0 (default 0).")
  var device: Int?

  @Option(
    help:
      "The language model, for --whiten unembedding: a name or a GGUF file (default: the one that made the rows, if it is in the cache).",
    completion: .model)
  var model: String?

  @Option(help: "Processes that share one dictionary, if several train (default: all of them).")
  var dictionaryRanks: Int?

  @Option(help: .option("tensor"))
  var tensor: String?

  @Option(help: "Skip or keep the rows that a store flags for a giant norm (default skip).")
  var giantNorms: GiantNorms?

  @Flag(help: "Train on a store that is not complete yet.")
  var allowIncomplete = false

  @Flag(
    help: """
      Also write event files for TensorBoard to RUN/tensorboard; with --resume also for a finished run.
      """)
  var tensorboard = false

  @Flag(help: "Print a summary of the run as JSON.")
  var json = false

  func validate() throws {
    guard (1...4096).contains(threads ?? 1) else {
      throw ValidationError("--threads must be between 1 and 4096.")
    }
    if backend != .pjrt, plugin != nil || device != nil {
      throw ValidationError("--plugin and --device belong to --backend pjrt.")
    }
    if data == nil && !resume { throw ValidationError("Missing expected argument '<data>'.") }
  }

  func run() throws {
    let parts = dictionaryRanks.map { " --dictionary-ranks \($0)" } ?? ""
    let world = try Launch.world(for: "train\(resume ? " --resume" : "")\(parts)")
    let ranks = try Ranks(world, dictionaryRanks: dictionaryRanks)
    let group = try group(ranks)
    for trainer in group.trainers { trainer.writesEvents = tensorboard }
    // A launcher also sends SIGTERM when a process has died; then there is no checkpoint to announce.
    let isAlone = ranks.world.size == 1
    let peers = try Peers(ranks.world)
    let interruption = Interruption(notify: { signal in
      if isAlone { announceStop() }
      if peers.oneHasDied {
        peers.leave(signal) { report("hsae: \($0); resume from the last checkpoint (--resume).") }
      }
    })
    let (sent, steps) = (ranks.bytesSent, group.steps)
    let (exchanged, begin) = (ranks.secondsExchanging, ContinuousClock.now)
    let outcome = try runOrRemove(group, interruption)
    let share =
      (ranks.secondsExchanging - exchanged) / ((ContinuousClock.now - begin) / .seconds(1))
    try summarise(group)
    sayTraffic(
      group, sent: ranks.bytesSent - sent, share: share, steps: group.steps - steps, ranks)
    if case .interrupted(let signal) = outcome { throw ExitCode(128 + signal) }
  }

  /// Trains. If that fails, removes runs that have not taken a step.
  private func runOrRemove(
    _ group: TrainingGroup, _ interruption: Interruption
  ) throws(Failure) -> TrainingOutcome {
    do throws(Failure) {
      return try runWithProgress(group, label: "train", interruption: interruption)
    } catch {
      for trainer in group.trainers { trainer.removeIfNothingWasDone() }
      throw error
    }
  }

  private func summarise(_ group: TrainingGroup) throws {
    guard Launch.isFirst else { return }
    var summaries: [TrainingSummary] = []
    for trainer in group.trainers {
      guard let last = try RunDirectory(path: trainer.path).metrics().last else { continue }
      summaries.append(TrainingSummary(run: trainer.path, last: last))
      if !json { try output(summaryLine(trainer, last) + "\n") }
    }
    guard json, let first = summaries.first else { return }
    try output(group.trainers.count == 1 ? JSONFile.encode(first) : JSONFile.encode(summaries))
  }
}

/// Prints the memory that runs with `configurations` need and the memory there is.
func sayMemory(
  _ configurations: [TrainingConfiguration], _ resources: TrainingResources
) {
  let need = MemoryNeed(configurations, resources)
  let ranks = resources.ranks
  let memory = MachineMemory.current
  // If the runs cannot fit, creating them fails with the same numbers.
  guard need.total <= memory.limit, Launch.isFirst else { return }
  var line = "hsae: memory: \(need.text)"
  if ranks.world.size > 1 { line += " by each of \(ranks.world.size) processes" }
  if memory.available.isFinite {
    line += "; \(MachineMemory.text(memory.available)) of \(MachineMemory.text(memory.limit)) free"
    if need.total > memory.available {
      line += ": too little unless other programs end; the system may kill this run"
    }
  }
  report(line + ".")
}

/// Warns if sampled rows are all zero: training on such rows runs, but learns nothing.
func warnOfZeros(_ source: any RowSource) {
  let count = min(source.rowCount, 256)
  var rows = Matrix(rows: count, columns: source.width)
  let spread = (0..<count).map { $0 * (source.rowCount / count) }
  // Training reports rows that cannot be read.
  guard (try? source.gather(spread, into: &rows)) != nil, rows.elements.allSatisfy({ $0 == 0 })
  else { return }
  report(
    "hsae: \(source.path): \(count == source.rowCount ? "all rows are zero" : "\(count) rows sampled evenly are all zero");"
      + " there is nothing to learn from them. Check what wrote them.")
}

/// Prints what one of several processes sent in a step, and what share of the time exchanges took.
private func sayTraffic(
  _ group: TrainingGroup, sent: Int, share: Double, steps: Int, _ ranks: Ranks
) {
  guard ranks.world.size > 1, Launch.isFirst, steps > 0 else { return }
  func formula(_ deadLatents: Int?) -> Int {
    group.trainers.reduce(0) {
      $0 + ranks.traffic(of: $1.configuration, deadLatents: deadLatents).total
    } / group.trainers.count
  }
  let most = formula(nil)
  report(
    "hsae: one of \(ranks.world.size) processes sent \(grouped(sent / steps)) bytes a step (by the formula"
      + " \(grouped(formula(0)))"
      + (most > formula(0) ? ", at most \(grouped(most)) with dead latents" : "")
      + "); exchanges, including waiting, took \(Int((100 * share).rounded())) % of the time.")
}

extension TrainingGroup {
  /// Steps that all its runs have taken, added up.
  fileprivate var steps: Int { trainers.reduce(0) { $0 + $1.step } }
}

/// Runs all of `group` as a `stage` of the command `label`, with one progress line.
func runWithProgress(
  _ group: TrainingGroup, label: String, stage: String = "", interruption: Interruption
) throws(Failure) -> TrainingOutcome {
  func rows(_ count: (Trainer) -> Int) -> Int {
    group.trainers.reduce(0) { $0 + count($1) * $1.configuration.batch }
  }
  let line = ProgressLine(label, isQuiet: !Launch.isFirst)
  defer { line.end() }
  line.begin(stage, unit: "rows", total: rows(\.configuration.steps), done: rows(\.step))
  return try group.run(
    interruption: interruption,
    warn: {
      line.clear()
      if Launch.isFirst { report("hsae: \($0)") }
    }
  ) { _ in
    line.update(rows(\.step), note: progressNote(group.trainers))
  }
}

private func progressNote(_ trainers: [Trainer]) -> String {
  func note(_ trainer: Trainer) -> String {
    progressNote(trainer.lastRecord, hasL0: trainer.configuration.selection != .topK)
  }
  guard trainers.count > 1 else { return note(trainers[0]) }
  return trainers.map { "\(Path.name($0.path)) " + note($0) }.joined(separator: "  ")
}

/// `hasL0`: the number of active latents changes while training.
private func progressNote(_ record: MetricsRecord, hasL0: Bool) -> String {
  var note = String(format: "loss %.4f", record.loss)
  if let variance = record.explainedVariance {
    note += String(format: "  explained %.3f", variance)
  }
  if hasL0 || record.subL0 != nil { note += "  " + activeText(record) }
  if record.deadLatents > 0 { note += "  dead \(record.deadLatents)" }
  return note
}

/// "L0 24.0", with a budget of sublatents "L0 24.0 + 8.0 sublatents".
private func activeText(_ record: MetricsRecord) -> String {
  String(format: "L0 %.1f", record.l0)
    + (record.subL0.map { String(format: " + %.1f sublatents", $0) } ?? "")
}

/// Says, in place of the progress line, that a signal was received and when the command stops.
@Sendable func announceStop(_ when: String = "after a checkpoint") {
  let clear = StandardStream.errors.isTerminal ? "\r\u{1B}[K" : ""
  report(clear + "hsae: stopping \(when) (a second signal kills it).")
}

/// The state of a run in one line.
func summaryLine(_ trainer: Trainer, _ last: MetricsRecord) -> String {
  let shape = trainer.configuration.shape
  var quality = String(format: "loss %.5f", last.loss)
  if let variance = last.explainedVariance {
    quality += String(format: " and explained variance %.4f", variance)
  }
  var parts = [
    "\(trainer.path): step \(trainer.step) of \(trainer.configuration.steps)",
    "\(counted(last.tokens, "row"))", quality + " on training rows",
  ]
  if trainer.configuration.selection != .topK || last.subL0 != nil {
    parts.append(activeText(last))
  }
  // Latents are not called dead before a million rows were seen.
  if last.tokens >= Usage.reportingWindow {
    let word = shape.isFlat ? "latent" : "expert"
    let latents = "\(grouped(last.deadLatents)) of \(counted(shape.experts, word))"
    let all = counted(shape.experts * shape.sublatents, "sublatent")
    parts.append(
      "dead for a million rows: " + latents
        + (shape.isFlat ? "" : " and \(grouped(last.deadSublatents)) of \(all)"))
  }
  parts.append("\(grouped(Int(Double(last.tokens) / max(last.seconds, 1e-9)))) rows/s")
  return parts.joined(separator: ", ")
}

/// What `hsae train --json` prints.
struct TrainingSummary: Encodable {
  var run: String
  var last: MetricsRecord
}

/// Resolves `options` for `source`; reads sizes from the file that `--init` names.
func resolve(
  _ options: TrainingOptions, _ source: any RowSource
) throws(Failure) -> TrainingConfiguration {
  guard source.rowCount > 0 else { throw .data("\(source.path): there are no rows to train on.") }
  let data = DataDescription(
    path: absolute(source.path), fingerprint: source.fingerprint, rows: source.rowCount,
    width: source.width,
    tensor: (source as? MappedRows)?.tensor,
    giantNorms: (source as? ActivationStore)?.giantNorms == .keep ? .keep : nil)
  var options = options
  options.order = options.order ?? (source.isShuffled ? .chunks : .shuffled)
  let isStore = source is ActivationStore
  guard let file = options.initialWeights else {
    return try TrainingConfiguration(options, data: data, isStore: isStore)
  }
  options.initialWeights = absolute(file)
  let initial = try WeightsFile.shape(of: file)
  return try TrainingConfiguration(
    options, data: data, initialShape: initial.shape, initialVectors: initial.vectors,
    isStore: isStore)
}
