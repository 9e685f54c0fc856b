// Converts rows of half-precision numbers, wherever they lie in memory, to rows of floats. Reading a store
// ends here. Tests compare it with its slow twin, `ElementType.decode`.

internal import CHSAEKernels

/// Converts the half-precision rows that begin at `rows`, `width` numbers each, to `destination`.
///
/// Returns how many rows it converted. If that is fewer than all, the next row holds an infinity or a NaN.
///
/// - Safety: each of `rows` must have `2 * width` readable bytes; addresses need no alignment.
@unsafe public func gatherHalfRows(
  _ rows: UnsafeBufferPointer<UnsafeRawPointer>, width: Int,
  into destination: inout MutableSpan<Float>
) -> Int {
  precondition(
    width > 0 && destination.count == rows.count * width, "Rows do not fill the destination.")
  return unsafe destination.withUnsafeMutableBufferPointer { floats in
    guard let to = floats.baseAddress, let from = rows.baseAddress else { return 0 }
    // Safe: the kernel writes rows.count · width floats, as many as `floats` holds, and the caller vouches
    // for the addresses in `rows`.
    return unsafe kernels.gather_half(to, from, rows.count, width)
  }
}
