// The names that SAELens gives to kinds of dictionaries, and how it counts latents. `hsae export` and the
// SAEBench files of `hsae evaluate` both use this, so that they agree.

public import HSAEModels

/// The kind of a dictionary in SAELens's terms.
public enum SAELensArchitecture: String, Codable, Hashable, Sendable {
  /// SAELens's own TopK.
  case topk
  /// SAELens's own ReLU, for an imported dictionary.
  case standard
  /// SAELens's own JumpReLU: for an imported dictionary, and for one level that was trained with BatchTopK or JumpReLU.
  case jumprelu
  /// Two levels, or k together with a threshold: the class in `hsae_saelens.py`.
  case hsae

  /// The kind of `dictionary`, which was imported from `origin` or trained here. `topLevelOnly` leaves out
  /// the sublatents.
  public init(of dictionary: SparseAutoencoder, origin: Origin?, topLevelOnly: Bool = false) {
    let hasThresholds = dictionary.thresholds?.threshold.isEmpty == false
    if !dictionary.shape.isFlat, !topLevelOnly {
      self = .hsae
    } else if origin?.isUnbounded == true {
      self = hasThresholds ? .jumprelu : .standard
    } else if hasThresholds, dictionary.shape.activeExperts == dictionary.shape.experts {
      // SAELens saves BatchTopK as JumpReLU too: after training it has thresholds, and any number of latents is active.
      self = .jumprelu
    } else {
      self = hasThresholds || dictionary.activation.threshold > 0 ? .hsae : .topk
    }
  }
}

extension DictionaryShape {
  /// The number of latents as SAELens counts them: m experts, then the sublatents of expert 0, of expert 1,
  /// …: m·(1 + a), or m with `topLevelOnly`.
  public func saeLensLatents(topLevelOnly: Bool = false) -> Int {
    experts * (topLevelOnly ? 1 : 1 + sublatents)
  }
}
