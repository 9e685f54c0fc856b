// Which candidates of several ranks are the k largest of a vector. Each rank has chosen among its own
// experts and has a list for every vector, strongest first. A vector belongs to one rank, which gets the
// scores of all, not the experts: the lists are sorted and ranks have their experts in order, so an
// answer is how many of a rank's own list are active. Ties go to the lower rank, that is to the lower
// expert, as on one rank. A rank sends 4·B·k·(R − 1)/R bytes of scores and 4·B·(R − 1)/R of answers; in
// bf16 scores go twice, because those near the border are computed again in fp32.

internal import HSAEDistribution
internal import HSAETensors

/// The common choice of a group of ranks.
@safe
final class SharedChoice {
  private let ranks: any Communicator
  private let batch: Int
  private let owners: [Range<Int>]
  private let threads: Int
  private static let pieceRows = 64
  /// Scores by vector, of all vectors from this rank and of this rank's vectors from every rank.
  private let outgoing: Buffer<Float>
  private let incoming: Buffer<Float>
  /// By vector: the k-th largest score of all ranks and the next.
  private let borders: Buffer<Float>
  /// How many of a list are active, by rank and own vector, and of this rank's lists by vector.
  private let answers: Buffer<Int32>
  private let received: Buffer<Int32>

  /// For lists of at most `length` candidates; `owners` says which of the `batch` vectors belong to
  /// each rank.
  init(
    _ ranks: any Communicator, owners: [Range<Int>], batch: Int, length: Int, threads: Int
  ) {
    self.ranks = ranks
    self.batch = batch
    self.owners = owners
    self.threads = threads
    outgoing = Buffer(batch * length)
    incoming = Buffer(ranks.size * owners[ranks.rank].count * length)
    borders = Buffer(2 * batch)
    answers = Buffer(ranks.size * owners[ranks.rank].count)
    received = Buffer(batch)
  }

  private var own: Range<Int> { owners[ranks.rank] }

  /// Shortens this rank's lists to what belongs to the `most` largest of all ranks'.
  ///
  /// - Parameters:
  ///   - scores: this rank's lists, falling, one every `stride` elements.
  ///   - counts: the lengths of the lists, none above `length`, which all ranks give alike.
  ///   - settle: called for every vector with the `most`-th and the next score of all, if given; it may
  ///     change scores and their order.
  /// - Safety: the memory must have room for the batch.
  @unsafe
  func settle(
    most: Int, length: Int, scores: UnsafePointer<Float>, stride: Int,
    counts: UnsafeMutablePointer<Int32>,
    settle: ((_ vector: Int, _ last: Float, _ next: Float) -> Void)?
  ) {
    unsafe exchangeScores(scores, stride: stride, length: length, counts)
    if let settle {
      forEachVector(own) { [self] vector in
        let border = merge(vector, most: most, length: length, answers: false)
        unsafe borders.base[2 * vector] = border.last
        unsafe borders.base[2 * vector + 1] = border.next
      }
      unsafe ranks.gather(
        UnsafeMutableRawPointer(borders.base),
        owners.map { 8 * $0.lowerBound..<8 * $0.upperBound })
      forEachVector(0..<batch) { [self] vector in
        unsafe settle(vector, borders.base[2 * vector], borders.base[2 * vector + 1])
      }
      unsafe exchangeScores(scores, stride: stride, length: length, counts)
    }
    forEachVector(own) { [self] vector in
      _ = merge(vector, most: most, length: length, answers: true)
    }
    unsafe ranks.exchange(
      UnsafeRawPointer(answers.base),
      (0..<ranks.size).map { 4 * $0 * own.count..<4 * ($0 + 1) * own.count },
      UnsafeMutableRawPointer(received.base),
      owners.map { 4 * $0.lowerBound..<4 * $0.upperBound })
    for vector in 0..<batch {
      unsafe counts[vector] = min(counts[vector], received.base[vector])
    }
  }

  private func forEachVector(_ vectors: Range<Int>, _ body: (Int) -> Void) {
    let size = Self.pieceRows
    parallelFor(pieceCount(vectors.count, size: size), threads: threads) { piece, _ in
      for place in pieceRange(piece, size: size, count: vectors.count) {
        body(vectors.lowerBound + place)
      }
    }
  }

  private func exchangeScores(
    _ scores: UnsafePointer<Float>, stride: Int, length: Int, _ counts: UnsafePointer<Int32>
  ) {
    forEachVector(0..<batch) { [self] vector in
      let count = unsafe Int(counts[vector])
      let list = unsafe outgoing.base + vector * length
      unsafe list.update(from: scores + vector * stride, count: count)
      unsafe (list + count).update(repeating: -.infinity, count: length - count)
    }
    let bytes = 4 * length
    unsafe ranks.exchange(
      UnsafeRawPointer(outgoing.base),
      owners.map { bytes * $0.lowerBound..<bytes * $0.upperBound },
      UnsafeMutableRawPointer(incoming.base),
      (0..<ranks.size).map { bytes * $0 * own.count..<bytes * ($0 + 1) * own.count })
  }

  /// Merges the lists of own vector `vector`: its `most`-th score and the next, −∞ where there are not
  /// as many, and if asked for how many of each rank's list belong to the first `most`.
  private func merge(
    _ vector: Int, most: Int, length: Int, answers wantsAnswers: Bool
  ) -> (last: Float, next: Float) {
    let place = vector - own.lowerBound
    return unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: ranks.size) { taken in
      unsafe taken.initialize(repeating: 0)
      func largest() -> (rank: Int, score: Float) {
        var (best, score) = (-1, -Float.infinity)
        for rank in 0..<ranks.size where unsafe taken[rank] < length {
          let list = unsafe incoming.base + (rank * own.count + place) * length
          let head = unsafe list[Int(taken[rank])]
          if head > score { (best, score) = (rank, head) }
        }
        return (best, score)
      }
      var last = -Float.infinity
      var (rank, score) = largest()
      var number = 0
      while number < most, rank >= 0 {
        unsafe taken[rank] += 1
        last = score
        number += 1
        (rank, score) = largest()
      }
      if wantsAnswers {
        for rank in 0..<ranks.size {
          unsafe answers.base[rank * own.count + place] = taken[rank]
        }
      }
      return number < most ? (-.infinity, -.infinity) : (last, score)
    }
  }
}
