// Sums of large arrays over ranks. Each rank receives its own part of the array from all others and adds the
// parts in the order of ranks, so the bits are the same in every run. If all ranks need the whole array, the
// parts are then gathered. For n elements and R ranks, a rank sends 4·n·(R − 1)/R bytes in each of the two
// halves.

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAERuns
internal import HSAETensors

/// Sums arrays over the ranks of one communicator, a window at a time.
@safe
final class RankReduction {
  private let ranks: any Communicator
  private let threads: Int
  /// One window from every rank.
  private let scratch: Buffer<Float>
  /// Elements of one part in a window.
  private let window: Int
  /// Elements that one thread adds at a time.
  private static let pieceElements = 16_384
  /// The most elements of scratch memory.
  static let mostScratch = 1 << 23

  /// Sums over `ranks`, with a window that takes arrays of up to `largest` elements at once (at most
  /// `mostScratch`).
  init(_ ranks: any Communicator, largest: Int, threads: Int) {
    self.ranks = ranks
    self.threads = threads
    let parts = pieceCount(min(largest, Self.mostScratch), size: ranks.size)
    window = max(1, parts)
    scratch = Buffer(window * ranks.size)
  }

  /// Sums `array` over the ranks. Afterwards each rank has the sums of its own of `parts` in place.
  ///
  /// - Safety: `parts` lie in the array and do not overlap.
  @unsafe
  func reduce(_ array: UnsafeMutablePointer<Float>, parts: [Range<Int>]) {
    // Safe: a window of the own part has at most `window` elements, and `scratch` has `window` for each rank.
    // A piece adds its own range, inside the own part.
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
  /// - Safety: the array has `count` elements.
  @unsafe
  func sum(_ array: UnsafeMutablePointer<Float>, _ count: Int) {
    // Safe: the parts divide 0 ..< count.
    let parts = (0..<ranks.size).map { evenPart($0, of: ranks.size, count: count) }
    unsafe reduce(array, parts: parts)
    unsafe ranks.gather(
      UnsafeMutableRawPointer(array), parts.map { 4 * $0.lowerBound..<4 * $0.upperBound })
  }
}
