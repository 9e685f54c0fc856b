// The model card of an exported folder: README.md as the Hugging Face Hub reads it (front matter with library,
// base model and tags), and how to load the folder from there or from a disk.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETraining

extension SAELensExport {
  /// The Python module that registers the architecture `hsae`.
  static let pythonModule = "hsae_saelens"

  /// The card.
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
    Rows are scaled to \(run.configuration.normalize == .unit ? "the norm √d before encoding, and back after decoding; codes are √d times hsae's" : "no norm: they are taken as they are").

    """
  }

  /// What the Hub finds models by.
  private var frontMatter: String {
    var lines = ["library_name: saelens"]
    if let id = hubIdentifier { lines.append("base_model: \(id)") }
    lines += ["tags:", "- saelens", "- sparse-autoencoder", "- mechanistic-interpretability"]
    if hasSublatents { lines.append("- hierarchical-sparse-autoencoder") }
    return lines.joined(separator: "\n")
  }

  /// The model's name if it is one of the Hub, OWNER/NAME; nil if it is another, which the Hub would refuse.
  private var hubIdentifier: String? {
    let name = modelName ?? attributes?.modelName ?? run.configuration.origin?.model ?? ""
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isKnown = parts.allSatisfy { part in
      part.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } == true
        && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    }
    return parts.count == 2 && isKnown ? name : nil
  }

  private var summary: String {
    let shape = dictionary.shape
    let of =
      attributes.map { "\(modelName ?? $0.modelName), \($0.hookPoint)" }
      ?? "rows of width \(shape.width)"
    let isUnbounded = run.configuration.origin?.isUnbounded == true
    let kind =
      isUnbounded
      ? "A \(architecture == .jumprelu ? "JumpReLU" : "ReLU") sparse autoencoder with"
        + " \(counted(shape.experts, "latent"))"
      : shape.isFlat
        ? "A TopK sparse autoencoder with \(counted(shape.experts, "latent"))"
        : topLevelOnly
          ? "The top level, \(counted(shape.experts, "latent")), of a hierarchical sparse autoencoder"
          : "A hierarchical sparse autoencoder with \(counted(shape.experts, "expert")) of"
            + " \(counted(shape.sublatents, "sublatent"))"
    let limit =
      isUnbounded
      ? ""
      : "; at most \(shape.activeExperts) \(hasSublatents ? "experts" : "latents") active at a time"
    let trained =
      run.configuration.origin.map { "Imported by hsae from \($0.layout) (\($0.architecture))." }
      ?? "Trained by hsae for \(counted(step, "step")) of \(counted(run.configuration.batch, "row"))."
    return "\(kind), of \(of)\(limit). \(trained)"
  }

  /// Loading it in Python.
  private var loading: String {
    let registering =
      architecture == .hsae
      ? """

      sys.path.append(folder)
      import \(Self.pythonModule)  # in this folder: teaches SAELens the architecture

      """ : "\n"
    return """
      \(architecture == .hsae ? "import sys\n" : "")from huggingface_hub import snapshot_download
      from sae_lens import SAE

      folder = snapshot_download("OWNER/NAME")  # or where this folder is\(registering)sae = SAE.load_from_disk(folder)
      """
  }

  /// Which latent is which.
  private var latentOrder: String {
    let shape = dictionary.shape
    guard hasSublatents else { return "" }
    return """

      Latent j < \(shape.experts) is expert j; sublatent q of expert j is latent \
      \(shape.experts) + \(shape.sublatents)·j + q. A sublatent is active only where its expert is, one in each.

      """
  }
}
