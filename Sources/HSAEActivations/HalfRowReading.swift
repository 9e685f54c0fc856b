// Reading half-precision rows through the vector kernel, from mapped memory: the way of all stores.

import HSAETensors

/// Converts the half-precision rows `rows`, each `width` numbers from `address(row)` on, to
/// `destination`; the first row that is not finite, or nil.
///
/// - Safety: `2 * width` bytes can be read from each address until this returns.
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
      for index in 0..<count { unsafe addresses[index] = unsafe address(rows[start + index]) }
      var part = destination.part(start * width..<(start + count) * width)
      // Safe: the first `count` addresses were just written, and rows can be read from them.
      let done = unsafe gatherHalfRows(
        UnsafeBufferPointer(rebasing: addresses[..<count]), width: width, into: &part)
      if done < count { return rows[start + done] }
      start += count
    }
    return nil
  }
}
