// Loops over pieces: every piece runs once for any number of threads, and worker numbers can index scratch
// memory. Rows scaled to unit norm.

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

@Suite struct UnitRowsTests {
  @Test(arguments: [1, 3, 16, 640, 4097])
  func rowsGetUnitNorm(_ width: Int) {
    var generator = SeededGenerator(seed: 1)
    var matrix = Matrix(rows: 3, columns: width, elements: generator.floats(3 * width))
    for column in 0..<width { matrix[1, column] = 0 }
    let before = matrix.elements
    matrix.scaleRowsToUnit()
    for row in [0, 2] {
      let own = before[row * width..<(row + 1) * width].map(Double.init)
      let norm = own.reduce(0) { $0 + $1 * $1 }.squareRoot()
      for column in 0..<width {
        let expected = own[column] / (norm + 1e-6)
        #expect(abs(Double(matrix[row, column]) - expected) <= 4e-6 * abs(expected))
      }
    }
    #expect((0..<width).allSatisfy { matrix[1, $0] == 0 })
  }

  /// The square of 1e30 overflows a 32-bit float; the row still has a direction.
  @Test func hugeRowsKeepTheirDirection() {
    for size: Float in [1e18, 1e25, 1e38] {
      var matrix = Matrix(rows: 1, columns: 20, elements: [Float](repeating: size, count: 20))
      matrix.scaleRowsToUnit()
      let expected = Float(1 / 20.0.squareRoot())
      #expect((0..<20).allSatisfy { abs(matrix[0, $0] - expected) < 1e-6 }, "\(size)")
    }
  }

  @Test func tinyRowsGoTowardsZero() {
    var matrix = Matrix(rows: 1, columns: 4, elements: [1e-6, 0, 0, 0])
    matrix.scaleRowsToUnit()
    #expect(abs(matrix[0, 0] - 0.5) < 1e-6)
  }
}
