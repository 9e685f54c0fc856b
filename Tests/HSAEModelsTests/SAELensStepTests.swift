// Compares losses, gradients, codes and thresholds of the reference implementation with those of SAELens's own
// training classes, from the same weights on the same batch. `runs/saelens-step.py` wrote the fixture and describes
// its fields.

import Foundation
import Testing

@testable import HSAEModels

/// The content of `Fixtures/saelens-step.json` that is compared here.
private struct Fixture: Decodable {
  struct Settings: Decodable {
    var k, auxLossCoefficient, topkThresholdLr: Double?
    var rescaleActsByDecoderNorm, useMatryoshkaAuxLoss: Bool?
    var applyBDecToInput: Bool
    var matryoshkaWidths: [Int]?
    var jumpreluBandwidth, l0Coefficient, preActLossCoefficient, targetL0: Double?
  }
  struct RowCodes: Decodable {
    var counts, latents: [Int]
    var values: [Double]
  }
  struct Thresholds: Decodable {
    var start, exported: Double
    var smallest, after: [Double]
    var codes: RowCodes
  }
  struct Case: Decodable {
    var name, architecture, weights: String
    var dead: [Int]
    var settings: Settings
    var threshold: [Double]?
    var codes: RowCodes
    var losses, gradients: [String: JSONNumbers]
    var thresholds: Thresholds?
  }
  /// One number or several.
  struct JSONNumbers: Decodable {
    var values: [Double]
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      values = try (try? [container.decode(Double.self)]) ?? container.decode([Double].self)
    }
  }
  var width, latents: Int
  var batches: [[Double]]
  var weights: [String: [String: [Double]]]
  var cases: [Case]

  static func read() throws -> Fixture {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/saelens-step.json")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Fixture.self, from: Data(contentsOf: path))
  }
}

/// A case in the terms of the reference implementation.
///
/// SAELens selects by h = u ‖d‖ where `rescale_acts_by_decoder_norm` is on, and decodes h / ‖d‖. That is a dictionary
/// with decoder rows of norm 1 and ‖d‖ times the encoder rows and biases. Where it does not subtract b_dec from the
/// row, the encoder bias is b_enc + b_dec · e.
private struct TwinOfCase {
  var weights: ReferenceParameters
  var settings = ReferenceSettings()
  /// ‖d‖ of each latent, or 1.
  private var norms: [Double]
  /// SAELens's encoder row of each latent.
  private var rows: [[Double]]
  private var subtracts: Bool

  init(_ example: Fixture.Case, _ fixture: Fixture) throws {
    let (d, m) = (fixture.width, fixture.latents)
    let given = try #require(fixture.weights[example.weights])
    let encoder = try #require(given["W_enc"])
    let decoder = try #require(given["W_dec"])
    let encoderBias = try #require(given["b_enc"])
    let bias = try #require(given["b_dec"])
    let own = example.settings
    let isJump = example.architecture == "jumprelu"
    let isTopK = example.architecture == "topk"
    subtracts = own.applyBDecToInput
    rows = (0..<m).map { latent in (0..<d).map { encoder[$0 * m + latent] } }
    norms = (0..<m).map {
      own.rescaleActsByDecoderNorm == true
        ? dot(decoder, $0 * d, decoder, $0 * d, d).squareRoot() : 1
    }
    let shape = DictionaryShape(
      width: d, experts: m, sublatents: 0, subspace: 0, activeExperts: isTopK ? Int(own.k ?? 0) : m)
    weights = ReferenceParameters(
      shape: shape,
      vectors: isJump ? [.inputBias, .encoderBias, .thresholds] : [.inputBias, .encoderBias])
    weights.bias = bias
    for latent in 0..<m {
      let norm = norms[latent]
      let shift = subtracts ? 0 : dot(bias, 0, rows[latent], 0, d)
      weights.encoderBias[latent] = norm * (encoderBias[latent] + shift)
      for column in 0..<d {
        weights.encoder[latent * d + column] = norm * rows[latent][column]
        weights.decoder[latent * d + column] = decoder[latent * d + column] / norm
      }
    }
    if isJump {
      let threshold = try example.threshold ?? #require(given["threshold"])
      // SAELens does this before the step, the reference implementation after the step before it.
      weights.thresholds = threshold.map { max(0, $0) }
      settings.selection = .jumpReLU(
        JumpReLU(bandwidth: try #require(own.jumpreluBandwidth), target: own.targetL0))
      settings.jumpSparsity = try #require(own.l0Coefficient)
      settings.jumpDead = own.preActLossCoefficient ?? 0
    } else if !isTopK {
      settings.selection = .batchTopK(
        BatchTopK(
          active: try #require(own.k), thresholdRate: own.topkThresholdLr ?? 0.01,
          thresholdStart: example.thresholds?.start ?? 0))
    }
    let widths = own.matryoshkaWidths ?? []
    settings.terms += widths.dropLast().map { .init(part: .whole, experts: $0, weight: 1) }
    (settings.auxiliary, settings.auxiliaryCount) = (own.auxLossCoefficient ?? 0, d / 2)
    settings.auxiliaryScale = .deadShare
    settings.auxiliaryLevels = own.useMatryoshkaAuxLoss == true ? widths : []
    settings.dead = (0..<m).map(example.dead.contains)
  }

  /// The gradients by SAELens's parameters, given those by ours. ‖d‖ is in SAELens's graph twice and cancels.
  func gradients(_ own: ReferenceParameters) -> [String: [Double]] {
    let (d, m) = (own.shape.width, own.shape.experts)
    var result = [
      "W_enc": [Double](repeating: 0, count: d * m), "W_dec": own.decoder,
      "b_enc": own.encoderBias, "b_dec": own.bias,
    ]
    if !own.thresholds.isEmpty { result["threshold"] = own.thresholds }
    for latent in 0..<m {
      let norm = norms[latent]
      let slope = norm * own.encoderBias[latent]
      result["b_enc"]?[latent] = slope
      for column in 0..<d {
        var row = norm * own.encoder[latent * d + column]
        if !subtracts {
          row += slope * weights.bias[column]
          result["b_dec"]?[column] += slope * rows[latent][column]
        }
        result["W_enc"]?[column * m + latent] = row
        result["W_dec"]?[latent * d + column] /= norm
      }
    }
    return result
  }
}

@Suite struct SAELensStepTests {
  /// The fixture has nine digits.
  private let tolerance = 1e-8

  @Test func lossesGradientsAndCodesAreThoseOfSAELens() throws {
    let fixture = try Fixture.read()
    #expect(fixture.cases.count >= 20)
    for example in fixture.cases {
      let twin = try TwinOfCase(example, fixture)
      let pass = twin.weights.forward(fixture.batches[0], twin.settings)
      expectCodes(pass, example.codes, example.name)
      var found = ["mse_loss": pass.loss.reconstruction, "loss": pass.loss.total]
      for (term, error) in zip(twin.settings.terms, pass.loss.errors) {
        if let experts = term.experts { found["inner_mse_loss_\(experts)"] = error }
      }
      if example.settings.auxLossCoefficient != nil {
        found["auxiliary_reconstruction_loss"] = twin.settings.auxiliary * pass.loss.auxiliary
      }
      var expected = example.losses.compactMapValues(\.values.first)
      if let sparsity = expected.removeValue(forKey: "l0_loss") {
        // Ours is one number.
        expected["jump"] = sparsity + (expected.removeValue(forKey: "pre_act_loss") ?? 0)
        found["jump"] = pass.loss.jump
      }
      #expect(Set(found.keys) == Set(expected.keys), "\(example.name)")
      for (name, value) in expected {
        let own = found[name] ?? .nan
        #expect(
          abs(own - value) <= tolerance * abs(value), "\(example.name), \(name): \(own), \(value)")
      }
      let gradient = twin.gradients(
        twin.weights.gradients(fixture.batches[0], twin.settings, pass))
      #expect(Set(gradient.keys) == Set(example.gradients.keys), "\(example.name)")
      for (name, values) in example.gradients.mapValues(\.values) {
        expectClose(gradient[name] ?? [], values, "\(example.name), gradient of \(name)")
      }
    }
  }

  @Test func runningThresholdsAndWhatTheySelectAreThoseOfSAELens() throws {
    let fixture = try Fixture.read()
    var compared = 0
    for example in fixture.cases {
      guard let thresholds = example.thresholds else { continue }
      var twin = try TwinOfCase(example, fixture)
      guard case .batchTopK(let batchTopK) = twin.settings.selection else { continue }
      var threshold = batchTopK.thresholdStart
      for (index, batch) in fixture.batches.enumerated() {
        let pass = twin.weights.forward(batch, twin.settings)
        let least = pass.codes.joined().map(\.value).min()
        threshold = batchTopK.threshold(after: threshold, least: least)
        expectClose([least ?? .nan], [thresholds.smallest[index]], "\(example.name), smallest")
        expectClose([threshold], [thresholds.after[index]], "\(example.name), threshold")
      }
      expectClose([threshold], [thresholds.exported], "\(example.name), exported")
      twin.settings.selection = .thresholds(
        LatentThresholds(
          threshold: Array(repeating: Float(threshold), count: fixture.latents)))
      expectCodes(
        twin.weights.forward(fixture.batches[0], twin.settings), thresholds.codes,
        "\(example.name), after training")
      compared += 1
    }
    #expect(compared >= 10)
  }

  /// Expects the codes of `pass`, whose latents ascend in each row of the fixture.
  private func expectCodes(_ pass: ReferenceForward, _ expected: Fixture.RowCodes, _ what: String) {
    let codes = pass.codes.map { row in row.sorted { $0.expert < $1.expert } }
    #expect(codes.map(\.count) == expected.counts, "\(what)")
    #expect(codes.joined().map(\.expert) == expected.latents, "\(what)")
    expectClose(codes.joined().map(\.value), expected.values, "\(what), codes")
  }

  private func expectClose(_ found: [Double], _ expected: [Double], _ what: String) {
    #expect(found.count == expected.count, "\(what)")
    let scale = expected.reduce(0) { max($0, abs($1)) }
    for (index, (one, two)) in zip(found, expected).enumerated() {
      #expect(
        abs(one - two) <= tolerance * max(abs(two), 1e-2 * scale),
        "\(what) [\(index)]: \(one), not \(two)")
    }
  }
}
