// Pieces of any number of rows in, batches of one size out.

/// Rows on their way from pieces to batches.
struct BatchAssembler: Sendable {
  /// Rows that came together, and how many of their numbers are in batches already.
  private struct Piece {
    let elements: [Float]
    var used = 0
    var rest: ArraySlice<Float> { elements[used...] }
  }

  private let width: Int
  /// Pieces with rows that are in no batch yet, oldest first.
  private var pieces: [Piece] = []
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
    pieces.append(Piece(elements: rows.elements))
    count += rows.count
  }

  /// The next `rows` rows, row-major; nil if there are fewer.
  ///
  /// A piece that is just a batch is handed on as it is.
  mutating func take(_ rows: Int) -> [Float]? {
    guard rows <= count else { return nil }
    count -= rows
    if let piece = pieces.first, piece.used == 0, piece.elements.count == rows * width {
      return pieces.removeFirst().elements
    }
    let result = numbers(rows * width)
    var left = result.count
    var done = 0
    while left > 0 {
      let part = min(left, pieces[done].rest.count)
      pieces[done].used += part
      if pieces[done].rest.isEmpty { done += 1 }
      left -= part
    }
    pieces.removeFirst(done)
    return result
  }

  /// The next `rows` rows, or as many as there are, which stay here.
  func first(_ rows: Int) -> [Float] { numbers(min(rows, count) * width) }

  /// The first `wanted` numbers, which there must be.
  private func numbers(_ wanted: Int) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(wanted)
    for piece in pieces where result.count < wanted {
      result += piece.rest.prefix(wanted - result.count)
    }
    return result
  }
}
