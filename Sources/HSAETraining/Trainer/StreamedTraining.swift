// Training on rows that a program gives batch by batch, instead of rows that a trainer reads: how such a run
// begins and continues, with or without a run directory, and how it takes a step. The module `HSAE` collects
// rows into batches and runs steps beside other work.

internal import HSAEActivations
internal import HSAEEngine
package import HSAEModels
package import HSAERuns
package import HSAESupport
internal import HSAETensors

extension Trainer {
  /// Begins a run that gets its rows through `step(on:waited:)`, in the folder `path`, which must be empty or
  /// not exist. Without a path the run stays in memory and has no checkpoints and no records.
  ///
  /// Rows are whitened by `whitening`, or else, if the configuration asks for it, by the covariance of the first ones
  /// (``rowsToBegin``).
  package static func beginStream(
    into path: String?, configuration: TrainingConfiguration, whitening: Whitening? = nil,
    threads: Int
  ) throws(Failure) -> Trainer {
    var resources = TrainingResources(threads: threads)
    resources.whitening.given = whitening
    switch (configuration.whitening?.source, whitening) {
    case (nil, .some):
      throw .usage("A whitening is given, but the options' whiten does not ask for one; set it.")
    case (.some, .some(let given)) where given.width != configuration.shape.width:
      throw .usage(
        "The whitening is for rows of width \(given.width), and these have \(configuration.shape.width)."
      )
    case (.unembedding, nil):
      throw .usage("--whiten unembedding of a stream needs the whitening itself; give it.")
    default: break
    }
    let trainer = try begin(
      at: path ?? "", configuration: configuration, source: nil, with: resources)
    try trainer.openLog()
    return trainer
  }

  /// Continues such a run in the folder `path` from its newest whole checkpoint.
  package static func resumeStream(
    _ path: String, threads: Int, warn: (String) -> Void
  ) throws(Failure) -> Trainer {
    let trainer = try Trainer(
      resuming: path, source: nil, with: TrainingResources(threads: threads), warn: warn)
    try trainer.openLog()
    return trainer
  }

  /// How many of the first rows `begin(with:)` needs before the first step; 0 if none.
  package var rowsToBegin: Int {
    guard step == 0, estimatesBias || estimatesWhitening else { return 0 }
    return min(Self.mostBiasRows, configuration.data.rows)
  }

  private var estimatesBias: Bool {
    configuration.bias == .geometricMedian && configuration.initialWeights == nil
  }
  private var estimatesWhitening: Bool { configuration.whitening != nil && whitening == nil }

  /// Sets what follows from the first rows [n × d], row-major, not yet normalised: the whitening, unless it was given,
  /// and the bias, the geometric median. `threads` are those of the backend.
  package func begin(with rows: [Float], threads: Int) throws(Failure) {
    let width = configuration.shape.width
    var matrix = Matrix(rows: rows.count / width, columns: width, elements: rows)
    if estimatesWhitening, let settings = configuration.whitening {
      var normalised = matrix.copy()
      configuration.normalize.apply(to: &normalised)
      var moments = RowMoments(width: width)
      moments.add(normalised, threads: threads)
      try begin(
        Whitening(
          settings, rows: RowCovariance(mean: moments.mean, covariance: moments.covariance),
          source: "The first \(counted(matrix.rows, "row"))", WhiteningResources()),
        threads: threads)
    }
    guard estimatesBias else { return }
    backend.changeParameters { Self.setBias(&$0, configuration, whitening, rows: &matrix) }
  }

  /// Takes a step on `rows` [batch × d], row-major and not yet normalised. Writes a checkpoint if one is due,
  /// and returns the record of this step if there is one. `waited` is how many seconds the rows took to come.
  ///
  /// Fails with `.data` if a row holds a NaN or an infinity, or if the loss is no longer finite.
  package func step(on rows: [Float], waited: Double) throws(Failure) -> MetricsRecord? {
    let (batch, width) = (configuration.batch, configuration.shape.width)
    precondition(rows.count == batch * width, "A step takes \(batch) rows of width \(width).")
    let first = step * batch
    try backend.batchRows.withMutableSpan(0..<rows.count) { target throws(Failure) in
      // Piece by piece, so that rows are still in cache when they are scaled.
      for start in stride(from: 0, to: rows.count, by: 64 * width) {
        let end = min(rows.count, start + 64 * width)
        for index in start..<end {
          guard rows[index].isFinite else {
            throw .data(
              "Row \(first + index / width) (counting from 0) holds a NaN or an infinity; remove it"
                + " or repair what makes the rows.")
          }
          target[index] = rows[index]
        }
        var part = target.part(start..<end)
        configuration.normalize.apply(to: &part, width: width)
        rowProduct?.apply(to: &part)
      }
    }
    let before = lastRecord.step
    try advance(waited: waited)
    try checkpointIfDue(isLast: false)
    return lastRecord.step == before ? nil : lastRecord
  }

  /// Writes a checkpoint of the current step, if the run has a folder and has no such checkpoint yet.
  package func checkpointNow() throws(Failure) {
    guard step > 0, !path.isEmpty,
      try !RunDirectory(path: path).checkpointSteps().contains(step)
    else { return }
    try checkpointIfDue(isLast: true)
  }

  /// Writes the run as it stands into the folder `path`, which must not exist: its settings, its last record
  /// and a checkpoint. The folder appears only when it is complete. The run itself stays where it is.
  ///
  /// Fails with `.cannotCreate` if something is at `path`.
  package func save(to path: String) throws(Failure) {
    if Path.exists(path) {
      throw Failure(
        .cannotCreate, "\(path): there is something already; choose another folder to save into.")
    }
    if estimatesWhitening {
      throw .usage(
        "The whitening follows from the first rows, and none have come; give the training rows before you save it."
      )
    }
    try Path.createDirectories(Path.parent(path))
    let folder = try DurableDirectory(path: path)
    let run = folder.partialPath
    try JSONFile.write(configuration, to: RunDirectory.configurationFile(run))
    try whitening?.write(to: RunDirectory.whiteningFile(run))
    if lastRecord.step > 0 {
      var log = try MetricsLog(path: RunDirectory.metricsFile(run), keepingThrough: step)
      try log.append(lastRecord)
      try log.synchronize()
    }
    let checkpoints = RunDirectory.checkpointsFolder(run)
    try Path.createDirectories(checkpoints)
    try writeCheckpoint(into: checkpoints)
    try folder.commit()
  }

  /// A copy of the dictionary as it is now.
  package func dictionary() -> SparseAutoencoder {
    backend.withState {
      configuration.recipe.dictionary(
        whitening?.folded($0.parameters) ?? $0.parameters.copy(), batchThreshold: $0.batchThreshold,
        subThreshold: configuration.sublatentBudget == nil ? nil : $0.subThreshold)
    }
  }
}
