// Means, Gram matrices, products over rows and eigenvectors, compared with plain sums.

import CHSAEKernels
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

  /// Mean and covariance are those of the definition, to the rounding of doubles, also where a mean is a thousand
  /// times the spread and where rows come in pieces.
  @Test(arguments: [(1, 1), (3, 5), (127, 16), (1300, 33), (2500, 130)])
  func momentsAreThoseOfTheDefinition(rows: Int, columns: Int) {
    var x = Self.matrix(rows, columns)
    for row in 0..<rows {
      x[row, columns - 1] = 7
      if columns > 4 { x[row, 2] += 1_000 }
    }
    var (moments, pieces) = (RowMoments(width: columns), RowMoments(width: columns))
    moments.add(x, threads: 2)
    for start in stride(from: 0, to: rows, by: 1_024) {
      let part = min(1_024, rows - start)
      pieces.add(
        Matrix(
          rows: part, columns: columns,
          elements: Array(x.elements[start * columns..<(start + part) * columns])), threads: 1)
    }
    for (own, whole) in zip(pieces.mean + pieces.covariance, moments.mean + moments.covariance) {
      #expect(abs(own - whole) <= 1e-12 * max(1, abs(whole)))
    }
    let elements = x.elements.map(Double.init)
    let mean = (0..<columns).map { column in
      (0..<rows).reduce(0.0) { $0 + elements[$1 * columns + column] } / Double(rows)
    }
    for i in 0..<columns {
      #expect(abs(moments.mean[i] - mean[i]) <= 1e-12 * max(1, abs(mean[i])))
      for j in [0, i, columns - 1] {
        let sum = (0..<rows).reduce(0.0) {
          $0 + (elements[$1 * columns + i] - mean[i]) * (elements[$1 * columns + j] - mean[j])
        }
        #expect(abs(moments.covariance[i * columns + j] - sum / Double(rows)) <= 1e-12)
        #expect(moments.covariance[i * columns + j] == moments.covariance[j * columns + i])
      }
    }
    #expect(moments.covariance[columns * columns - 1] == 0)
  }

  /// A first row of giant norm costs no digits.
  @Test func anOutlierCostsNoDigits() {
    var x = Self.matrix(2_000, 8)
    for column in 0..<8 { x[0, column] *= 1e5 }
    var moments = RowMoments(width: 8)
    moments.add(x, threads: 1)
    var (mean, sums) = ([Double](repeating: 0, count: 8), [Double](repeating: 0, count: 64))
    for row in 0..<2_000 { for i in 0..<8 { mean[i] += Double(x[row, i]) / 2_000 } }
    for row in 0..<2_000 {
      for place in 0..<64 {
        let (i, j) = (place / 8, place % 8)
        sums[place] += (Double(x[row, i]) - mean[i]) * (Double(x[row, j]) - mean[j]) / 2_000
      }
    }
    let (own, expected) = (
      SymmetricEigen(moments.covariance, size: 8), SymmetricEigen(sums, size: 8)
    )
    for (a, b) in zip(own?.values ?? [], expected?.values ?? []) { #expect(abs(a - b) < 1e-7 * b) }
    #expect(own?.values.count == 8)
  }

  /// Each instruction set adds up the products of two panels as plain sums do.
  @Test func panelsAreMultipliedByEveryInstructionSet() throws {
    let size = Int(HSAE_GRAM_PANEL)
    var generator = SeededGenerator(seed: 2)
    for count in [0, 1, 3, 128] {
      let a = (0..<count * size).map { _ in Double(generator.nextSymmetric()) }
      let b = (0..<count * size).map { _ in Double(generator.nextSymmetric()) }
      for name in availableKernels() {
        let table = unsafe try #require(hsae_kernels_named(name)).pointee
        // Rows of the sums are 5 numbers apart from each other, which must stay as they are.
        var sums = [Double](repeating: 0.5, count: size * (size + 5))
        unsafe table.gram_panel(&sums, size + 5, a, b, count)
        for i in 0..<size {
          for j in 0..<size + 5 {
            let sum =
              j < size ? (0..<count).reduce(0) { $0 + a[$1 * size + i] * b[$1 * size + j] } : 0
            #expect(abs(sums[i * (size + 5) + j] - 0.5 - sum) < 1e-13, "\(name)")
          }
        }
      }
    }
  }

  @Test(arguments: [(1, 1), (64, 7), (200, 33)])
  func rowProductSubtractsTheMeanAndMultiplies(rows: Int, columns: Int) {
    let x = Self.matrix(rows, columns)
    let w = Self.matrix(columns, columns)
    let mean = (0..<columns).map { Float($0) / 10 }
    let product = RowProduct(w.elements, width: columns, subtracting: mean, workers: 2)
    var y = x.copy()
    var span = y.mutableSpan
    product.apply(to: &span)
    let squares = product.squaredNorms(of: x, threads: 2)
    for row in 0..<rows {
      var square = 0.0
      for column in 0..<columns {
        var sum = 0.0
        for inner in 0..<columns {
          sum += Double(x[row, inner] - mean[inner]) * Double(w[inner, column])
        }
        #expect(abs(Double(y[row, column]) - sum) < 1e-5)
        square += sum * sum
      }
      #expect(abs(squares[row] - square) < 1e-5 * max(1, square))
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
