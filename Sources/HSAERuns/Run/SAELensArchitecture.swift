// What SAELens calls a dictionary and how it counts its latents. What `hsae export` writes and what
// `hsae evaluate` says in SAEBench's files follow from here, so that they agree.

public import HSAEModels

/// What SAELens calls the kind of a dictionary.
public enum SAELensArchitecture: String, Codable, Hashable, Sendable {
  /// SAELens's own TopK.
  case topk
  /// SAELens's own ReLU, of an imported dictionary.
  case standard
  /// SAELens's own JumpReLU, of an imported dictionary.
  case jumprelu
  /// Two levels, or thresholds; of `hsae_saelens.py`.
  case hsae

  /// The kind of `dictionary`, imported from `origin` or trained here; `topLevelOnly` leaves sublatents out.
  public init(of dictionary: SparseAutoencoder, origin: Origin?, topLevelOnly: Bool = false) {
    if origin?.isUnbounded == true {
      self = dictionary.thresholds?.threshold.isEmpty ?? true ? .standard : .jumprelu
    } else {
      let hasOneLevel = dictionary.shape.isFlat || topLevelOnly
      self = hasOneLevel && dictionary.activation.threshold <= 0 ? .topk : .hsae
    }
  }
}

extension DictionaryShape {
  /// Latents as SAELens counts them: m experts, then the sublatents of expert 0, of expert 1, …;
  /// m·(1 + a), or m with `topLevelOnly`.
  public func saeLensLatents(topLevelOnly: Bool = false) -> Int {
    experts * (topLevelOnly ? 1 : 1 + sublatents)
  }
}
