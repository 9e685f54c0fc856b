// Fills a residual-stream store that has a manifest: writes the rows of both parts, notes which units are
// done, and completes the store when all are.

public import HSAESupport

/// Fills a store with the rows of one shard.
public final class ResidualStoreWriter {
  /// The store's folder.
  public let path: String
  /// The store's attributes.
  public let attributes: StoreAttributes
  /// The corpus, tokenised.
  public let corpus: StoredCorpus

  private let training, holdout: ShuffledRowsWriter
  private var progress: StoreProgress
  private var pending: [Range<Int>] = []
  private let lock: FileLock

  /// Continues the incomplete store at `path` as shard `shard` (counting from 1) of `count`.
  ///
  /// Fails with `.cannotCreate` if another process fills that shard.
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

  /// Whether unit `unit` was on the disk when the store was opened, written by any shard.
  public func isDone(_ unit: Int) -> Bool { progress.known.contains(unit..<unit + 1) }

  /// The number of units of `range` that were on the disk when the store was opened.
  public func doneCount(in range: Range<Int>) -> Int { progress.known.count(in: range) }

  /// Adds row `index` of its part to memory: the values `row` of the token at `position` of `document`.
  public func add(
    _ index: Int, _ row: Span<Float>, token: Int32, document: Int, position: Int, isHeldOut: Bool
  ) {
    let part = isHeldOut ? holdout : training
    part.add(index, row, token: token, document: Int32(document), position: Int32(position))
  }

  /// Notes that all rows of unit `unit` have been added.
  public func end(unit: Int) {
    if let last = pending.last, last.upperBound == unit {
      pending[pending.count - 1] = last.lowerBound..<unit + 1
    } else {
      pending.append(unit..<unit + 1)
    }
  }

  /// The bytes of rows in memory.
  public var byteCount: Int { training.byteCount + holdout.byteCount }

  /// Writes all rows of ended units to the disk, then notes that they are there.
  ///
  /// Call it only between units. Fails with `.inputOutput` if the disk is full; earlier notes stay.
  public func flush() throws(Failure) {
    try training.flush()
    try holdout.flush()
    for range in pending { try progress.note(range) }
    pending = []
  }

  /// The outcome of `complete`.
  public enum Completion: Hashable, Sendable {
    /// The store is not complete: units are missing.
    case notYet
    /// This call completed it.
    case byThis
    /// Another writer has completed it.
    case byAnother
  }

  /// Completes the store if all of `units` units are on the disk.
  public func complete(units: Int) throws(Failure) -> Completion {
    let path = path
    // Two shards may end at the same moment. One completes the store; the other finds it done.
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
