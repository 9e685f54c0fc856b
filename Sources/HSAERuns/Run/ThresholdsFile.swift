// A dictionary's `LatentThresholds` as a file beside its weights, in checkpoints of imported runs only:
//
//   gate.safetensors    b_enc [m], threshold [m], and code_scale [m]: our codes divided by those of the
//                       source, if latents differ; each only if there is one

internal import HSAEActivations
internal import HSAEModels
internal import HSAESupport

/// Reads and writes thresholds of latents.
enum ThresholdsFile {
  private static let encoderBias = "b_enc"
  private static let threshold = "threshold"
  private static let codeScale = "code_scale"

  /// Writes the tensors that there are; returns the file's SHA-256.
  static func write(
    _ thresholds: LatentThresholds?, codeScale: [Float], to path: String
  ) throws(Failure) -> String {
    let parts = parts(thresholds, codeScale)
    var writer = try SafetensorsWriter(
      path: path, tensors: parts.map { .init($0.name, shape: [$0.values.count]) })
    for part in parts { try writer.append(part.name, part.values) }
    return try writer.finish()
  }

  /// Whether there is anything to write.
  static func isNeeded(_ thresholds: LatentThresholds?, codeScale: [Float]) -> Bool {
    !parts(thresholds, codeScale).isEmpty
  }

  private static func parts(
    _ thresholds: LatentThresholds?, _ scale: [Float]
  ) -> [(name: String, values: [Float])] {
    [
      (encoderBias, thresholds?.encoderBias ?? []), (threshold, thresholds?.threshold ?? []),
      (codeScale, scale),
    ].filter { !$0.1.isEmpty }
  }

  /// The thresholds in the file at `path`, for a dictionary of `shape`.
  static func read(_ path: String, _ shape: DictionaryShape) throws(Failure) -> LatentThresholds {
    let file = try SafetensorsFile(path: path)
    func values(_ name: String) throws(Failure) -> [Float] {
      guard file[name] != nil else { return [] }
      _ = try file.tensor(name, shape: [shape.experts])
      return try file.floats(name)
    }
    return LatentThresholds(
      encoderBias: try values(encoderBias), threshold: try values(threshold))
  }

  /// Our codes divided by those of the source, latent by latent; empty if all latents have the same factor.
  static func codeScale(_ path: String) throws(Failure) -> [Float] {
    let file = try SafetensorsFile(path: path)
    return file[codeScale] == nil ? [] : try file.floats(codeScale)
  }
}
