// Writes the tensors of an exported folder, sae_weights.safetensors, with SAELens's names and scale.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

extension SAELensExport {
  /// Writes the tensors of SAELens's own architectures.
  func writeFlat(
    _ parameters: borrowing Parameters, to path: String
  ) throws(Failure) {
    let shape = dictionary.shape
    let (d, m) = (shape.width, shape.experts)
    var tensors: [SafetensorsWriter.Tensor] = [
      .init("W_enc", shape: [d, m]), .init("b_enc", shape: [m]), .init("W_dec", shape: [m, d]),
      .init("b_dec", shape: [d]),
    ]
    if architecture == .jumprelu { tensors.append(.init("threshold", shape: [m])) }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    // The file's columns are our rows. Several are written at a time, so each visit to a row reads a whole
    // cache line.
    let strip = 16
    for first in stride(from: 0, to: d, by: strip) {
      let count = min(strip, d - first)
      var lines = [Float](repeating: 0, count: count * m)
      for expert in 0..<m {
        let row = parameters.encoderSide.row(expert * shape.rowsPerExpert)
        for column in 0..<count { lines[column * m + expert] = row[first + column] }
      }
      try writer.append("W_enc", lines)
    }
    try writer.append("b_enc", scaled(dictionary.thresholds?.encoderBias))
    let norms = dictionary.thresholds?.codeScale ?? []
    for expert in 0..<m {
      let row = parameters.decoderSide.row(expert * shape.rowsPerExpert)
      if norms.isEmpty {
        try writer.append("W_dec", row)
      } else {
        try writer.append("W_dec", row.indices.map { row[$0] * norms[expert] })
      }
    }
    try writer.append("b_dec", bias(parameters))
    if architecture == .jumprelu {
      // A latent passes its own threshold, and the activation function's, which includes its border.
      let least = dictionary.activation.threshold
      let thresholds = dictionary.thresholds?.threshold.map {
        least > 0 ? max($0, least.nextDown) : $0
      }
      try writer.append("threshold", scaled(thresholds))
    }
    _ = try writer.finish()
  }

  /// Writes the tensors in the paper's shapes; `hsae_saelens.py` unfolds them.
  func writeHierarchical(
    _ parameters: borrowing Parameters, to path: String
  ) throws(Failure) {
    let names: [ParameterName: String] = [
      .encoder: "encoder", .decoder: "decoder", .down: "down", .up: "up",
      .subEncoder: "sub_encoder", .subDecoder: "sub_decoder", .bias: "bias",
      .encoderBias: "encoder_bias", .thresholds: "expert_threshold",
    ]
    var vectors = [ParameterName.bias: bias(parameters)]
    if let thresholds = dictionary.thresholds {
      vectors[.encoderBias] = scaled(thresholds.encoderBias)
      vectors[.thresholds] = scaled(thresholds.threshold)
    }
    if hasSublatents || parameters.shape.isFlat {
      try WeightsFile.write(parameters, to: path, names: names, vectors: vectors)
    } else {
      try WeightsFile.write(topLevel(of: parameters), to: path, names: names, vectors: vectors)
    }
  }

  /// A number for each latent of the top level in SAELens's scale; zeros if there are none.
  private func scaled(_ values: [Float]?) -> [Float] {
    values.flatMap { $0.isEmpty ? nil : $0.map { $0 * scale } }
      ?? [Float](repeating: 0, count: dictionary.shape.experts)
  }

  /// A flat dictionary whose latents are the experts of `parameters`.
  private func topLevel(of parameters: borrowing Parameters) -> Parameters {
    let shape = parameters.shape
    var result = Parameters(
      shape: .flat(width: shape.width, latents: shape.experts, active: shape.activeExperts))
    for expert in 0..<shape.experts {
      for column in 0..<shape.width {
        let row = expert * shape.rowsPerExpert
        result.encoderSide[expert, column] = parameters.encoderSide[row, column]
        result.decoderSide[expert, column] = parameters.decoderSide[row, column]
      }
    }
    return result
  }

  /// The input bias in SAELens's scale; zeros if the dictionary has none.
  private func bias(_ parameters: borrowing Parameters) -> [Float] {
    let d = dictionary.shape.width
    guard parameters.hasBias else { return [Float](repeating: 0, count: d) }
    return (0..<d).map { parameters.bias[0, $0] * scale }
  }
}
