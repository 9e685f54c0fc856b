// Centres and whitens unembedding rows, after Park, Choe and Veitch's causal inner product:
// x ↦ (x − mean) · covariance^(−1/2). It is learned from a matrix and applied to that matrix or to any row.

public import HSAESupport
public import HSAETensors

/// x ↦ (x − mean) · W, scaled to unit norm: turns a raw unembedding row into a row to train on. W is the
/// inverse square root of the covariance, or absent.
public struct UnembeddingTransform: ~Copyable, Sendable {
  /// Eigenvalues of the covariance below this share of the largest are raised to it, so that directions in
  /// which the rows hardly differ are not blown up.
  public static let eigenvalueFloor = 1e-6

  /// The mean of the rows it was learned from [width].
  public let mean: [Float]
  /// W [width × width], symmetric; nil if rows are only centred.
  public let whitening: Matrix?

  /// The row width.
  public var width: Int { mean.count }

  /// Whether the transform whitens, and not only centres.
  public var isWhitening: Bool { whitening.sides != nil }

  /// W's elements [width × width, row-major]; nil if rows are only centred.
  public var whiteningElements: [Float]? {
    switch whitening {
    case .some(let matrix): matrix.elements
    case .none: nil
    }
  }

  /// A transform with the given parts.
  public init(mean: [Float], whitening: consuming Matrix?) {
    if let size = whitening.sides {
      precondition(size == (mean.count, mean.count), "The whitening does not fit the mean.")
    }
    self.mean = mean
    self.whitening = whitening
  }

  /// Learns the mean of `rows` and subtracts it in place. The returned transform whitens with the inverse
  /// square root of their covariance (divided by the number of rows).
  ///
  /// `source` names the rows in messages. Fails with `.data` if all rows are the same.
  public static func learn(
    centring rows: inout Matrix, source: String, threads: Int = processorCount
  ) throws(Failure) -> UnembeddingTransform {
    let mean = rows.meanRow().map { Float($0) }
    rows.subtract(mean, threads: threads)
    let width = rows.columns
    let scale = 1 / Double(max(1, rows.rows))
    let covariance = rows.gram(threads: threads).map { $0 * scale }
    guard let eigen = SymmetricEigen(covariance, size: width) else {
      throw .data("\(source): the covariance of its rows has no eigenvectors; is it damaged?")
    }
    guard let largest = eigen.values.last, largest > 0 else {
      throw .data("\(source): all its rows are the same, so they cannot be whitened.")
    }
    let floor = largest * eigenvalueFloor
    let root = eigen.map { 1 / max($0, floor).squareRoot() }
    let whitening = Matrix(rows: width, columns: width, elements: root.map { Float($0) })
    return UnembeddingTransform(mean: mean, whitening: whitening)
  }

  /// This transform, without its whitening unless `isWanted`.
  consuming func withWhitening(_ isWanted: Bool) -> UnembeddingTransform {
    isWanted ? self : UnembeddingTransform(mean: mean, whitening: nil)
  }

  /// Whitens `rows`, which are already centred, in place; does nothing without a whitening.
  public func whiten(centred rows: inout Matrix, threads: Int = processorCount) {
    switch whitening {
    case .some(let matrix): rows.multiplyRows(by: matrix, threads: threads)
    case .none: break
    }
  }

  /// Transforms a raw unembedding row [width]: returns its direction, a unit row (zeros if the row equals the
  /// mean), and its norm before scaling.
  public func apply(_ row: Span<Float>) -> (direction: [Float], norm: Float) {
    precondition(row.count == width, "A row of \(row.count) for a transform of width \(width).")
    var centred = [Float](repeating: 0, count: width)
    for column in centred.indices { centred[column] = row[column] - mean[column] }
    if let product = whitening.product(of: centred) { centred = product }
    let norm = euclideanNorm(centred.span)
    let scale = norm > 0 ? 1 / norm : 0
    return (centred.map { Float(Double($0) * scale) }, Float(norm))
  }
}

extension Matrix? {
  fileprivate var sides: (Int, Int)? {
    switch self {
    case .some(let matrix): (matrix.rows, matrix.columns)
    case .none: nil
    }
  }

  /// `row` times this matrix, summed in double; nil without a matrix.
  fileprivate borrowing func product(of row: [Float]) -> [Float]? {
    switch self {
    case .some(let matrix):
      var product = [Double](repeating: 0, count: matrix.columns)
      for (index, factor) in row.enumerated() {
        let own = matrix.row(index)
        for column in own.indices { product[column] += Double(factor) * Double(own[column]) }
      }
      return product.map { Float($0) }
    case .none: return nil
    }
  }
}
