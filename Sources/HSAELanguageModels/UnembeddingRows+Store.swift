// Writes unembedding rows as a store to train on, with everything needed to look up a word later.

import HSAEActivations
public import HSAESupport

extension UnembeddingRows {
  /// Writes the rows as an activation store at `path`, shuffled by `shuffleSeed`. With `replacing` an
  /// existing store is replaced. `modelSHA256` is the model's identity (`GGUFFile.sha256()`).
  ///
  /// Fails with `.cannotCreate` or `.inputOutput`; then `path` is left as it was.
  public func writeStore(
    at path: String, modelSHA256: String, shuffleSeed: UInt64, replacing: Bool = false
  ) throws(Failure) {
    var attributes = StoreAttributes(
      kind: .unembedding, modelName: source.name ?? Path.name(source.path),
      modelSHA256: modelSHA256, hookPoint: "unembedding")
    attributes.weightsType = source.type
    attributes.tokenRule =
      "Dropped: unused, control, special, byte and undecodable tokens"
      + (report.requiresLetter ? ", tokens without a letter" : "")
      + ", and whitened norms outside \(report.minimumNorm) to \(report.maximumNorm)."
    attributes.preprocessing = transform.isWhitening ? "centred, whitened" : "centred"
    attributes.notes["tensor"] = source.tensor
    attributes.notes["kept"] = String(report.kept.count)
    for group in report.dropped {
      attributes.notes["dropped_\(group.reason)"] = String(group.count)
    }
    try ActivationStore.create(
      at: path, attributes: attributes, rows: directions, norms: norms, tokens: tokens,
      vocabulary: vocabulary, mean: transform.mean, whitening: transform.whiteningElements,
      shuffleSeed: shuffleSeed, replacing: replacing)
  }
}
