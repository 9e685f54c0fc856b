// A run as a folder that SAELens opens: cfg.json, sae_weights.safetensors, a model card. A flat dictionary
// becomes SAELens's own architecture `topk` (an imported one without a k: `standard` or `jumprelu`); one
// with sublatents, or with thresholds, becomes `hsae`, which `interop/python/hsae_saelens.py` teaches SAELens
// (here a link to it, built in, and written beside the weights).
//
// SAELens scales rows to the norm √d (`constant_norm_rescale`) where we scale them to 1, so what adds to
// rows or is compared with pre-activations is multiplied by √d here; codes in SAELens are √d times ours.
// Weights stay as they are, and decoder rows keep their unit norm, which its tools expect. This file is about
// cfg.json; tensors and the model card are in files beside it.

public import HSAEActivations
import HSAEModels
public import HSAESupport
import HSAETensors
public import HSAERuns

/// Writes runs in the layout of SAELens 6.
public struct SAELensExport {
  /// The run.
  let run: RunDirectory
  /// The weights of its newest whole checkpoint.
  let dictionary: SparseAutoencoder
  let step: Int
  /// What the store of its rows says; nil if it is not known.
  let attributes: StoreAttributes?
  /// Whether sublatents are left out.
  let topLevelOnly: Bool
  /// The model's name in the metadata, instead of the store's.
  let modelName: String?
  /// The licence the model is under; nil if it is not known.
  let modelLicence: String?

  /// An export of the newest whole checkpoint of `run`.
  ///
  /// - Parameters:
  ///   - run: the run.
  ///   - attributes: of the store the run is of; they name the model and the hook point.
  ///   - modelName: the name by which other tools know the model, if the store's is another.
  ///   - modelLicence: the licence the model is under, for the card.
  ///   - topLevelOnly: whether sublatents are left out, so that no code of ours is needed to read it.
  ///   - warn: told of checkpoints that were passed over.
  public init(
    _ run: RunDirectory, attributes: StoreAttributes?, modelName: String? = nil,
    modelLicence: String? = nil, topLevelOnly: Bool = false, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    self.run = run
    (dictionary, step) = try run.dictionary(warn: warn)
    self.attributes = attributes
    (self.modelName, self.modelLicence) = (modelName, modelLicence)
    self.topLevelOnly = topLevelOnly
    if architecture == .hsae, dictionary.thresholds != nil {
      throw .usage(
        "\(run.path): its encoder has a bias or thresholds of its own, which the architecture hsae has not"
          + "; export its top level alone (--top-level).")
    }
    if architecture == .topk, dictionary.thresholds?.threshold.isEmpty == false {
      throw .usage(
        "\(run.path): its latents have thresholds of their own, and SAELens's topk has none.")
    }
  }

  /// Whether the folder has a second level.
  var hasSublatents: Bool { !dictionary.shape.isFlat && !topLevelOnly }

  /// What the folder's architecture is.
  public var architecture: SAELensArchitecture {
    SAELensArchitecture(
      of: dictionary, origin: run.description.origin, topLevelOnly: topLevelOnly)
  }

  /// Latents as SAELens counts them: experts, then the sublatents of expert 0, of expert 1, …
  public var latentCount: Int { dictionary.shape.saeLensLatents(topLevelOnly: topLevelOnly) }

  /// The norm SAELens scales rows to, over the norm we scale them to.
  var scale: Float {
    run.description.normalize == .unit ? Float(dictionary.shape.width).squareRoot() : 1
  }

  /// Writes the folder `path`, which must not exist; nothing is there until all of it is.
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
      // Whoever finds the folder somewhere needs nothing else of ours.
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
      "normalize_activations": .string(
        run.description.normalize == .unit ? "constant_norm_rescale" : "none"),
      "reshape_activations": .string("none"), "metadata": metadata,
    ]
    switch architecture {
    case .standard, .jumprelu: break
    case .topk:
      members["k"] = .integer(shape.activeExperts)
      // Decoder rows have unit norm, so it changes nothing but that `fold_W_dec_norm`, which dashboards call, is
      // allowed.
      members["rescale_acts_by_decoder_norm"] = .bool(true)
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

  private var metadata: JSONValue {
    var members: [String: JSONValue] = [
      // Below 6.0.0 SAELens takes a folder for one of an older layout.
      "sae_lens_version": .string("6.0.0"), "sae_lens_training_version": .string("hsae"),
      "training_tokens": .integer(step * (run.description.training?.batch ?? 0)),
      "hsae_code_scale": .number(Double(scale)),
    ]
    if let attributes {
      members["model_name"] = .string(modelName ?? attributes.modelName)
      members["hook_name"] = .string(hookName ?? attributes.hookPoint)
      if let length = attributes.contextLength { members["context_size"] = .integer(length) }
      if attributes.kind == .residualStream {
        members["prepend_bos"] = .bool(true)
        members["exclude_special_tokens"] = .bool(attributes.collection?.keepsSpecialTokens != true)
      }
    } else {
      let origin = run.description.origin
      if let name = modelName ?? origin?.model { members["model_name"] = .string(name) }
      if let hook = origin?.hook { members["hook_name"] = .string(hook) }
    }
    return .object(members)
  }

  /// The hook point by TransformerLens's name; nil if the rows are no residual stream.
  private var hookName: String? {
    attributes?.layer.map { "blocks.\($0).hook_resid_post" }
  }
}
