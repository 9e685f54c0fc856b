// Zeroed, aligned memory from the operating system, and how many processors this process may use.

internal import CHSAEPlatform
import Glibc

/// The number of processors this process may use; the default of every `threads` argument.
public let processorCount: Int = max(1, Int(hsae_processor_count()))

/// At least `byteCount` zero bytes, aligned to 64 bytes; 2 MiB and more are aligned to huge pages and ask for
/// them. Free them with `freeZeroed`. Traps if memory is exhausted.
package func allocateZeroed(byteCount: Int) -> UnsafeMutableRawPointer {
  let bytes = max(64, (byteCount + 63) / 64 * 64)
  let hugePage = 1 << 21
  // Safe, here and below: the allocation has `bytes` bytes, and the callers pass memory of `byteCount` bytes.
  var raw: UnsafeMutableRawPointer?
  let status = unsafe posix_memalign(&raw, bytes >= hugePage ? hugePage : 64, bytes)
  guard status == 0, let raw = unsafe raw else {
    preconditionFailure("Memory is exhausted: \(bytes) bytes were asked for.")
  }
  if bytes >= hugePage { _ = unsafe madvise(raw, bytes, MADV_HUGEPAGE) }
  unsafe setZero(raw, byteCount: bytes)
  return unsafe raw
}

/// Frees what `allocateZeroed` returned.
package func freeZeroed(_ memory: UnsafeMutableRawPointer) { unsafe free(memory) }

/// Sets `byteCount` bytes to zero.
package func setZero(_ memory: UnsafeMutableRawPointer, byteCount: Int) {
  unsafe memset(memory, 0, byteCount)
}
