// The file a model computes with: its own, or one with all matrices in another type, which is made
// once and kept in the cache under the hash of the model's file and the version of llama.cpp. A file
// in the cache is always whole; one process makes it, others wait.

import HSAESupport

/// The types weights can be converted to.
public enum WeightsType: String, CaseIterable, Codable, Sendable {
  /// 8-bit integers, 32 with a scale.
  case q8 = "q8_0"
  /// The upper half of 32-bit floats.
  case bf16
  /// 32-bit floats: slow and large, for comparisons.
  case f32
}

/// What a model is to compute with.
public enum WeightsChoice: Hashable, Sendable {
  /// The type this processor is fastest with: q8_0 or bf16.
  case auto
  /// The file's own.
  case keep
  /// Converted to this type.
  case type(WeightsType)

  /// The choice of that name: auto, keep, q8_0, bf16 or f32.
  public init?(name: String) {
    switch name {
    case "auto": self = .auto
    case "keep": self = .keep
    default:
      guard let type = WeightsType(rawValue: name) else { return nil }
      self = .type(type)
    }
  }

  /// The names of all choices.
  public static let names = ["auto", "keep"] + WeightsType.allCases.map(\.rawValue)
}

/// A model file to compute with.
struct PreparedWeights {
  /// The file's path.
  let path: String
  /// The type of its weights: "q8_0", or for a file that was kept, llama.cpp's name of what it has.
  let type: String

  /// The file for `choice` of the model `file`, whose hash is `sha256`; made in `cache` if need be.
  init(
    _ file: borrowing GGUFFile, sha256: String, choice: WeightsChoice, cache: ModelCache,
    threads: Int, say: (String) -> Void
  ) throws(Failure) {
    let wanted: WeightsType? =
      switch choice {
      case .auto: LlamaQuantiser.fastestType
      case .keep: nil
      case .type(let type): type
      }
    guard let wanted else {
      (path, type) = (file.path, LlamaQuantiser.typeName(of: file))
      return
    }
    type = wanted.rawValue
    if file.fileType == wanted.fileType {
      path = file.path
      return
    }
    let name = "\(sha256.prefix(16))-\(LlamaLibrary.version)-\(wanted.rawValue)"
    let folder = Path.join(Path.join(cache.folder, "weights"), name)
    path = Path.join(folder, "model.gguf")
    if Path.exists(path) { return }
    try Path.createDirectories(Path.parent(folder))
    let lock = try FileLock(
      waitingFor: folder + ".lock",
      onWait: { say("\(file.path) is being converted by another process; waiting for it") })
    defer { withExtendedLifetime(lock) {} }
    if Path.exists(path) { return }
    say("converting the weights to \(wanted.rawValue), once (kept in \(folder))")
    let durable = try DurableDirectory(path: folder, replacing: true)
    try LlamaQuantiser.convert(
      file.path, to: durable.file("model.gguf"), type: wanted, threads: threads)
    // What is taken for whole from now on has been opened and measured.
    _ = try GGUFFile(path: durable.file("model.gguf"))
    try durable.commit()
  }
}
