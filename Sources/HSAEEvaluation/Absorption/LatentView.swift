// A dictionary's latents as the absorption measure needs them: codes for directions of unit norm, of the top
// level alone or with sublatents as further latents.

public import HSAEModels
public import HSAERuns
public import HSAETensors

/// An active latent of a row.
public struct LatentCode: Hashable, Sendable {
  /// The latent's number: j for expert j, m + j·a + q for sublatent q of expert j.
  public var latent: Int
  /// Its code times the norm of its direction, in the scale of the row.
  public var value: Float
}

/// A dictionary's latents as the absorption measure sees them.
public struct LatentView: Sendable {
  /// The dictionary.
  public let dictionary: SparseAutoencoder
  /// Whether sublatents count as latents, each with the direction Π↑ᵀ D_q that it adds to x̂.
  public let hasSublatents: Bool
  /// How rows of the model are scaled for the dictionary.
  public let rowScale: RowScale

  /// A view of `dictionary`.
  public init(_ dictionary: SparseAutoencoder, hasSublatents: Bool, rowScale: RowScale = .unit) {
    self.dictionary = dictionary
    self.rowScale = rowScale
    self.hasSublatents = hasSublatents && !dictionary.shape.isFlat
  }

  /// The codes of `rows` [n × d], which have the lengths `norms` in the model, and the factors that bring codes into
  /// the scale of the model. Rows are first scaled as in training.
  public func codes(
    of rows: borrowing Matrix, norms: [Float], threads: Int
  ) -> (codes: Codes, factors: [Float]) {
    var scaled = rows.copy()
    scaled.scaleRowsToUnit()
    var factors = norms
    if rowScale != .unit {
      scaled.forEachRow { index, row in for column in row.indices { row[column] *= norms[index] } }
      factors = rowScale.apply(to: &scaled).factors
    }
    return (dictionary.encode(scaled, threads: threads), factors)
  }

  /// The active latents of a row `norm` times as long as the one with `codes`. A sublatent below its
  /// threshold is not active.
  public func latentCodes(_ codes: ArraySlice<Code>, norm: Float) -> [LatentCode] {
    let shape = dictionary.shape
    var result: [LatentCode] = []
    for code in codes {
      result.append(
        LatentCode(
          latent: code.expert, value: norm * code.value * length(of: code.expert)))
      guard hasSublatents,
        let sublatent = code.activeSublatent(threshold: dictionary.activation.subThreshold)
      else { continue }
      let latent = shape.experts + code.expert * shape.sublatents + sublatent
      result.append(
        LatentCode(latent: latent, value: norm * code.subValue * length(of: latent)))
    }
    return result
  }

  /// The direction that a latent adds to x̂ [d], not scaled.
  public func direction(_ latent: Int) -> [Float] {
    let shape = dictionary.shape
    guard latent >= shape.experts else {
      return dictionary.contribution(of: LatentNumber(expert: latent))
    }
    let (expert, sublatent) = (latent - shape.experts).quotientAndRemainder(
      dividingBy: shape.sublatents)
    return dictionary.contribution(of: LatentNumber(expert: expert, sublatent: sublatent))
  }

  /// The norm of a latent's direction.
  private func length(of latent: Int) -> Float {
    let direction = direction(latent)
    return dot(direction.span, direction.span).squareRoot()
  }

  /// The cosine of a latent's direction and `unit`, which has unit norm.
  public func cosine(_ latent: Int, _ unit: [Float]) -> Float {
    let direction = direction(latent)
    let norm = dot(direction.span, direction.span).squareRoot()
    return norm > 0 ? dot(direction.span, unit.span) / norm : 0
  }
}

/// The active latents of many rows.
public struct SparseRows: Sendable {
  /// The active latents of each row.
  public var rows: [[LatentCode]]
}

extension SparseRows {
  init(_ view: LatentView, of words: borrowing FirstLetterRows, threads: Int) {
    self.init(view, of: words.rows, norms: words.norms, threads: threads)
  }

  /// The active latents of `matrix` [n × d], rows that have the lengths `norms` in the model.
  public init(_ view: LatentView, of matrix: borrowing Matrix, norms: [Float], threads: Int) {
    let (codes, factors) = view.codes(of: matrix, norms: norms, threads: threads)
    let lengths = matrix.rowNorms()
    rows = (0..<codes.count).map { row in
      // The rows here are shorter or longer than those of the model.
      let norm =
        view.rowScale == .unit
        ? lengths[row] : factors[row] * (lengths[row] / max(norms[row], 1e-30))
      return view.latentCodes(codes[row], norm: norm)
    }
  }
}
