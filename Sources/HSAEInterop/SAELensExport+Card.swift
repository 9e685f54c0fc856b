// The model card of an exported folder, README.md: what the dictionary is, and how it is loaded.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETraining

extension SAELensExport {
  /// The card, as Markdown.
  var card: String {
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
    let load =
      architecture != .hsae
      ? ""
      : """
      import hsae_saelens  # registers the architecture; the file is in hsae's interop/python

      """
    let order =
      architecture != .hsae
      ? ""
      : """

      Latent j < \(shape.experts) is expert j; sublatent q of expert j is latent \
      \(shape.experts) + \(shape.sublatents)·j + q. A sublatent is active only where its expert is, one in each.

      """
    let limit =
      isUnbounded
      ? ""
      : "; at most \(shape.activeExperts) \(shape.isFlat || topLevelOnly ? "latents" : "experts") active at a time"
    let trained =
      run.configuration.origin.map { "Imported by hsae from \($0.layout) (\($0.architecture))." }
      ?? "Trained by hsae for \(counted(step, "step")) of \(counted(run.configuration.batch, "row"))."
    return """
      ---
      library_name: saelens
      tags:
      - sparse-autoencoder
      - interpretability
      ---
      # \(Path.name(run.path))

      \(kind), of \(of)\(limit). \(trained)

      ```python
      from sae_lens import SAE
      \(load)sae = SAE.load_from_disk("FOLDER")
      ```
      \(order)
      Rows are scaled to \(run.configuration.normalize == .unit ? "the norm √d before encoding, and back after decoding; codes are √d times hsae's" : "no norm: they are taken as they are").

      """
  }
}
