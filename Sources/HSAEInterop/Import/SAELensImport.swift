// Imports folders of SAELens (version 6 or older) and of `hsae export`: cfg.json, sae_weights.safetensors.
// SAELens defines the settings in its `saes/sae.py` and `loading/pretrained_sae_loaders.py`.

import Foundation
import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

struct SAELensImport {
  static let configurationFile = "cfg.json"
  static let weightsFile = "sae_weights.safetensors"
  private static let scalerFile = "activation_scaler.json"

  private let folder: String
  private let configuration: FolderConfiguration
  private let options: ImportOptions

  init(_ folder: String, _ options: ImportOptions) throws(Failure) {
    self.folder = folder
    self.options = options
    configuration = try FolderConfiguration(path: Path.join(folder, Self.configurationFile))
  }

  func read() throws(Failure) -> SourceDictionary {
    let architecture = try architecture()
    let isOurs = architecture == "hsae"
    try options.refuseK("cfg.json says it")
    try checkKeys()
    let file = try SafetensorsFile(
      path: SafetensorsIndex.place(of: Path.join(folder, Self.weightsFile)))
    let width = try configuration.count("d_in")
    let latents = try configuration.count("d_sae")
    var source =
      try isOurs
      ? hierarchical(file, width: width, latents: latents)
      : flat(file, architecture, width: width, latents: latents)
    try setScale(of: &source)
    let reshape = try configuration.text("reshape_activations", default: "none")
    guard ["none", "hook_z"].contains(reshape) else {
      throw refused("reshape_activations", reshape)
    }
    let metadata = configuration.object("metadata")
    func named(_ keys: [String]) -> String? {
      keys.lazy.compactMap { (metadata[$0] ?? configuration[$0])?.string }.first
    }
    source.origin.architecture = architecture
    source.origin.model = named(["model_name"])
    source.origin.hook = named(["hook_name", "hook_point"])
    source.origin.metadata = rowMetadata(metadata)
    let changes = source.origin.modelChanges
    if !changes.isEmpty {
      source.origin.notes.append(
        "Its model was loaded with \(changes.joined(separator: ", ").prefix(200)); rows that hsae collects are not"
          + " changed so.")
    }
    source.origin.isUnbounded = source.rule == .threshold
    let type = try configuration.text("dtype", default: "float32")
    if !type.hasSuffix("float32") {
      source.origin.notes.append("SAELens would compute in \(type); hsae computes in float32.")
    }
    if let head = (metadata["hook_head_index"] ?? configuration["hook_head_index"])?.integer {
      source.origin.notes.append("It is for rows of attention head \(head) alone.")
    }
    if let slice = source.origin.metadata?["seqpos_slice"]?.array,
      slice.contains(where: { $0 != .null })
    {
      source.origin.notes.append(
        "It was trained on a part of each context's positions (seqpos_slice); rows that hsae collects are of all"
          + " positions, unless collect has --min-position.")
    }
    if let note = configuration.note(ofKeysBeside: SAELensKeys.known) {
      source.origin.notes.append(note)
    }
    return source
  }

  /// What the files say about how the rows were made, which is in `metadata` since version 6.
  private func rowMetadata(_ metadata: FolderConfiguration) -> [String: JSONValue]? {
    var found: [String: JSONValue] = [:]
    for key in [
      "prepend_bos", "context_size", "exclude_special_tokens", "seqpos_slice", "dataset_path",
      "model_class_name", "model_from_pretrained_kwargs", "hook_head_index",
    ] {
      found[key] = metadata[key] ?? configuration[key]
    }
    // With "hook_z" SAELens flattens the heads of its input. In files from before version 6 it infers that.
    let reshape = configuration["reshape_activations"]?.string
    let hook = configuration["hook_name", "hook_point"]?.string ?? ""
    let isInferred =
      reshape == nil && configuration["metadata"] == nil && hook.contains("hook_z")
    if reshape == "hook_z" || isInferred { found["reshape_activations"] = .string("hook_z") }
    if metadata["sae_lens_training_version"]?.string == "hsae" {
      for key in ["trained_as", "matryoshka_widths", "training_tokens"] {
        found[key] = metadata[key]
      }
    }
    // SAELens takes this for granted in older files.
    if configuration["metadata"] == nil, found["prepend_bos"] == nil {
      found["prepend_bos"] = .bool(true)
    }
    return found.isEmpty ? nil : found
  }

  private var origin: Origin { Origin(layout: "SAELens", architecture: "", path: folder) }

  /// Training architectures that become a jumprelu for inference.
  private static let trained: Set<String> = ["batchtopk", "matryoshka_batchtopk"]

  /// The architecture. Fails with `.data` if it cannot be imported.
  private func architecture() throws(Failure) -> String {
    var architecture = try configuration.text("architecture", default: "standard")
    // Before version 6 the activation function had a key of its own.
    let function = configuration["activation_fn", "activation_fn_str"]?.string ?? "relu"
    if function == "topk" { architecture = "topk" }
    switch architecture {
    case "standard", "topk", "jumprelu", "hsae": break
    case _ where Self.trained.contains(architecture): break
    default: throw refused("architecture", architecture)
    }
    guard ["relu", "topk"].contains(function) else { throw refused("activation_fn", function) }
    return architecture
  }

  private static let imports =
    "standard, topk and jumprelu SAEs with normalize_activations none, constant_norm_rescale, layer_norm,"
    + " expected_average_only_in or covariance_whitening"

  private func refused(_ key: String, _ value: String) -> Failure {
    .data(
      "\(configuration.path): \(key) \"\(value.prefix(60))\" is not supported; hsae imports \(Self.imports)."
    )
  }

  /// Fails with `.data` if a key changes numbers in a way that hsae cannot represent.
  private func checkKeys() throws(Failure) {
    try configuration.refuse(SAELensKeys.refused, imports: Self.imports)
    // Arguments of the activation function. Those of the optimizer and of loading the model change no code.
    let arguments = configuration.object("activation_fn_kwargs")
    try arguments.refuse(
      arguments.members.keys.filter { !SAELensKeys.functionArguments.contains($0) }.sorted(),
      imports: Self.imports)
    // Transcoders rebuild other rows than they read.
    let metadata = configuration.object("metadata")
    for (own, output) in [
      (["hook_name", "hook_point"], "hook_name_out"), (["d_in"], "d_out"),
      (["hook_head_index"], "hook_head_index_out"),
    ] {
      guard let rebuilt = metadata[output] ?? configuration[output] else { continue }
      let read = own.lazy.compactMap { metadata[$0] ?? configuration[$0] }.first
      guard rebuilt == read else { throw refused(output, rebuilt.text(indent: nil)) }
    }
  }

  // MARK: Weights

  private func flat(
    _ file: SafetensorsFile, _ architecture: String, width: Int, latents: Int
  ) throws(Failure) -> SourceDictionary {
    // Thresholds that the architecture does not use would be dropped. A checkpoint of training without its own
    // threshold is refused further down, with what to do.
    let thresholds: Set<String> =
      Self.trained.contains(architecture)
      ? [file.has("topk_threshold") ? "topk_threshold" : "threshold"]
      : architecture == "jumprelu" ? ["threshold", "log_threshold"] : []
    try file.refuseArrays(
      beside: SAELensKeys.arrays.union(thresholds), of: "\(architecture) SAEs of SAELens")
    let factors = ["scaling_factor", "finetuning_scaling_factor"].filter(file.has)
    let isFinetuned = configuration["finetuning_scaling_factor"].map { $0 != .bool(false) } ?? false
    if factors.isEmpty, isFinetuned {
      throw .data(
        "\(file.path): cfg.json says that it has a finetuning_scaling_factor for decoding, and there is none."
      )
    }
    for name in factors {
      guard try file.vector(name, count: latents).allSatisfy({ abs($0 - 1) <= 1e-5 }) else {
        throw .data(
          "\(file.path): it has a \(name) for decoding, which is not supported; import the SAE from before"
            + " fine-tuning.")
      }
    }
    let isTopK = architecture == "topk"
    let k = isTopK ? try topK() : options.maxActive(of: latents)
    let parameters = try file.flatParameters(
      width: width, latents: latents, active: k, source: configuration.path, encoder: "W_enc")
    let rescaled = try configuration.flag("rescale_acts_by_decoder_norm", default: false)
    let trained =
      Self.trained.contains(architecture)
      ? try trainedThresholds(file, of: parameters, rescaled: rescaled) : []
    var source = SourceDictionary(
      parameters, isTopK ? .topK(rescaled: rescaled) : .threshold, path: file.path,
      origin: origin)
    source.codesIncludeNorms = rescaled && Self.trained.contains(architecture)
    source.encoderBias = file.has("b_enc") ? try file.vector("b_enc", count: latents) : []
    source.threshold =
      architecture == "jumprelu" ? try jumpReLUThresholds(file, count: latents) : trained
    source.subtractsBias = try configuration.flag("apply_b_dec_to_input", default: true)
    return source
  }

  /// The thresholds of a jumprelu SAE. Before version 6.48 SAELens trained their logarithms and saved those during
  /// training.
  private func jumpReLUThresholds(_ file: SafetensorsFile, count: Int) throws(Failure) -> [Float] {
    guard !file.has("threshold"), file.has("log_threshold") else {
      return try file.vector("threshold", count: count)
    }
    return try file.vector("log_threshold", count: count).map { Float(exp(Double($0))) }
  }

  /// The thresholds of a batchtopk SAE for inference, as SAELens's `save_inference_model` computes them: one
  /// value for all latents, divided by the decoder row's norm if codes are rescaled by it.
  private func trainedThresholds(
    _ file: SafetensorsFile, of parameters: borrowing Parameters, rescaled: Bool
  ) throws(Failure) -> [Float] {
    guard file.has("topk_threshold") else {
      throw .data(
        "\(file.path): it has no \"topk_threshold\"; save the SAE for inference as a jumprelu (SAELens:"
          + " save_inference_model).")
    }
    let threshold = try file.scalar("topk_threshold")
    guard rescaled else { return Array(repeating: threshold, count: parameters.shape.experts) }
    return parameters.decoderSide.rowNorms().map { threshold / max($0, 1e-8) }
  }

  private func topK() throws(Failure) -> Int {
    if configuration["k"] != nil { return try configuration.count("k") }
    return try configuration.object("activation_fn_kwargs").count("k")
  }

  /// A dictionary with sublatents or thresholds, from `hsae export`.
  private func hierarchical(
    _ file: SafetensorsFile, width: Int, latents: Int
  ) throws(Failure) -> SourceDictionary {
    let experts = try configuration.count("n_experts")
    let sublatents =
      configuration["n_sublatents"]?.integer == 0 ? 0 : try configuration.count("n_sublatents")
    var shape = DictionaryShape(
      width: width, experts: experts, sublatents: sublatents, subspace: 0,
      activeExperts: try configuration.count("k"))
    if sublatents > 0 { shape.subspace = try file.shape(of: "down", rank: 3)[1] }
    try shape.check(configuration.path)
    guard latents == experts + experts * sublatents else {
      throw .data(
        "\(configuration.path): d_sae is \(latents), which does not fit \(experts) experts with \(sublatents)"
          + " sublatents.")
    }
    try HierarchicalArrays.saelens.check(file, shape)
    try file.refuseArrays(
      beside: HierarchicalArrays.saelens.names, of: "dictionaries of hsae export")
    var parameters = Parameters(shape: shape, hasBias: true)
    try HierarchicalArrays.saelens.read(file, into: &parameters)
    var source = SourceDictionary(
      parameters, .topK(rescaled: false), path: file.path, origin: origin)
    func constant(_ name: String) throws(Failure) -> Float {
      Float(try configuration.number(name))
    }
    source.activation = ActivationFunction(
      threshold: try constant("threshold"), subThreshold: try constant("sub_threshold"),
      slope: try constant("slope"), subSlope: try constant("sub_slope"))
    if file.has(HierarchicalArrays.encoderBias) {
      source.encoderBias = try file.vector(HierarchicalArrays.encoderBias, count: experts)
    }
    if file.has(HierarchicalArrays.thresholds) {
      source.threshold = try file.vector(HierarchicalArrays.thresholds, count: experts)
    }
    if !source.encoderBias.isEmpty || !source.threshold.isEmpty, source.activation.slope != 0 {
      throw .data(
        "\(configuration.path): slope must be 0 where experts have a bias or a threshold.")
    }
    return source
  }

  // MARK: Scale

  /// Sets how rows are scaled before the encoder.
  private func setScale(of source: inout SourceDictionary) throws(Failure) {
    var kind = "none"
    switch configuration["normalize_activations"] {
    case nil: break
    case .bool(let flag): kind = flag ? "expected_average_only_in" : "none"
    default: kind = try configuration.text("normalize_activations", default: "none")
    }
    switch kind {
    case "none": break
    case "constant_norm_rescale":
      source.scalesRows = true
      source.inputScale = Double(source.parameters.shape.width).squareRoot()
    case "layer_norm":
      let width = source.parameters.shape.width
      guard width > 1 else {
        throw .data("\(configuration.path): layer_norm needs rows of more than one number.")
      }
      source.scalesRows = true
      source.centresRows = true
      source.inputScale = Double(width - 1).squareRoot()
    case "covariance_whitening":
      guard source.parameters.shape.isFlat else { throw refused("normalize_activations", kind) }
      let path = Path.join(folder, Whitening.saeLensFile)
      guard Path.exists(path) else {
        throw .data(
          "\(configuration.path): normalize_activations \"\(kind)\" needs the matrices in \(Whitening.saeLensFile), which is"
            + " missing; save the SAE with the whitening folded in (SAELens: fold_activation_whitening)."
        )
      }
      try Whitening(saeLens: path, width: source.parameters.shape.width)
        .fold(into: &source, path: path)
    case "expected_average_only_in":
      let path = Path.join(folder, Self.scalerFile)
      guard Path.exists(path) else {
        throw .data(
          "\(configuration.path): normalize_activations \"\(kind)\" needs the factor in \(Self.scalerFile), which is"
            + " missing; save the SAE with the factor folded in.")
      }
      let factor = try FolderConfiguration(path: path).number("scaling_factor")
      guard factor >= 1e-12, factor <= 1e12 else {
        throw .data("\(path): \"scaling_factor\" must be above 0, not \(factor).")
      }
      source.inputScale = factor
    default: throw refused("normalize_activations", kind)
    }
  }
}
