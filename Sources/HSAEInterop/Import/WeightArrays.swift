// Named arrays of floats in a file, whichever format it has: what importers read weights from. Arrays are
// read in order, a piece at a time, so that a compressed one need not lie in memory.

import HSAEActivations
import HSAESupport
import HSAETensors

/// A file of named arrays.
protocol WeightArrays {
  /// The path, for messages.
  var path: String { get }
  /// The arrays' names.
  var names: [String] { get }
  /// The shape of the array `name`, slowest dimension first; fails with `.data` if there is none.
  func shape(of name: String) throws(Failure) -> [Int]
  /// Reads the array `name` in order, `count` elements at a time (the last time those that are left), and
  /// calls `body` with the number of elements before them. Fails with `.data` if one is not finite.
  func read(
    _ name: String, count: Int, _ body: (_ first: Int, Span<Float>) throws(Failure) -> Void
  ) throws(Failure)
}

extension WeightArrays {
  /// Whether there is an array `name`.
  func has(_ name: String) -> Bool { names.contains(name) }

  /// The shape of the array `name`, which must have `rank` dimensions, none of them 0.
  func shape(of name: String, rank: Int) throws(Failure) -> [Int] {
    let shape = try shape(of: name)
    guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
      throw .data(
        "\(path): \"\(name)\" has the shape \(shape); \(counted(rank, "dimension")) without 0 are needed."
      )
    }
    return shape
  }

  /// Fails with `.data` unless the array `name` has the shape `expected`.
  func require(_ name: String, _ expected: [Int]) throws(Failure) {
    let shape = try shape(of: name)
    guard shape == expected else {
      throw .data("\(path): \"\(name)\" has the shape \(shape), and \(expected) is needed.")
    }
  }

  /// The array `name`, which must be one number without dimensions.
  func scalar(_ name: String) throws(Failure) -> Float {
    try require(name, [])
    var value: Float = 0
    try read(name, count: 1) { (_, part) throws(Failure) in value = part[0] }
    return value
  }

  /// The array `name`, which must have `count` elements in one dimension.
  func vector(_ name: String, count: Int) throws(Failure) -> [Float] {
    try require(name, [count])
    var values: [Float] = []
    values.reserveCapacity(count)
    try read(name, count: max(1, count)) { (_, part) throws(Failure) in
      for index in part.indices { values.append(part[index]) }
    }
    return values
  }

  /// Reads the array `name`, row-major, into the rows of `matrix` that `row` names: row i of the array goes
  /// to row `row(i)`. Its shape must be `shape`, the last dimension the columns of `matrix`.
  func rows(
    _ name: String, shape: [Int], into matrix: inout Matrix, row: (Int) -> Int
  ) throws(Failure) {
    try require(name, shape)
    let columns = matrix.columns
    try read(name, count: columns * 64) { (first, part) throws(Failure) in
      for start in stride(from: 0, to: part.count, by: columns) {
        var target = matrix.mutableRow(row((first + start) / columns))
        for column in 0..<columns { target[column] = part[start + column] }
      }
    }
  }

  /// Reads the array `name`, a whole number of blocks [columns × inner], each transposed: element (b, c, i) goes
  /// to column c of row `row(b · inner + i)` of `matrix`. Its shape must be `shape`.
  func transposedRows(
    _ name: String, shape: [Int], inner: Int, into matrix: inout Matrix, row: (Int) -> Int
  ) throws(Failure) {
    try require(name, shape)
    let columns = matrix.columns
    // Several lines at a time, so that each visit to a row writes a line of memory.
    try read(name, count: inner * 16) { (first, part) throws(Failure) in
      let line = first / inner
      let lines = part.count / inner
      for index in 0..<inner {
        for offset in 0..<lines {
          let (block, column) = (line + offset).quotientAndRemainder(dividingBy: columns)
          matrix[row(block * inner + index), column] = part[offset * inner + index]
        }
      }
    }
  }
}

extension SafetensorsFile: WeightArrays {
  var names: [String] { tensors.map(\.name) }

  func shape(of name: String) throws(Failure) -> [Int] { try tensor(name).shape }

  func read(
    _ name: String, count: Int, _ body: (_ first: Int, Span<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    let tensor = try tensor(name)
    var piece = [Float](repeating: 0, count: min(count, max(1, tensor.count)))
    for start in stride(from: 0, to: tensor.count, by: piece.count) {
      let range = start..<min(tensor.count, start + piece.count)
      if range.count < piece.count { piece.removeLast(piece.count - range.count) }
      var span = piece.mutableSpan
      try read(tensor, elements: range, into: &span)
      try body(start, piece.span)
    }
  }
}
