// Which rows make up which batch. This depends only on the seed and on the batch's number, so a run can
// continue at any batch. `BatchReader` reads the rows.

package import HSAEActivations
public import HSAERuns
import HSAETensors

/// The row at each position of an endless sequence of epochs.
public struct RowSequence: Sendable {
  /// Rows in an epoch.
  public let count: Int
  private let order: RowOrder
  private let seed: UInt64
  /// The ranges of rows that are read together, for the order by chunks.
  private var chunks: [Range<Int>]

  /// The order by chunks mixes at least this many rows, if there are as many.
  static let poolRows = 65_536

  /// The sequence of `count` rows in the given order. In the order by chunks, all rows are one chunk until
  /// `following` sets the chunks of a source.
  public init(count: Int, order: RowOrder, seed: UInt64) {
    precondition(count > 0, "There are no rows.")
    self.count = count
    self.order = order
    self.seed = seed
    chunks = [0..<count]
  }

  /// The same sequence with the chunks of `source`.
  package func following(_ source: any RowSource) -> RowSequence {
    var sequence = self
    if order == .chunks { sequence.chunks = source.chunks.filter { !$0.isEmpty } }
    precondition(
      sequence.chunks.reduce(0) { $0 + $1.count } == count, "The chunks do not add up to all rows.")
    return sequence
  }

  /// Chunks whose rows are mixed, and their positions in the sequence.
  struct Pool: Hashable, Sendable {
    var positions: Range<Int>
    var chunks: [Range<Int>]
  }

  /// Results for the last positions, which speed up the next ones.
  package struct Places: Sendable {
    fileprivate var epoch = -1
    fileprivate var pools: [Pool] = []
    fileprivate var pool: Pool?
    fileprivate var rows: [Int] = []

    /// No results yet.
    package init() {}
  }

  /// The rows at `positions`, which may span epochs.
  public func rows(at positions: Range<Int>) -> [Int] {
    var places = Places()
    return rows(at: positions, reusing: &places)
  }

  /// As above. `places` saves time if positions follow each other.
  package func rows(at positions: Range<Int>, reusing places: inout Places) -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(positions.count)
    var position = positions.lowerBound
    while position < positions.upperBound {
      let epoch = position / count
      let start = epoch * count
      var end = min(positions.upperBound, start + count)
      switch order {
      case .file: result += position - start..<end - start
      case .shuffled:
        let permutation = Permutation(count: count, seed: epochSeed(epoch))
        for place in position..<end { result.append(permutation.index(at: place - start)) }
      case .chunks:
        let pool = fill(&places, at: position)
        end = min(end, pool.upperBound)
        result += places.rows[position - pool.lowerBound..<end - pool.lowerBound]
      }
      position = end
    }
    return result
  }

  /// The pool at `position`, in the order by chunks.
  func pool(at position: Int) -> Pool? {
    guard order == .chunks, chunks.count > 1 else { return nil }
    return pools(of: position / count).first { $0.positions.contains(position) }
  }

  // MARK: The order by chunks

  /// The chunks in random order, grouped into pools.
  private func pools(of epoch: Int) -> [Pool] {
    var generator = SeededGenerator(seed: epochSeed(epoch))
    var pools: [Pool] = []
    var position = epoch * count
    for chunk in chunks.shuffled(using: &generator) {
      if let last = pools.last, last.positions.count < Self.poolRows {
        pools[pools.count - 1].chunks.append(chunk)
        pools[pools.count - 1].positions = last.positions.lowerBound..<position + chunk.count
      } else {
        pools.append(Pool(positions: position..<position + chunk.count, chunks: [chunk]))
      }
      position += chunk.count
    }
    return pools
  }

  /// Makes `places` hold the pool at `position`, and returns that pool's positions.
  private func fill(_ places: inout Places, at position: Int) -> Range<Int> {
    if let pool = places.pool, pool.positions.contains(position) { return pool.positions }
    let epoch = position / count
    if places.epoch != epoch {
      places.pools = pools(of: epoch)
      places.epoch = epoch
    }
    guard let pool = places.pools.first(where: { $0.positions.contains(position) }) else {
      preconditionFailure("Position \(position) is in no pool.")
    }
    var generator = SeededGenerator(seed: epochSeed(epoch))
      .split(UInt64(pool.positions.lowerBound - epoch * count))
    // Sort the chunks as in the file, so that the order depends only on which rows are in the pool.
    places.rows = pool.chunks.sorted { $0.lowerBound < $1.lowerBound }.flatMap { Array($0) }
    places.rows.shuffle(using: &generator)
    places.pool = pool
    return pool.positions
  }

  private func epochSeed(_ epoch: Int) -> UInt64 {
    var generator = SeededGenerator(seed: seed).split(0x6570_6f63_68).split(UInt64(epoch))
    return generator.next()
  }
}
