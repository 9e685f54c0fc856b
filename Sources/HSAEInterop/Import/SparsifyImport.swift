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

  /// What sparsify, its older versions and its forks call settings that change codes or reconstructions. With
  /// `signed` the k largest by absolute value are active, also negative ones.
  private static let refused = [
    "signed", "transcode", "skip_connection", "batch_topk", "sample_topk", "normalize_io",
    "post_encoder_scale",
    "n_targets", "n_sources", "coalesce_topk", "divide_cross_layer", "per_source_tied",
    "secondary_target_tied",
    "encoder_pkm",
  ]
  /// Keys that are read, and keys for training or for the speed of computing.
  private static let known: Set<String> = [
    "activation", "d_in", "num_latents", "k", "expansion_factor", "normalize_decoder", "multi_topk",
    "tp_output",
    "train_post_encoder", "topk_coalesced", "use_fp8", "decoder_xformers",
  ]
  private static let imports = "TopK autoencoders with a ReLU and without a skip connection"
  private static let arrays: Set<String> = ["encoder.weight", "encoder.bias", "W_dec", "b_dec"]

  func read() throws(Failure) -> SourceDictionary {
    let activation = try configuration.text("activation", default: "topk")
    guard activation == "topk" else {
      throw .data(
        "\(configuration.path): activation \"\(activation.prefix(60))\" is not supported; hsae imports"
          + " \(Self.imports).")
    }
    try configuration.refuse(Self.refused, imports: Self.imports)
    let file = try SafetensorsFile(
      path: SafetensorsIndex.place(of: Path.join(folder, Self.weightsFile)))
    try file.refuseArrays(beside: Self.arrays, of: "autoencoders of sparsify")
    let size = try file.shape(of: "encoder.weight", rank: 2)
    let (latents, width) = (size[0], size[1])
    guard width == (try configuration.count("d_in")) else {
      throw .data("\(configuration.path): \"d_in\" must be the width of the weights, \(width).")
    }
    if let number = configuration["num_latents"], number != .integer(0), number != .integer(latents)
    {
      throw .data(
        "\(configuration.path): \"num_latents\" must be the number of latents of the weights, \(latents)."
      )
    }
    let parameters = try file.flatParameters(
      width: width, latents: latents, active: configuration.count("k"), source: configuration.path,
      encoder: "encoder.weight", isTransposed: false)
    var source = SourceDictionary(
      parameters, .topK(rescaled: false), path: file.path,
      origin: Origin(
        layout: "sparsify", architecture: "topk", path: folder, model: model, hook: hook))
    source.encoderBias = try file.vector("encoder.bias", count: latents)
    if let note = configuration.note(ofKeysBeside: Self.known.union(Self.refused)) {
      source.origin.notes.append(note)
    }
    return source
  }

  /// The hook point. The folder has the name of the module whose output the dictionary explains: `layers.10` is
  /// `blocks.10.hook_resid_post` in TransformerLens. Modules without a name there keep their own.
  private var hook: String? {
    let name = Path.name(Path.trimmed(folder))
    let isHook = name.contains("layers.") || name.contains(".h.") || name.hasPrefix("h.")
    return isHook ? HookName.transformerLens(name) ?? name : nil
  }

  /// The model's name, from the training's configuration in the parent folder.
  private var model: String? {
    let path = Path.join(Path.parent(Path.trimmed(folder)), "config.json")
    guard Path.exists(path), let training = try? FolderConfiguration(path: path),
      training["sae"]?.object != nil
    else { return nil }
    return training["model"]?.string
  }
}
