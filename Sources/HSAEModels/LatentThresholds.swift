// An encoder bias and a threshold for each latent. A latent is active if it passes its threshold and is among
// the k largest. Our training uses neither; imported dictionaries do (ReLU, JumpReLU, BatchTopK).

/// An encoder bias and a threshold for every top-level latent: z = u · [u > θ] with u = (x − b)·e + b_enc,
/// and z > 0.
public struct LatentThresholds: Hashable, Sendable {
  /// b_enc [m]; empty if there is none.
  public let encoderBias: [Float]
  /// θ [m]; empty if there is none, which means 0. Values below 0 count as 0.
  public let threshold: [Float]

  /// Thresholds of the given parts, each of m elements or empty.
  public init(encoderBias: [Float] = [], threshold: [Float] = []) {
    self.encoderBias = encoderBias
    self.threshold = threshold
  }

  /// Whether there is neither a bias nor a threshold.
  public var isEmpty: Bool { encoderBias.isEmpty && threshold.isEmpty }

  /// Whether each part is empty or has an element for each of `count` latents.
  public func fits(_ count: Int) -> Bool {
    [encoderBias, threshold].allSatisfy { $0.isEmpty || $0.count == count }
  }

  /// The pre-activation of latent `latent`, given its product with the row; 0 if it does not pass the
  /// threshold. The reference implementation uses this.
  func apply(_ product: Double, latent: Int) -> Double {
    let u = product + (encoderBias.isEmpty ? 0 : Double(encoderBias[latent]))
    return u > max(0, threshold.isEmpty ? 0 : Double(threshold[latent])) ? u : 0
  }
}
