// Cases whose results can be computed on paper: conventions about ties and inactive experts, the penalties of
// extreme dictionaries, and the parts of the training step.

import Testing

@testable import HSAEModels

struct KnownAnswerTests {
  /// A flat dictionary with d = m = 4, whose encoder and decoder are the identity matrix.
  var identity: ReferenceParameters {
    let shape = DictionaryShape(
      width: 4, experts: 4, sublatents: 0, subspace: 0, activeExperts: 2)
    var weights = ReferenceParameters(shape: shape)
    for latent in 0..<4 {
      weights.encoder[latent * 5] = 1
      weights.decoder[latent * 5] = 1
    }
    return weights
  }

  /// Two experts in four dimensions: expert 0 reads axis 0 and owns axes 1 and 2, expert 1 reads axis 3 and
  /// owns axes 2 and 1. Sublatents are the axes of each subspace.
  var planted: ReferenceParameters {
    let shape = DictionaryShape(
      width: 4, experts: 2, sublatents: 2, subspace: 2, activeExperts: 2)
    var weights = ReferenceParameters(shape: shape)
    weights.encoder = [1, 0, 0, 0, 0, 0, 0, 1]
    weights.decoder = weights.encoder
    weights.down = [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0]
    weights.up = weights.down
    weights.subEncoder = [1, 0, 0, 1, 1, 0, 0, 1]
    weights.subDecoder = weights.subEncoder
    return weights
  }

  @Test func collapsedDictionaryPaysInFull() {
    // Every latent is the same direction: all m² − m products are 1.
    let shape = DictionaryShape(
      width: 3, experts: 10, sublatents: 0, subspace: 0, activeExperts: 1)
    var weights = ReferenceParameters(shape: shape)
    for latent in 0..<10 {
      weights.encoder[latent * 3] = 1
      weights.decoder[latent * 3] = 1
    }
    #expect(abs(weights.orthogonalityByGram().value - 1 / 90.0.squareRoot()) < 1e-15)
    #expect(abs(weights.orthogonalityDirectly().value - 1 / 90.0.squareRoot()) < 1e-15)
  }

  @Test func orthonormalDictionaryPaysNothing() {
    let gram = identity.orthogonalityByGram()
    #expect(gram.value == 0)
    #expect(gram == identity.orthogonalityDirectly())
    #expect(gram.encoder.allSatisfy { $0 == 0 } && gram.decoder.allSatisfy { $0 == 0 })
  }

  @Test func oneLatentHasNoPairs() {
    let shape = DictionaryShape(width: 2, experts: 1, sublatents: 0, subspace: 0, activeExperts: 1)
    var weights = ReferenceParameters(shape: shape)
    weights.encoder = [1, 2]
    weights.decoder = [0.6, 0.8]
    #expect(weights.orthogonalityByGram().value == 0)
    #expect(weights.orthogonalityDirectly().value == 0)
  }

  @Test func plantedHierarchyIsReadExactly() {
    var settings = ReferenceSettings.paper(width: 4)
    settings.sparsity = 0
    settings.orthogonality = 0
    let rows = [1.5, 0.7, 0, 0, 0.9, 0, 0.6, 0]
    let pass = planted.forward(rows, settings)
    #expect(pass.codes.map { $0.map(\.expert) } == [[0], [0]])
    #expect(pass.codes.map { $0.map(\.sublatent) } == [[0], [1]])
    #expect(pass.loss.reconstruction == 0)
    #expect(abs(pass.loss.topLevel - (0.49 + 0.36) / 2) < 1e-15)
    settings[.topLevel] = 0
    #expect(planted.forward(rows, settings).loss.total == 0)
    let gradient = planted.gradients(rows, settings, planted.forward(rows, settings))
    #expect(gradient.norm == 0)
  }

  @Test func zeroInputTouchesNothing() {
    var settings = ReferenceSettings.paper(width: 4)
    settings.orthogonality = 0
    for slope in [0, 0.5] {
      settings.slope = slope
      let rows = [Double](repeating: 0, count: 8)
      let pass = planted.forward(rows, settings)
      #expect(pass.codes == [[], []])
      var nothing = ReferenceLoss()
      nothing.errors = [0, 0]
      #expect(pass.loss == nothing)
      #expect(planted.gradients(rows, settings, pass).norm == 0)
    }
  }

  @Test func inactiveExpertsPayNothing() {
    // k = 2, but only expert 0 passes: expert 1's sublatents would see 0.7 and 0.2.
    var settings = ReferenceSettings.paper(width: 4)
    settings.orthogonality = 0
    settings.subSlope = 0.1
    let pass = planted.forward([1.5, 0.7, 0.2, 0.4], settings)
    #expect(pass.codes[0].map(\.expert) == [0])
    #expect(abs(pass.loss.sparsityTop - 1.5) < 1e-15)
    #expect(abs(pass.loss.sparsitySub - (0.7 + 0.1 * 0.2)) < 1e-15)
    let gradient = planted.gradients([1.5, 0.7, 0.2, 0.4], settings, pass)
    #expect(gradient.down[8...].allSatisfy { $0 == 0 })
    #expect(gradient.up[8...].allSatisfy { $0 == 0 })
    #expect(gradient.subEncoder[4...].allSatisfy { $0 == 0 })
    #expect(gradient.encoder[4...].allSatisfy { $0 == 0 })
  }

  @Test func chosenSublatentMayBeSlightlyNegative() {
    // Nothing passes the threshold: the least negative leaky value is kept.
    let settings = ReferenceSettings.paper(width: 4)
    let pass = planted.forward([1.5, -0.7, -0.2, 0], settings)
    #expect(pass.codes[0][0].sublatent == 1)
    #expect(abs(pass.codes[0][0].subValue + 0.002) < 1e-15)
  }

  @Test func tiesGoToTheLowestIndex() {
    var settings = ReferenceSettings()
    let flat = identity.forward([0.5, 0.5, 0.5, 0.5], settings)
    #expect(flat.codes[0].map(\.expert) == [0, 1])
    let deep = planted.forward([1, 0.6, 0.6, 0], .paper(width: 4))
    #expect(deep.codes[0][0].sublatent == 0)
    settings.auxiliary = 1
    settings.auxiliaryCount = 1
    settings.dead = [false, false, true, true]
    #expect(identity.forward([0.5, 0.5, 0.5, 0.5], settings).auxiliaries[0].latents == [[2]])
  }

  @Test func l1ScopeDecidesWhichLatentsThePenaltyCounts() {
    var settings = ReferenceSettings()
    settings.threshold = 0.3
    settings.slope = 0.5
    settings.sparsity = 1
    // 0.2 is below threshold: active if among the k largest, never penalised.
    let rows = [0.9, 0.8, 0.7, 0.2]
    #expect(abs(identity.forward(rows, settings).loss.sparsity - 2.4) < 1e-15)
    settings.scope = .topK
    #expect(abs(identity.forward(rows, settings).loss.sparsity - 1.7) < 1e-15)
    let low = identity.forward([0.9, 0.2, 0, 0], settings)
    #expect(low.codes[0].map(\.expert) == [0, 1])
    #expect(low.codes[0][1].value == 0.1)
    #expect(low.loss.sparsity == 0.9)
  }

  @Test func auxiliaryTermIsZeroWithoutVariance() {
    var settings = ReferenceSettings()
    settings.auxiliary = 1
    settings.auxiliaryCount = 2
    settings.dead = [false, false, true, true]
    // One row is its own mean.
    let single = identity.forward([0.9, 0.8, 0.7, 0.2], settings)
    #expect(single.loss.auxiliary == 0)
    // Two rows with the residuals (0, 0, 0.7, 0.2) and (0, 0, 0.3, 0.1): the dead latents explain both
    // exactly.
    let pair = identity.forward([0.9, 0.8, 0.7, 0.2, 0.9, 0.8, 0.3, 0.1], settings)
    #expect(pair.auxiliaries[0].factor > 0)
    #expect(pair.loss.auxiliary == 0)
    settings.auxiliaryCount = 1
    let half = identity.forward([0.9, 0.8, 0.7, 0.2, 0.9, 0.8, 0.3, 0.1], settings)
    #expect(abs(half.loss.auxiliary - 0.025 / (0.04 + 0.0025)) < 1e-12)
  }

  @Test func biasIsTakenOutAndPutBack() {
    let shape = identity.shape
    var weights = ReferenceParameters(shape: shape, hasBias: true)
    weights.encoder = identity.encoder
    weights.decoder = identity.decoder
    weights.bias = [0.5, -0.5, 0, 0]
    let pass = weights.forward([1.5, -0.5, 0, 0], ReferenceSettings())
    #expect(pass.codes[0].map(\.value) == [1])
    #expect(pass.loss.reconstruction == 0)
  }

  @Test func firstAdamStepIsTheLearningRate() {
    // For gradients far above ε, Adam's first update is the sign of the gradient times the learning rate.
    var trainer = ReferenceTrainer(parameters: identity)
    let rows = [0.9, 0.4, 0.1, 0]
    _ = trainer.step(rows, ReferenceSettings(), learningRate: 0.01, clip: 0)
    // The gradient of e_0 is 0, because the two largest entries are rebuilt exactly.
    #expect(trainer.parameters.encoder[0] == 1)
    // The gradient of d_0 is −2 · 0.9 · (0, 0, 0.1, 0): the third entry grows by 0.01, then d_0 is scaled to
    // norm 1.
    let norm = (1 + 0.01 * 0.01).squareRoot()
    #expect(abs(trainer.parameters.decoder[2] - 0.01 / norm) < 1e-8)
    #expect(abs(trainer.parameters.decoder[0] - 1 / norm) < 1e-8)
  }

  @Test func projectionClippingAndRenormalisation() {
    var settings = ReferenceSettings.paper(width: 4)
    settings[.topLevel] = 1
    let rows = [1.5, 0.7, 0.4, 0.2, 0.9, 0.1, 0.6, 1.1]
    var gradient = planted.gradients(rows, settings, planted.forward(rows, settings))
    planted.projectDecoderGradients(&gradient)
    for latent in 0..<2 {
      #expect(abs(dot(gradient.decoder, latent * 4, planted.decoder, latent * 4, 4)) < 1e-15)
    }
    for row in 0..<4 {
      #expect(abs(dot(gradient.subDecoder, row * 2, planted.subDecoder, row * 2, 2)) < 1e-15)
    }
    var trainer = ReferenceTrainer(parameters: planted)
    let step = trainer.step(rows, settings, learningRate: 0.1, clip: 0.5)
    #expect(abs(step.gradientNorm - gradient.norm) < 1e-15)
    #expect(step.gradientNorm > 0.5)
    #expect(abs(trainer.firstMoments.norm - 0.1 * 0.5) < 1e-15)
    let after = trainer.parameters
    for latent in 0..<2 {
      #expect(abs(dot(after.decoder, latent * 4, after.decoder, latent * 4, 4) - 1) < 1e-15)
    }
    for row in 0..<4 {
      #expect(abs(dot(after.subDecoder, row * 2, after.subDecoder, row * 2, 2) - 1) < 1e-15)
    }
  }
}
