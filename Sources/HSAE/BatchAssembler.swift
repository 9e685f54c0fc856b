// Cuts pieces of any number of rows into batches of one size.

/// A queue of rows: pieces of any size go in, batches come out.
struct BatchAssembler: Sendable {
  /// Rows that came together, and how many of their numbers have been taken.
  private struct Piece {
    let elements: [Float]
    var used = 0
    var rest: ArraySlice<Float> { elements[used...] }
  }

  private let width: Int
  /// Pieces with rows that have not been taken, oldest first.
  private var pieces: [Piece] = []
  /// The number of those rows.
  private(set) var count = 0

  init(width: Int) { self.width = width }

  /// Adds rows. Throws `.data` if they have another width.
  mutating func append(_ rows: Rows) throws(Failure) {
    guard rows.width == width else {
      throw .data("Rows of width \(rows.width) came where rows of width \(width) are expected.")
    }
    guard !rows.isEmpty else { return }
    pieces.append(Piece(elements: rows.elements))
    count += rows.count
  }

  /// Removes and returns the next `rows` rows, row-major; nil if there are fewer.
  ///
  /// A piece that is exactly one batch is returned without a copy.
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

  /// The next `rows` rows, or as many as there are, without removing them.
  func first(_ rows: Int) -> [Float] { numbers(min(rows, count) * width) }

  /// The first `wanted` numbers; there must be that many.
  private func numbers(_ wanted: Int) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(wanted)
    for piece in pieces where result.count < wanted {
      result += piece.rest.prefix(wanted - result.count)
    }
    return result
  }
}
