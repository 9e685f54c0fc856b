// A sparse autoencoder of other tools, computed in doubles by their formulas, to compare imports with. It
// also writes itself in their layouts.

import HSAEActivations
import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

/// An SAE in SAELens's terms: W_enc [d, m], W_dec [m, d].
struct SourceSAE {
  enum Scaling {
    case none
    case constantNorm
    case factor(Double)
    case layerNorm
    case whitening(Whitening)
  }

  /// z = (x − mean)·M, x̂ = ẑ·M⁻¹ + mean; matrices [width × width].
  struct Whitening {
    var mean: [Double]
    var matrix: [Double]
    var inverse: [Double]
  }

  var width = 12
  var latents = 40
  var encoder: [Double]
  var encoderBias: [Double]
  var decoder: [Double]
  var bias: [Double]
  var threshold: [Double]?
  var k: Int?
  var rescaled = false
  var subtracts = true
  var scaling = Scaling.none

  /// Random weights; decoder rows have unit norm, or norms between 0.3 and 3.
  init(seed: UInt64, unitDecoder: Bool) {
    var generator = SeededGenerator(seed: seed)
    func values(_ count: Int, _ range: ClosedRange<Double> = -1...1) -> [Double] {
      // Rounded to floats, as in files.
      (0..<count).map { _ in Double(Float(Double.random(in: range, using: &generator))) }
    }
    encoder = values(width * latents)
    encoderBias = values(latents)
    decoder = values(width * latents)
    bias = values(width)
    for latent in 0..<latents {
      let range = latent * width..<(latent + 1) * width
      let norm = decoder[range].reduce(0) { $0 + $1 * $1 }.squareRoot()
      let wanted = unitDecoder ? 1 : Double.random(in: 0.3...3, using: &generator)
      for index in range { decoder[index] = Double(Float(decoder[index] / norm * wanted)) }
    }
  }

  /// A JumpReLU SAE: with a threshold for each latent, some below 0.
  static func jumpReLU(seed: UInt64, unitDecoder: Bool = false) -> SourceSAE {
    var sae = SourceSAE(seed: seed, unitDecoder: unitDecoder)
    var generator = SeededGenerator(seed: seed).split(1)
    sae.threshold = (0..<sae.latents).map { _ in
      Double(Float(Double.random(in: -0.2...1.5, using: &generator)))
    }
    return sae
  }

  /// The norms of the decoder's rows.
  var decoderNorms: [Double] {
    (0..<latents).map { norm(Array(decoder[$0 * width..<($0 + 1) * width])) }
  }

  private func norm(_ values: [Double]) -> Double {
    values.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  /// The codes and the reconstruction of `x` by the formulas of SAELens (`sae.py`, `topk_sae.py`,
  /// `jumprelu_sae.py`), and of sparsify and Gemma Scope where they agree with it.
  func encode(_ x: [Double]) -> (codes: [Double], reconstruction: [Double]) {
    var factor = 1.0
    switch scaling {
    case .none: break
    case .layerNorm:
      // mu = x.mean(); std = (x - mu).std(), of a sample; in: (x - mu) / (std + 1e-5); out: y * std + mu.
      let mean = x.reduce(0, +) / Double(width)
      let centred = x.map { $0 - mean }
      let deviation = norm(centred) / Double(width - 1).squareRoot()
      var plain = self
      plain.scaling = .none
      let (codes, inside) = plain.encode(centred.map { $0 / (deviation + 1e-5) })
      return (codes, inside.map { $0 * deviation + mean })
    case .whitening(let whitening):
      func times(_ row: [Double], _ matrix: [Double]) -> [Double] {
        (0..<width).map { column in
          (0..<width).reduce(0) { $0 + row[$1] * matrix[$1 * width + column] }
        }
      }
      var plain = self
      plain.scaling = .none
      let (codes, inside) = plain.encode(
        times(zip(x, whitening.mean).map { $0 - $1 }, whitening.matrix))
      return (codes, zip(times(inside, whitening.inverse), whitening.mean).map { $0 + $1 })
    case .constantNorm: factor = Double(width).squareRoot() / norm(x)
    case .factor(let value): factor = value
    }
    let input = zip(x, bias).map { $0 * factor - (subtracts ? $1 : 0) }
    let norms = (0..<latents).map { norm(Array(decoder[$0 * width..<($0 + 1) * width])) }
    var u = (0..<latents).map { latent in
      (0..<width).reduce(encoderBias[latent]) { $0 + input[$1] * encoder[$1 * latents + latent] }
    }
    if rescaled { u = zip(u, norms).map { $0 * $1 } }
    var codes = u.map { max(0, $0) }
    if let threshold {
      for latent in 0..<latents where u[latent] <= threshold[latent] { codes[latent] = 0 }
    }
    if let k {
      let kept = Set(u.indices.sorted { u[$0] > u[$1] }.prefix(k))
      for latent in 0..<latents where !kept.contains(latent) { codes[latent] = 0 }
    }
    let reconstruction = (0..<width).map { column in
      (0..<latents).reduce(bias[column]) {
        $0 + codes[$1] / (rescaled ? norms[$1] : 1) * decoder[$1 * width + column]
      } / factor
    }
    return (codes, reconstruction)
  }

  /// Rows of different lengths.
  func rows(_ count: Int, seed: UInt64) -> [[Double]] {
    var generator = SeededGenerator(seed: seed).split(2)
    return (0..<count).map { row in
      (0..<width).map { _ in
        Double(Float(Double.random(in: -1...1, using: &generator) * (1 + Double(row % 7))))
      }
    }
  }

  // MARK: Files

  typealias Tensor = (name: String, shape: [Int], values: [Double])

  static func write(_ tensors: [Tensor], to path: String) throws {
    var writer = try SafetensorsWriter(
      path: path, tensors: tensors.map { .init($0.name, shape: $0.shape) })
    for tensor in tensors { try writer.append(tensor.name, tensor.values.map { Float($0) }) }
    _ = try writer.finish()
  }

  var saelensTensors: [Tensor] {
    var tensors: [Tensor] = [
      ("W_enc", [width, latents], encoder), ("b_enc", [latents], encoderBias),
      ("W_dec", [latents, width], decoder), ("b_dec", [width], bias),
    ]
    if let threshold { tensors.append(("threshold", [latents], threshold)) }
    return tensors
  }

  /// SAELens 6's cfg.json.
  var saelensConfiguration: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "architecture": .string(k != nil ? "topk" : threshold != nil ? "jumprelu" : "standard"),
      "d_in": .integer(width), "d_sae": .integer(latents), "dtype": .string("float32"),
      "device": .string("cpu"), "apply_b_dec_to_input": .bool(subtracts),
      "normalize_activations": .string("none"), "reshape_activations": .string("none"),
      "metadata": .object([
        "sae_lens_version": .string("6.54.12"), "model_name": .string("made-up"),
        "hook_name": .string("blocks.3.hook_resid_post"),
      ]),
    ]
    if let k {
      members["k"] = .integer(k)
      members["rescale_acts_by_decoder_norm"] = .bool(rescaled)
    }
    switch scaling {
    case .none: break
    case .constantNorm: members["normalize_activations"] = .string("constant_norm_rescale")
    case .factor: members["normalize_activations"] = .string("expected_average_only_in")
    case .layerNorm: members["normalize_activations"] = .string("layer_norm")
    case .whitening: members["normalize_activations"] = .string("covariance_whitening")
    }
    return members
  }

  /// Writes a folder of SAELens, with `changes` to its configuration.
  func writeSAELens(to folder: String, _ changes: [String: JSONValue?] = [:]) throws {
    try Path.createDirectories(folder)
    var members = saelensConfiguration
    for (key, value) in changes { members[key] = value }
    try DurableFile.write(
      JSONValue.object(members).text(), to: Path.join(folder, "cfg.json"))
    try Self.write(saelensTensors, to: Path.join(folder, "sae_weights.safetensors"))
    if case .factor(let value) = scaling {
      try DurableFile.write(
        "{\"scaling_factor\": \(value)}", to: Path.join(folder, "activation_scaler.json"))
    }
    if case .whitening(let whitening) = scaling {
      try Self.write(
        [
          ("mean", [width], whitening.mean), ("matrix", [width, width], whitening.matrix),
          ("inverse_matrix", [width, width], whitening.inverse),
        ], to: Path.join(folder, "activation_whitening.safetensors"))
    }
  }

  /// Writes a folder of Gemma Scope 2, with `changes` to its configuration; nil: without one.
  func writeGemmaScope(
    to folder: String, _ changes: [String: JSONValue?]? = [:], extra: [Tensor] = []
  ) throws {
    try Path.createDirectories(folder)
    if let changes {
      var members: [String: JSONValue] = [
        "architecture": .string("jump_relu"), "type": .string("sae"), "l0": .integer(20),
        "hf_hook_point_in": .string("model.layers.12.output"), "width": .integer(latents),
        "hf_hook_point_out": .string("model.layers.12.output"), "affine_connection": .bool(false),
        "model_name": .string("google/gemma-3-270m-pt"),
      ]
      for (key, value) in changes { members[key] = value }
      try DurableFile.write(
        JSONValue.object(members).text(), to: Path.join(folder, "config.json"))
    }
    try Self.write(
      saelensTensors.map { ($0.name.lowercased(), $0.shape, $0.values) } + extra,
      to: Path.join(folder, "params.safetensors"))
  }

  /// `matrix` [rows × columns], transposed.
  static func transposed(_ matrix: [Double], columns: Int) -> [Double] {
    let rows = matrix.count / columns
    return (0..<columns).flatMap { column in (0..<rows).map { matrix[$0 * columns + column] } }
  }

  /// Writes a folder of sparsify, with `changes` to its configuration.
  func writeSparsify(to folder: String, _ changes: [String: JSONValue] = [:]) throws {
    try Path.createDirectories(folder)
    let members: [String: JSONValue] = [
      "activation": .string("topk"), "expansion_factor": .integer(32),
      "normalize_decoder": .bool(true), "num_latents": .integer(latents), "k": .integer(k ?? 1),
      "multi_topk": .bool(false), "skip_connection": .bool(false), "transcode": .bool(false),
      "d_in": .integer(width),
    ]
    try DurableFile.write(
      JSONValue.object(members.merging(changes) { $1 }).text(), to: Path.join(folder, "cfg.json"))
    try Self.write(
      [
        ("W_dec", [latents, width], decoder), ("b_dec", [width], bias),
        ("encoder.bias", [latents], encoderBias),
        ("encoder.weight", [latents, width], Self.transposed(encoder, columns: latents)),
      ], to: Path.join(folder, "sae.safetensors"))
  }

  // MARK: Comparison

  /// Expects `imported` to give the same codes (times its stated factors) and reconstructions as this SAE.
  func expectEqual(
    _ imported: DictionaryImport, count: Int = 200, at location: SourceLocation = #_sourceLocation
  ) {
    let rows = rows(count, seed: 5)
    var matrix = Matrix(
      rows: count, columns: width, elements: rows.flatMap { $0.map { Float($0) } })
    imported.normalize.apply(to: &matrix)
    let codes = imported.dictionary.encode(matrix, threads: 2)
    let rebuilt = imported.dictionary.decode(codes, threads: 2)
    var (worstCode, worstRow, active) = (0.0, 0.0, 0)
    for (index, x) in rows.enumerated() {
      let expected = encode(x)
      let mean = imported.normalize == .layerNorm ? x.reduce(0, +) / Double(width) : 0
      let length = imported.normalize == .original ? 1 : norm(x.map { $0 - mean })
      var own = [Double](repeating: 0, count: latents)
      for code in codes[index] { own[code.expert] = Double(code.value) }
      active += codes[index].count
      let scale = max(norm(expected.codes), 1)
      for latent in 0..<latents {
        let factor =
          imported.codeScale.isEmpty
          ? imported.origin.codeScale : Double(imported.codeScale[latent])
        worstCode = max(worstCode, abs(own[latent] - expected.codes[latent] * factor) / scale)
      }
      for column in 0..<width {
        let value = Double(rebuilt[index, column]) * length + mean
        worstRow = max(
          worstRow,
          abs(value - expected.reconstruction[column]) / max(norm(expected.reconstruction), 1))
      }
    }
    #expect(
      worstCode < 1e-5 && worstRow < 1e-5, "\(worstCode) \(worstRow)", sourceLocation: location)
    #expect(active > count, sourceLocation: location)
  }

  /// A run in `folder` with both levels.
  static func hierarchicalRun(_ folder: String) throws -> RunDirectory {
    let shape = DictionaryShape(width: 10, experts: 6, sublatents: 4, subspace: 3, activeExperts: 2)
    let tensors = authorsTensors(
      ReferenceParameters(Parameters.initial(shape: shape, seed: 18)), shape)
    try write(tensors, to: folder + "/authors.safetensors")
    var options = ImportOptions()
    options.k = shape.activeExperts
    try DictionaryImport(path: folder + "/authors.safetensors", options: options)
      .write(to: folder + "/run")
    return try RunDirectory(path: folder + "/run")
  }

  /// The arrays of the H-SAE's authors that hold `twin`.
  static func authorsTensors(_ twin: ReferenceParameters, _ shape: DictionaryShape) -> [Tensor] {
    let (d, m, a, s) = (shape.width, shape.experts, shape.sublatents, shape.subspace)
    func blocks(_ values: [Double], _ size: Int, _ columns: Int) -> [Double] {
      stride(from: 0, to: values.count, by: size).flatMap {
        transposed(Array(values[$0..<$0 + size]), columns: columns)
      }
    }
    return [
      ("top_level_autoencoder.encoder", [m, d], twin.encoder),
      ("top_level_autoencoder.decoder", [d, m], transposed(twin.decoder, columns: d)),
      ("W_down", [m, s, d], twin.down), ("W_up", [m, d, s], blocks(twin.up, s * d, d)),
      ("encoder_weights", [m, a, s], twin.subEncoder),
      ("decoder_weights", [m, s, a], blocks(twin.subDecoder, a * s, s)),
    ]
  }
}
