// Selections other than TopK, prefixes and controls: known answers of the reference twin, worked out by hand or from
// the formulas in `Recipe.swift`.

import HSAETensors
import Testing

@testable import HSAEModels

@Suite struct SelectionTests {
  /// Three latents along the axes of a plane and its diagonal.
  private func weights(_ vectors: TrainedVectors = []) -> ReferenceParameters {
    var weights = ReferenceParameters(
      shape: DictionaryShape(width: 2, experts: 3, sublatents: 0, subspace: 0, activeExperts: 3),
      vectors: vectors)
    weights.encoder = [1, 0, 0, 1, 0.6, 0.8]
    weights.decoder = weights.encoder
    return weights
  }

  private func batchTopK(_ active: Double) -> ReferenceSettings {
    var settings = ReferenceSettings()
    settings.selection = .batchTopK(BatchTopK(active: active))
    return settings
  }

  @Test func batchTopKTakesTheLargestOfAllRows() {
    // Codes: row 0 has 4, 0, 2.4; row 1 has 1, 2, 2.2; row 2 has none above 0.
    let rows = [4.0, 0, 1, 2, -1, -1]
    let pass = weights().forward(rows, batchTopK(1))
    #expect(pass.codes.map { $0.map(\.expert) } == [[0, 2], [2], []])
    #expect(weights().forward(rows, batchTopK(1.4)).codes.map(\.count) == [2, 2, 0])
    // ⌊3 · 3⌋ = 9 places, and five codes above 0.
    #expect(weights().forward(rows, batchTopK(3)).codes.map(\.count) == [2, 3, 0])
  }

  @Test func tiesOfABatchGoToTheLowerRowThenTheLowerLatent() {
    let pass = weights().forward([0, 0, 1, 0, 1, 1], batchTopK(0.67))
    // Codes: row 1 has 1, 0, 0.6; row 2 has 1, 1, 1.4. Two places: 1.4, then the 1 of row 1.
    #expect(pass.codes.map { $0.map(\.expert) } == [[], [0], [2]])
  }

  @Test func theRunningThresholdAverages() {
    let settings = BatchTopK(active: 1, thresholdRate: 0.25, thresholdStart: 2)
    #expect(settings.threshold(after: 2, least: 6) == 3)
    #expect(settings.threshold(after: 3, least: nil) == 3)
    #expect(settings.pairs(rows: 7) == 7)
    #expect(BatchTopK(active: 0.4).pairs(rows: 7) == 2)
  }

  @Test func prefixesLeaveLaterLatentsOut() {
    var settings = ReferenceSettings()
    settings.terms.append(.init(part: .whole, experts: 2, weight: 3))
    let pass = weights().forward([3, 4], settings)
    // z = 3, 4, 5. The whole is (3, 4) + 5 (0.6, 0.8) = (6, 8); the prefix is (3, 4).
    #expect(pass.reconstruction == [6, 8])
    #expect(pass.loss.errors[0] == 25 && pass.loss.errors[2] == 0)
    #expect(pass.loss.total == 25)
  }

  @Test func jumpReLUKeepsWhatExceedsItsThreshold() {
    var weights = weights([.thresholds, .encoderBias])
    weights.thresholds = [1, 1, 1]
    weights.encoderBias = [0, 0.5, 0]
    var settings = ReferenceSettings()
    settings.selection = .jumpReLU(JumpReLU(target: 1))
    settings.jumpSparsity = 0.5
    // u = 1, 1.1, 1.08: the first does not exceed 1.
    let pass = weights.forward([1, 0.6], settings)
    #expect(pass.codes[0].map(\.expert) == [1, 2])
    #expect(abs(pass.codes[0][0].value - 1.1) < 1e-12)
    // (2 / 1) (2 − 1)² times 0.5.
    #expect(pass.loss.jump == 1)
  }

  @Test func theThresholdsGradientIsTheRectangleKernels() {
    var weights = weights([.thresholds])
    weights.thresholds = [0.9, 0.3, 1.2]
    var settings = ReferenceSettings()
    let bandwidth = 0.5
    settings.selection = .jumpReLU(JumpReLU(bandwidth: bandwidth))
    settings.jumpSparsity = 0.2
    let rows = [1.0, 0.5, 0.2, 1.3]
    let pass = weights.forward(rows, settings)
    let gradient = weights.gradients(rows, settings, pass)
    var expected = [0.0, 0, 0]
    for row in 0..<2 {
      let x = Array(rows[2 * row..<2 * row + 2])
      let u = [x[0], x[1], 0.6 * x[0] + 0.8 * x[1]]
      var output = [0.0, 0]
      for latent in 0..<3 where u[latent] > weights.thresholds[latent] {
        for axis in 0..<2 { output[axis] += u[latent] * weights.decoder[2 * latent + axis] }
      }
      for latent in 0..<3 where abs(u[latent] - weights.thresholds[latent]) < bandwidth / 2 {
        var along = 0.0
        for axis in 0..<2 {
          along += weights.decoder[2 * latent + axis] * (output[axis] - x[axis])
        }
        // Two rows, so ∂L/∂x̂ is the difference itself; the penalty is 0.2 / 2 for each row.
        expected[latent] -= (weights.thresholds[latent] * along + 0.1) / bandwidth
      }
    }
    #expect(expected.contains { $0 != 0 })
    for (own, other) in zip(gradient.thresholds, expected) { #expect(abs(own - other) < 1e-12) }
  }

  @Test func theThresholdsGradientCountsBothLevels() {
    // One expert with one sublatent: u = x₀, d = axis 0, y = x₁, v = x₁ along axis 1.
    let shape = DictionaryShape(
      width: 2, experts: 1, sublatents: 1, subspace: 1, activeExperts: 1)
    var weights = ReferenceParameters(shape: shape, vectors: .thresholds)
    (weights.encoder, weights.decoder) = ([1, 0], [1, 0])
    (weights.down, weights.up) = ([0, 1], [0, 1])
    (weights.subEncoder, weights.subDecoder, weights.thresholds) = ([1], [1], [1])
    var settings = ReferenceSettings()
    settings.selection = .jumpReLU(JumpReLU(bandwidth: 0.5, target: 2))
    settings.jumpSparsity = 0.1
    settings[.topLevel] = 3
    // Three rows: active and near θ, inactive and near θ, active and far from it.
    let rows = [1.2, 0.5, 0.9, 0.4, 1.3, 0.7]
    let pass = weights.forward(rows, settings)
    #expect(pass.codes.map(\.count) == [1, 0, 1])
    #expect(pass.windows.map(\.count) == [1, 1, 0])
    // x̂ = x where the expert is active, and x̂_high = (x₀, 0), so the first row's error is that of x̂_high along
    // axis 1, where d has no part. The second row's x̂ and x̂_high are 0: ∂L/∂x̂ = (2/3)(−0.9, −0.4), three times that
    // for x̂_high. The penalty is 0.1 (L0 − 2)²: its slope is 0.2 (L0 − 2) / 3.
    let second = 1.0 * (1 + 3) * (2 / 3.0) * -0.9 + 0.4 * (2 / 3.0) * -0.4 + 0.2 * (0 - 2) / 3
    let first = 0.2 * (1 - 2) / 3
    let gradient = weights.gradients(rows, settings, pass)
    #expect(abs(gradient.thresholds[0] + (first + second) / 0.5) < 1e-12)
  }

  @Test func thePenaltyOnDeadLatentsPullsThemBack() {
    var weights = weights([.thresholds, .encoderBias])
    weights.thresholds = [0.5, 0.5, 0.5]
    weights.decoder[2] = 0
    weights.decoder[3] = 2
    var settings = ReferenceSettings()
    settings.selection = .jumpReLU(JumpReLU())
    settings.jumpDead = 0.3
    settings.dead = [false, true, true]
    settings[.whole] = 0
    // u = −1, −0.25 and −0.8; 1, −0.25 and 0.4. Latent 1 lacks 0.75 twice, its row has norm 2. Latent 2 lacks 1.3 and
    // 0.1. Latent 0 lives.
    let rows = [-1, -0.25, 1, -0.25]
    let pass = weights.forward(rows, settings)
    #expect(abs(pass.loss.jump - 0.3 * (0.75 * 2 + 0.75 * 2 + 1.3 + 0.1) / 2) < 1e-12)
    let gradient = weights.gradients(rows, settings, pass)
    for (own, other) in zip(gradient.thresholds, [0, 0.6, 0.3]) {
      #expect(abs(own - other) < 1e-12)
    }
    for (own, other) in zip(gradient.encoderBias, [0, -0.6, -0.3]) {
      #expect(abs(own - other) < 1e-12)
    }
    #expect(abs(gradient.decoder[3] - 0.3 * 0.75) < 1e-12)
  }

  @Test func thresholdsDoNotFallBelowZero() {
    var weights = weights([.thresholds])
    weights.thresholds = [0.01, 0.5, 0.5]
    var settings = ReferenceSettings()
    settings.selection = .jumpReLU(JumpReLU())
    var trainer = ReferenceTrainer(parameters: weights)
    // u₀ = 0.005 is in the window of θ₀, and latent 0 is wanted: Adam moves θ₀ down by about 0.1.
    _ = trainer.step([0.005, -3], settings, learningRate: 0.1, clip: 0)
    #expect(trainer.parameters.thresholds == [0, 0.5, 0.5])
  }

  @Test func jumpReLUHasRoomForItsShape() {
    var weights = ReferenceParameters(
      shape: DictionaryShape(width: 2, experts: 3, sublatents: 0, subspace: 0, activeExperts: 1),
      vectors: .thresholds)
    weights.encoder = [1, 0, 0, 1, 0.6, 0.8]
    weights.decoder = weights.encoder
    weights.thresholds = [0.1, 0.1, 1]
    var settings = ReferenceSettings()
    settings.selection = .jumpReLU(JumpReLU())
    // u − θ = 1.9, 0.4 and 0.6; 0.2, 0.9 and −0.02. There is room for two.
    let pass = weights.forward([2, 0.5, 0.3, 1], settings)
    #expect(pass.codes.map { $0.map(\.expert) } == [[0], [1]])
  }

  @Test func auxiliaryLossByShareKeepsLatentsBelowZero() {
    var settings = ReferenceSettings()
    settings.terms[0].weight = 0
    (settings.auxiliary, settings.auxiliaryScale) = (1, .deadShare)
    settings.auxiliaryCount = 4
    settings.dead = [true, true, false]
    // u = −1, 2 and 1; the third is 1 · (0.6, 0.8), the second is active too: x̂ = (0.6, 2.8), e = (−1.6, −0.8).
    // ê = −1 · axis 0 + 2 · axis 1 = (−1, 2). Half of the four places are dead.
    let pass = weights().forward([-1, 2], settings)
    #expect(pass.auxiliaries[0].latents == [[1, 0]])
    #expect(abs(pass.loss.auxiliary - 0.5 * (0.6 * 0.6 + 2.8 * 2.8)) < 1e-12)
    settings.auxiliaryScale = .variance
    #expect(weights().forward([-1, 2], settings).auxiliaries[0].latents == [[1]])
  }

  @Test func auxiliaryLossByLevelsExplainsWhatEachLeavesOver() {
    var settings = ReferenceSettings()
    (settings.auxiliary, settings.auxiliaryScale) = (1, .deadShare)
    (settings.auxiliaryCount, settings.auxiliaryLevels) = (2, [1, 2, 3])
    settings.dead = [true, false, true]
    // z = 3, 4 and 5. The first level leaves (3, 4) − (3, 0) = (0, 4), its dead latent says (3, 0). The second has
    // none dead. The third leaves (3, 4) − (6, 8) = (−3, −4), its dead latent says (3, 4). Each has one of two places.
    let pass = weights().forward([3, 4], settings)
    #expect(pass.auxiliaries.map(\.latents) == [[[0]], [[]], [[2]]])
    for (own, other) in zip(pass.auxiliaries.flatMap(\.target), [0.0, 4, 0, 0, -3, -4]) {
      #expect(abs(own - other) < 1e-12)
    }
    #expect(abs(pass.loss.auxiliary - 0.5 * (9 + 16) - 0.5 * (36 + 64)) < 1e-12)
  }

  @Test func frozenWeightsHaveNoGradient() {
    var generator = SeededGenerator(seed: 4)
    let shape = DictionaryShape(
      width: 5, experts: 6, sublatents: 3, subspace: 2, activeExperts: 3)
    let weights = drawWeights(shape, .inputBias, &generator)
    let rows = (0..<20).map { _ in generator.nextSymmetric() }
    for part in FrozenPart.allCases {
      var settings = ReferenceSettings.paper(width: 5)
      settings.frozen = part
      var trainer = ReferenceTrainer(parameters: weights)
      _ = trainer.step(rows, settings, learningRate: 0.1, clip: 0)
      let frozen: [ParameterName] =
        part == .decoder ? [.decoder, .up, .subDecoder] : [.encoder, .down, .subEncoder]
      for name in weights.names {
        #expect((trainer.parameters[name] == weights[name]) == frozen.contains(name), "\(name)")
      }
    }
  }

  @Test func aBoundedDecoderRowStaysOnItsCone() {
    var weights = weights()
    var settings = ReferenceSettings()
    settings.decoderCosine = 0.8
    settings.firstDecoder = [1, 0, 1, 0, 0, 1]
    weights.boundDecoders(settings)
    // The first is where it was. The second, at a right angle, goes to the cone. The third is inside.
    for (own, other) in zip(weights.decoder, [1, 0, 0.8, 0.6, 0.6, 0.8]) {
      #expect(abs(own - other) < 1e-12)
    }
  }

  /// Codes of 2,000 candidates lie evenly in 0 ..< 1, so n of them are above 1 − n / 2,000.
  @Test(arguments: [50.0, 500, 1_500])
  func theThresholdOfSublatentsFollowsItsBudget(_ active: Double) {
    let budget = SublatentBudget(active: active / 100)
    var generator = SeededGenerator(seed: 4)
    var threshold = 0.0
    for step in 0..<600 {
      let codes = (0..<2_000).map { _ in generator.nextUniform() }
        .filter { $0 >= threshold }
      let last = threshold
      threshold = budget.threshold(
        after: threshold, count: codes.count, sum: codes.reduce(0, +), rows: 100)
      if step == 0 { #expect(abs(threshold - 0.005) < 1e-3) }
      #expect(threshold <= last * 1.05 + 0.011 && threshold >= last * 0.95)
    }
    #expect(abs(threshold - (1 - active / 2_000)) < 0.03)
    #expect(budget.threshold(after: 0, count: 0, sum: 0, rows: 100) == 0)
    #expect(abs(budget.threshold(after: 1, count: 0, sum: 0, rows: 100) - 0.95) < 1e-12)
  }

  @Test func aRowAloneIsEncodedAsInCompany() {
    let shape = DictionaryShape(
      width: 12, experts: 40, sublatents: 3, subspace: 2, activeExperts: 40)
    let parameters = Parameters.initial(shape: shape, seed: 2, vectors: [.inputBias, .encoderBias])
    let selection = Selection.batchTopK(BatchTopK(active: 3))
      .inference(parameters, batchThreshold: 0.2)
    let dictionary = SparseAutoencoder(
      parameters: parameters.forInference(shape: shape),
      activation: ActivationFunction(threshold: 0, subThreshold: 0), selection: selection)
    var generator = SeededGenerator(seed: 9)
    var rows = Matrix(rows: 30, columns: 12)
    for row in 0..<30 {
      for column in 0..<12 { rows[row, column] = Float(generator.nextSymmetric()) / 2 }
    }
    let together = dictionary.encode(rows)
    #expect(Set(together.map(\.count)).count > 2)
    for row in 0..<30 {
      var alone = Matrix(rows: 1, columns: 12)
      for column in 0..<12 { alone[0, column] = rows[row, column] }
      #expect(Array(dictionary.encode(alone)[0]) == Array(together[row]))
      for code in together[row] { #expect(code.value > 0.2) }
    }
  }
}
