// Reads batches from a row source, one ahead of the trainer: while a step runs, another thread reads, normalises
// and whitens the next batch. `RowSequence` decides which rows make up a batch.

internal import Dispatch
public import HSAEActivations
public import HSAEModels
public import HSAERuns
public import HSAESupport
public import HSAETensors

/// Reads batches ahead. One consumer calls `next`; it is fastest if it asks for one batch after another.
@safe
public final class BatchReader: @unchecked Sendable {
  private let source: any RowSource
  private let sequence: RowSequence
  // Safe: only the queue uses these two.
  private var places = RowSequence.Places()
  private var prefetchedThrough = Int.min
  private let batch: Int
  /// The rows of each batch that are read.
  private let part: Range<Int>
  private let normalisation: Normalisation
  private let whitening: RowProduct?
  private let queue = DispatchQueue(label: "hsae.batches", qos: .userInitiated)
  /// A second queue that waits for disks, so that the first one need not.
  private let prefetching = DispatchQueue(label: "hsae.prefetch", qos: .utility)
  // Safe: the queue uses `spare`, `outcome` and `spareMark` between a request and the wait for it, the
  // consumer at all other times.
  private var spare: Buffer<Float>
  private var outcome: Result<Void, Failure> = .success(())
  private let done = DispatchGroup()
  private var requested = 0
  /// Whether batches are marked; `spareMark` is the mark of the batch in `spare`.
  private let marks: Bool
  private var spareMark: UInt64 = 0
  /// A number that identifies the rows of the batch that `next` gave last, as they are in the source; 0
  /// unless asked for.
  public private(set) var mark: UInt64 = 0

  /// A reader of batches of `batch` rows of `source`, or of the rows `part` of each batch. `bufferSize` is
  /// the size of the buffers that `next` gets. `marks` says whether `mark` is wanted.
  public init(
    source: any RowSource, sequence: RowSequence, batch: Int, part: Range<Int>? = nil,
    normalisation: Normalisation, whitening: Whitening? = nil, firstBatch: Int, bufferSize: Int,
    marks: Bool = false
  ) {
    self.source = source
    self.sequence = sequence.following(source)
    self.batch = batch
    self.part = part ?? 0..<batch
    self.normalisation = normalisation
    self.whitening = whitening?.product(threads: 1)
    self.marks = marks
    spare = Buffer(bufferSize)
    request(firstBatch)
  }

  /// Exchanges `buffer` for one that holds batch `index` in its first rows, and begins to read the next
  /// batch.
  public func next(_ index: Int, into buffer: inout Buffer<Float>) throws(Failure) {
    done.wait()
    if index != requested {
      request(index)
      done.wait()
    }
    try outcome.get()
    swap(&spare, &buffer)
    mark = spareMark
    request(index + 1)
  }

  /// Waits until the current read has ended.
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
    let first = index * batch + part.lowerBound
    let positions = first..<first + part.count
    prefetch(around: positions.lowerBound)
    let rows = sequence.rows(at: positions, reusing: &places)
    let count = part.count
    var mark = BatchMark()
    try spare.withMutableSpan(0..<count * d) { span throws(Failure) in
      // Piece by piece, so that rows are still in cache when they are scaled.
      for start in stride(from: 0, to: count, by: Self.pieceRows) {
        let end = min(count, start + Self.pieceRows)
        var part = span.part(start * d..<end * d)
        try source.read(rows.span.extracting(start..<end), into: &part)
        // Before normalisation, which not every processor rounds alike.
        if marks { mark.add(part.span) }
        normalisation.apply(to: &part, width: d)
        whitening?.apply(to: &part)
      }
    }
    if marks { spareMark = mark.value }
  }

  private static let pieceRows = 64

  /// In the order by chunks: asks the system to read the chunks that are needed next.
  private func prefetch(around position: Int) {
    guard position >= prefetchedThrough, let pool = sequence.pool(at: position),
      let next = sequence.pool(at: pool.positions.upperBound)
    else { return }
    // The first pool is needed at once. Every later pool was prefetched as the next one.
    let chunks = (prefetchedThrough == .min ? pool.chunks : []) + next.chunks
    prefetchedThrough = next.positions.lowerBound
    let source = source
    prefetching.async { for rows in chunks { source.prefetch(rows) } }
  }
}
