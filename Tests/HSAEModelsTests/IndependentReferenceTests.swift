// Compares the reference implementation with an independent one, `dev/reference/hsae_reference.py`, which
// differentiates the loss automatically. `Fixtures/reference.json` contains the command that wrote it.

import Foundation
import HSAEModels
import Testing

/// The content of `Fixtures/reference.json`.
private struct Fixture: Decodable {
  struct Settings: Decodable {
    var threshold, thresholdSub, slopeTop, slopeSub, beta, ortho, l1, auxk, clip: Double
    var learningRate, learningRateStart, learningRateFloor: Double
    var auxkK, warmup, regularizerWarmup: Int
    var l1Scope: L1Scope
    var schedule: LearningRateSchedule.Form
  }
  struct Parts: Decodable {
    var loss, reconstruction, top, ortho, l1, l1Top, l1Sub, auxk: Double
  }
  struct Record: Decodable {
    var loss, learningRate, regularizer, gradientNorm: Double
  }
  struct Case: Decodable {
    var name: String
    var width, experts, sublatents, subspace, k, batch: Int
    var dead: [Int]
    var settings: Settings
    var data: [Double]
    var weights, gradients, final: [String: [Double]]
    var parts: Parts
    var records: [Record]
  }
  var cases: [Case]

  static func read() throws -> Fixture {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/reference.json")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Fixture.self, from: Data(contentsOf: path))
  }
}

extension Fixture.Case {
  var shape: DictionaryShape {
    DictionaryShape(
      width: width, experts: experts, sublatents: sublatents, subspace: subspace, activeExperts: k)
  }

  var twinSettings: ReferenceSettings {
    var result = ReferenceSettings()
    result.threshold = settings.threshold
    result.subThreshold = settings.thresholdSub
    result.slope = settings.slopeTop
    result.subSlope = settings.slopeSub
    result[.topLevel] = settings.beta
    result.orthogonality = settings.ortho
    result.sparsity = settings.l1
    result.scope = settings.l1Scope
    result.auxiliary = settings.auxk
    result.auxiliaryCount = settings.auxkK
    result.dead = (0..<experts).map(dead.contains)
    return result
  }

  func parameters(_ tensors: [String: [Double]]) throws -> ReferenceParameters {
    var result = ReferenceParameters(shape: shape, hasBias: tensors["b_dec"] != nil)
    #expect(Set(tensors.keys) == Set(result.names.map(\.rawValue)))
    for name in result.names { result[name] = try #require(tensors[name.rawValue]) }
    return result
  }

  /// The rows of step `step`. After the last row of the data, the first follows.
  func rows(_ step: Int) -> [Double] {
    let count = data.count / width
    return (step * batch..<(step + 1) * batch).flatMap { row in
      data[row % count * width..<(row % count + 1) * width]
    }
  }
}

struct IndependentReferenceTests {
  @Test func lossAndGradientsAgree() throws {
    for example in try Fixture.read().cases {
      let weights = try example.parameters(example.weights)
      let settings = example.twinSettings
      let pass = weights.forward(example.rows(0), settings)
      let parts = example.parts
      expectClose(pass.loss.total, parts.loss, "\(example.name): loss")
      expectClose(pass.loss.reconstruction, parts.reconstruction, "\(example.name): recon")
      expectClose(pass.loss.topLevel, parts.top, "\(example.name): top level")
      expectClose(pass.loss.orthogonality, parts.ortho, "\(example.name): orthogonality")
      expectClose(pass.loss.sparsity, parts.l1, "\(example.name): L1")
      expectClose(pass.loss.sparsityTop, parts.l1Top, "\(example.name): L1, top")
      expectClose(pass.loss.sparsitySub, parts.l1Sub, "\(example.name): L1, sub")
      // If AuxK's weight is 0, the other program does not compute it.
      if settings.auxiliary > 0 {
        expectClose(pass.loss.auxiliary, parts.auxk, "\(example.name): AuxK")
      }
      expectClose(
        weights.gradients(example.rows(0), settings, pass),
        try example.parameters(example.gradients), "\(example.name): gradient of")
    }
  }

  @Test func threeStepsAgree() throws {
    for example in try Fixture.read().cases {
      var trainer = ReferenceTrainer(parameters: try example.parameters(example.weights))
      let options = example.settings
      let schedule = LearningRateSchedule(
        form: options.schedule, start: options.learningRateStart, peak: options.learningRate,
        floor: options.learningRateFloor, warmup: options.warmup, steps: example.records.count)
      let warmup = RegularizerWarmup(steps: options.regularizerWarmup)
      for (index, record) in example.records.enumerated() {
        var settings = example.twinSettings
        expectClose(warmup.factor(at: index), record.regularizer, "\(example.name): factor")
        expectClose(schedule.rate(at: index), record.learningRate, "\(example.name): rate")
        settings.orthogonality *= warmup.factor(at: index)
        settings.sparsity *= warmup.factor(at: index)
        let step = trainer.step(
          example.rows(index), settings, learningRate: schedule.rate(at: index),
          clip: options.clip)
        expectClose(step.loss.total, record.loss, "\(example.name): loss of step \(index)")
        expectClose(step.gradientNorm, record.gradientNorm, "\(example.name): gradient norm")
      }
      expectClose(
        trainer.parameters, try example.parameters(example.final), "\(example.name): final")
    }
  }

  private func expectClose(_ found: Double, _ expected: Double, _ what: String) {
    #expect(abs(found - expected) <= 1e-9 * abs(expected), "\(what): \(found), not \(expected)")
  }

  private func expectClose(
    _ found: ReferenceParameters, _ expected: ReferenceParameters, _ what: String
  ) {
    for name in expected.names {
      let scale = expected[name].reduce(0) { max($0, abs($1)) }
      for (one, two) in zip(found[name], expected[name]) {
        #expect(
          abs(one - two) <= 1e-9 * max(abs(two), 1e-3 * scale),
          "\(what) \(name.rawValue): \(one), not \(two)")
      }
    }
  }
}
