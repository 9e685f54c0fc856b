// The model card of an exported folder: README.md for the Hugging Face Hub, with front matter (library, base
// model, tags), a description, and code that loads the folder.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

extension SAELensExport {
  /// The Python module that registers the architecture `hsae`.
  static let pythonModule = "hsae_saelens"

  var card: String {
    """
    ---
    \(frontMatter)
    ---
    # \(Path.name(run.path))

    \(summary)

    ```python
    \(loading)
    ```
    \(latentOrder)
    \(rowScaling)

    \(sections.map { "## \($0.title)\n\n\($0.text)\n" }.joined(separator: "\n"))
    """
  }

  /// How SAELens scales rows, as sentences.
  private var rowScaling: String {
    switch run.description.normalize {
    case .unit:
      "Rows are scaled to the norm √d before encoding, and back after decoding; codes are √d times hsae's."
    case .layerNorm:
      "Rows are layer-normalised before encoding, and brought back after decoding; codes are √(d − 1) times hsae's."
    case .none, .original: "Rows are scaled to no norm: they are taken as they are."
    }
  }

  /// Data, training, method and licence, as far as they are known.
  private var sections: [(title: String, text: String)] {
    [("Data", data), ("Training", training), ("Method", method), ("Licence", licence)]
      .compactMap { title, text in text.map { (title, $0) } }
  }

  /// The rows, from the attributes of their store.
  private var data: String? {
    // Nothing is known of the rows that an imported dictionary was trained on.
    guard run.description.origin == nil, let attributes, attributes.rowCount > 0 else { return nil }
    guard attributes.kind == .residualStream else {
      let preprocessing = attributes.preprocessing.map { ", \($0)" } ?? ""
      return
        "\(counted(attributes.rowCount, "row")) of the model's unembedding matrix, one for each token"
        + " that was kept\(preprocessing)."
    }
    let corpora = attributes.collection?.corpus.map(\.name) ?? []
    let from = corpora.isEmpty ? "" : ", collected over \(corpora.joined(separator: ", "))"
    let heldOut = attributes.collection?.holdoutRows ?? 0
    return "\(counted(attributes.rowCount, "row")), one for each token\(from)"
      + (heldOut > 0 ? "; \(counted(heldOut, "more row")) were held out." : ".")
  }

  /// The last record of training up to the checkpoint.
  private var training: String? {
    guard let record = (try? run.metrics())?.last(where: { $0.step <= step }) else { return nil }
    let variance =
      record.explainedVariance.map { " and explained variance \(grouped($0, digits: 4))" } ?? ""
    return
      "At step \(grouped(record.step)): loss \(grouped(record.loss, digits: 5))\(variance), on training rows."
      + (attributes?.kind == .unembedding ? "" : " On held-out rows it usually explains less.")
  }

  /// The origin of the method.
  private var method: String? {
    if dictionary.shape.isFlat { return nil }
    return
      "Hierarchical sparse autoencoders are a method of Mark Muchane, Sean Richardson, Kiho Park and Victor"
      + " Veitch, *Incorporating Hierarchical Semantics in Sparse Autoencoder Architectures*; their code is at"
      + " https://github.com/muchanem/hierarchical-sparse-autoencoders. This one was made by hsae, a separate"
      + " program."
  }

  private var licence: String? {
    guard let modelLicence, let model else { return nil }
    return
      "\(model) is under this licence: \(modelLicence). The licence of this dictionary is for its owner"
      + " to choose."
  }

  /// The front matter, by which the Hub finds models.
  private var frontMatter: String {
    var lines = ["library_name: saelens"]
    if let id = hubIdentifier { lines.append("base_model: \(id)") }
    lines += ["tags:", "- saelens", "- sparse-autoencoder", "- mechanistic-interpretability"]
    if hasSublatents { lines.append("- hierarchical-sparse-autoencoder") }
    return lines.joined(separator: "\n")
  }

  /// The model's name if it has the Hub's form OWNER/NAME; nil otherwise, because the Hub refuses other names.
  private var hubIdentifier: String? {
    let name = model ?? ""
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isKnown = parts.allSatisfy { part in
      part.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } == true
        && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    }
    return parts.count == 2 && isKnown ? name : nil
  }

  private var summary: String {
    let shape = dictionary.shape
    let place = attributes == nil ? [] : [model, sourceHook].compactMap(\.self)
    let of = place.isEmpty ? "rows of width \(shape.width)" : place.joined(separator: ", ")
    let isUnbounded =
      run.description.origin?.isUnbounded == true || shape.activeExperts == shape.experts
    let function = [SAELensArchitecture.jumprelu: "JumpReLU", .standard: "ReLU"][architecture]
    let kind =
      shape.isFlat
      ? "A \(function ?? "TopK") sparse autoencoder with \(counted(shape.experts, "latent"))"
      : topLevelOnly
        ? "The top level, \(counted(shape.experts, "latent")), of a hierarchical sparse autoencoder"
        : "A hierarchical sparse autoencoder with \(counted(shape.experts, "expert")) of"
          + " \(counted(shape.sublatents, "sublatent"))"
    let limit =
      isUnbounded
      ? ""
      : "; at most \(shape.activeExperts) \(hasSublatents ? "experts" : "latents") active at a time"
    let trained =
      run.description.origin.map { "Imported by hsae from \($0.layout) (\($0.architecture))." }
      ?? "Trained by hsae\(trainedAs) for \(counted(step, "step")) of \(counted(run.description.training?.batch ?? 0, "row"))."
    return "\(kind), of \(of)\(limit). \(trained)"
  }

  /// " as Matryoshka BatchTopK"; nothing for TopK.
  private var trainedAs: String {
    guard let training = run.description.training else { return "" }
    let function: String? =
      switch training.selection {
      case .topK, .thresholds: nil
      case .batchTopK: "BatchTopK"
      case .jumpReLU: "JumpReLU"
      }
    let words = [training.objective.prefixes == nil ? nil : "Matryoshka", function]
      .compactMap(\.self)
    return words.isEmpty ? "" : " as \(words.joined(separator: " "))"
  }

  /// Python code that loads the folder.
  private var loading: String {
    let registering =
      architecture == .hsae
      ? """

      sys.path.append(folder)
      import \(Self.pythonModule)  # in this folder: adds the architecture to SAELens

      """ : "\n"
    return """
      \(architecture == .hsae ? "import sys\n" : "")from huggingface_hub import snapshot_download
      from sae_lens import SAE

      folder = snapshot_download("OWNER/NAME")  # or where this folder is\(registering)sae = SAE.load_from_disk(folder)
      """
  }

  private var latentOrder: String {
    let shape = dictionary.shape
    guard hasSublatents else { return "" }
    return """

      Latent j < \(shape.experts) is expert j; sublatent q of expert j is latent \
      \(shape.experts) + \(shape.sublatents)·j + q. Only active experts have an active sublatent, at most one each.
      \(belowThreshold)
      """
  }

  /// What SAELens shows for a chosen sublatent below its threshold.
  private var belowThreshold: String {
    let activation = dictionary.activation
    let threshold = activation.subThreshold * scale
    guard activation.subSlope != 0 else {
      return
        "Below \(grouped(Double(threshold), digits: 4)) (`sub_threshold`) its activation is 0.\n"
    }
    return """
      Below its threshold (`sub_threshold`, \(grouped(Double(threshold), digits: 4))) its activation is \(activation.subSlope) times the \
      pre-activation (`sub_slope`): small, positive or negative, not zero. So a sublatent is active where it is at \
      or above the threshold, not wherever it is nonzero.

      """
  }
}
