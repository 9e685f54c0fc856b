// A run as a folder that SAELens opens: cfg.json, sae_weights.safetensors, a model card. A flat dictionary
// becomes SAELens's own architecture `topk` (an imported one without a k: `standard` or `jumprelu`); one
// with sublatents, or with thresholds, becomes `hsae`, which `interop/python/hsae_saelens.py` teaches SAELens
// (here a link to it, built in, and written beside the weights).
//
// SAELens scales rows to the norm √d (`constant_norm_rescale`) where we scale them to 1, so what adds to
// rows or is compared with pre-activations is multiplied by √d here; codes in SAELens are √d times ours.
// Weights stay as they are, and decoder rows keep their unit norm, which its tools expect.

public import HSAEActivations
import HSAEModels
public import HSAESupport
import HSAETensors
public import HSAETraining

/// Writes runs in the layout of SAELens 6.
public struct SAELensExport {
  /// What SAELens calls the kind of a dictionary.
  public enum Architecture: String, Sendable {
    /// SAELens's own TopK.
    case topk
    /// SAELens's own ReLU, of an imported dictionary.
    case standard
    /// SAELens's own JumpReLU, of an imported dictionary.
    case jumprelu
    /// Two levels, or thresholds; of `hsae_saelens.py`.
    case hsae
  }

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

  /// An export of the newest whole checkpoint of `run`.
  ///
  /// - Parameters:
  ///   - attributes: of the store the run is of; they name the model and the hook point.
  ///   - modelName: the name by which other tools know the model, if the store's is another.
  ///   - topLevelOnly: whether sublatents are left out, so that no code of ours is needed to read it.
  ///   - warn: told of checkpoints that were passed over.
  public init(
    _ run: RunDirectory, attributes: StoreAttributes?, modelName: String? = nil,
    topLevelOnly: Bool = false, warn: (String) -> Void = { _ in }
  ) throws(Failure) {
    self.run = run
    (dictionary, step) = try run.dictionary(warn: warn)
    self.attributes = attributes
    self.modelName = modelName
    self.topLevelOnly = topLevelOnly
    if topLevelOnly, dictionary.activation.threshold > 0 {
      throw .usage(
        "\(run.path): its top level has a threshold (\(dictionary.activation.threshold)), and SAELens's"
          + " topk has none; export the whole of it, for hsae_saelens.py.")
    }
  }

  /// What the folder's architecture is.
  public var architecture: Architecture {
    if run.configuration.origin?.isUnbounded == true {
      return dictionary.gate?.threshold.isEmpty ?? true ? .standard : .jumprelu
    }
    let isPlain = dictionary.shape.isFlat && dictionary.activation.threshold <= 0
    return isPlain || topLevelOnly ? .topk : .hsae
  }

  /// Latents as SAELens counts them: experts, then the sublatents of expert 0, of expert 1, …
  public var latentCount: Int {
    let shape = dictionary.shape
    return shape.experts * (topLevelOnly ? 1 : 1 + shape.sublatents)
  }

  /// The norm SAELens scales rows to, over the norm we scale them to.
  private var scale: Float {
    run.configuration.normalize == .unit ? Float(dictionary.shape.width).squareRoot() : 1
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
        run.configuration.normalize == .unit ? "constant_norm_rescale" : "none"),
      "reshape_activations": .string("none"), "metadata": metadata,
    ]
    switch architecture {
    case .standard, .jumprelu: break
    case .topk:
      members["k"] = .integer(shape.activeExperts)
      members["rescale_acts_by_decoder_norm"] = .bool(false)
    case .hsae:
      members["k"] = .integer(shape.activeExperts)
      members["n_experts"] = .integer(shape.experts)
      members["n_sublatents"] = .integer(shape.sublatents)
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
      "training_tokens": .integer(step * run.configuration.batch),
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
      let origin = run.configuration.origin
      if let name = modelName ?? origin?.model { members["model_name"] = .string(name) }
      if let hook = origin?.hook { members["hook_name"] = .string(hook) }
    }
    return .object(members)
  }

  /// The hook point by TransformerLens's name; nil if the rows are no residual stream.
  private var hookName: String? {
    attributes?.layer.map { "blocks.\($0).hook_resid_post" }
  }

  // MARK: Weights

  private func writeFlat(
    _ parameters: borrowing Parameters, to path: String
  ) throws(Failure) {
    let shape = dictionary.shape
    let (d, m) = (shape.width, shape.experts)
    let gate = topLevelOnly ? nil : dictionary.gate
    func scaled(_ values: [Float]?) -> [Float] {
      values.flatMap { $0.isEmpty ? nil : $0.map { $0 * scale } }
        ?? [Float](repeating: 0, count: m)
    }
    var tensors: [SafetensorsWriter.Tensor] = [
      .init("W_enc", shape: [d, m]), .init("b_enc", shape: [m]), .init("W_dec", shape: [m, d]),
      .init("b_dec", shape: [d]),
    ]
    if architecture == .jumprelu { tensors.append(.init("threshold", shape: [m])) }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    // Columns of the file are rows of ours; a few at a time, so that each visit to a row reads a line.
    let strip = 16
    for first in stride(from: 0, to: d, by: strip) {
      let count = min(strip, d - first)
      var lines = [Float](repeating: 0, count: count * m)
      for expert in 0..<m {
        let row = parameters.encoderSide.row(expert * shape.rowsPerExpert)
        for column in 0..<count { lines[column * m + expert] = row[first + column] }
      }
      try writer.append("W_enc", lines)
    }
    try writer.append("b_enc", scaled(gate?.encoderBias))
    for expert in 0..<m {
      try writer.append(
        "W_dec", parameters.decoderSide.row(expert * shape.rowsPerExpert))
    }
    try writer.append("b_dec", bias(parameters))
    if architecture == .jumprelu { try writer.append("threshold", scaled(gate?.threshold)) }
    _ = try writer.finish()
  }

  /// The tensors as the paper has them; `hsae_saelens.py` unfolds them.
  private func writeHierarchical(
    _ parameters: borrowing Parameters, to path: String
  ) throws(Failure) {
    let shape = dictionary.shape
    let (d, m, s, a) = (shape.width, shape.experts, shape.subspace, shape.sublatents)
    var tensors: [SafetensorsWriter.Tensor] = [
      .init("encoder", shape: [m, d]), .init("decoder", shape: [m, d]), .init("bias", shape: [d]),
    ]
    if !shape.isFlat {
      tensors += [
        .init("down", shape: [m, s, d]), .init("up", shape: [m, s, d]),
        .init("sub_encoder", shape: [m, a, s]), .init("sub_decoder", shape: [m, a, s]),
      ]
    }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    func rows(_ expert: Int) -> Range<Int> {
      expert * shape.rowsPerExpert..<(expert + 1) * shape.rowsPerExpert
    }
    for expert in 0..<m {
      try writer.append("encoder", parameters.encoderSide.row(rows(expert).lowerBound))
    }
    for expert in 0..<m {
      try writer.append("decoder", parameters.decoderSide.row(rows(expert).lowerBound))
    }
    try writer.append("bias", bias(parameters))
    if !shape.isFlat {
      for expert in 0..<m {
        for row in rows(expert).dropFirst() {
          try writer.append("down", parameters.encoderSide.row(row))
        }
      }
      for expert in 0..<m {
        for row in rows(expert).dropFirst() {
          try writer.append("up", parameters.decoderSide.row(row))
        }
      }
      try writer.append("sub_encoder", parameters.subEncoder.span)
      try writer.append("sub_decoder", parameters.subDecoder.span)
    }
    _ = try writer.finish()
  }

  /// The input bias in SAELens's scale; zeros if the dictionary has none.
  private func bias(_ parameters: borrowing Parameters) -> [Float] {
    let d = dictionary.shape.width
    guard parameters.hasBias else { return [Float](repeating: 0, count: d) }
    return (0..<d).map { parameters.bias[0, $0] * scale }
  }
}
