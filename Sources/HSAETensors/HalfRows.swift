// Converts rows of half-precision numbers, wherever they lie in memory, to rows of floats. All stores are read
// this way. Tests compare it with its slow twin, `ElementType.decode`.

internal import CHSAEKernels

/// Converts the half-precision rows `rows`, each `width` numbers from `address(row)` on, to `destination`.
/// Returns the first row that holds an infinity or a NaN, or nil.
///
/// - Safety: each address must have `2 * width` readable bytes until this returns; it needs no alignment.
@unsafe public func readHalfRows(
  _ rows: Span<Int>, width: Int, into destination: inout MutableSpan<Float>,
  address: (Int) -> UnsafeRawPointer
) -> Int? {
  precondition(
    width > 0 && destination.count == rows.count * width, "Rows do not fill the destination.")
  // Few enough for the stack; the kernel looks ahead within them.
  let piece = 512
  return unsafe destination.withUnsafeMutableBufferPointer { floats in
    unsafe withUnsafeTemporaryAllocation(
      of: UnsafeRawPointer.self, capacity: min(piece, rows.count)
    ) { addresses -> Int? in
      guard let to = floats.baseAddress, let from = addresses.baseAddress else { return nil }
      for start in stride(from: 0, to: rows.count, by: piece) {
        let count = min(piece, rows.count - start)
        // Safe: `count` is at most the capacity. The kernel writes count · width floats, which follow `start`
        // rows, and the caller vouches for the addresses.
        for index in 0..<count { unsafe addresses[index] = unsafe address(rows[start + index]) }
        let done = unsafe kernels.gather_half(to + start * width, from, count, width)
        if done < count { return rows[start + done] }
      }
      return nil
    }
  }
}
