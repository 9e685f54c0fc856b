// Imports Gemma Scope and Gemma Scope 2: JumpReLU SAEs of Google DeepMind. The encoder does not subtract b_dec:
// z = u · [u > θ], u = x·W_enc + b_enc. Gemma Scope has params.npz alone; Gemma Scope 2 has params.safetensors
// beside a config.json. Where there is no config.json, the path says what the weights are for (GemmaScopePath.swift).

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

struct GemmaScopeImport {
  static let configurationFile = "config.json"
  static let weightsFiles = ["params.safetensors", "params.npz"]

  let arrays: any WeightArrays
  let options: ImportOptions
  /// The config.json beside the arrays; nil if there is none.
  let configuration: FolderConfiguration?

  private static let names: Set = ["w_enc", "w_dec", "b_enc", "b_dec", "threshold"]
  private static let keys: Set<String> = [
    "architecture", "type", "hf_hook_point_in", "hf_hook_point_out", "affine_connection",
    "apply_b_dec_to_input", "model_name", "width", "l0",
  ]
  private static let imports = "JumpReLU autoencoders of Gemma Scope"

  /// Whether `arrays` have Gemma Scope's names.
  static func matches(_ arrays: some WeightArrays) -> Bool {
    names.isSubset(of: arrays.names.map { $0.lowercased() })
  }

  /// The config.json for the weights in `file`; nil if there is none or if it belongs to something else.
  static func configuration(beside file: String) throws(Failure) -> FolderConfiguration? {
    let path = Path.join(Path.parent(file), configurationFile)
    guard Path.exists(path) else { return nil }
    let isOurs = weightsFiles.contains(Path.name(file))
    if isOurs { return try FolderConfiguration(path: path) }
    guard let found = try? FolderConfiguration(path: path), found["hf_hook_point_in"] != nil else {
      return nil
    }
    return found
  }

  func read() throws(Failure) -> SourceDictionary {
    let path = arrays.path
    try options.refuseK("a JumpReLU SAE has none")
    let place = GemmaScopePath(path)
    let hook = try checkedHook(place)
    // Some files spell the names in lower case. Further arrays would change the result.
    func name(_ lower: String) -> String {
      arrays.names.first { $0.lowercased() == lower } ?? lower
    }
    if let other = arrays.names.first(where: { !Self.names.contains($0.lowercased()) }) {
      throw .data(
        "\(path): it has an array \"\(other.prefix(60))\", which hsae does not support; it imports \(Self.imports)"
          + " with only W_enc, W_dec, b_enc, b_dec and threshold."
      )
    }
    let size = try arrays.shape(of: name("w_enc"), rank: 2)
    let (width, latents) = (size[0], size[1])
    if let configuration, let stated = configuration["width"], stated != .integer(latents) {
      throw .data(
        "\(configuration.path): \"width\" must be the number of latents of the weights, \(latents)."
      )
    }
    let parameters = try arrays.flatParameters(
      width: width, latents: latents, active: options.maxActive(of: latents), source: path,
      encoder: name("w_enc"), decoder: name("w_dec"), bias: name("b_dec"))
    var source = SourceDictionary(
      parameters, .threshold, path: path,
      origin: Origin(
        layout: "Gemma Scope", architecture: "jumprelu", path: path,
        model: model ?? place.model, hook: hook, isUnbounded: true))
    source.encoderBias = try arrays.vector(name("b_enc"), count: latents)
    source.threshold = try arrays.vector(name("threshold"), count: latents)
    source.subtractsBias =
      try configuration?.flag("apply_b_dec_to_input", default: false) ?? false
    source.origin.notes += notes(hook: hook, place)
    // SAELens flattens heads for those of Gemma Scope 1.
    if configuration == nil, hook?.hasSuffix("hook_z") == true {
      source.origin.metadata = ["reshape_activations": .string("hook_z")]
    }
    return source
  }

  /// The hook point, if it is known. Fails with `.data` if configuration or path say that this is no autoencoder.
  private func checkedHook(_ place: GemmaScopePath) throws(Failure) -> String? {
    guard let configuration else {
      guard let word = place.refused else { return place.hook }
      throw .data(
        "\(arrays.path): \"\(word.prefix(60))\" in its path says that it is no autoencoder, and hsae imports"
          + " \(Self.imports); if it is one, give it a path without that word.")
    }
    let architecture = try configuration.text("architecture", default: "jump_relu")
    let type = try configuration.text("type", default: "sae")
    for (key, value, isKnown) in [
      ("architecture", architecture, ["jump_relu", "jumprelu"].contains(architecture)),
      ("type", type, type == "sae"),
    ] where !isKnown {
      throw .data(
        "\(configuration.path): \(key) \"\(value.prefix(60))\" is not supported; hsae imports \(Self.imports)."
      )
    }
    try configuration.refuse(["affine_connection"], imports: Self.imports)
    let input = try configuration.text("hf_hook_point_in", default: "")
    let output = try configuration.text("hf_hook_point_out", default: input)
    guard output == input else {
      throw .data(
        "\(configuration.path): it reads rows of \"\(input.prefix(60))\" and rebuilds those of"
          + " \"\(output.prefix(60))\": a transcoder, and hsae imports \(Self.imports).")
    }
    // Without a type and an output, a transcoder still says so in its path.
    if configuration["type"] == nil, configuration["hf_hook_point_out"] == nil,
      let word = place.refused
    {
      throw .data(
        "\(arrays.path): \"\(word.prefix(60))\" in its path says that it is no autoencoder, and config.json has no"
          + " type that says otherwise; hsae imports \(Self.imports).")
    }
    return input.isEmpty ? place.hook : HookName.transformerLens(input) ?? input
  }

  /// The model's name on the Hub, from config.json.
  private var model: String? {
    configuration?["model_name"]?.string.map(GemmaScopePath.hubName)
  }

  private func notes(hook: String?, _ place: GemmaScopePath) -> [String] {
    var notes: [String] = []
    if let note = configuration?.note(ofKeysBeside: Self.keys) { notes.append(note) }
    if configuration == nil, place.isEmbedding {
      notes.append("It is for the rows of the model's embedding matrix as they are stored.")
    } else if hook == nil || HookName.transformerLens(hook ?? "") == nil {
      notes.append(
        "Neither a config.json nor the path says which rows it is for; keep the folders of its repository, whose"
          + " name is part of that.")
    }
    return notes
  }
}
