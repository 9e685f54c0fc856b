// How a run begins or continues: refuse an occupied folder, check the machine, take the folder's lock, make
// the weights, and write the files that make the folder a run. If the run fails before its first step, the
// files are removed again.

internal import Foundation
public import HSAEActivations
public import HSAEDevices
internal import HSAEDistribution
public import HSAEEngine
internal import HSAEModels
public import HSAERuns
public import HSAESupport
internal import HSAETensors

/// The processes, the threads and the backend that train runs.
public struct TrainingResources {
  /// Threads of this process. Results do not depend on their number.
  public var threads: Int
  /// The processes that train together.
  public var ranks: Ranks
  /// What computes the steps.
  public var backend: Backend
  /// The device of `Backend.pjrt`.
  public var device: DeviceChoice?
  /// What whitening needs beside the rows.
  public var whitening = WhiteningResources()

  /// Resources of the given parts.
  public init(
    threads: Int, ranks: Ranks = Ranks(), backend: Backend = .cpu, device: DeviceChoice? = nil
  ) {
    (self.threads, self.ranks, self.backend, self.device) = (threads, ranks, backend, device)
  }

  /// A backend that continues from `state`, for this process's `share`.
  func start(
    _ state: consuming TrainingState, _ recipe: Recipe, _ share: RankShare
  ) throws(Failure) -> any StepBackend {
    try backend.start(state, recipe: recipe, share: share, threads: threads, device: device)
  }
}

extension Trainer {
  /// Begins a run at each path and writes its `config.json`. A path must not exist or be an empty folder;
  /// with an empty path the run stays in memory. Either all runs begin or none does, except after a failure
  /// of the disk.
  ///
  /// The weights come from the file that the configuration's `initialWeights` names, if it names one.
  /// `source` is nil if rows are given batch by batch. All ranks of the resources make the same call.
  public static func begin(
    _ runs: [(path: String, configuration: TrainingConfiguration)], source: (any RowSource)?,
    with resources: TrainingResources
  ) throws(Failure) -> [Trainer] {
    try resources.ranks.requireAlike(runs.map(\.configuration))
    return try beginAlike(runs, source: source, with: resources)
  }

  /// As above, for configurations that `Ranks.requireAlike` has compared.
  static func beginAlike(
    _ runs: [(path: String, configuration: TrainingConfiguration)], source: (any RowSource)?,
    with resources: TrainingResources
  ) throws(Failure) -> [Trainer] {
    let ranks = resources.ranks
    try ranks.world.onFirst { () throws(Failure) in
      for run in runs where !run.path.isEmpty { try refuseOccupied(run.path) }
    }
    try checkMachine(runs.map(\.configuration), resources)
    var trainers: [Trainer] = []
    var known: (settings: WhiteningSettings, whitening: Whitening?)?
    for run in runs {
      // Runs of a group have the same rows.
      var whitening: Whitening?
      if source == nil { whitening = resources.whitening.given }
      if let settings = run.configuration.whitening, let source {
        let isKnown =
          known?.settings.source == settings.source && known?.settings.ridge == settings.ridge
        whitening =
          isKnown ? known?.whitening : try run.configuration.whitening(of: source, resources)
        known = (settings, whitening)
      }
      let backend = try freshBackend(run.configuration, whitening, source: source, resources)
      trainers.append(
        try Trainer(
          claiming: run.path, configuration: run.configuration, whitening: whitening,
          source: source, backend: backend, ranks: ranks))
    }
    // Write the first run last: if it is there, so are the others.
    for trainer in trainers.reversed() where !trainer.path.isEmpty { try trainer.writeBeginning() }
    return trainers
  }

  /// Begins one run at `path`.
  public static func begin(
    at path: String, configuration: TrainingConfiguration, source: (any RowSource)?,
    with resources: TrainingResources
  ) throws(Failure) -> Trainer {
    try begin([(path, configuration)], source: source, with: resources)[0]
  }

  /// Continues the run at `path` from its newest whole checkpoint.
  ///
  /// Fails if `source` is not the data that the run was begun on. Without a source the run must be one that
  /// is given its rows. `warn` is called with a message for each checkpoint that is skipped.
  public convenience init(
    resuming path: String, source: (any RowSource)?, with resources: TrainingResources,
    warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    let ranks = resources.ranks
    let (run, configuration) = try ranks.world.agree { () throws(Failure) in
      let run = try RunDirectory(path: path)
      return (run, try run.trainingConfiguration())
    }
    let lock = try Self.lock(path, ranks) {}
    try ranks.world.agree { () throws(Failure) in
      try Self.requireSameData(configuration.data, source, path)
    }
    if ranks.isFirst { run.removePartialFiles() }
    try Self.checkMachine([configuration], resources)
    var seconds = 0.0
    let backend: any StepBackend
    let whitening: Whitening?
    if let folder = try ranks.newestWholeCheckpoint(of: run, warn: warn) {
      let hash = try ranks.world.agree { () throws(Failure) in
        try Checkpoint.state(of: folder).whitening
      }
      whitening = try configuration.whitening(
        of: run, sha256: hash, hasCheckpoint: true, source, resources)
      let share = RankShare(
        shape: configuration.shape, batch: configuration.batch, ranks: ranks)
      (backend, seconds) = try ranks.world.agree { () throws(Failure) in
        let place = try Checkpoint.state(of: folder)
        let state = try Checkpoint.read(
          folder, state: place, configuration: configuration, share: share)
        return (try resources.start(state, configuration.recipe(whitening), share), place.seconds)
      }
    } else {
      whitening = try configuration.whitening(
        of: run, sha256: nil, hasCheckpoint: false, source, resources)
      backend = try Self.freshBackend(configuration, whitening, source: source, resources)
    }
    let step = backend.withState { $0.step }
    let last = try ranks.world.agree { () throws(Failure) in try run.metrics() }
      .last { $0.step <= step }
    self.init(
      at: path, lock: lock, configuration: configuration, whitening: whitening, source: source,
      backend: backend, ranks: ranks, step: step, seconds: seconds,
      lastRecord: last ?? MetricsRecord())
  }

  private static func requireSameData(
    _ data: DataDescription, _ source: (any RowSource)?, _ path: String
  ) throws(Failure) {
    guard let source else {
      if data.isStream { return }
      throw .usage(
        "\(path): the run was begun on \(data.path), not on rows given by a program;"
          + " continue it with hsae train --resume.")
    }
    guard source.fingerprint == data.fingerprint, source.rowCount == data.rows,
      source.width == data.width
    else {
      throw .data(
        "\(source.path): this is not the data the run \(path) was begun on (\(data.path),"
          + " \(data.rows) rows of width \(data.width)); give the same data.")
    }
  }

  /// Takes the folder `path`, if there is one, for a run. `writeBeginning` then begins it.
  private convenience init(
    claiming path: String, configuration: TrainingConfiguration, whitening: Whitening?,
    source: (any RowSource)?, backend: any StepBackend, ranks: Ranks
  ) throws(Failure) {
    let makesFolder = !path.isEmpty && !Path.exists(path)
    var lock: FileLock?
    if !path.isEmpty {
      lock = try Self.lock(path, ranks) { () throws(Failure) in try Path.createDirectories(path) }
      // Check again: another process may have begun a run here in the meantime.
      try ranks.world.onFirst { () throws(Failure) in try Self.refuseOccupied(path) }
    }
    self.init(
      at: path, lock: lock, configuration: configuration, whitening: whitening, source: source,
      backend: backend, ranks: ranks, step: 0, seconds: 0, lastRecord: MetricsRecord())
    madeFolder = makesFolder
  }

  /// On rank 0: calls `prepare`, then takes the lock of the run at `path`.
  private static func lock(
    _ path: String, _ ranks: Ranks, _ prepare: () throws(Failure) -> Void
  ) throws(Failure) -> FileLock? {
    var lock: FileLock?
    try ranks.world.onFirst { () throws(Failure) in
      try prepare()
      lock = try FileLock(path: RunDirectory.lockFile(path), purpose: "The run \(path)")
    }
    return lock
  }

  /// Writes the files that make the folder a run. Fails unless all ranks see the run that rank 0 has begun: so
  /// the error comes now and not with the first checkpoint. Network file systems may need a moment.
  private func writeBeginning() throws(Failure) {
    hasBegun = true
    try ranks.world.onFirst { () throws(Failure) in
      if let store = source as? ActivationStore, let vocabulary = StoredVocabulary(store) {
        try vocabulary.write(to: RunDirectory.vocabularyFolder(path))
      }
      try whitening?.write(to: RunDirectory.whiteningFile(path))
      try JSONFile.write(configuration, to: RunDirectory.configurationFile(path))
    }
    try ranks.world.agree { () throws(Failure) in try ranks.waitForRun(at: path) }
  }

  /// Removes the run again if this process began it and it has not taken a step. Then the run can be begun
  /// again in the same place after the cause of a failure is corrected. Do not use the trainer after this.
  ///
  /// Files that were in the folder before (`refuseOccupied`) stay, and so do the folders above it.
  public func removeIfNothingWasDone() {
    guard hasBegun, step == 0, !path.isEmpty, ranks.isFirst else { return }
    guard (try? RunDirectory(path: path).checkpointSteps()) == [],
      (Path.fileSize(RunDirectory.metricsFile(path)) ?? 0) == 0
    else { return }
    // Remove the settings last: as long as they are there, the run can be continued.
    for place in [
      TensorBoardLog.folder(ofRun: path), RunDirectory.metricsFile(path),
      RunDirectory.vocabularyFolder(path), RunDirectory.whiteningFile(path),
      RunDirectory.configurationFile(path),
    ] { Path.removeAll(place) }
    guard madeFolder, (try? Path.list(path)) == [Path.name(RunDirectory.lockFile(path))] else {
      return
    }
    // We still hold the lock, so a process that opens its file now is refused.
    Path.removeAll(RunDirectory.lockFile(path))
    Path.removeEmptyDirectory(path)
  }

  /// Fails if a run, or anything else, is in the folder `path`.
  private static func refuseOccupied(_ path: String) throws(Failure) {
    guard Path.isDirectory(path) else { return }
    if Path.exists(RunDirectory.configurationFile(path)) {
      throw Failure(
        .cannotCreate,
        "\(path): a run is there already; add --resume to continue it, or choose another --out.")
    }
    // A process that was killed before it wrote config.json left a lock file, a vocabulary, a whitening or hidden
    // partial files.
    let left = [
      RunDirectory.lockFile(path), RunDirectory.vocabularyFolder(path),
      RunDirectory.whiteningFile(path),
    ].map(Path.name)
    let others = try Path.list(path).filter { !left.contains($0) && !$0.hasPrefix(".") }
    guard others.isEmpty else {
      throw Failure(
        .cannotCreate, "\(path): the folder is not empty (\(others[0])); choose another --out.")
    }
  }

  /// A backend, or this rank's share of one, with the weights that a run starts from.
  static func freshBackend(
    _ configuration: TrainingConfiguration, _ whitening: Whitening?, source: (any RowSource)?,
    _ resources: TrainingResources
  ) throws(Failure) -> any StepBackend {
    let share = RankShare(
      shape: configuration.shape, batch: configuration.batch, ranks: resources.ranks)
    return try resources.ranks.world.agree { () throws(Failure) in
      var parameters: Parameters
      var hasThresholds = false
      if let file = configuration.initialWeights {
        parameters = try WeightsFile.read(
          from: file, shape: configuration.shape, experts: share.experts)
        hasThresholds = parameters.vectors.contains(.thresholds)
        if parameters.vectors != configuration.vectors {
          parameters = parameters.copy(with: configuration.vectors)
        }
      } else {
        parameters = Parameters.initial(
          shape: share.ownShape, seed: configuration.seed, vectors: configuration.vectors,
          firstExpert: share.experts.lowerBound)
        if configuration.bias == .geometricMedian, let source {
          try setBias(&parameters, configuration, whitening, source: source)
        }
      }
      if let jump = configuration.jumpReLU, !hasThresholds {
        for latent in 0..<share.ownShape.experts {
          parameters.thresholds[0, latent] = Float(jump.thresholdStart)
        }
      }
      let recipe = configuration.recipe(whitening)
      let state = TrainingState(
        parameters: parameters, momentFormat: recipe.momentFormat, seed: recipe.seed,
        firstExpert: share.experts.lowerBound)
      return try resources.start(state, recipe, share)
    }
  }

  /// Fails if these resources cannot train all of `configurations` at once.
  static func checkMachine(
    _ configurations: [TrainingConfiguration], _ resources: TrainingResources
  ) throws(Failure) {
    let ranks = resources.ranks
    let here = ranks.sameHost()
    try ranks.world.agree { () throws(Failure) in
      if let (name, least) = configurations.compactMap(ranks.complaint).first {
        throw .usage("\(name) must be at least \(least) for \(ranks.world.size) processes.")
      }
      for configuration in configurations {
        let share = RankShare(
          shape: configuration.shape, batch: configuration.batch, ranks: ranks)
        if let complaint = resources.backend.type.complaint(configuration.recipe, share: share) {
          throw Failure(.unavailable, complaint)
        }
      }
      if let complaint = MemoryNeed.complaint(
        configurations, resources, memory: .current, here: here)
      {
        throw Failure(.unavailable, complaint)
      }
    }
  }

  /// Sets the bias to the geometric median of up to 32,768 rows, as Gao et al. do.
  private static func setBias(
    _ parameters: inout Parameters, _ configuration: TrainingConfiguration,
    _ whitening: Whitening?, source: any RowSource
  ) throws(Failure) {
    let count = min(mostBiasRows, source.rowCount)
    let permutation = Permutation(count: source.rowCount, seed: configuration.seed)
    var rows = Matrix(rows: count, columns: source.width)
    try source.gather((0..<count).map(permutation.index(at:)), into: &rows)
    setBias(&parameters, configuration, whitening, rows: &rows)
  }

  /// The most rows whose median the bias begins with.
  static let mostBiasRows = 32_768

  /// Sets the bias to the geometric median of `rows`, which are normalised and whitened first.
  static func setBias(
    _ parameters: inout Parameters, _ configuration: TrainingConfiguration,
    _ whitening: Whitening?, rows: inout Matrix
  ) {
    configuration.normalize.apply(to: &rows)
    if let whitening {
      var span = rows.mutableSpan
      whitening.product(threads: 1).apply(to: &span)
    }
    let median = geometricMedian(of: rows)
    for column in median.indices { parameters.bias[0, column] = median[column] }
  }
}
