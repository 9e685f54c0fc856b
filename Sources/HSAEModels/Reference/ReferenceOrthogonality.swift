// L_ortho (eq. 3.4), computed twice: through two d × d Gram matrices, as the engine does, and directly from
// its definition with an m × m matrix. Tests compare the two.

/// L_ortho and its gradients, both m × d and without the weight λ₁.
public struct ReferenceOrthogonality: Hashable, Sendable {
  /// L_ortho.
  public var value: Double
  /// ∂L_ortho/∂E.
  public var encoder: [Double]
  /// ∂L_ortho/∂D.
  public var decoder: [Double]

  /// Zeros, `count` in each gradient.
  init(count: Int) {
    (value, encoder) = (0, Array(repeating: 0, count: count))
    decoder = encoder
  }
}

extension ReferenceParameters {
  /// L_ortho and its gradients by the Gram formula: S = ⟨EᵀE, DᵀD⟩ − Σ_j (e_j·d_j)², L_ortho = √S / (m² − m).
  /// Both are 0 if S ≤ 0 or m = 1.
  public func orthogonalityByGram() -> ReferenceOrthogonality {
    let (m, d) = (shape.experts, shape.width)
    let encoderGram = gram(encoder)
    let decoderGram = gram(decoder)
    let diagonal = (0..<m).map { dot(encoder, $0 * d, decoder, $0 * d, d) }
    let sum = dot(encoderGram, 0, decoderGram, 0, d * d) - dot(diagonal, 0, diagonal, 0, m)
    var result = ReferenceOrthogonality(count: m * d)
    guard sum > 0, m > 1 else { return result }
    let pairs = Double(m * m - m)
    result.value = sum.squareRoot() / pairs
    let factor = 1 / (sum.squareRoot() * pairs)
    for latent in 0..<m {
      for axis in 0..<d {
        add(
          factor * encoder[latent * d + axis], decoderGram, axis * d, to: &result.encoder,
          latent * d, d)
        add(
          factor * decoder[latent * d + axis], encoderGram, axis * d, to: &result.decoder,
          latent * d, d)
      }
      add(-factor * diagonal[latent], decoder, latent * d, to: &result.encoder, latent * d, d)
      add(-factor * diagonal[latent], encoder, latent * d, to: &result.decoder, latent * d, d)
    }
    return result
  }

  /// L_ortho and its gradients by the definition, ‖E Dᵀ − diag(E Dᵀ)‖_F / (m² − m).
  public func orthogonalityDirectly() -> ReferenceOrthogonality {
    let (m, d) = (shape.experts, shape.width)
    var result = ReferenceOrthogonality(count: m * d)
    var products = [Double](repeating: 0, count: m * m)
    for i in 0..<m {
      for j in 0..<m where j != i { products[i * m + j] = dot(encoder, i * d, decoder, j * d, d) }
    }
    let norm = dot(products, 0, products, 0, m * m).squareRoot()
    guard norm > 0, m > 1 else { return result }
    let pairs = Double(m * m - m)
    result.value = norm / pairs
    for i in 0..<m {
      for j in 0..<m {
        let factor = products[i * m + j] / (norm * pairs)
        add(factor, decoder, j * d, to: &result.encoder, i * d, d)
        add(factor, encoder, i * d, to: &result.decoder, j * d, d)
      }
    }
    return result
  }

  /// RᵀR of the m × d matrix `matrix`: d × d.
  private func gram(_ matrix: [Double]) -> [Double] {
    let d = shape.width
    var result = [Double](repeating: 0, count: d * d)
    for row in 0..<shape.experts {
      for axis in 0..<d {
        add(matrix[row * d + axis], matrix, row * d, to: &result, axis * d, d)
      }
    }
    return result
  }
}
