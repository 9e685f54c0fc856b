// Rows at unit norm: exactly x / ‖x‖, for rows of any length that single precision holds. The right values are
// computed in double precision.

import CHSAEKernels
import HSAETensors
import Testing

@Suite struct UnitRowsTests {
  /// x / ‖x‖ of `row`, in double.
  private func unit(_ row: some Sequence<Float>) -> [Double] {
    let own = row.map(Double.init)
    let norm = own.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return own.map { $0 / norm }
  }

  @Test(arguments: [1, 3, 16, 640, 4097])
  func rowsGetUnitNorm(_ width: Int) {
    var generator = SeededGenerator(seed: 1)
    var matrix = Matrix(rows: 3, columns: width, elements: generator.floats(3 * width))
    for column in 0..<width { matrix[1, column] = 0 }
    let before = matrix.elements
    matrix.scaleRowsToUnit()
    for row in [0, 2] {
      let expected = unit(before[row * width..<(row + 1) * width])
      for column in 0..<width {
        #expect(
          abs(Double(matrix[row, column]) - expected[column]) <= 1e-6 * abs(expected[column]))
      }
    }
    #expect((0..<width).allSatisfy { matrix[1, $0] == 0 })
  }

  /// The same directions at other lengths give the same unit rows: down to 1e-30, and up to the longest row that
  /// single precision holds.
  @Test(
    arguments: [1e-30, 5e-25, 1e-19, 1e-12, 5e-8, 1e-6, 5e-5, 1e-3, 1, 1e3, 1e15, 3e19, 1e25, 3e38]
  )
  func lengthDoesNotMatter(_ length: Double) {
    let (count, width) = (5, 67)
    var generator = SeededGenerator(seed: 2)
    var elements: [Float] = []
    for _ in 0..<count {
      elements += unit(generator.floats(width)).map { Float($0 * length) }
    }
    var matrix = Matrix(rows: count, columns: width, elements: elements)
    matrix.scaleRowsToUnit()
    for row in 0..<count {
      let expected = unit(elements[row * width..<(row + 1) * width])
      for column in 0..<width {
        #expect(
          abs(Double(matrix[row, column]) - expected[column]) <= 4e-7 * abs(expected[column]),
          "\(length)")
      }
      #expect(abs(euclideanNorm(matrix.row(row)) - 1) < 4e-7)
    }
  }

  /// Numbers whose squares differ by more than single precision holds, in one row.
  @Test func aRowWithSmallAndLargeNumbers() {
    let rows: [[Float]] = [
      [3e-25, 4e-25, 0, 1e-38], [3e30, -4e30, 1, 0], [.leastNonzeroMagnitude, 0, 0, 0],
      [.greatestFiniteMagnitude, 0, 0, 0],
    ]
    var matrix = Matrix(rows: rows.count, columns: 4, elements: rows.flatMap { $0 })
    matrix.scaleRowsToUnit()
    for (index, row) in rows.enumerated() {
      let expected = unit(row)
      for column in 0..<4 {
        #expect(abs(Double(matrix[index, column]) - expected[column]) <= 3e-7, "\(row)")
      }
    }
  }

  /// Every instruction set gives a right sum of squares wherever the sum says that single precision was enough.
  @Test(
    arguments: InstructionSet.all, [1e-30, 1e-20, 9e-11, 1.1e-10, 1, 1e18, 1.7e19, 4e19, 1e30])
  func sumsOfSquaresAreRightOrBeyondTheBorders(_ set: InstructionSet, _ length: Double) {
    var generator = SeededGenerator(seed: 3)
    let row = unit(generator.floats(100)).map { Float($0 * length) }
    let x = FencedArray(row, .beforeFence)
    let squares = unsafe set.table.sum_squares(x.base, 100)
    let exact = row.reduce(0.0) { $0 + Double($1) * Double($1) }
    if (1e-10...1.7e19).contains(length) {
      #expect(abs(squares - exact) <= 1e-6 * exact)
    } else {
      #expect(squares < 1e-20 || !squares.isFinite)
    }
  }

  @Test func zerosStayZeros() {
    var matrix = Matrix(rows: 2, columns: 3, elements: [0, -0, 0, 0, 2, 0])
    matrix.scaleRowsToUnit()
    #expect(matrix.elements == [0, 0, 0, 0, 1, 0])
  }
}
