// Pieces of any number of rows in, batches of one size out.

/// Rows on their way from pieces to batches.
struct BatchAssembler: Sendable {
  private let width: Int
  /// Rows that are in no batch yet, oldest first.
  private var pieces: [ArraySlice<Float>] = []
  /// How many rows those are.
  private(set) var count = 0

  /// No rows of width `width`.
  init(width: Int) { self.width = width }

  /// Adds rows, which must have the right width.
  mutating func append(_ rows: Rows) throws(Failure) {
    guard rows.width == width else {
      throw .data("Rows of width \(rows.width) came where rows of width \(width) are expected.")
    }
    guard !rows.isEmpty else { return }
    pieces.append(rows.elements[...])
    count += rows.count
  }

  /// The next `rows` rows, row-major; nil if there are fewer.
  mutating func take(_ rows: Int) -> [Float]? {
    guard rows <= count else { return nil }
    let result = first(rows)
    var left = rows * width
    var used = 0
    while left > 0 {
      let part = min(left, pieces[used].count)
      pieces[used] = pieces[used].dropFirst(part)
      if pieces[used].isEmpty { used += 1 }
      left -= part
    }
    pieces.removeFirst(used)
    count -= rows
    return result
  }

  /// The next `rows` rows, or as many as there are, which stay here.
  func first(_ rows: Int) -> [Float] {
    let wanted = min(rows, count) * width
    var result: [Float] = []
    result.reserveCapacity(wanted)
    for piece in pieces where result.count < wanted {
      result += piece.prefix(wanted - result.count)
    }
    return result
  }
}
