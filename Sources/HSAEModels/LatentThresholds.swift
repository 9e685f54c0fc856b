// What decides which latents are active, besides the k largest: a bias of the encoder and a threshold of
// each latent. Our own training has neither; dictionaries of others have (ReLU, JumpReLU, BatchTopK).

/// An encoder's bias and thresholds, one of each for every top-level latent: z = u · [u > θ] with
/// u = (x − b)·e + b_enc, and z > 0.
public struct LatentThresholds: Hashable, Sendable {
  /// b_enc [m]; empty for none.
  public let encoderBias: [Float]
  /// θ [m]; empty for none, which is 0. What is below 0 counts as 0.
  public let threshold: [Float]

  /// A gate of the given parts, each of m elements or empty.
  public init(encoderBias: [Float] = [], threshold: [Float] = []) {
    self.encoderBias = encoderBias
    self.threshold = threshold
  }

  /// Whether it changes nothing.
  public var isEmpty: Bool { encoderBias.isEmpty && threshold.isEmpty }

  /// Whether its parts are for `count` latents.
  public func fits(_ count: Int) -> Bool {
    [encoderBias, threshold].allSatisfy { $0.isEmpty || $0.count == count }
  }

  /// The pre-activation of latent `latent` whose product with the input is `product`; 0 where the
  /// threshold is not passed. The slow twin's way.
  func apply(_ product: Double, latent: Int) -> Double {
    let u = product + (encoderBias.isEmpty ? 0 : Double(encoderBias[latent]))
    return u > max(0, threshold.isEmpty ? 0 : Double(threshold[latent])) ? u : 0
  }
}
