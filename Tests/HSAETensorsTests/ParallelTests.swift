// Loops over pieces: every piece runs once for any number of threads, and worker numbers can index scratch
// memory.

import Foundation
import HSAETensors
import Synchronization
import Testing

@Suite struct ParallelTests {
  @Test(arguments: [0, 1, 2, 3, 7, 64, 1000], [1, 2, 3, 16])
  func everyPieceOnce(_ pieces: Int, _ threads: Int) {
    let counts = Buffer<Int>(pieces)
    // ThreadSanitizer understands this lock, but not Synchronization's Mutex.
    let lock = NSLock()
    var busy: Set<Int> = []
    let clashes = Atomic<Int>(0)
    parallelFor(pieces, threads: threads) { piece, worker in
      let isFree = lock.withLock { busy.insert(worker).inserted }
      if !isFree || worker < 0 || worker >= threads { clashes.add(1, ordering: .relaxed) }
      unsafe counts.base[piece] += 1
      lock.withLock { _ = busy.remove(worker) }
    }
    #expect(counts.elements == [Int](repeating: 1, count: pieces))
    #expect(clashes.load(ordering: .relaxed) == 0)
  }

  @Test(arguments: [0, 1, 63, 64, 65, 1000], [1, 16, 64])
  func piecesCoverEverything(_ count: Int, _ size: Int) {
    let ranges = (0..<pieceCount(count, size: size)).map {
      pieceRange($0, size: size, count: count)
    }
    #expect(ranges.flatMap { Array($0) } == Array(0..<count))
    #expect(ranges.allSatisfy { !$0.isEmpty && $0.count <= size })
  }

  @Test func parallelLoopsCanBeNested() {
    let total = Atomic<Int>(0)
    parallelFor(8, threads: 2) { outer, _ in
      parallelFor(5, threads: 2) { inner, _ in total.add(outer * 5 + inner, ordering: .relaxed) }
    }
    #expect(total.load(ordering: .relaxed) == 40 * 39 / 2)
  }
}
