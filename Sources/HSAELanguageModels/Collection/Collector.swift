// Collects a model's residual stream into a store: first the manifest, then one unit after another. The work
// can stop and resume at any point, and several processes can share it.

public import HSAEActivations
public import HSAESupport
import HSAETensors

/// Collects rows of a model's residual stream into a store.
public struct Collector {
  /// How the work of one call ended.
  public enum Outcome: Hashable, Sendable {
    /// The store is complete, and this call made it so.
    case complete
    /// The store is complete; another process did the rest and completed it.
    case foundComplete
    /// This shard's work is done; other shards still have work.
    case shardDone
    /// `shouldStop` ended the work; finished units are kept.
    case stopped
  }

  /// How often rows in memory are written to the disk. A crash loses the rows since the last time.
  public struct Pace: Hashable, Sendable {
    /// The longest time between two writes, in seconds.
    public var seconds = 60.0
    /// Bytes of rows in memory that trigger a write earlier.
    public var bytes = 256 << 20

    /// Writes every minute, or after 256 MiB.
    public init() {}
  }

  private let model: any ResidualStreamModel
  private let settings: CollectionSettings
  private let path: String
  private let corpus: [CollectionAttributes.Source]

  /// Prepares to collect into the store at `path`; `corpus` describes the texts.
  ///
  /// Fails with `.usage` if the settings do not suit the model.
  public init(
    model: any ResidualStreamModel, settings: CollectionSettings, path: String,
    corpus: [CollectionAttributes.Source]
  ) throws(Failure) {
    try model.description.requireBlock(settings.block)
    guard settings.bos != .always || model.tokenizer.bos != nil else {
      throw .usage(
        "--bos always: \(model.description.name) has no beginning-of-sequence token; leave out --bos."
      )
    }
    let prefix = model.tokenizer.prefix(settings.bos).count
    guard settings.contextLength > prefix, settings.contextLength <= model.contextLength,
      settings.minimumPosition < settings.contextLength
    else {
      throw .usage(
        "No token would have a row: contexts of \(settings.contextLength) tokens begin with"
          + " \(prefix) special ones, and rows begin at position \(settings.minimumPosition).")
    }
    self.model = model
    self.settings = settings
    self.path = Path.trimmed(path)
    self.corpus = corpus
  }

  /// The result of `prepare`.
  public struct Preparation: Sendable {
    /// Whether the store existed before.
    public var wasThere: Bool
    /// Whether the store is complete.
    public var isComplete: Bool
    /// Whether `shouldStop` ended the work before the corpus was tokenised. Then there is no store yet.
    public var isStopped = false
    /// Documents without a row, if this call tokenised the corpus.
    public var documentsWithoutRows = 0
    /// The store's attributes.
    public var attributes: StoreAttributes
  }

  /// Makes sure that the store and its manifest exist. Tokenises `documents`, unless an earlier call with
  /// the same settings, model and corpus did.
  ///
  /// `shouldStop` is called before each batch of up to a thousand documents; if it returns true, nothing is
  /// left behind. Fails with `.cannotCreate` if the path holds something else or a store with other
  /// settings, and with `.data` if the corpus gives no rows to train on.
  public func prepare(
    documents: () throws(Failure) -> any DocumentSource, threads: Int = processorCount,
    say: (String) -> Void = { _ in }, shouldStop: () -> Bool = { false },
    progress: (_ rows: Int) -> Void = { _ in }
  ) throws(Failure) -> Preparation {
    if Path.exists(path) { return try found() }
    // Other processes that begin the same store wait until this one has tokenised.
    let lock = try FileLock(
      waitingFor: path + ".lock",
      onWait: { say("another process is tokenising the corpus; waiting for it") })
    defer { withExtendedLifetime(lock) { Path.removeAll(path + ".lock") } }
    if Path.exists(path) { return try found() }
    var attributes = settings.attributes(model, corpus: corpus)
    let rule = TokenRule(attributes, tokenizer: model.tokenizer)
    var manifest = try StoreManifest(path: path)
    var source = try documents()
    let tokenizer = CorpusTokenizer(
      settings: settings, tokenizer: model.tokenizer, threads: threads)
    let summary = try tokenizer.run(
      &source, rule: rule, into: &manifest, shouldStop: shouldStop, progress: progress)
    if summary.isStopped {
      return Preparation(
        wasThere: false, isComplete: false, isStopped: true, attributes: attributes)
    }
    guard manifest.trainingRows > 0 else {
      throw .data(
        "The corpus gives no rows to train on: \(summary.read) documents were read,"
          + " and \(summary.withoutRows) of them have no token to collect; give more or other text"
          + (manifest.holdoutRows > 0 ? ", or hold out less (--holdout)." : "."))
    }
    try manifest.commit(attributes: attributes, vocabulary: model.tokenizer.pieces)
    attributes = try ResidualStoreWriter.attributes(of: path)
    return Preparation(
      wasThere: false, isComplete: false, documentsWithoutRows: summary.withoutRows,
      attributes: attributes)
  }

  /// The existing store at the path, which must have this collection's settings.
  private func found() throws(Failure) -> Preparation {
    guard Path.exists(Path.join(path, "zarr.json")) else {
      throw Failure(
        .cannotCreate, "\(path): this exists but is not a store; choose another --out.")
    }
    let attributes = try ResidualStoreWriter.attributes(of: path)
    let wanted = settings.attributes(model, corpus: corpus)
    if let difference = Self.difference(wanted, attributes) {
      throw Failure(
        .cannotCreate,
        "\(path): this store has another \(difference); collect with the same, or choose another"
          + " --out.")
    }
    return Preparation(wasThere: true, isComplete: attributes.complete, attributes: attributes)
  }

  /// Names the first setting that differs, with its value in the store; nil if all agree.
  private static func difference(_ wanted: StoreAttributes, _ found: StoreAttributes) -> String? {
    guard let new = wanted.collection, let old = found.collection else { return "kind of rows" }
    let differences: [(Bool, String)] = [
      (wanted.modelSHA256 != found.modelSHA256, "model (\(found.modelName))"),
      (wanted.weightsType != found.weightsType, "--weights (\(found.weightsType ?? "?"))"),
      (wanted.layer != found.layer, "--layer (\(found.layer ?? 0))"),
      (wanted.contextLength != found.contextLength, "--context (\(found.contextLength ?? 0))"),
      (wanted.shuffleSeed != found.shuffleSeed, "--seed (\(found.shuffleSeed))"),
      (new.wholeDocuments != old.wholeDocuments, "setting of --whole-documents"),
      (new.holdoutFraction != old.holdoutFraction, "--holdout (\(old.holdoutFraction))"),
      (new.minimumPosition != old.minimumPosition, "--min-position (\(old.minimumPosition))"),
      (new.keepsSpecialTokens != old.keepsSpecialTokens, "setting of --keep-special"),
      ((new.bos ?? .auto) != (old.bos ?? .auto), "--bos (\((old.bos ?? .auto).rawValue))"),
      (new.tokenLimit != old.tokenLimit, "--tokens (\(old.tokenLimit.map(String.init) ?? "all"))"),
      (
        new.giantNormMultiple != old.giantNormMultiple, "--giant-norm (\(old.giantNormMultiple))"
      ),
      (new.corpus != old.corpus, "corpus (\(old.corpus.map(\.name).joined(separator: ", ")))"),
    ]
    return differences.first { $0.0 }?.1
  }

  /// Does the work of shard `shard` (counting from 1) out of `count` that is not done yet.
  ///
  /// `shouldStop` is called before each batch of contexts; the next call repeats a unit that was
  /// interrupted. `progress` gets the number of tokens done and the total, both of this shard. Both are called on any
  /// thread, one at a time. Fails with `.inputOutput` if the disk is full; rows already written are kept.
  public func run(
    shard: Int = 1, of count: Int = 1, pace: Pace = Pace(), shouldStop: () -> Bool = { false },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(Failure) -> Outcome {
    if try ResidualStoreWriter.attributes(of: path).complete { return .foundComplete }
    let writer = try ResidualStoreWriter(path: path, shard: shard, of: count)
    let rule = TokenRule(writer.attributes, tokenizer: model.tokenizer)
    let units = CollectionUnits(writer.corpus, rule: rule)
    let range = units.range(shard: shard, of: count)
    let tokens = CollectionUnits.unitTokens
    let total = min(range.upperBound * tokens, writer.corpus.tokenCount) - range.lowerBound * tokens
    var done = writer.doneCount(in: range) * tokens
    var lastFlush = ContinuousClock.now
    var isStopped = false
    progress(min(done, total), total)
    for unit in range where !writer.isDone(unit) {
      isStopped = try !collect(unit, units, rule, into: writer) { part in
        progress(min(done + part, total), total)
        return shouldStop()
      }
      if isStopped { break }
      done += tokens
      progress(min(done, total), total)
      if writer.byteCount >= pace.bytes || ContinuousClock.now - lastFlush >= .seconds(pace.seconds)
      {
        try writer.flush()
        lastFlush = ContinuousClock.now
      }
    }
    try writer.flush()
    if isStopped { return .stopped }
    let completion = try writer.complete(units: units.count)
    return switch completion {
    case .notYet: .shardDone
    case .byThis: .complete
    case .byAnother: .foundComplete
    }
  }

  /// Computes unit `unit` and gives its rows to `writer`; false if `shouldStop` interrupted it.
  private func collect(
    _ unit: Int, _ units: CollectionUnits, _ rule: TokenRule, into writer: ResidualStoreWriter,
    _ shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool {
    let contexts = try units.contexts(unit)
    let tokens = contexts.reduce(0) { $0 + $1.tokens.count }
    var rows = Matrix(rows: tokens, columns: model.description.width)
    let isWhole = try model.capture(
      contexts.map(\.tokens), afterBlock: settings.block, into: &rows, shouldStop: shouldStop)
    guard isWhole else { return false }
    var row = 0
    for context in contexts {
      let isHeldOut = writer.corpus.isHeldOut(context.document)
      var index = context.firstRow
      for (offset, token) in context.tokens.enumerated() {
        let position = context.start + offset
        if rule.keeps(token, at: position) {
          writer.add(
            index, rows.row(row), token: token, document: context.document, position: position,
            isHeldOut: isHeldOut)
          index += 1
        }
        row += 1
      }
    }
    writer.end(unit: unit)
    return true
  }
}
