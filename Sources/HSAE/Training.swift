// Training on rows from an `AsyncSequence`: makes batches of pieces of any size, and fetches the next rows while
// a step runs. `HSAETraining` takes the steps.

public import HSAERuns
internal import HSAETensors
internal import HSAETraining

/// Trains a dictionary on rows that a program provides.
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
/// If the rows end before all steps are done, run the training again with more rows. Rows that did not fill
/// a batch are used first then.
public final class Training {
  private let trainer: TrainerQueue
  private var assembler: BatchAssembler
  private var hasBegun = false

  /// Numbers in a row.
  public let width: Int
  /// Rows of a step.
  public let batch: Int
  /// Steps of the whole training; the learning rate depends on them.
  public let steps: Int
  /// Steps done.
  public private(set) var step: Int

  /// Starts training a dictionary for rows of width `width`.
  ///
  /// - Parameters:
  ///   - options: sizes, objective and schedule; what is nil has the default of `hsae train`. `steps` is
  ///     required. A batch has 4,096 rows if neither the options nor their preset set it.
  ///   - width: numbers in a row.
  ///   - run: the folder of the run, which must be missing or empty. It gets records and checkpoints, and
  ///     every command of `hsae` takes it. Without a folder everything stays in memory and is lost with the
  ///     program unless it is saved (``save(to:)``).
  ///   - whitening: how rows are whitened, if the options' ``TrainingOptions/whiten`` asks for it. Without it, the mean and
  ///     covariance of the first 32,768 rows decide.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  /// - Throws: ``Failure`` of the kind `usage` if options contradict each other, `unavailable` if there is not
  ///   enough memory, `cannotCreate` if the folder cannot be made.
  public init(
    _ options: TrainingOptions, width: Int, run: String? = nil, whitening: Whitening? = nil,
    threads: Int? = nil
  ) throws(Failure) {
    let configuration = try TrainingConfiguration(options, streamOfWidth: width)
    let threads = threads ?? processorCount
    trainer = TrainerQueue(
      try Trainer.beginStream(
        into: run, configuration: configuration, whitening: whitening, threads: threads),
      threads: threads)
    (self.width, batch, steps, step) = (width, configuration.batch, configuration.steps, 0)
    assembler = BatchAssembler(width: width)
  }

  /// Resumes a training that kept its run in the folder `run`, from its newest undamaged checkpoint.
  ///
  /// ``rowsUsed`` is the number of rows it has used. Give it the rows that follow, and the weights will be
  /// those of an uninterrupted training.
  ///
  /// - Parameters:
  ///   - run: the folder.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  ///   - warn: called with a message for each damaged checkpoint that is skipped.
  /// - Throws: ``Failure`` if there is no such run, if it is being trained, or if it was not trained by
  ///   ``init(_:width:run:whitening:threads:)``.
  public init(
    resuming run: String, threads: Int? = nil, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let threads = threads ?? processorCount
    let trainer = try Trainer.resumeStream(run, threads: threads, warn: warn)
    let configuration = trainer.configuration
    (width, batch) = (configuration.shape.width, configuration.batch)
    (steps, step) = (configuration.steps, trainer.step)
    assembler = BatchAssembler(width: width)
    self.trainer = TrainerQueue(trainer, threads: threads)
  }

  // The last call still holds the trainer for a moment, and with it the lock of the run's folder.
  deinit { trainer.finish() }

  /// Whether all steps are done.
  public var isFinished: Bool { step >= steps }

  /// Rows used by steps so far.
  public var rowsUsed: Int { step * batch }

  /// Takes steps on `batches` until all steps are done or the rows end.
  ///
  /// While a step runs, the rows of the next are fetched. A run with a folder gets a checkpoint at the end,
  /// also if the rows end early, the task is cancelled or `batches` throws.
  ///
  /// `while !training.isFinished { try await training.run(on: rows) }` goes through the same rows again and
  /// again. A sequence without any row throws, because that loop would never end.
  ///
  /// - Parameters:
  ///   - batches: rows, in pieces of any size.
  ///   - progress: called with each record, every ``TrainingOptions/recordEvery`` steps.
  /// - Throws: ``Failure`` of the kind `usage` if there is not one row, here or left from the last call, or of
  ///   another kind if rows have another width or hold a NaN, if the loss is no longer finite, or if the disk
  ///   fails; `CancellationError` if the task is cancelled; whatever `batches` throws.
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
        "No rows came, so the training is still at step \(step) of \(steps); give it rows.")
    }
  }

  /// Takes steps on `rows`, once and in their order, like ``run(on:progress:)-(Batches,_)``.
  nonisolated(nonsending) public func run(
    on rows: Rows, progress: (MetricsRecord) -> Void = { _ in }
  ) async throws {
    try await run(on: SinglePiece(rows: rows), progress: progress)
  }

  /// The dictionary after ``step`` steps; further training does not change it.
  ///
  /// It is in memory. To keep it on disk, give the training a folder (`run:`) or call ``save(to:)``.
  public func dictionary() -> SparseDictionary { trainer.dictionary() }

  /// Writes the current state of the training into the folder `path`; training can continue.
  ///
  /// The folder is a run: ``SparseDictionary/init(path:warn:)`` loads it, ``init(resuming:threads:warn:)``
  /// resumes it, and every command of `hsae` takes it. It appears only when it is complete, and has only the
  /// last record. Rows that wait for a full batch are not saved: they are not among the ``rowsUsed``.
  ///
  /// - Parameter path: the folder, which must not exist; folders above it are made.
  /// - Throws: ``Failure`` of the kind `cannotCreate` if something is there already, or of another kind if it
  ///   cannot be written.
  nonisolated(nonsending) public func save(to path: String) async throws(Failure) {
    try await trainer.save(to: path)
  }

  /// The next batch, once all its rows have come; nil if the rows end before.
  nonisolated(nonsending) private func batch<Iterator: AsyncIteratorProtocol>(
    from rows: inout Iterator
  ) async throws -> [Float]? where Iterator.Element == Rows {
    while true {
      if let batch = assembler.take(batch) { return batch }
      guard let more = try await rows.next(isolation: #isolation) else { return nil }
      try assembler.append(more)
    }
  }

  /// Sets what depends on the first rows, before the first step.
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

/// A sequence of one piece.
private struct SinglePiece: AsyncSequence {
  let rows: Rows

  struct AsyncIterator: AsyncIteratorProtocol {
    var rows: Rows?
    mutating func next() async -> Rows? { rows.take() }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rows: rows) }
}
