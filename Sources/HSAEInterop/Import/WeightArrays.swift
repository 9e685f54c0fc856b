// Named arrays of floats in a file of any format, from which importers read weights. Arrays are read in
// order, piece by piece, so a compressed array need not fit into memory.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors

/// A file of named arrays.
protocol WeightArrays {
  /// The path, for messages.
  var path: String { get }
  var names: [String] { get }
  /// The shape of the array `name`, slowest dimension first. Fails with `.data` if there is no such array.
  func shape(of name: String) throws(Failure) -> [Int]
  /// Reads the array `name` in pieces of `count` elements (the last piece may be shorter) and calls `body`
  /// with the index of each piece's first element. Fails with `.data` if an element is not finite.
  func read(
    _ name: String, count: Int, _ body: (_ first: Int, Span<Float>) throws(Failure) -> Void
  ) throws(Failure)
}

extension WeightArrays {
  func has(_ name: String) -> Bool { names.contains(name) }

  /// Fails with `.data` if there is an array beside `known`: it may change the result. `format` has these arrays.
  func refuseArrays(beside known: Set<String>, of format: String) throws(Failure) {
    guard let other = names.first(where: { !known.contains($0) }) else { return }
    throw .data(
      "\(path): it has an array \"\(other.prefix(60))\", which hsae does not support; it imports \(format) with only"
        + " \(known.sorted().joined(separator: ", ")).")
  }

  /// The shape of the array `name`, which must have `rank` dimensions, none of them 0.
  func shape(of name: String, rank: Int) throws(Failure) -> [Int] {
    let shape = try shape(of: name)
    guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
      throw .data(
        "\(path): \"\(name)\" has the shape \(shape); it must have \(counted(rank, "dimension")), none of them 0."
      )
    }
    return shape
  }

  /// Fails with `.data` unless the array `name` has the shape `expected`.
  func require(_ name: String, _ expected: [Int]) throws(Failure) {
    let shape = try shape(of: name)
    guard shape == expected else {
      throw .data("\(path): \"\(name)\" has the shape \(shape); it must be \(expected).")
    }
  }

  /// The array `name`, which must be a single number (no dimensions).
  func scalar(_ name: String) throws(Failure) -> Float {
    try require(name, [])
    var value: Float = 0
    try read(name, count: 1) { (_, part) throws(Failure) in value = part[0] }
    return value
  }

  /// The array `name`, which must have the shape [`count`].
  func vector(_ name: String, count: Int) throws(Failure) -> [Float] {
    try require(name, [count])
    var values: [Float] = []
    values.reserveCapacity(count)
    try read(name, count: max(1, count)) { (_, part) throws(Failure) in
      for index in part.indices { values.append(part[index]) }
    }
    return values
  }

  /// Reads the row-major array `name` into `matrix`: row i of the array goes to row `row(i)`. Its shape must be
  /// `shape`, with the columns of `matrix` as last dimension.
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

  /// Reads the array `name`, blocks [columns × inner], transposed into `matrix`: element (b, c, i) goes to
  /// column c of row `row(b · inner + i)`. Its shape must be `shape`, with `inner` as last dimension.
  func transposedRows(
    _ name: String, shape: [Int], into matrix: inout Matrix, row: (Int) -> Int
  ) throws(Failure) {
    try require(name, shape)
    let (columns, inner) = (matrix.columns, shape[shape.count - 1])
    // Several lines are read at a time, so each visit to a row writes a whole cache line.
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

extension WeightArrays {
  /// A flat dictionary's `encoder` ([width, latents] if `isTransposed`, else [latents, width]), `decoder`
  /// [latents, width] and `bias` [width]. Fails with `.data` before memory is allocated if a size is wrong;
  /// `source` states the sizes, for messages.
  func flatParameters(
    width: Int, latents: Int, active k: Int, source: String, encoder: String,
    isTransposed: Bool = true, decoder: String = "W_dec", bias: String = "b_dec"
  ) throws(Failure) -> Parameters {
    guard k <= latents else {
      throw .data("\(source): k is \(k), but there are only \(latents) latents.")
    }
    let shape = DictionaryShape.flat(width: width, latents: latents, active: k)
    try shape.check(source)
    if isTransposed { try require(encoder, [width, latents]) }
    try require(decoder, [latents, width])
    var parameters = Parameters(shape: shape, hasBias: true)
    if isTransposed {
      try transposedRows(encoder, shape: [width, latents], into: &parameters.encoderSide) { $0 }
    } else {
      try rows(encoder, shape: [latents, width], into: &parameters.encoderSide) { $0 }
    }
    try rows(decoder, shape: [latents, width], into: &parameters.decoderSide) { $0 }
    try rows(bias, shape: [width], into: &parameters.bias) { $0 }
    return parameters
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
