// Whitening: the inner product in which a dictionary is trained (`docs/method.md`, "Whitening"). A row x becomes
// z = (x − μ)·W. The dictionary is trained on z and is then folded into one that reads and rebuilds x.

public import HSAEPlatform
public import HSAETensors

/// How rows are whitened for training.
public struct WhiteningSettings: Hashable, Sendable, Codable {
  /// What the inner product is made from.
  public enum Source: String, Hashable, Sendable, Codable {
    /// The covariance of the training rows.
    case activations
    /// The covariance of the model's unembedding (the causal inner product of Park et al., on the context side).
    case unembedding
  }

  /// Where errors are measured.
  public enum Loss: String, Hashable, Sendable, Codable, CaseIterable {
    /// In the whitened space: ‖z − ẑ‖².
    case whitened
    /// After going back: ‖(z − ẑ)·W⁻¹‖² = ‖x − x̂‖² (see ``Whitening/metric``).
    case original
  }

  /// What the inner product is made from.
  public var source: Source
  /// Where errors are measured.
  public var loss: Loss
  /// What is added to every eigenvalue of the covariance, as a fraction of their mean.
  public var ridge: Double

  /// The given settings.
  public init(source: Source, loss: Loss = .whitened, ridge: Double = defaultRidge) {
    (self.source, self.loss, self.ridge) = (source, loss, ridge)
  }

  /// The ridge that is used if none is given.
  public static let defaultRidge = 1e-3
}

/// The change of coordinates x ↦ z = (x − μ)·W, in double precision. Where hsae makes one, its scale is such that the mean
/// of ‖z‖² over the training rows is 1, as for rows of unit norm.
public struct Whitening: Hashable, Sendable {
  /// μ [d].
  public let mean: [Double]
  /// W [d × d], row-major.
  public let matrix: [Double]
  /// W⁻¹ [d × d], row-major.
  public let inverse: [Double]

  /// The width of a row, d.
  public var width: Int { mean.count }

  /// Whether μ is not 0, so that a folded dictionary needs an input bias.
  public var isShifting: Bool { mean.contains { $0 != 0 } }

  /// A change of coordinates of the given parts.
  ///
  /// - Precondition: both matrices have d² elements.
  public init(mean: [Double], matrix: [Double], inverse: [Double]) {
    let count = mean.count * mean.count
    precondition(matrix.count == count && inverse.count == count, "The matrices do not fit.")
    (self.mean, self.matrix, self.inverse) = (mean, matrix, inverse)
  }

  /// Whitening by the covariance C of the training rows [d × d], whose mean is μ [d]: W = c·(C + ρ·λ̄·I)^(−½), with λ̄
  /// the mean eigenvalue of C and ρ the ridge.
  ///
  /// `rows` names the rows in messages. If the covariance lacks full rank, `lacksRank` is called with its rank. Fails with
  /// `.data` if all rows are the same, if the covariance is not finite, or if it lacks full rank and the ridge is too
  /// small to replace eigenvalues of 0; with `.usage` if the ridge is negative or not finite.
  public init(
    activations covariance: [Double], mean: [Double], ridge: Double, rows: String,
    lacksRank: (_ rank: Int) -> Void = { _ in }
  ) throws(Failure) {
    let spectrum = try Spectrum(
      covariance, width: mean.count, ridge: ridge, of: rows, lacksRank)
    let eigen = spectrum.eigen
    let scale = 1 / eigen.values.reduce(0) { $0 + max($1, 0) / spectrum.raised($1) }.squareRoot()
    self.init(
      mean: mean, matrix: eigen.map { scale / spectrum.raised($0).squareRoot() },
      inverse: eigen.map { spectrum.raised($0).squareRoot() / scale })
  }

  /// Whitening by the covariance G of the unembedding's rows [d × d]: W = c·(G + ρ·ḡ·I)^½, with ḡ the mean eigenvalue
  /// of G and ρ the ridge. Nothing is subtracted, so μ is 0. The scale c needs the mean and the covariance of the
  /// training rows.
  ///
  /// `model` and `rows` name both in messages. Fails with `.data` as the other initialiser does.
  public init(
    unembedding covariance: [Double], ridge: Double, model: String, rowMean: [Double],
    rowCovariance: [Double], rows: String, lacksRank: (_ rank: Int) -> Void = { _ in }
  ) throws(Failure) {
    let width = rowMean.count
    let spectrum = try Spectrum(covariance, width: width, ridge: ridge, of: model, lacksRank)
    // The mean of ‖x·G^½‖² is that of x·G·xᵀ.
    var squares = 0.0
    let raised = spectrum.eigen.map(spectrum.raised)
    for row in 0..<width {
      for column in 0..<width {
        let place = row * width + column
        squares += raised[place] * (rowCovariance[place] + rowMean[row] * rowMean[column])
      }
    }
    guard squares > 0, squares.isFinite else {
      throw .data("\(rows): all rows are zero, so their scale is not known.")
    }
    let scale = 1 / squares.squareRoot()
    self.init(
      mean: [Double](repeating: 0, count: width),
      matrix: spectrum.eigen.map { scale * spectrum.raised($0).squareRoot() },
      inverse: spectrum.eigen.map { 1 / (scale * spectrum.raised($0).squareRoot()) })
  }

  /// M = W⁻¹·W⁻ᵀ [d × d]: r·M·rᵀ is the squared norm of an error r of z after going back to x.
  public var metric: [Double] {
    let (width, inverse) = (width, inverse)
    var result = [Double](repeating: 0, count: width * width)
    unsafe inverse.withUnsafeBufferPointer { inverse in
      unsafe result.withUnsafeMutableBufferPointer { result in
        // Safe: a piece writes its own row and its own column from the diagonal on, and the loop ends before the closures.
        nonisolated(unsafe) let (inverse, result) = unsafe (inverse, result)
        parallelFor(width, threads: processorCount) { row, _ in
          for column in row..<width {
            var sum = 0.0
            for inner in 0..<width {
              unsafe sum += inverse[row * width + inner] * inverse[column * width + inner]
            }
            unsafe result[row * width + column] = sum
            unsafe result[column * width + row] = sum
          }
        }
      }
    }
    return result
  }

  /// The dictionary that reads and rebuilds x, given `parameters` that read and rebuild z:
  ///
  ///     e' = e·Wᵀ,  Π↓' = Π↓·Wᵀ,  d' = d·W⁻¹,  Π↑' = Π↑·W⁻¹,  b' = b·W⁻¹ + μ
  ///
  /// Codes are the same. Decoder rows no longer have unit norm in x. The result has an input bias, unless there is
  /// none and μ is 0.
  public func folded(
    _ parameters: borrowing Parameters, threads: Int = processorCount
  ) -> Parameters {
    precondition(parameters.shape.width == width, "Parameters of another width.")
    var vectors = parameters.vectors
    if isShifting { vectors.insert(.inputBias) }
    var result = parameters.copy(with: vectors)
    var transposed = Matrix(rows: width, columns: width)
    for row in 0..<width {
      for column in 0..<width { transposed[column, row] = Float(matrix[row * width + column]) }
    }
    let back = Matrix(rows: width, columns: width, elements: inverse.map { Float($0) })
    result.encoderSide.multiplyRows(by: transposed, threads: threads)
    result.decoderSide.multiplyRows(by: back, threads: threads)
    guard vectors.contains(.inputBias) else { return result }
    for column in 0..<width {
      var sum = mean[column]
      if parameters.hasBias {
        for inner in 0..<width {
          sum += Double(parameters.bias[0, inner]) * inverse[inner * width + column]
        }
      }
      result.bias[0, column] = Float(sum)
    }
    return result
  }

  /// Its product with rows, in single precision.
  public func product(threads: Int) -> RowProduct {
    RowProduct(
      matrix.map { Float($0) }, width: width, subtracting: mean.map { Float($0) }, workers: threads)
  }
}

/// The eigenvalues of a covariance and what a ridge makes of them.
private struct Spectrum {
  let eigen: SymmetricEigen
  /// What is added to each eigenvalue.
  let ridge: Double

  /// `lacksRank` is called with the rank if it is below `width`. Fails as ``Whitening`` says.
  init(
    _ covariance: [Double], width: Int, ridge: Double, of source: String,
    _ lacksRank: (_ rank: Int) -> Void
  ) throws(Failure) {
    guard ridge >= 0, ridge.isFinite else {
      throw .usage("--whiten-ridge must be a number of at least 0, not \(ridge).")
    }
    guard let eigen = SymmetricEigen(covariance, size: width) else {
      throw .data("\(source): the covariance has no eigenvalues; are the numbers finite?")
    }
    let mean = eigen.values.reduce(0) { $0 + max($1, 0) } / Double(max(1, width))
    guard let largest = eigen.values.last, mean > 0 else {
      throw .data("\(source): all rows are the same, so they cannot be whitened.")
    }
    let least = largest * 1e-12
    let rank = eigen.values.count { $0 > least }
    if rank < width {
      guard ridge * mean > least else {
        throw .data(
          "\(source): the covariance has rank \(rank) of \(width); --whiten-ridge \(ridge) is too small for that, give a"
            + " larger one.")
      }
      lacksRank(rank)
    }
    (self.eigen, self.ridge) = (eigen, ridge * mean)
  }

  /// An eigenvalue with the ridge. Rounding can make one negative.
  func raised(_ value: Double) -> Double { max(value, 0) + ridge }
}

/// The inner product that measures errors: r·M·rᵀ in place of ‖r‖². With a loss in the original space, M is
/// ``Whitening/metric``.
public struct ErrorMetric: Hashable, Sendable {
  /// M [d × d], symmetric. Empty in the recipe of a run that has not begun: M depends on the rows.
  public var elements: [Float]

  /// The inner product with the given elements.
  public init(_ elements: [Float]) { self.elements = elements }
}
