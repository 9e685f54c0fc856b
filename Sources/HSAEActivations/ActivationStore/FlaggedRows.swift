// Chooses which rows of a store are read. Collection flags rows and removes nothing; readers leave flagged
// rows out. Rows that are left out have no index, so the others move up.

/// Whether rows with a giant norm are read.
public enum GiantNorms: String, Codable, CaseIterable, Sendable {
  /// They are left out, as all flagged rows are.
  case skip
  /// They are read; only rows without a direction are left out.
  case keep
}

/// The rows of a store that are read, as indices without gaps.
struct VisibleRows: Sendable {
  let storedCount: Int
  private(set) var flaggedCount = 0
  /// For each row that is left out, in order, the number of rows before it that are read.
  private var gaps: [Int] = []

  /// Number of rows that are read.
  var count: Int { storedCount - gaps.count }
  var skippedCount: Int { gaps.count }

  init(count: Int) { storedCount = count }

  init(flags: ZarrIntegers<UInt8>, giantNorms: GiantNorms) {
    storedCount = flags.count
    flags.forEachNonzero { row, bits in
      flaggedCount += 1
      if giantNorms == .skip || RowFlags(rawValue: bits) != .giantNorm {
        gaps.append(row - gaps.count)
      }
    }
  }

  /// The stored position of the row with index `row`.
  func stored(_ row: Int) -> Int {
    row + gapCount { _, gap in gap <= row }
  }

  /// The index of the first row stored at `position` or after it.
  func index(from position: Int) -> Int {
    position - gapCount { number, gap in gap + number < position }
  }

  /// The number of gaps, which rise, before the first one for which `isBefore` is false.
  private func gapCount(_ isBefore: (_ number: Int, _ gap: Int) -> Bool) -> Int {
    var (low, high) = (0, gaps.count)
    while low < high {
      let middle = (low + high) / 2
      if isBefore(middle, gaps[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
