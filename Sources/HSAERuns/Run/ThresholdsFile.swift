// A dictionary's `LatentThresholds` as a file beside its weights, in checkpoints of imported runs only:
//
//   gate.safetensors    b_enc [m], threshold [m], decoder_norms [m]: what codes are multiplied by after the k
//                       largest were chosen, and code_scale [m]: our codes divided by those of the source, if
//                       latents differ; each only if there is one

internal import HSAEActivations
internal import HSAEModels
internal import HSAESupport

enum ThresholdsFile {
  private static let encoderBias = "b_enc"
  private static let threshold = "threshold"
  private static let decoderNorms = "decoder_norms"
  private static let codeScale = "code_scale"

  /// Writes the tensors that there are; returns the file's SHA-256, or nil if there is nothing to write.
  static func write(
    _ thresholds: LatentThresholds?, codeScale scale: [Float], to path: String
  ) throws(Failure) -> String? {
    let parts = [
      (name: encoderBias, values: thresholds?.encoderBias ?? []),
      (name: threshold, values: thresholds?.threshold ?? []),
      (name: decoderNorms, values: thresholds?.codeScale ?? []), (name: codeScale, values: scale),
    ].filter { !$0.values.isEmpty }
    if parts.isEmpty { return nil }
    var writer = try SafetensorsWriter(
      path: path, tensors: parts.map { .init($0.name, shape: [$0.values.count]) })
    for part in parts { try writer.append(part.name, part.values) }
    return try writer.finish()
  }

  /// The thresholds in the file at `path`, for a dictionary of `shape`.
  static func read(_ path: String, _ shape: DictionaryShape) throws(Failure) -> LatentThresholds {
    let file = try SafetensorsFile(path: path)
    func values(_ name: String) throws(Failure) -> [Float] {
      file[name] == nil ? [] : try Checkpoint.floats(file, name, shape.experts)
    }
    return LatentThresholds(
      encoderBias: try values(encoderBias), threshold: try values(threshold),
      codeScale: try values(decoderNorms))
  }
}
