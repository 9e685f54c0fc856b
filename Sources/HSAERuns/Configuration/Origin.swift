// Where a dictionary came from that was not trained here: the part of `config.json` that only imported runs
// have.

/// Where an imported dictionary came from, and how its numbers relate to those it had there.
public struct Origin: Codable, Hashable, Sendable {
  /// The layout it was read from: "SAELens 6", "sparsify", …
  public var layout: String
  /// What that layout calls the kind of dictionary: standard, jumprelu, topk, …
  public var architecture: String
  /// The path as the user gave it, made absolute.
  public var path: String
  /// SHA-256 of the files that were read, by name.
  public var hashes: [String: String]
  /// The model it is of, if the files say it.
  public var model: String?
  /// The hook point in that model, if the files say it.
  public var hook: String?
  /// Whether its activation function lets any number of latents be active, so that the k of the shape is a
  /// bound of ours: of more, the strongest are kept.
  public var isUnbounded: Bool
  /// Our codes over its codes: one number for all latents, and beside it, where they differ, one for each in
  /// the checkpoint's `gate.safetensors` (`code_scale`).
  public var codeScale: Double
  /// What was changed or left out, a sentence each.
  public var notes: [String]

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
