// Imports folders of sparsify (EleutherAI): cfg.json, sae.safetensors. Its encoder subtracts b_dec, applies
// ReLU and keeps the k largest codes (`sparse_coder.py`, `fused_encoder.py`).

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport

struct SparsifyImport {
  static let weightsFile = "sae.safetensors"

  private let folder: String
  private let configuration: FolderConfiguration

  init(_ folder: String, _ options: ImportOptions) throws(Failure) {
    self.folder = folder
    try options.refuseK("cfg.json says it")
    configuration = try FolderConfiguration(path: Path.join(folder, "cfg.json"))
  }

  func read() throws(Failure) -> SourceDictionary {
    let activation = try configuration.text("activation", default: "topk")
    guard activation == "topk" else { throw refused("activation \"\(activation.prefix(60))\"") }
    for key in ["transcode", "skip_connection"] where try configuration.flag(key, default: false) {
      throw refused(key)
    }
    let file = try SafetensorsFile(
      path: SafetensorsIndex.place(of: Path.join(folder, Self.weightsFile)))
    if file.has("W_skip") { throw refused("W_skip") }
    let size = try file.shape(of: "encoder.weight", rank: 2)
    let (latents, width) = (size[0], size[1])
    guard width == (try configuration.count("d_in")) else {
      throw .data("\(configuration.path): \"d_in\" must be the width of the weights, \(width).")
    }
    let parameters = try file.flatParameters(
      width: width, latents: latents, active: configuration.count("k"), source: configuration.path,
      encoder: "encoder.weight", isTransposed: false)
    // The folder has the name of the module whose output the dictionary explains: layers.10 is
    // blocks.10.hook_resid_post in SAELens.
    let hook = Path.name(Path.trimmed(folder))
    let isHook = hook.contains("layers.") || hook.contains(".h.") || hook.hasPrefix("h.")
    var source = SourceDictionary(
      parameters, .topK(rescaled: false), path: file.path,
      origin: Origin(
        layout: "sparsify", architecture: "topk", path: folder, hook: isHook ? hook : nil))
    source.encoderBias = try file.vector("encoder.bias", count: latents)
    return source
  }

  private func refused(_ what: String) -> Failure {
    .data(
      "\(configuration.path): \(what) is not supported; hsae imports TopK autoencoders without a skip"
        + " connection.")
  }
}
