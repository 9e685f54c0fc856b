// What latents do on words, as the absorption measure needs it: activations as if every latent had a
// direction of unit norm, for the top level alone or with sublatents as latents of their own.

public import HSAEModels
public import HSAETensors

/// An active latent of a vector.
public struct LatentActivation: Hashable, Sendable {
  /// The latent: expert j is j, sublatent q of expert j is m + j·a + q.
  public var latent: Int
  /// Its activation times the norm of its direction, at the scale of the vector.
  public var value: Float

  /// An activation.
  public init(latent: Int, value: Float) {
    self.latent = latent
    self.value = value
  }
}

/// A dictionary's latents as the absorption measure sees them.
public struct LatentView: Sendable {
  /// The dictionary.
  public let dictionary: SparseAutoencoder
  /// Whether sublatents are latents too, each with the direction Π↑ᵀ D_q by which it adds to x̂.
  public let hasSublatents: Bool
  /// Whether the dictionary is of unit rows, and not of rows of their own lengths.
  public let rowsAreUnit: Bool

  /// A view of `dictionary`.
  public init(_ dictionary: SparseAutoencoder, hasSublatents: Bool, rowsAreUnit: Bool = true) {
    self.dictionary = dictionary
    self.rowsAreUnit = rowsAreUnit
    self.hasSublatents = hasSublatents && !dictionary.shape.isFlat
  }

  /// The codes of `rows` [n × d], which are scaled first as the dictionary was trained: to unit norm, or to
  /// `norms`, the lengths the model gave them.
  public func codes(of rows: borrowing Matrix, norms: [Float], threads: Int) -> Codes {
    var scaled = rows.copy()
    scaled.scaleRowsToUnit()
    if !rowsAreUnit {
      scaled.forEachRow { index, row in for column in row.indices { row[column] *= norms[index] } }
    }
    return dictionary.encode(scaled, threads: threads)
  }

  /// The activations of a vector `norm` times as long as the one that has `codes`. A sublatent below its
  /// threshold is not active.
  public func activations(_ codes: ArraySlice<Code>, norm: Float) -> [LatentActivation] {
    let shape = dictionary.shape
    var result: [LatentActivation] = []
    for code in codes {
      result.append(
        LatentActivation(
          latent: code.expert, value: norm * code.value * length(of: code.expert)))
      guard hasSublatents, code.sublatent >= 0,
        code.subValue >= dictionary.activation.subThreshold
      else { continue }
      let latent = shape.experts + code.expert * shape.sublatents + code.sublatent
      result.append(
        LatentActivation(latent: latent, value: norm * code.subValue * length(of: latent)))
    }
    return result
  }

  /// The direction by which a latent adds to x̂ [d], not scaled.
  public func direction(_ latent: Int) -> [Float] {
    let shape = dictionary.shape
    if latent < shape.experts {
      return decoderRow(dictionary, latent * shape.rowsPerExpert)
    }
    let atom = latent - shape.experts
    let expert = atom / shape.sublatents
    var result = [Float](repeating: 0, count: shape.width)
    for axis in 0..<shape.subspace {
      let weight = dictionary.parameters.subDecoder[atom, axis]
      let row = decoderRow(dictionary, expert * shape.rowsPerExpert + 1 + axis)
      for column in row.indices { result[column] += weight * row[column] }
    }
    return result
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

/// Row `index` of the decoder's side of a dictionary's parameters.
func decoderRow(_ dictionary: SparseAutoencoder, _ index: Int) -> [Float] {
  func copied(_ matrix: borrowing Matrix) -> [Float] {
    let row = matrix.row(index)
    return row.indices.map { row[$0] }
  }
  return copied(dictionary.parameters.decoderSide)
}

/// The active latents of many vectors.
public struct SparseRows: Sendable {
  /// Each vector's active latents.
  public var rows: [[LatentActivation]]

  /// Rows given outright.
  public init(rows: [[LatentActivation]]) { self.rows = rows }

  /// What `view` makes of `vectors`.
  init(_ view: LatentView, of vectors: borrowing FirstLetterVectors, threads: Int) {
    self.init(view, of: vectors.rows, norms: vectors.norms, threads: threads)
  }

  /// What `view` makes of the model's vectors `vectors` [n × d], which had the lengths `norms` there.
  public init(_ view: LatentView, of vectors: borrowing Matrix, norms: [Float], threads: Int) {
    let codes = view.codes(of: vectors, norms: norms, threads: threads)
    let lengths = vectors.rowNorms()
    rows = (0..<codes.count).map { row in
      view.activations(
        codes[row], norm: view.rowsAreUnit ? lengths[row] : lengths[row] / max(norms[row], 1e-30))
    }
  }
}
