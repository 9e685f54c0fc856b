// Several runs that share one reading of the data: each batch is read once, and every run takes its step on
// it. Each run directory has the same content as if its run had been trained alone.

internal import Foundation
public import HSAEActivations
internal import HSAEDistribution
internal import HSAEEngine
internal import HSAEModels
public import HSAERuns
public import HSAESupport
internal import HSAETensors

/// Runs that are trained together.
public final class TrainingGroup {
  /// The runs.
  public let trainers: [Trainer]
  private let ranks: Ranks

  /// A run to train: its folder, its settings, and whether it has begun there and is continued.
  public typealias Run = (path: String, configuration: TrainingConfiguration, hasBegun: Bool)

  /// Continues the runs that have begun (`Trainer.init(resuming:)`), which may stand at different steps, and begins the
  /// others (`Trainer.begin`). All runs must read the same batches.
  ///
  /// Either all of the others begin or none does. `warn` is called with a message for each checkpoint that is skipped.
  public convenience init(
    _ runs: [Run], source: any RowSource, with resources: TrainingResources,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let ranks = resources.ranks
    try ranks.requireAlike(runs.map(\.configuration))
    try Self.refuseMismatch(runs.map { ($0.path, $0.configuration) })
    try Trainer.checkMachine(runs.map(\.configuration), resources)
    var trainers: [String: Trainer] = [:]
    for run in runs where run.hasBegun {
      trainers[run.path] = try Trainer(
        resuming: run.path, source: source, with: resources, warn: warn)
    }
    // All that can fail before this has not begun anything.
    let others = runs.filter { !$0.hasBegun }.map { ($0.path, $0.configuration) }
    if !others.isEmpty {
      for trainer in try Trainer.beginAlike(others, source: source, with: resources) {
        trainers[trainer.path] = trainer
      }
    }
    self.init(runs.compactMap { trainers[$0.path] }, ranks: ranks)
  }

  /// Begins a run at each path. All runs must read the same batches.
  public convenience init(
    beginning runs: [(path: String, configuration: TrainingConfiguration)],
    source: any RowSource, with resources: TrainingResources
  ) throws(Failure) {
    try self.init(
      runs.map { ($0.path, $0.configuration, false) }, source: source, with: resources)
  }

  /// Continues the runs at `paths`.
  public convenience init(
    resuming paths: [String], source: any RowSource, with resources: TrainingResources,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let runs = try resources.ranks.world.agree { () throws(Failure) in
      try paths.map { (path) throws(Failure) -> Run in
        (path, try RunDirectory(path: path).trainingConfiguration(), true)
      }
    }
    try self.init(runs, source: source, with: resources, warn: warn)
  }

  /// A group of `trainers`, which must read the same batches on the same ranks.
  public init(_ trainers: [Trainer], ranks: Ranks = Ranks()) {
    self.trainers = trainers
    self.ranks = ranks
  }

  /// Fails unless all runs read the same batches and each has its own folder.
  private static func refuseMismatch(
    _ runs: [(path: String, configuration: TrainingConfiguration)]
  ) throws(Failure) {
    let (first, own) = (runs[0].path, runs[0].configuration)
    for (index, (path, other)) in runs.enumerated().dropFirst() {
      if runs[..<index].contains(where: { standard($0.path) == standard(path) }) {
        throw .usage("\(path): two of the runs have this folder; give each its own.")
      }
      for (name, differs) in [
        ("--batch", other.batch != own.batch), ("--order", other.order != own.order),
        ("--order-seed", other.order != .file && other.rowSeed != own.rowSeed),
        ("--normalize", other.normalize != own.normalize),
        ("--whiten", other.whitening?.source != own.whitening?.source),
        ("--whiten-ridge", other.whitening?.ridge != own.whitening?.ridge),
        ("the data", other.data.fingerprint != own.data.fingerprint),
      ] where differs {
        throw .usage(
          "\(path) and \(first) differ in \(name) and cannot share one reading of the data; train them"
            + " separately.")
      }
    }
  }

  private static func standard(_ path: String) -> String {
    URL(fileURLWithPath: path).standardizedFileURL.path
  }

  /// Trains until all runs have done their steps or `interruption` has received a signal. Then every run has
  /// a checkpoint of its last step.
  ///
  /// `progress` is called after every step of a run, before its checkpoint. If a run fails while others go
  /// on, it stays at its last checkpoint, and `warn` is called with its failure. After the others have ended,
  /// the failure is thrown.
  public func run(
    interruption: Interruption? = nil, warn: (String) -> Void = { _ in },
    progress: (Trainer) -> Void
  ) throws(Failure) -> TrainingOutcome {
    for trainer in trainers where trainer.whitening != trainers[0].whitening {
      throw .data(
        "\(trainer.path) and \(trainers[0].path) were whitened by different statistics and cannot share one reading"
          + " of the data; train them separately.")
    }
    for trainer in trainers { try trainer.openLog() }
    var running = trainers.filter { $0.step < $0.configuration.steps }
    guard let first = running.first, let least = running.map(\.step).min() else {
      return .finished
    }
    let configuration = first.configuration
    guard let source = first.source else {
      preconditionFailure("A group trains runs that read their rows from a source.")
    }
    let reader = BatchReader(
      source: source,
      sequence: RowSequence(
        count: source.rowCount, order: configuration.order, seed: configuration.rowSeed),
      batch: configuration.batch, part: first.backend.share.rows,
      normalisation: configuration.normalize, whitening: first.whitening, firstBatch: least,
      bufferSize: first.backend.batchRows.count, marks: ranks.dictionary.size > 1)
    defer { reader.finish() }
    var failures: [Failure] = []
    while let index = running.map(\.step).min() {
      // Runs that were resumed from a later step wait for the others.
      let due = running.filter { $0.step == index }
      let begin = ContinuousClock.now
      try ranks.world.agree { () throws(Failure) in
        try reader.next(index, into: &due[0].backend.batchRows)
      }
      try ranks.requireSameRows(reader.mark, batch: index, of: source)
      for other in due.dropFirst() {
        other.backend.batchRows.assign(from: due[0].backend.batchRows)
      }
      let waited = (ContinuousClock.now - begin) / .seconds(1)
      var failed: [(trainer: Trainer, failure: Failure)] = []
      for trainer in due {
        do throws(Failure) {
          try trainer.advance(waited: waited)
          progress(trainer)
        } catch { failed.append((trainer, error)) }
      }
      let signal = ranks.any(interruption?.signalNumber)
      for trainer in due where !failed.contains(where: { $0.trainer === trainer }) {
        do throws(Failure) {
          try trainer.checkpointIfDue(isLast: signal != nil)
        } catch { failed.append((trainer, error)) }
      }
      running.removeAll { trainer in
        trainer.step == trainer.configuration.steps
          || failed.contains { $0.trainer === trainer }
      }
      if !running.isEmpty {
        for (_, failure) in failed { warn("\(failure.message) The other runs continue.") }
      }
      failures += failed.map(\.failure)
      if let signal, failures.isEmpty, !running.isEmpty { return .interrupted(signal: signal) }
      if signal != nil { break }
    }
    if let failure = failures.first { throw failure }
    return .finished
  }
}
