// Where an imported dictionary came from: the part of `config.json` that only imported runs have.

/// Where an imported dictionary came from, and how its codes relate to those of the source.
public struct Origin: Codable, Hashable, Sendable {
  /// The layout it was read from: "SAELens 6", "sparsify", …
  public var layout: String
  /// That layout's name for the kind of dictionary: standard, jumprelu, topk, …
  public var architecture: String
  /// The path as the user gave it, made absolute.
  public var path: String
  /// SHA-256 of the files that were read, by name.
  public var hashes: [String: String]
  /// The model, if the files name it.
  public var model: String?
  /// The hook point in that model, if the files name it.
  public var hook: String?
  /// Whether its activation function has no limit on active latents. The k of the shape is then our limit, and the k
  /// strongest are kept.
  public var isUnbounded: Bool
  /// Our codes divided by the source's codes. If the quotient differs between latents, the checkpoint's
  /// `gate.safetensors` has one for each (`code_scale`).
  public var codeScale: Double
  /// What was changed or left out, one sentence for each.
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
