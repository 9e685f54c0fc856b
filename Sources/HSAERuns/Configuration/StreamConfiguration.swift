// The configuration of a run whose rows a program gives batch by batch, in place of a file that a trainer reads.

public import HSAESupport

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
