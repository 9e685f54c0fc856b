// Exports a run as a folder that SAELens opens: cfg.json (this file), sae_weights.safetensors (+Weights) and
// a model card (+Card). A flat dictionary gets SAELens's architecture `topk`, or `jumprelu` after BatchTopK and
// JumpReLU (`standard` if it was imported without a k and without thresholds). One with sublatents gets `hsae`, which
// `interop/python/hsae_saelens.py` adds to SAELens; that module is built in (through a link in this folder)
// and written beside the weights.
//
// SAELens scales rows to the norm √d (`constant_norm_rescale`) where hsae scales them to 1. So biases and
// thresholds are multiplied by √d here, and codes in SAELens are √d times ours. Weights stay as they are:
// decoder rows keep their unit norm, which SAELens's tools expect. Only a TopK dictionary that was imported with
// other norms gets these back, because they decide which codes are largest.

public import HSAEActivations
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Writes runs in the layout of SAELens 6.
public struct SAELensExport {
  let run: RunDirectory
  /// The dictionary of its newest complete checkpoint.
  let dictionary: SparseAutoencoder
  let step: Int
  /// The attributes of the store of its rows; nil if they are not known. What an imported run's files say takes
  /// precedence.
  let attributes: StoreAttributes?
  /// Whether sublatents are left out.
  let topLevelOnly: Bool
  /// The model's name in the metadata, instead of the name in the store.
  let modelName: String?
  /// The model's licence; nil if it is not known.
  let modelLicence: String?

  /// An export of the newest complete checkpoint of `run`.
  ///
  /// - Parameters:
  ///   - run: the run.
  ///   - attributes: those of the store of the run's rows; they name the model and the hook point, unless the run
  ///     was imported from files that do.
  ///   - modelName: the model's name in other tools, if it differs from the name in the store.
  ///   - modelLicence: the model's licence, for the card.
  ///   - topLevelOnly: whether sublatents are left out, so that SAELens reads the folder without hsae's module.
  ///   - warn: called with a message for each checkpoint that is skipped.
  /// - Throws: `.usage` if no architecture of SAELens has the dictionary's thresholds.
  public init(
    _ run: RunDirectory, attributes: StoreAttributes?, modelName: String? = nil,
    modelLicence: String? = nil, topLevelOnly: Bool = false, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    self.run = run
    (dictionary, step) = try run.dictionary(warn: warn)
    self.attributes = attributes
    (self.modelName, self.modelLicence) = (modelName, modelLicence)
    self.topLevelOnly = topLevelOnly
    if architecture == .hsae, dictionary.thresholds?.codeScale.isEmpty == false {
      throw .usage(
        "\(run.path): its decoder rows had different norms before it was imported, and the layout of an H-SAE has no place"
          + " for them; export what it was imported from instead.")
    }
  }

  /// The model's name, if it is known.
  var model: String? { modelName ?? run.description.origin?.model ?? attributes?.modelName }

  /// Whether the folder has a second level.
  var hasSublatents: Bool { !dictionary.shape.isFlat && !topLevelOnly }

  /// The architecture of the folder.
  public var architecture: SAELensArchitecture {
    SAELensArchitecture(
      of: dictionary, origin: run.description.origin, topLevelOnly: topLevelOnly)
  }

  /// The number of latents in SAELens: experts, then the sublatents of expert 0, of expert 1, ….
  public var latentCount: Int { dictionary.shape.saeLensLatents(topLevelOnly: topLevelOnly) }

  /// The norm that SAELens scales rows to, divided by hsae's.
  var scale: Float {
    switch run.description.normalize {
    case .unit: Float(dictionary.shape.width).squareRoot()
    case .layerNorm: Float(max(1, dictionary.shape.width - 1)).squareRoot()
    case .none, .original: 1
    }
  }

  /// Writes the folder `path`, which must not exist. It appears only when it is complete.
  public func write(to path: String) throws(Failure) {
    let folder = try DurableDirectory(path: path)
    try DurableFile.write(configuration.text() + "\n", to: folder.file("cfg.json"))
    let weights = folder.file("sae_weights.safetensors")
    switch architecture {
    case .topk, .standard, .jumprelu: try writeFlat(dictionary.parameters, to: weights)
    case .hsae: try writeHierarchical(dictionary.parameters, to: weights)
    }
    try DurableFile.write(card, to: folder.file("README.md"))
    if architecture == .hsae {
      // The folder works without hsae.
      try DurableFile.write(
        PackageResources.hsae_saelens_py, to: folder.file(Self.pythonModule + ".py"))
    }
    try folder.commit()
  }

  // MARK: cfg.json

  private var configuration: JSONValue {
    let (shape, activation) = (dictionary.shape, dictionary.activation)
    var members: [String: JSONValue] = [
      "architecture": .string(architecture.rawValue), "d_in": .integer(shape.width),
      "d_sae": .integer(latentCount),
      "dtype": .string("float32"),
      "device": .string("cpu"), "apply_b_dec_to_input": .bool(true),
      "normalize_activations": .string(normalisation),
      "reshape_activations": .string(flattensHeads ? "hook_z" : "none"),
      "metadata": metadata,
    ]
    switch architecture {
    case .standard, .jumprelu: break
    case .topk:
      members["k"] = .integer(shape.activeExperts)
      // Where decoder rows have unit norm, this changes no code; it allows `fold_W_dec_norm`, which dashboards
      // call. Otherwise the largest codes are chosen before they are multiplied by the norms.
      members["rescale_acts_by_decoder_norm"] = .bool(
        dictionary.thresholds?.codeScale.isEmpty ?? true
          && run.description.training?.whitening == nil)
    case .hsae:
      members["k"] = .integer(shape.activeExperts)
      members["n_experts"] = .integer(shape.experts)
      members["n_sublatents"] = .integer(hasSublatents ? shape.sublatents : 0)
      members["threshold"] = .number(Double(activation.threshold * scale))
      members["sub_threshold"] = .number(Double(activation.subThreshold * scale))
      members["slope"] = .number(Double(activation.slope))
      members["sub_slope"] = .number(Double(activation.subSlope))
    }
    return .object(members)
  }

  /// Whether SAELens is to flatten the heads of its input, as for what the dictionary was imported from. SAELens refuses
  /// that for other hook points.
  private var flattensHeads: Bool {
    run.description.origin?.metadata?["reshape_activations"]?.string == "hook_z"
      && hookName?.hasSuffix("_z") ?? true
  }

  /// What SAELens calls the way that rows are scaled.
  private var normalisation: String {
    switch run.description.normalize {
    case .unit: "constant_norm_rescale"
    case .layerNorm: "layer_norm"
    case .none, .original: "none"
    }
  }

  private var metadata: JSONValue {
    var members: [String: JSONValue] = [
      // Below 6.0.0 SAELens reads the folder as one of an older layout.
      "sae_lens_version": .string("6.0.0"), "sae_lens_training_version": .string("hsae"),
      "training_tokens": .integer(step * (run.description.training?.batch ?? 0)),
      "hsae_code_scale": .number(Double(scale)),
    ]
    if let training = run.description.training {
      let isNested = training.objective.prefixes != nil
      members["trained_as"] = .string((isNested ? "matryoshka_" : "") + training.selection.name)
      if let prefixes = training.objective.prefixes {
        members["matryoshka_widths"] = .array(prefixes.map { .integer($0) })
      }
    }
    if let model { members["model_name"] = .string(model) }
    if let attributes {
      if let length = attributes.contextLength { members["context_size"] = .integer(length) }
      if attributes.kind == .residualStream {
        if let begins = attributes.collection?.beginsWithBOS {
          members["prepend_bos"] = .bool(begins)
        }
        members["exclude_special_tokens"] = .bool(attributes.collection?.keepsSpecialTokens != true)
      }
    }
    // An imported dictionary keeps what its own files say.
    members.merge(run.description.origin?.metadata ?? [:]) { $1 }
    members["reshape_activations"] = nil
    if let hookName { members["hook_name"] = .string(hookName) }
    return .object(members)
  }

  /// The hook point as the imported files or the store name it.
  var sourceHook: String? { run.description.origin?.hook ?? attributes?.hookPoint }

  /// TransformerLens's name of the hook point; nil if it has none.
  private var hookName: String? {
    let layer = run.description.origin?.hook == nil ? attributes?.layer : nil
    return layer.map { "blocks.\($0).hook_resid_post" }
      ?? sourceHook.flatMap(HookName.transformerLens)
  }

  /// What cfg.json leaves out and why, one sentence each.
  public var notes: [String] {
    guard hookName == nil, let sourceHook else { return [] }
    return [
      "cfg.json has no hook_name, because \"\(sourceHook)\" is not known to be a hook point of TransformerLens."
    ]
  }
}
