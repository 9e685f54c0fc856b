// The whitening of rows that SAELens trains with (`normalize_activations: covariance_whitening`) and folds into the
// weights when training ends. Checkpoints of training are not folded: they have the matrices in a file of their own.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

extension Whitening {
  /// SAELens's file of the matrices.
  static let saeLensFile = "activation_whitening.safetensors"

  /// Reads SAELens's file at `path`, for rows of `width`: z = (x − mean)·matrix.
  init(saeLens path: String, width: Int) throws(Failure) {
    let file = try SafetensorsFile(path: path)
    for name in ["matrix", "inverse_matrix"] { try file.require(name, [width, width]) }
    self.init(
      mean: try file.vector("mean", count: width).map(Double.init),
      matrix: try file.floats("matrix").map(Double.init),
      inverse: try file.floats("inverse_matrix").map(Double.init))
  }

  /// Changes the flat dictionary `source`, which sees z, into one that sees x (``Whitening/folded(_:threads:)``).
  ///
  /// If pre-activations or codes are multiplied by the norms of decoder rows, these are the norms before the change, so
  /// they go into the encoder and the thresholds first. `path` names the matrices in messages.
  func fold(into source: inout SourceDictionary, path: String) throws(Failure) {
    let latents = source.parameters.shape.experts
    if source.encoderBias.isEmpty {
      source.encoderBias = [Float](repeating: 0, count: latents)
    }
    if source.rule == .topK(rescaled: true) || source.codesIncludeNorms {
      let norms = source.parameters.decoderSide.rowNorms().map { max($0, 1e-8) }
      for latent in 0..<latents {
        for column in 0..<width {
          source.parameters.encoderSide[latent, column] *= norms[latent]
          source.parameters.decoderSide[latent, column] /= norms[latent]
        }
      }
      source.encoderBias = zip(source.encoderBias, norms).map { $0 * $1 }
      source.threshold = zip(source.threshold, norms).map { $0 * $1 }
      if source.rule == .topK(rescaled: true) { source.rule = .topK(rescaled: false) }
      source.codesIncludeNorms = false
    }
    if !source.subtractsBias, source.parameters.hasBias {
      // The folded encoder subtracts the folded bias, which is b_dec in z.
      source.encoderBias = CanonicalDictionary.addingProducts(
        with: source.parameters, to: source.encoderBias)
    }
    source.parameters = folded(source.parameters)
    source.subtractsBias = true
    let numbers = [
      source.parameters.encoderSide.rowNorms(), source.parameters.decoderSide.rowNorms(),
    ]
    // Weights of a sound file are far below this.
    guard numbers.joined().allSatisfy({ $0 < 1e30 }),
      (source.parameters.bias.elements + source.encoderBias + source.threshold)
        .allSatisfy({ abs($0) < 1e30 })
    else {
      throw .data(
        "\(path): folded into the weights, these matrices give numbers that are too large.")
    }
    source.origin.notes.append(
      "The whitening of rows that it was trained with was folded into its weights.")
  }
}
