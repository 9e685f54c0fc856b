// Batches from a row source, one ahead of the trainer: while a step runs, the next batch is read and
// normalised on another thread. Which rows make up batch n depends on the seed and n alone, so a run
// can go on at any batch.

internal import Dispatch
public import HSAEActivations
public import HSAESupport
public import HSAETensors

/// Which row stands at each position of an endless sequence of epochs.
public struct RowSequence: Sendable {
  /// Rows in an epoch.
  public let count: Int
  private let order: RowOrder
  private let seed: UInt64

  /// The sequence of `count` rows in the given order.
  public init(count: Int, order: RowOrder, seed: UInt64) {
    precondition(count > 0, "There are no rows.")
    self.count = count
    self.order = order
    self.seed = seed
  }

  /// The rows at `positions`, which may span epochs.
  public func rows(at positions: Range<Int>) -> [Int] {
    switch order {
    case .file: return positions.map { $0 % count }
    case .shuffled:
      var result: [Int] = []
      result.reserveCapacity(positions.count)
      var position = positions.lowerBound
      while position < positions.upperBound {
        let epoch = position / count
        let end = min(positions.upperBound, (epoch + 1) * count)
        let permutation = Permutation(count: count, seed: epochSeed(epoch))
        for place in position..<end {
          result.append(permutation.index(at: place - epoch * count))
        }
        position = end
      }
      return result
    }
  }

  private func epochSeed(_ epoch: Int) -> UInt64 {
    var generator = SeededGenerator(seed: seed).split(0x6570_6f63_68).split(UInt64(epoch))
    return generator.next()
  }
}

/// Reads batches ahead. One consumer calls `next`, best for one batch after another.
@safe
public final class BatchReader: @unchecked Sendable {
  private let source: any RowSource
  private let sequence: RowSequence
  private let batch: Int
  private let normalisation: Normalisation
  private let queue = DispatchQueue(label: "hsae.batches", qos: .userInitiated)
  // Safe: `spare` and `outcome` are touched by the queue between a request and its wait, and by the
  // consumer otherwise.
  private var spare: Buffer<Float>
  private var outcome: Result<Void, Failure> = .success(())
  private let done = DispatchGroup()
  private var requested = 0

  /// Batches of `batch` rows of `source`; `spare` is one more buffer of the size `next` is given.
  public init(
    source: any RowSource, sequence: RowSequence, batch: Int, normalisation: Normalisation,
    firstBatch: Int, bufferSize: Int
  ) {
    self.source = source
    self.sequence = sequence
    self.batch = batch
    self.normalisation = normalisation
    spare = Buffer(bufferSize)
    request(firstBatch)
  }

  /// Exchanges `buffer` for one that holds batch `index` in its first rows, and begins with the next.
  public func next(_ index: Int, into buffer: inout Buffer<Float>) throws(Failure) {
    done.wait()
    if index != requested {
      request(index)
      done.wait()
    }
    try outcome.get()
    swap(&spare, &buffer)
    request(index + 1)
  }

  /// Waits for what is being read.
  public func finish() { done.wait() }

  private func request(_ index: Int) {
    requested = index
    queue.async(group: done) { [self] in
      do throws(Failure) {
        try fill(index)
        outcome = .success(())
      } catch { outcome = .failure(error) }
    }
  }

  private func fill(_ index: Int) throws(Failure) {
    let d = source.width
    let rows = sequence.rows(at: index * batch..<(index + 1) * batch)
    try spare.withMutableSpan(0..<batch * d) { span throws(Failure) in
      try source.read(rows.span, into: &span)
      if normalisation == .unit { scaleRowsToUnit(&span, width: d) }
    }
  }
}
