// The configuration of a run whose rows come from a program, batch by batch, instead of from a file.

internal import HSAEModels
public import HSAESupport

extension DataDescription {
  /// The fingerprint of rows that come from a program.
  static let streamFingerprint = "stream"

  /// Whether the rows came from a program, so that they cannot be read again.
  public var isStream: Bool { fingerprint == Self.streamFingerprint }

  /// The name of the file or folder of the rows, or a phrase for a stream.
  public var name: String { isStream ? "a stream of rows" : Path.name(path) }
}

extension TrainingConfiguration {
  /// Resolves `options` for rows of width `width` that come in batches.
  ///
  /// `steps` is required, because the learning rate depends on it. A batch has 4,096 rows if neither the options nor
  /// the preset set it. `epochs`, `order` and `orderSeed` have no meaning here. Fails with `.usage` and the option's
  /// name if values do not fit together.
  public init(_ options: TrainingOptions, streamOfWidth width: Int) throws(Failure) {
    if options.steps == nil, options.preset?.options.steps == nil {
      throw .usage("--steps must be given, because the length of a stream is not known beforehand.")
    }
    for (name, isGiven) in [
      ("--epochs", options.epochs != nil), ("--order-seed", options.orderSeed != nil),
      ("--order", options.order.map { $0 != .file } ?? false),
    ] where isGiven {
      throw .usage("\(name) has no meaning for a stream of rows; leave it out.")
    }
    var options = options
    options.order = .file
    let initial = try options.initialWeights.map { (file) throws(Failure) in
      try WeightsFile.shape(of: file)
    }
    // This number of rows makes the default batch 4,096. The real number follows from batch and steps.
    let nominal = DataDescription(
      path: "", fingerprint: DataDescription.streamFingerprint, rows: 2_048_000, width: width)
    try self.init(
      options, data: nominal, initialShape: initial?.shape,
      initialVectors: initial?.vectors ?? [])
    data.rows = batch * steps
  }
}
