// An encoder bias and a threshold for each latent, and a scale of its code. A latent is active if it passes its
// threshold and is among the k largest. Dictionaries that were trained with BatchTopK or JumpReLU have thresholds, and
// so have imported ones (ReLU, JumpReLU, BatchTopK); a scale have imported TopK dictionaries whose decoder rows have
// different norms.

/// An encoder bias, a threshold and a scale for every top-level latent: z = c · u · [u > θ] with
/// u = (x − b)·e + b_enc, and z > 0. The k latents with the largest u are kept, not those with the largest z.
public struct LatentThresholds: Hashable, Sendable {
  /// b_enc [m]; empty if there is none.
  public let encoderBias: [Float]
  /// θ [m]; empty if there is none, which means 0. Values below 0 count as 0.
  public let threshold: [Float]
  /// c [m], at least 0; empty if there is none, which means 1. A latent with c = 0 can be among the k largest, and
  /// its code is 0.
  public let codeScale: [Float]

  /// Thresholds of the given parts, each of m elements or empty.
  public init(encoderBias: [Float] = [], threshold: [Float] = [], codeScale: [Float] = []) {
    self.encoderBias = encoderBias
    self.threshold = threshold
    self.codeScale = codeScale
  }

  /// Whether there is no bias, no threshold and no scale.
  public var isEmpty: Bool { encoderBias.isEmpty && threshold.isEmpty && codeScale.isEmpty }

  /// Whether each part is empty or has an element for each of `count` latents.
  public func fits(_ count: Int) -> Bool {
    [encoderBias, threshold, codeScale].allSatisfy { $0.isEmpty || $0.count == count }
  }

  /// The pre-activation of latent `latent`, given its product with the row; 0 if it does not pass the
  /// threshold. The reference implementation uses this.
  func apply(_ product: Double, latent: Int) -> Double {
    let u = product + (encoderBias.isEmpty ? 0 : Double(encoderBias[latent]))
    return u > max(0, threshold.isEmpty ? 0 : Double(threshold[latent])) ? u : 0
  }
  /// The code of latent `latent`, given its code without the scale. The reference implementation uses this.
  func scale(_ value: Double, latent: Int) -> Double {
    codeScale.isEmpty ? value : Double(codeScale[latent]) * value
  }
}
