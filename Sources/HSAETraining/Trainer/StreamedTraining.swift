// Training on rows that a program gives, batch by batch, instead of a source that a trainer reads: how such
// a run begins and goes on, with a run directory or without one, and a step of it. Collecting rows into
// batches, and running steps beside other work, is the module `HSAE`'s.

internal import HSAEActivations
internal import HSAEEngine
package import HSAEModels
package import HSAERuns
package import HSAESupport
internal import HSAETensors

extension Trainer {
  /// Begins a run whose rows will be given to `step(on:waited:)`, in the folder `path`, which must not
  /// exist or be empty; without a path it is kept in memory, and has no checkpoints and no records.
  package static func beginStream(
    into path: String?, configuration: TrainingConfiguration, threads: Int
  ) throws(Failure) -> Trainer {
    let trainer = try begin(
      at: path ?? "", configuration: configuration, source: nil,
      with: TrainingResources(threads: threads))
    try trainer.openLog()
    return trainer
  }

  /// Goes on with such a run in the folder `path` from its newest whole checkpoint.
  package static func resumeStream(
    _ path: String, threads: Int, warn: (String) -> Void
  ) throws(Failure) -> Trainer {
    let trainer = try Trainer(
      resuming: path, source: nil, with: TrainingResources(threads: threads), warn: warn)
    try trainer.openLog()
    return trainer
  }

  /// How many of the first rows `begin(with:)` wants before the first step; 0 if none.
  package var rowsToBegin: Int {
    guard step == 0, configuration.bias == .geometricMedian, configuration.initialWeights == nil
    else { return 0 }
    return min(Self.mostBiasRows, configuration.data.rows)
  }

  /// Sets the bias to the geometric median of `rows` [n × d], row-major, as they come.
  package func begin(with rows: [Float]) {
    let width = configuration.shape.width
    var matrix = Matrix(rows: rows.count / width, columns: width, elements: rows)
    backend.changeParameters { Self.setBias(&$0, configuration, rows: &matrix) }
  }

  /// Takes a step on `rows` [batch × d], row-major, as they come, writes a checkpoint if one is due, and
  /// returns the record of this step if there is one. `waited` are the seconds the rows took to come.
  ///
  /// Fails with `.data` if a row holds a NaN or an infinity, and if the loss is no longer finite.
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
        if configuration.normalize == .unit {
          var part = target.part(start..<end)
          scaleRowsToUnit(&part, width: width)
        }
      }
    }
    let before = lastRecord.step
    try advance(waited: waited)
    try checkpointIfDue(isLast: false)
    return lastRecord.step == before ? nil : lastRecord
  }

  /// Writes a checkpoint of where the run stands, if it has a folder and there is none yet.
  package func checkpointNow() throws(Failure) {
    if step > 0, try !hasCheckpoint() { try checkpointIfDue(isLast: true) }
  }

  /// Writes the run as it stands into the folder `path`, which must not exist: its settings, its last record and a
  /// checkpoint. Nothing is there until all of it is. The run itself stays where it is.
  ///
  /// Fails with `.cannotCreate` if something is at `path`.
  package func save(to path: String) throws(Failure) {
    if Path.exists(path) {
      throw Failure(
        .cannotCreate, "\(path): there is something already; choose another folder to save into.")
    }
    try Path.createDirectories(Path.parent(path))
    let folder = try DurableDirectory(path: path)
    let run = folder.partialPath
    try JSONFile.write(configuration, to: RunDirectory.configurationFile(run))
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

  private func hasCheckpoint() throws(Failure) -> Bool {
    path.isEmpty ? true : try RunDirectory(path: path).checkpointSteps().contains(step)
  }

  /// The dictionary as it is now.
  package func dictionary() -> SparseAutoencoder {
    backend.withState {
      SparseAutoencoder(
        parameters: $0.parameters.copy(), activation: configuration.activation)
    }
  }
}
