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
  /// The whitening itself, if a program has it; nil: it follows from the rows.
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
    let world = resources.ranks.world
    var own: Whitening?
    try world.onFirst { () throws(Failure) in
      own = try Whitening(
        settings, rows: rowCovariance(of: source, resources), source: source.path,
        resources.whitening)
    }
    guard world.size > 1 else { return own }
    let width = source.width
    let numbers =
      own.map { $0.mean + $0.matrix + $0.inverse }
      ?? [Double](repeating: 0, count: width * (1 + 2 * width))
    let all = world.gathered(numbers)[0]
    try world.check()
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
        source.fingerprint, normalize.rawValue, String(source.rowCount), String(source.width),
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
    if let file {
      try Path.createDirectories(Path.parent(file))
      try result.write(to: file)
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
    let (covariance, name): ([Double], String)
    switch settings.source {
    case .activations:
      self = try Whitening(
        activations: rows.covariance, mean: rows.mean, ridge: settings.ridge, rows: source)
      (covariance, name) = (rows.covariance, source)
    case .unembedding:
      guard let unembedding = resources.unembedding else {
        throw WhiteningResources.missingModel
      }
      let own = try unembedding()
      guard own.covariance.count == rows.covariance.count else {
        throw .data(
          "\(own.model): its unembedding has another width than the rows, \(rows.mean.count); give the model that"
            + " made them.")
      }
      self = try Whitening(
        unembedding: own.covariance, ridge: settings.ridge, model: own.model, rowMean: rows.mean,
        rowCovariance: rows.covariance, rows: source)
      (covariance, name) = own
    }
    let width = rows.mean.count
    if let rank = Whitening.rank(of: covariance, width: width), rank < width {
      resources.note(
        "whitening: the covariance of \(name) has rank \(rank) of \(width); the ridge (--whiten-ridge"
          + " \(settings.ridge)) stands in for the rest")
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
