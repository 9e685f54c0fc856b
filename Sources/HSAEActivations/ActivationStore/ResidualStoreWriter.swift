// Writing a residual-stream store whose manifest is there: rows of both parts, the notes of what is
// done, and, when everything is, its completion.

public import HSAESupport

/// One process's part in filling a store: the work of one shard.
public final class ResidualStoreWriter {
  /// The store's folder.
  public let path: String
  /// What the store says about itself.
  public let attributes: StoreAttributes
  /// The corpus, tokenised.
  public let corpus: StoredCorpus

  private var training: ShuffledRowsWriter
  private var holdout: ShuffledRowsWriter
  private var progress: StoreProgress
  private var pending: [Range<Int>] = []
  private let lock: FileLock

  /// Goes on with the incomplete store at `path` as shard `shard` (counting from 1) of `count`.
  ///
  /// Fails with `.cannotCreate` if another process works as that shard.
  public init(path: String, shard: Int = 1, of count: Int = 1) throws(Failure) {
    precondition(shard >= 1 && shard <= count, "There is no shard \(shard) of \(count).")
    self.path = path
    attributes = try Self.attributes(of: path)
    guard !attributes.complete, let collection = attributes.collection else {
      throw .data("\(path): this store is complete; there is nothing to collect.")
    }
    lock = try FileLock(
      path: Path.join(StoreProgress.folder(path), "shard-\(shard)-of-\(count).lock"),
      purpose: "Shard \(shard)/\(count) of \(path)")
    corpus = try StoredCorpus(store: path)
    progress = try StoreProgress(store: path, shard: shard, of: count)
    training = ShuffledRowsWriter(
      path: path, rows: collection.trainingRows, width: attributes.width,
      seed: attributes.shuffleSeed)
    holdout = ShuffledRowsWriter(
      path: Path.join(path, "holdout"), rows: collection.holdoutRows, width: attributes.width,
      seed: attributes.shuffleSeed)
  }

  /// The attributes of the store at `path`, complete or not.
  public static func attributes(of path: String) throws(Failure) -> StoreAttributes {
    try JSONFile.read(StoreGroup.self, from: Path.join(path, "zarr.json")).attributes
  }

  /// Whether unit `unit` was on the disk when this was opened, by whichever shard.
  public func isDone(_ unit: Int) -> Bool { progress.known.contains(unit..<unit + 1) }

  /// The number of units of `range` that were on the disk when this was opened.
  public func doneCount(in range: Range<Int>) -> Int { progress.known.count(in: range) }

  /// Adds a row to memory: row `index` of its part, the vector `row` of the token at `position` of
  /// `document`.
  public func add(
    _ index: Int, _ row: Span<Float>, token: Int32, document: Int, position: Int, isHeldOut: Bool
  ) {
    if isHeldOut {
      holdout.add(
        index, row, token: token, document: Int32(document), position: Int32(position))
    } else {
      training.add(
        index, row, token: token, document: Int32(document), position: Int32(position))
    }
  }

  /// Says that all rows of unit `unit` have been added.
  public func end(unit: Int) {
    if let last = pending.last, last.upperBound == unit {
      pending[pending.count - 1] = last.lowerBound..<unit + 1
    } else {
      pending.append(unit..<unit + 1)
    }
  }

  /// The bytes of rows in memory.
  public var byteCount: Int { training.byteCount + holdout.byteCount }

  /// Brings all rows of ended units to the disk and notes that they are there.
  ///
  /// To be called between units only. Fails with `.inputOutput` if the disk is full; what was noted
  /// before stays.
  public func flush() throws(Failure) {
    try training.flush()
    try holdout.flush()
    for range in pending { try progress.note(range) }
    pending = []
  }

  /// Who completed a store.
  public enum Completion: Hashable, Sendable {
    /// Nobody yet: units are missing.
    case notYet
    /// This call.
    case byThis
    /// Another writer, meanwhile.
    case byAnother
  }

  /// Completes the store if all of `units` units are on the disk.
  public func complete(units: Int) throws(Failure) -> Completion {
    let path = path
    // Two shards may end at the same moment; one completes, the other finds it done, and what says which
    // units are there gone.
    let finish = try FileLock(waitingFor: path + ".lock", onWait: {})
    defer { withExtendedLifetime(finish) {} }
    let wasComplete = try Self.attributes(of: path).complete
    if !wasComplete {
      guard try StoreProgress.all(path).contains(0..<units) else { return .notYet }
      try StoreCompletion.complete(path)
    }
    Path.removeAll(StoreProgress.folder(path))
    Path.removeAll(path + ".lock")
    return wasComplete ? .byAnother : .byThis
  }
}
