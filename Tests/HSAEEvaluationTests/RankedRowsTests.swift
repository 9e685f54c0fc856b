// Compares the heaps of the strongest rows with sorting.

import HSAETensors
import Testing

@testable import HSAEEvaluation

@Suite struct RankedRowsTests {
  @Test(arguments: [1, 2, 3, 8, 33]) func agreesWithSorting(capacity: Int) {
    var generator = SeededGenerator(seed: UInt64(capacity))
    // Few distinct values make ties common.
    let entries = (0..<200).map {
      RankedRow(row: $0, value: Float(Int.random(in: 0..<20, using: &generator)))
    }
    let expected = entries.sorted {
      $0.value != $1.value ? $0.value > $1.value : $0.row < $1.row
    }
    for order in [entries, entries.reversed(), entries.shuffled(using: &generator)] {
      var ranked = RankedRows(groups: 2, capacity: capacity)
      for entry in order { ranked.offer(group: 1, row: entry.row, value: entry.value) }
      #expect(ranked.ranked(1) == Array(expected.prefix(capacity)))
      #expect(ranked.ranked(0).isEmpty)
    }
  }

  @Test func ignoresNaN() {
    var ranked = RankedRows(groups: 1, capacity: 2)
    ranked.offer(group: 0, row: 0, value: .nan)
    ranked.offer(group: 0, row: 1, value: -1)
    #expect(ranked.ranked(0) == [RankedRow(row: 1, value: -1)])
  }
}
