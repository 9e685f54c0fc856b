// Imports a params.npz of Gemma Scope: JumpReLU SAEs of Google DeepMind. The encoder does not subtract b_dec:
// z = u · [u > θ], u = x·W_enc + b_enc.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

struct GemmaScopeImport {
  let arrays: any WeightArrays
  let options: ImportOptions

  private static let known: Set = ["w_enc", "w_dec", "b_enc", "b_dec", "threshold"]

  /// Whether `arrays` have Gemma Scope's names.
  static func matches(_ arrays: some WeightArrays) -> Bool {
    known.isSubset(of: arrays.names.map { $0.lowercased() })
  }

  func read() throws(Failure) -> SourceDictionary {
    let path = arrays.path
    try options.refuseK("a JumpReLU SAE has none")
    // Some files spell the names in lower case. Further arrays would change the result.
    func name(_ lower: String) -> String {
      arrays.names.first { $0.lowercased() == lower } ?? lower
    }
    if let other = arrays.names.first(where: { !Self.known.contains($0.lowercased()) }) {
      throw .data(
        "\(path): it has an array \"\(other.prefix(60))\", which hsae does not support; it imports JumpReLU SAEs of"
          + " Gemma Scope with only W_enc, W_dec, b_enc, b_dec and threshold."
      )
    }
    let size = try arrays.shape(of: name("w_enc"), rank: 2)
    let (width, latents) = (size[0], size[1])
    let parameters = try arrays.flatParameters(
      width: width, latents: latents, active: options.maxActive(of: latents), source: path,
      encoder: name("w_enc"), decoder: name("w_dec"), bias: name("b_dec"))
    var source = SourceDictionary(
      parameters, .threshold, path: path,
      origin: Origin(
        layout: "Gemma Scope", architecture: "jumprelu", path: path, hook: Self.hook(path),
        isUnbounded: true))
    source.encoderBias = try arrays.vector(name("b_enc"), count: latents)
    source.threshold = try arrays.vector(name("threshold"), count: latents)
    source.subtractsBias = false
    return source
  }

  /// The hook point, if the path has the folders of Gemma Scope's repositories:
  /// layer_20/width_16k/average_l0_71.
  private static func hook(_ path: String) -> String? {
    let layers = path.split(separator: "/").filter { $0.hasPrefix("layer_") }
    guard let number = layers.last.flatMap({ Int($0.dropFirst(6)) }), (0..<10_000).contains(number)
    else { return nil }
    return "layer \(number)"
  }
}
