// Training on rows that a program gives, batch by batch, instead of a source that a trainer reads: how such
// a run begins and goes on, with a run directory or without one, and a step of it. Collecting rows into
// batches, and running steps beside other work, is the module `HSAE`'s.

internal import HSAEActivations
package import HSAEModels
public import HSAESupport
internal import HSAETensors

extension DataDescription {
  /// What the rows of a stream have in place of a fingerprint.
  static let streamFingerprint = "stream"

  /// Whether a program gave the rows, so that they cannot be read again.
  public var isStream: Bool { fingerprint == Self.streamFingerprint }

  /// What the rows are called: the name of the file or folder.
  public var name: String { isStream ? "a stream of rows" : Path.name(path) }
}

extension TrainingConfiguration {
  /// Resolves `options` for rows of width `width` that will be given in batches, in the order they come.
  ///
  /// `steps` must be said, for the learning rate follows a plan; a batch has 4,096 rows if neither the
  /// options nor the preset say otherwise. `epochs`, `order` and `orderSeed` have no meaning here. Fails
  /// with `.usage` and the option's name where values do not fit together.
  public init(_ options: TrainingOptions, streamOfWidth width: Int) throws(Failure) {
    if options.steps == nil, options.preset != .unembedding {
      throw .usage("--steps must be given: how many rows a stream has is not known beforehand.")
    }
    for (name, isGiven) in [
      ("--epochs", options.epochs != nil), ("--order-seed", options.orderSeed != nil),
      ("--order", options.order.map { $0 != .file } ?? false),
    ] where isGiven {
      throw .usage("\(name) has no meaning for rows that are taken as they come; leave it out.")
    }
    var options = options
    options.order = .file
    let initial = try options.initialWeights.map { (file) throws(Failure) in
      try WeightsFile.shape(of: file)
    }
    // As many rows as make the default batch 4,096; how many there will be follows from batch and steps.
    let nominal = DataDescription(
      path: "", fingerprint: DataDescription.streamFingerprint, rows: 2_048_000, width: width)
    try self.init(
      options, data: nominal, initialShape: initial?.shape,
      initialHasBias: initial?.hasBias ?? false)
    data.rows = batch * steps
  }
}

extension Trainer {
  /// Begins a run whose rows will be given to `step(on:firstRow:)`, in the folder `path`, which must not
  /// exist or be empty; without a path it is kept in memory, and has no checkpoints and no records.
  package convenience init(
    streamInto path: String?, configuration: TrainingConfiguration, threads: Int
  ) throws(Failure) {
    let path = path ?? ""
    if !path.isEmpty { try Self.refuseOccupied(path) }
    try Self.checkMachine([configuration], threads: threads)
    let engine = try Self.freshEngine(configuration, source: nil, threads: threads)
    try self.init(
      claiming: path, configuration: configuration, source: nil, engine: engine, ranks: Ranks())
    if !path.isEmpty { try writeBeginning() }
    try openLog()
  }

  /// Goes on with such a run in the folder `path` from its newest whole checkpoint.
  package convenience init(
    resumingStream path: String, threads: Int, warn: (String) -> Void
  ) throws(Failure) {
    try self.init(goingOn: path, source: nil, threads: threads, ranks: Ranks(), warn: warn)
    try openLog()
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
    Self.setBias(&engine.parameters, configuration, rows: &matrix)
  }

  /// Takes a step on `rows` [batch × d], row-major, as they come, writes a checkpoint if one is due, and
  /// returns the record of this step if there is one. `waited` are the seconds the rows took to come.
  ///
  /// Fails with `.data` if a row holds a NaN or an infinity, and if the loss is no longer finite.
  package func step(on rows: [Float], waited: Double) throws(Failure) -> MetricsRecord? {
    let (batch, width) = (configuration.batch, configuration.shape.width)
    precondition(rows.count == batch * width, "A step takes \(batch) rows of width \(width).")
    let first = step * batch
    try engine.vectors.withMutableSpan(0..<rows.count) { target throws(Failure) in
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
    try Checkpoint.write(
      engine, configuration: configuration, step: step, seconds: seconds, into: checkpoints)
    try folder.commit()
  }

  private func hasCheckpoint() throws(Failure) -> Bool {
    path.isEmpty ? true : try RunDirectory(path: path).checkpointSteps().contains(step)
  }

  /// The dictionary as it is now.
  package func dictionary() -> SparseAutoencoder {
    SparseAutoencoder(
      parameters: engine.parameters.copy(), activation: configuration.activation)
  }
}
