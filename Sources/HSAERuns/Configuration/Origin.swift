// Where an imported dictionary came from: the part of `config.json` that only imported runs have.

public import HSAESupport

/// Where an imported dictionary came from, and how its codes relate to those of the source.
public struct Origin: Codable, Hashable, Sendable {
  /// The layout of the files it was read from: "SAELens 6", "sparsify", …
  public var layout: String
  /// The kind of the dictionary in that layout's terms: standard, jumprelu, topk, …
  public var architecture: String
  /// The path that the user gave, made absolute.
  public var path: String
  /// SHA-256 of the files that were read, by name.
  public var hashes: [String: String]
  /// The model whose residual stream it explains; nil if the files do not name it.
  public var model: String?
  /// The hook point in that model; nil if the files do not name it.
  public var hook: String?
  /// What the files say about how its rows were made, by SAELens's names: `prepend_bos`, `context_size`,
  /// `model_from_pretrained_kwargs`, …. Exports state it again; nil if the files say nothing.
  public var metadata: [String: JSONValue]?
  /// Whether its activation function lets any number of latents be active. Then the k of the shape is a bound
  /// that we set, and the strongest latents are kept.
  public var isUnbounded: Bool
  /// Our codes divided by its codes: one number for all latents. If latents differ, the checkpoint's
  /// `gate.safetensors` also has one for each (`code_scale`).
  public var codeScale: Double
  /// What was changed or left out, one sentence each.
  public var notes: [String]

  /// Whether contexts began with BOS in its training; nil if the files do not say it.
  public var prependsBOS: Bool? { metadata?["prepend_bos"]?.bool }

  /// Arguments of loading the model that may change its residual stream, such as `center_writing_weights`. Rows
  /// that hsae collects are not changed so.
  public var modelChanges: [String] {
    let arguments = metadata?["model_from_pretrained_kwargs"]?.object ?? [:]
    return arguments.filter { name, value in
      !Self.harmless.contains(name) && ![.bool(false), .null].contains(value)
    }.map { $1 == .bool(true) ? $0 : "\($0) \($1.text(indent: nil))" }.sorted()
  }

  /// Arguments of TransformerLens's and transformers' `from_pretrained` that do not change the residual stream, apart
  /// from rounding.
  private static let harmless: Set = [
    "fold_ln", "fold_value_biases", "center_unembed", "refactor_factored_attn_matrices", "device",
    "device_map", "n_devices", "move_to_device", "dtype", "torch_dtype", "trust_remote_code",
    "default_padding_side", "first_n_layers", "low_cpu_mem_usage", "attn_implementation",
  ]

  /// An origin of the given parts.
  public init(
    layout: String, architecture: String, path: String, hashes: [String: String] = [:],
    model: String? = nil, hook: String? = nil, isUnbounded: Bool = false, codeScale: Double = 1,
    notes: [String] = []
  ) {
    (self.layout, self.architecture, self.path) = (layout, architecture, path)
    (self.hashes, self.model, self.hook) = (hashes, model, hook)
    (self.isUnbounded, self.codeScale, self.notes) = (isUnbounded, codeScale, notes)
  }
}
