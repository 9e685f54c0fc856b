// Rows of half-precision numbers, wherever they lie in memory, as rows of floats: what reading a
// store comes down to. The twin that tests hold the kernels to is `ElementType.decode`.

internal import CHSAEKernels

/// Converts the half-precision rows that begin at `rows`, `width` numbers each, to `destination`, one
/// after another. Returns how many were converted: fewer than there are if a row, the next, holds an
/// infinity or a NaN.
///
/// - Safety: `2 * width` bytes can be read from each of `rows` on; addresses need no alignment.
@unsafe public func gatherHalfRows(
  _ rows: UnsafeBufferPointer<UnsafeRawPointer>, width: Int,
  into destination: inout MutableSpan<Float>
) -> Int {
  precondition(
    width > 0 && destination.count == rows.count * width, "Rows do not fill the destination.")
  return unsafe destination.withUnsafeMutableBufferPointer { floats in
    guard let to = floats.baseAddress, let from = rows.baseAddress else { return 0 }
    // Safe: the kernel writes rows.count · width floats, which is what `floats` holds.
    return unsafe kernels.gather_half(to, from, rows.count, width)
  }
}
