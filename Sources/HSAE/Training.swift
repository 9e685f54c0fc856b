// Training on rows that come as an `AsyncSequence`: takes pieces of any size, makes batches of them, and has
// the trainer take its steps beside whatever brings the rows. A step is `HSAETraining`'s.

public import HSAERuns
internal import HSAETraining

/// A dictionary in training, on rows that a program gives it.
///
/// ```swift
/// var options = TrainingOptions()
/// options.experts = 512
/// options.k = 16
/// options.steps = 2_000
/// let training = try Training(options, width: 640, run: "out/mine")
/// try await training.run(on: rows) { record in print(record.step, record.loss) }
/// let dictionary = training.dictionary()
/// ```
///
/// The same rows in the same order give the same weights, to the bit, as `hsae train --order file` on a file
/// of them, however they are cut into pieces and whatever the number of threads.
///
/// Rows that end before all steps are done leave the training where it stands, and it can be run again with
/// more of them. What is left of a batch waits for the next call.
public final class Training {
  private let trainer: TrainerQueue
  private var assembler: BatchAssembler
  private var hasBegun = false

  /// Numbers in a row.
  public let width: Int
  /// Rows of a step.
  public let batch: Int
  /// Steps of the whole training, which the learning rate is planned for.
  public let steps: Int
  /// Steps done.
  public private(set) var step: Int

  /// Begins to train a dictionary of vectors of width `width`.
  ///
  /// - Parameters:
  ///   - options: sizes, objective and schedule; what is nil has the default of `hsae train`. `steps` must be
  ///     said. A batch has 4,096 rows if neither the options nor their preset say otherwise.
  ///   - width: numbers in a row.
  ///   - run: the folder of the run, which must be missing or empty. It gets records and checkpoints, and
  ///     every command of `hsae` takes it. Without one all is kept in memory, and lost with the program unless it
  ///     is saved (``save(to:)``).
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  /// - Throws: ``Failure`` of the kind `usage` if options contradict each other, `unavailable` if the memory
  ///   does not suffice, `cannotCreate` if the folder cannot be made.
  public init(
    _ options: TrainingOptions, width: Int, run: String? = nil, threads: Int? = nil
  ) throws(Failure) {
    let configuration = try TrainingConfiguration(options, streamOfWidth: width)
    trainer = TrainerQueue(
      try Trainer.beginStream(
        into: run, configuration: configuration, threads: threads ?? defaultThreads))
    (self.width, batch, steps, step) = (width, configuration.batch, configuration.steps, 0)
    assembler = BatchAssembler(width: width)
  }

  /// Goes on with a training that kept its run in the folder `run`, from its newest whole checkpoint.
  ///
  /// ``rowsUsed`` says how many rows it has had: give it those that follow, and the weights will be those of
  /// a training that was never interrupted.
  ///
  /// - Parameters:
  ///   - run: the folder.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  ///   - warn: told, in a sentence, of damaged checkpoints that were passed over for an older one.
  /// - Throws: ``Failure`` if there is no such run, it is being trained, or it was not trained on rows given
  ///   to it (``init(_:width:run:threads:)``).
  public init(
    resuming run: String, threads: Int? = nil, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let trainer = try Trainer.resumeStream(
      run, threads: threads ?? defaultThreads, warn: warn)
    let configuration = trainer.configuration
    (width, batch) = (configuration.shape.width, configuration.batch)
    (steps, step) = (configuration.steps, trainer.step)
    assembler = BatchAssembler(width: width)
    self.trainer = TrainerQueue(trainer)
  }

  // What ran last still holds the trainer for a moment, and with it the lock of the run's folder.
  deinit { trainer.finish() }

  /// Whether all steps are done.
  public var isFinished: Bool { step >= steps }

  /// Rows that steps have been taken on.
  public var rowsUsed: Int { step * batch }

  /// Takes steps on `batches` until all are done or the rows end.
  ///
  /// While a step runs, the rows of the next are fetched. At the end, and where rows end before, a run with a
  /// folder has a checkpoint; also if the task is cancelled or `batches` throws.
  ///
  /// `while !training.isFinished { try await training.run(on: rows) }` goes through the same rows again and again. A
  /// sequence that gives no row at all fails, for that loop would never end.
  ///
  /// - Parameters:
  ///   - batches: rows, in pieces of any size.
  ///   - progress: called with each record, every ``TrainingOptions/recordEvery`` steps.
  /// - Throws: ``Failure`` of the kind `usage` if there is not one row, here or left from the last call; another if
  ///   rows have another width or hold a NaN, if the loss is no longer finite, or if the disk fails; `CancellationError` if the task was cancelled; whatever `batches` throws.
  nonisolated(nonsending) public func run<Batches: AsyncSequence>(
    on batches: Batches, progress: (MetricsRecord) -> Void = { _ in }
  ) async throws where Batches.Element == Rows {
    let trainer = trainer
    var rows = batches.makeAsyncIterator()
    var next: Result<[Float]?, any Error> = .success(nil)
    var waiting = ContinuousClock.now
    let before = step
    if !isFinished {
      do {
        try await begin(with: &rows)
        next = .success(try await batch(from: &rows))
      } catch { next = .failure(error) }
    }
    while case .success(.some(let batch)) = next, !Task.isCancelled {
      let waited = (ContinuousClock.now - waiting) / .seconds(1)
      async let taken = trainer.step(on: batch, waited: waited)
      next = .success(nil)
      if step + 1 < steps {
        do { next = .success(try await self.batch(from: &rows)) } catch { next = .failure(error) }
      }
      let record = try await taken
      waiting = .now
      step += 1
      if let record { progress(record) }
    }
    if isFinished { return }
    try await trainer.checkpoint()
    try Task.checkCancellation()
    _ = try next.get()
    if step == before, assembler.count == 0 {
      throw Failure.usage(
        "No rows came, and step \(step) of \(steps) is where the training still stands; give it a sequence"
          + " with rows.")
    }
  }

  /// Takes steps on `rows`, once through in their order, as ``run(on:progress:)-(Batches,_)`` does.
  nonisolated(nonsending) public func run(
    on rows: Rows, progress: (MetricsRecord) -> Void = { _ in }
  ) async throws {
    try await run(on: SinglePiece(rows: rows), progress: progress)
  }

  /// The dictionary as it is after ``step`` steps; it stays as it is when training goes on.
  ///
  /// It lies in memory. To have it again later, give the training a folder (`run:`) or ``save(to:)`` it.
  public func dictionary() -> SparseDictionary { trainer.dictionary() }

  /// Writes the training as it stands into the folder `path`, and goes on as before.
  ///
  /// What is there then is a run: ``SparseDictionary/init(path:warn:)`` loads it, ``init(resuming:threads:warn:)``
  /// goes on with it, and every command of `hsae` takes it. Nothing is there until all of it is. Of the records it has
  /// the last one. Rows that wait for a batch to be full are not saved: they are not among the ``rowsUsed``.
  ///
  /// - Parameter path: the folder, which must not exist; folders above it are made.
  /// - Throws: ``Failure`` of the kind `cannotCreate` if something is there already, or another if it cannot be written.
  nonisolated(nonsending) public func save(to path: String) async throws(Failure) {
    try await trainer.save(to: path)
  }

  /// The next batch, once its rows have come; nil if they end before.
  nonisolated(nonsending) private func batch<Iterator: AsyncIteratorProtocol>(
    from rows: inout Iterator
  ) async throws -> [Float]? where Iterator.Element == Rows {
    while true {
      if let batch = assembler.take(batch) { return batch }
      guard let more = try await rows.next(isolation: #isolation) else { return nil }
      try assembler.append(more)
    }
  }

  /// Sets what the first rows decide, before the first step.
  nonisolated(nonsending) private func begin<Iterator: AsyncIteratorProtocol>(
    with rows: inout Iterator
  ) async throws where Iterator.Element == Rows {
    let wanted = hasBegun ? 0 : trainer.rowsToBegin
    while assembler.count < wanted, let more = try await rows.next(isolation: #isolation) {
      try assembler.append(more)
    }
    guard wanted > 0, assembler.count > 0 else { return }
    hasBegun = true
    try await trainer.begin(with: assembler.first(wanted))
  }
}

/// Rows in one piece.
private struct SinglePiece: AsyncSequence {
  let rows: Rows

  struct AsyncIterator: AsyncIteratorProtocol {
    var rows: Rows?
    mutating func next() async -> Rows? { rows.take() }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rows: rows) }
}
