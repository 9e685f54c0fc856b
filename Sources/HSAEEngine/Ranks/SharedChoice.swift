// Which candidates of several ranks are the k largest of a row. Each rank has chosen among its own experts
// and has a list for every row, strongest first. One rank owns the row and receives the scores of all ranks,
// without the experts. The lists are sorted, and the ranks have their experts in order, so an answer only
// says how many of a rank's list are active. Ties go to the lower rank, and so to the lower expert, as in one
// process.
//
// A rank sends 4·B·k·(R − 1)/R bytes of scores and 4·B·(R − 1)/R of answers. In bf16 it sends scores twice,
// because scores near the border are computed again in fp32.

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
  /// Scores by row: of all rows from this rank, and of this rank's rows from every rank.
  private let outgoing: Buffer<Float>
  private let incoming: Buffer<Float>
  /// By row: the k-th largest score of all ranks, and the next one.
  private let borders: Buffer<Float>
  /// How many of a list are active: by rank and own row, and by row for this rank's lists.
  private let answers: Buffer<Int32>
  private let received: Buffer<Int32>

  /// A choice among lists of at most `length` candidates. `owners` are the rows of the `batch` that belong to
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

  /// The rows that this rank owns.
  private var own: Range<Int> { owners[ranks.rank] }

  /// Shortens this rank's lists to the candidates that are among the `most` largest of all ranks.
  ///
  /// - Parameters:
  ///   - most: how many candidates of a row stay.
  ///   - length: the longest list of any rank, at most the length given to `init`; all ranks give the same.
  ///   - scores: this rank's lists in falling order, one every `stride` elements.
  ///   - stride: elements between the lists.
  ///   - counts: the lengths of the lists, none above `length`.
  ///   - settle: called for every row with the `most`-th and the next score of all ranks, if given. It may
  ///     change the row's scores and their order.
  /// - Safety: `scores` and `counts` have room for the batch.
  @unsafe
  func settle(
    most: Int, length: Int, scores: UnsafePointer<Float>, stride: Int,
    counts: UnsafeMutablePointer<Int32>,
    settle: ((_ row: Int, _ last: Float, _ next: Float) -> Void)?
  ) {
    // Safe: `borders` has two elements for each row, `received` one, and `answers` one for each rank and own
    // row. A row is handled by one thread, which writes that row's elements.
    unsafe exchangeScores(scores, stride: stride, length: length, counts)
    if let settle {
      forEachRow(own) { [self] row in
        let border = merge(row, most: most, length: length, answers: false)
        unsafe borders.base[2 * row] = border.last
        unsafe borders.base[2 * row + 1] = border.next
      }
      unsafe ranks.gather(
        UnsafeMutableRawPointer(borders.base),
        owners.map { 8 * $0.lowerBound..<8 * $0.upperBound })
      forEachRow(0..<batch) { [self] row in
        unsafe settle(row, borders.base[2 * row], borders.base[2 * row + 1])
      }
      unsafe exchangeScores(scores, stride: stride, length: length, counts)
    }
    forEachRow(own) { [self] row in
      _ = merge(row, most: most, length: length, answers: true)
    }
    unsafe ranks.exchange(
      UnsafeRawPointer(answers.base),
      (0..<ranks.size).map { 4 * $0 * own.count..<4 * ($0 + 1) * own.count },
      UnsafeMutableRawPointer(received.base),
      owners.map { 4 * $0.lowerBound..<4 * $0.upperBound })
    for row in 0..<batch {
      unsafe counts[row] = min(counts[row], received.base[row])
    }
  }

  /// Calls `body` for each of `rows`, on several threads.
  private func forEachRow(_ rows: Range<Int>, _ body: (Int) -> Void) {
    let size = Self.pieceRows
    parallelFor(pieceCount(rows.count, size: size), threads: threads) { piece, _ in
      for place in pieceRange(piece, size: size, count: rows.count) {
        body(rows.lowerBound + place)
      }
    }
  }

  /// Sends the scores of all lists to the rows' owners. Lists are filled up with −∞.
  private func exchangeScores(
    _ scores: UnsafePointer<Float>, stride: Int, length: Int, _ counts: UnsafePointer<Int32>
  ) {
    // Safe: `outgoing` has `length` elements for each row, `incoming` for each rank and own row. Counts are
    // at most `length`.
    forEachRow(0..<batch) { [self] row in
      let count = unsafe Int(counts[row])
      let list = unsafe outgoing.base + row * length
      unsafe list.update(from: scores + row * stride, count: count)
      unsafe (list + count).update(repeating: -.infinity, count: length - count)
    }
    let bytes = 4 * length
    unsafe ranks.exchange(
      UnsafeRawPointer(outgoing.base),
      owners.map { bytes * $0.lowerBound..<bytes * $0.upperBound },
      UnsafeMutableRawPointer(incoming.base),
      (0..<ranks.size).map { bytes * $0 * own.count..<bytes * ($0 + 1) * own.count })
  }

  /// Merges the lists of own row `row`. Returns its `most`-th score and the next one, or −∞ if there are
  /// fewer. If asked for, stores how many of each rank's list are among the first `most`.
  private func merge(
    _ row: Int, most: Int, length: Int, answers wantsAnswers: Bool
  ) -> (last: Float, next: Float) {
    // Safe: `row` is one of this rank's, so its lists lie in `incoming`, and `taken` stays below `length`
    // where it is read. The row's `answers` belong to it.
    let place = row - own.lowerBound
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
