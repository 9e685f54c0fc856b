// Eigenvalues and eigenvectors of a symmetric matrix, by LAPACK in double precision. Whitening uses them.

import CLAPACKE

/// The eigenvalues and eigenvectors of a real symmetric matrix of side `size`.
public struct SymmetricEigen: Sendable {
  /// The side of the matrix.
  public let size: Int
  /// The eigenvalues, smallest first.
  public let values: [Double]
  /// The eigenvectors [size × size], row i belonging to `values[i]`; orthonormal.
  public let vectors: [Double]

  /// Decomposes `matrix` [size × size], row-major. Only its lower triangle is read.
  ///
  /// Nil if an element is NaN or infinite or the iteration does not converge. LAPACK's `dsyevd`.
  public init?(_ matrix: [Double], size: Int) {
    precondition(size >= 0 && matrix.count == size * size, "Elements do not fill \(size)².")
    guard matrix.allSatisfy(\.isFinite) else { return nil }
    guard size > 0 else {
      (self.size, values, vectors) = (0, [], [])
      return
    }
    var work = matrix
    var values = [Double](repeating: 0, count: size)
    // LAPACK takes the matrix as column-major, so that eigenvector i comes out as row i. A symmetric matrix
    // stays the same, but its lower triangle is LAPACK's upper one. Safe: `work` has size² elements and
    // `values` has size, as the routine needs.
    let status = unsafe work.withUnsafeMutableBufferPointer { work in
      unsafe values.withUnsafeMutableBufferPointer { values in
        unsafe LAPACKE_dsyevd(
          LAPACK_COL_MAJOR, CChar(UInt8(ascii: "V")), CChar(UInt8(ascii: "U")), Int32(size),
          work.baseAddress, Int32(size), values.baseAddress)
      }
    }
    guard status == 0 else { return nil }
    self.size = size
    self.values = values
    vectors = work
  }

  /// The symmetric matrix [size × size] with the same eigenvectors and eigenvalues `f(value)`.
  public func map(_ f: (Double) -> Double) -> [Double] {
    var result = [Double](repeating: 0, count: size * size)
    let scales = values.map(f)
    for (index, scale) in scales.enumerated() where scale != 0 {
      let vector = vectors[(index * size)..<((index + 1) * size)]
      let first = vector.startIndex
      for row in 0..<size {
        let factor = scale * vector[first + row]
        for column in row..<size {
          result[row * size + column] += factor * vector[first + column]
        }
      }
    }
    for row in 0..<size {
      for column in 0..<row { result[row * size + column] = result[column * size + row] }
    }
    return result
  }
}
