// The file a model computes with: the model's own, or one with all matrices converted to another type. A
// converted file is made once and kept in the cache under the hash of the model's file (or of all its parts) and the
// version of llama.cpp. Files in the cache are always complete; one process makes a file while others wait.

import HSAESupport

/// The types that weights can be converted to.
public enum WeightsType: String, CaseIterable, Codable, Sendable {
  /// 8-bit integers, with a scale for each 32.
  case q8 = "q8_0"
  /// The upper half of 32-bit floats.
  case bf16
  /// 32-bit floats: slow and large, for comparisons.
  case f32
}

/// Which type of weights a model computes with.
public enum WeightsChoice: Hashable, Sendable {
  /// The type this processor is fastest with: q8_0 or bf16.
  case auto
  /// The file's type.
  case keep
  /// The given type; the file is converted if need be.
  case type(WeightsType)

  /// The choice called `name`: auto, keep, q8_0, bf16 or f32; nil for other names.
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

struct PreparedWeights {
  let path: String
  /// The type of its weights, such as "q8_0"; for an unconverted file, llama.cpp's name of the type.
  let type: String

  /// Finds the file for `choice` of the model `file` with SHA-256 `sha256`; makes it in `cache` if need be.
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
    // What llama.cpp cannot use is refused before the work.
    try LlamaWeights.check(path: file.path)
    say("converting the weights to \(wanted.rawValue), once (kept in \(folder))")
    let durable = try DurableDirectory(path: folder, replacing: true)
    try LlamaQuantiser.convert(
      file, to: durable.file("model.gguf"), type: wanted, threads: threads)
    // Check the file before it is committed; later calls trust it.
    _ = try GGUFFile(path: durable.file("model.gguf"))
    try durable.commit()
  }
}
