// The whitening of a run: the mean and covariance of its rows in one pass, which the cache keeps, and what follows from
// them. `HSAEModels/Whitening.swift` has the mathematics.

public import HSAEActivations
internal import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAESupport
public import HSAETensors

/// What whitening needs beside the rows of a run.
public struct WhiteningResources: Sendable {
  /// A whitening that a program gives. Without one, the rows decide.
  public var given: Whitening?
  /// The folder that keeps means and covariances of rows, so that a second run need not read the rows for them; nil: no
  /// such folder.
  public var cache: String?
  /// The covariance [d × d] of the unembedding of the model that made the rows, and the model's name for messages; nil if
  /// the model is not known.
  public var unembedding: (@Sendable () throws(Failure) -> (covariance: [Double], model: String))?
  /// Called with a note for the user.
  public var note: @Sendable (String) -> Void = { _ in }

  /// The failure to throw if the model is needed and not known.
  public static let missingModel = Failure.usage(
    "--whiten unembedding needs the language model; name it with --model.")

  /// Resources without cache and model.
  public init() {}
}

extension TrainingConfiguration {
  /// The whitening of a run with these settings that begins on the rows of `source`; nil without one. All ranks get that
  /// of rank 0.
  func whitening(
    of source: any RowSource, _ resources: TrainingResources
  ) throws(Failure) -> Whitening? {
    guard let settings = whitening else { return nil }
    if let given = resources.whitening.given { return given }
    return try shared(resources.ranks) { () throws(Failure) in
      if settings.source == .unembedding, resources.whitening.unembedding == nil {
        throw WhiteningResources.missingModel
      }
      return try Whitening(
        settings, rows: rowCovariance(of: source, resources), source: source.path,
        resources.whitening)
    }
  }

  /// The whitening of the run `run` that is resumed. Without a checkpoint, which has the hash `sha256` of its file, it may
  /// have to be made again.
  func whitening(
    of run: RunDirectory, sha256: String?, hasCheckpoint: Bool, _ source: (any RowSource)?,
    _ resources: TrainingResources
  ) throws(Failure) -> Whitening? {
    guard whitening != nil else { return nil }
    let known = try shared(resources.ranks) { () throws(Failure) in
      let file = RunDirectory.whiteningFile(run.path)
      return Path.exists(file) || hasCheckpoint ? try run.whitening(sha256: sha256) : nil
    }
    guard known == nil, let source else { return known }
    let made = try whitening(of: source, resources)
    try resources.ranks.world.onFirst { () throws(Failure) in
      try made?.write(to: RunDirectory.whiteningFile(run.path))
    }
    return made
  }

  /// What `make` gives on rank 0, on all ranks.
  private func shared(
    _ ranks: Ranks, _ make: () throws(Failure) -> Whitening?
  ) throws(Failure) -> Whitening? {
    let world = ranks.world
    var own: Whitening?
    try world.onFirst { () throws(Failure) in own = try make() }
    guard world.size > 1 else { return own }
    let numbers = own.map { $0.mean + $0.matrix + $0.inverse } ?? []
    // Safe: doubles have no padding bytes, and any bytes make one.
    let bytes = world.gathered(bytes: unsafe numbers.withUnsafeBytes { unsafe Array($0) })[0]
    try world.check()
    if bytes.isEmpty { return nil }
    let width = shape.width
    let count = bytes.count / 8
    let all: [Double] = unsafe bytes.withUnsafeBytes { bytes in
      (0..<count).map { unsafe bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
    }
    return Whitening(
      mean: Array(all[..<width]), matrix: Array(all[width..<width + width * width]),
      inverse: Array(all[(width + width * width)...]))
  }

  /// The mean and covariance of all rows of `source`, normalised as in training: from the cache, or in one pass.
  private func rowCovariance(
    of source: any RowSource, _ resources: TrainingResources
  ) throws(Failure) -> RowCovariance {
    let file = resources.whitening.cache.map { folder in
      let key = [
        "1", source.fingerprint, normalize.rawValue, String(source.rowCount), String(source.width),
      ]
      return Path.join(folder, SHA256.hash(key.joined(separator: "\n")) + ".safetensors")
    }
    // A damaged file is made again.
    if let file, Path.exists(file), let known = try? RowCovariance(path: file, width: source.width)
    {
      return known
    }
    resources.whitening.note(
      "whitening: reading \(counted(source.rowCount, "row")) for their covariance")
    let moments = try RowMoments(of: source, normalize, threads: resources.threads)
    let result = RowCovariance(mean: moments.mean, covariance: moments.covariance)
    guard let file else { return result }
    do throws(Failure) {
      try Path.createDirectories(Path.parent(file))
      try result.write(to: file)
    } catch {
      resources.whitening.note(
        "whitening: the cache does not keep the covariance: \(error.message)")
    }
    return result
  }
}

extension Whitening {
  /// The whitening with `settings` of rows with the given mean and covariance; `source` names them in messages.
  init(
    _ settings: WhiteningSettings, rows: RowCovariance, source: String,
    _ resources: WhiteningResources
  ) throws(Failure) {
    let width = rows.mean.count
    func say(_ name: String) -> (Int) -> Void {
      { rank in
        resources.note(
          "whitening: the covariance of \(name) has rank \(rank) of \(width); the ridge (--whiten-ridge"
            + " \(settings.ridge)) replaces the eigenvalues that are 0")
      }
    }
    switch settings.source {
    case .activations:
      self = try Whitening(
        activations: rows.covariance, mean: rows.mean, ridge: settings.ridge, rows: source,
        lacksRank: say(source))
    case .unembedding:
      guard let unembedding = resources.unembedding else { throw WhiteningResources.missingModel }
      let own = try unembedding()
      guard own.covariance.count == rows.covariance.count else {
        throw .data(
          "\(own.model): its unembedding has another width than the rows, \(width); give the model that made them."
        )
      }
      self = try Whitening(
        unembedding: own.covariance, ridge: settings.ridge, model: own.model, rowMean: rows.mean,
        rowCovariance: rows.covariance, rows: source, lacksRank: say(own.model))
    }
  }
}

extension RowMoments {
  /// The sums over all rows of `source`, normalised by `normalisation`.
  public init(
    of source: any RowSource, _ normalisation: Normalisation, threads: Int = processorCount
  ) throws(Failure) {
    self.init(width: source.width)
    let size = 8_192
    for start in stride(from: 0, to: source.rowCount, by: size) {
      source.prefetch(min(source.rowCount, start + size)..<min(source.rowCount, start + 2 * size))
      var rows = try source.matrix(rows: start..<min(source.rowCount, start + size))
      normalisation.apply(to: &rows)
      add(rows, threads: threads)
    }
  }
}
