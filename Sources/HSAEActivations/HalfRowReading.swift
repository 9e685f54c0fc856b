// Reads half-precision rows from mapped memory through the vector kernel. All stores are read this way.

import HSAETensors

/// Converts the half-precision rows `rows`, each `width` numbers from `address(row)` on, to `destination`.
/// Returns the first row that is not finite, or nil.
///
/// - Safety: each address must have `2 * width` readable bytes until this returns.
@unsafe func readHalfRows(
  _ rows: Span<Int>, width: Int, into destination: inout MutableSpan<Float>,
  address: (Int) -> UnsafeRawPointer
) -> Int? {
  // Few enough for the stack; the kernel looks ahead within them.
  let piece = 512
  return unsafe withUnsafeTemporaryAllocation(
    of: UnsafeRawPointer.self, capacity: min(piece, rows.count)
  ) { addresses -> Int? in
    var start = 0
    while start < rows.count {
      let count = min(piece, rows.count - start)
      // Safe: `count` is at most the capacity, and the caller vouches for the addresses.
      for index in 0..<count { unsafe addresses[index] = unsafe address(rows[start + index]) }
      var part = destination.part(start * width..<(start + count) * width)
      let done = unsafe gatherHalfRows(
        UnsafeBufferPointer(rebasing: addresses[..<count]), width: width, into: &part)
      if done < count { return rows[start + done] }
      start += count
    }
    return nil
  }
}
