// Means, Gram matrices, products over rows and eigenvectors, compared with plain sums.

import HSAETensors
import Testing

@Suite struct RowStatisticsTests {
  static func matrix(_ rows: Int, _ columns: Int) -> Matrix {
    var generator = SeededGenerator(seed: 11)
    var matrix = Matrix(rows: rows, columns: columns)
    for row in 0..<rows {
      for column in 0..<columns { matrix[row, column] = Float(generator.nextSymmetric()) }
    }
    return matrix
  }

  @Test(arguments: [(1, 1), (3, 5), (511, 64), (512, 65), (1300, 130)])
  func gramIsTheSumOfProducts(rows: Int, columns: Int) {
    let x = Self.matrix(rows, columns)
    let gram = x.gram(threads: 2)
    #expect(gram == x.gram(threads: 1))
    for i in 0..<columns {
      #expect((0..<i).allSatisfy { gram[i * columns + $0] == gram[$0 * columns + i] })
    }
    for i in [0, columns / 2, columns - 1] {
      for j in [0, columns / 3, columns - 1] {
        var sum = 0.0
        for row in 0..<rows { sum += Double(x[row, i]) * Double(x[row, j]) }
        #expect(abs(gram[i * columns + j] - sum) < 1e-4 * Double(rows).squareRoot() + 1e-6)
      }
    }
  }

  @Test(arguments: [(1, 1), (256, 7), (700, 33)])
  func multiplyRowsIsTheProduct(rows: Int, columns: Int) {
    let x = Self.matrix(rows, columns)
    let w = Self.matrix(columns, columns)
    var y = x.copy()
    y.multiplyRows(by: w, threads: 2)
    for row in [0, rows / 2, rows - 1] {
      for column in 0..<columns {
        var sum = 0.0
        for inner in 0..<columns { sum += Double(x[row, inner]) * Double(w[inner, column]) }
        #expect(abs(Double(y[row, column]) - sum) < 1e-5)
      }
    }
  }

  @Test(arguments: [(1, 3), (63, 5), (64, 64), (130, 17)])
  func productsAreThoseOfAllPairsOfRows(rows: Int, columns: Int) {
    let left = Self.matrix(rows, columns)
    let right = Self.matrix(70, columns)
    let x = left.elements
    let y = right.elements
    let range = rows / 3..<rows
    let found = left.products(range, with: right, threads: 2)
    #expect(found.rows == range.count && found.columns == 70)
    for (place, row) in range.enumerated() {
      for other in 0..<70 {
        let expected = (0..<columns).reduce(0.0) {
          $0 + Double(x[row * columns + $1]) * Double(y[other * columns + $1])
        }
        #expect(abs(Double(found[place, other]) - expected) < 1e-4)
      }
    }
  }

  @Test func meanAndNorms() {
    var x = Matrix(rows: 2, columns: 2, elements: [3, 4, 5, -4])
    #expect(x.rowNorms()[0] == 5)
    #expect(x.meanRow() == [4, 0])
    x.subtract([4, 0], threads: 1)
    #expect(x.elements == [-1, 4, 1, -4])
  }

  @Test func eigenvectorsRebuildTheMatrix() throws {
    let size = 20
    let matrix = Self.matrix(50, size).gram(threads: 1)
    let eigen = try #require(SymmetricEigen(matrix, size: size))
    #expect(eigen.values == eigen.values.sorted())
    let rebuilt = eigen.map { $0 }
    let inverseRoot = eigen.map { 1 / $0.squareRoot() }
    for i in 0..<size {
      for j in 0..<size {
        #expect(abs(rebuilt[i * size + j] - matrix[i * size + j]) < 1e-10)
        // R·M·R is the identity.
        var sum = 0.0
        for k in 0..<size {
          for l in 0..<size {
            sum += inverseRoot[i * size + k] * matrix[k * size + l] * inverseRoot[l * size + j]
          }
        }
        #expect(abs(sum - (i == j ? 1 : 0)) < 1e-9)
      }
    }
    #expect(SymmetricEigen([.nan], size: 1) == nil)
    #expect(SymmetricEigen([], size: 0) != nil)
    #expect(SymmetricEigen([2, 0, 0, 3], size: 2)?.values == [2, 3])
  }
}
