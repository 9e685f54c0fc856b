// Loops over independent pieces of work on several threads. Results must not depend on the number of threads,
// so callers cut the work into pieces of a fixed size and combine the pieces' results in piece order.

import CHSAEKernels
import Dispatch
import Synchronization

@_exported public import var HSAEPlatform.processorCount

/// Runs `body(piece, worker)` once for each piece 0 ..< `pieces`, on at most `threads` threads.
///
/// A free worker takes the next piece, so uneven pieces balance. `worker` is in 0 ..< `threads`, and no two
/// calls that run at once have the same one: it may index scratch memory. Returns when all pieces are done.
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
    // Safe: concurrentPerform returns after all its calls have, so `body` does not escape. The caller vouches
    // that pieces are independent.
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

/// The number of pieces of at most `size` that cover `count`.
@inlinable
public func pieceCount(_ count: Int, size: Int) -> Int { (count + size - 1) / size }

/// The part of 0 ..< `count` that piece `index` of size `size` covers.
@inlinable
public func pieceRange(_ index: Int, size: Int, count: Int) -> Range<Int> {
  index * size..<min(count, (index + 1) * size)
}
