// Loops over independent pieces of work on several threads. Results must not depend on how many:
// callers cut the work into pieces of a fixed size and combine what pieces return in piece order.

import CHSAEKernels
import Dispatch
import Synchronization

@_exported public import var HSAEPlatform.processorCount

/// Runs `body(piece, worker)` once for each piece 0 ..< `pieces`, on at most `threads` threads.
///
/// Pieces are handed out in order as workers become free, so uneven pieces balance. `worker` is
/// 0 ..< `threads` and never in use twice at once: it may index scratch memory. Synchronous.
public func parallelFor(
  _ pieces: Int, threads: Int, _ body: (_ piece: Int, _ worker: Int) -> Void
) {
  precondition(threads >= 1, "At least one thread is needed.")
  let workers = min(threads, pieces)
  guard workers > 1 else {
    hsae_single_openmp_thread()
    for piece in 0..<pieces { body(piece, 0) }
    return
  }
  let next = Atomic<Int>(0)
  withoutActuallyEscaping(body) { body in
    // Safe: concurrentPerform returns only when every call has, and what `body` shares between
    // pieces is the caller's promise: pieces are independent.
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      hsae_single_openmp_thread()
      while true {
        let piece = next.add(1, ordering: .relaxed).oldValue
        if piece >= pieces { return }
        unsafe body(piece, worker)
      }
    }
  }
}

/// How many pieces of at most `size` cover `count`.
@inlinable
public func pieceCount(_ count: Int, size: Int) -> Int { (count + size - 1) / size }

/// The part of 0 ..< `count` that piece `index` of size `size` covers.
@inlinable
public func pieceRange(_ index: Int, size: Int, count: Int) -> Range<Int> {
  index * size..<min(count, (index + 1) * size)
}
