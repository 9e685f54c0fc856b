// Sums of large arrays over ranks. Each rank receives its own part of the array from all others and
// adds them in the order of ranks, so that the bits are the same from run to run; then, where all need
// all of it, the parts are gathered. A rank sends 4·n·(R − 1)/R bytes for either half, n the elements.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAERuns
internal import HSAETensors

/// Sums over the ranks of one communicator, a window at a time.
@safe
final class RankReduction {
  private let ranks: any Communicator
  private let threads: Int
  /// What came from every rank of a window.
  private let scratch: Buffer<Float>
  /// Elements of a window of one part.
  private let window: Int
  /// Elements that one thread adds at a time.
  private static let pieceElements = 16_384
  /// Elements of the scratch memory at most.
  static let mostScratch = 1 << 23

  /// For arrays of at most `largest` elements.
  init(_ ranks: any Communicator, largest: Int, threads: Int) {
    self.ranks = ranks
    self.threads = threads
    let parts = pieceCount(min(largest, Self.mostScratch), size: ranks.size)
    // A part may be a little larger than the mean: one piece of 64 rows, in the largest case.
    window = max(1, parts)
    scratch = Buffer(window * ranks.size)
  }

  /// Sums `array`: afterwards each rank has the sums of its own of `parts` in place.
  ///
  /// - Safety: `parts` must lie in the array and not overlap.
  @unsafe
  func reduce(_ array: UnsafeMutablePointer<Float>, parts: [Range<Int>]) {
    let largest = parts.map(\.count).max() ?? 0
    let own = parts[ranks.rank]
    for first in stride(from: 0, to: largest, by: window) {
      func bytes(_ part: Range<Int>) -> Range<Int> {
        4 * min(part.upperBound, part.lowerBound + first)..<4
          * min(part.upperBound, part.lowerBound + first + window)
      }
      let target = bytes(own)
      let count = target.count / 4
      unsafe ranks.exchange(
        UnsafeRawPointer(array), parts.map(bytes), UnsafeMutableRawPointer(scratch.base),
        (0..<ranks.size).map { 4 * $0 * window..<4 * ($0 * window + count) })
      let size = Self.pieceElements
      parallelFor(pieceCount(count, size: size), threads: threads) { piece, _ in
        let range = pieceRange(piece, size: size, count: count)
        let sum = unsafe array + target.lowerBound / 4 + range.lowerBound
        unsafe sum.update(from: scratch.base + range.lowerBound, count: range.count)
        for rank in 1..<ranks.size {
          unsafe kernels.axpy(
            sum, scratch.base + rank * window + range.lowerBound, 1, range.count)
        }
      }
    }
  }

  /// Replaces the `count` elements of `array` by their sums, on every rank.
  ///
  /// - Safety: the array must have as many elements.
  @unsafe
  func sum(_ array: UnsafeMutablePointer<Float>, _ count: Int) {
    let parts = (0..<ranks.size).map { evenPart($0, of: ranks.size, count: count) }
    unsafe reduce(array, parts: parts)
    unsafe ranks.gather(
      UnsafeMutableRawPointer(array), parts.map { 4 * $0.lowerBound..<4 * $0.upperBound })
  }
}
