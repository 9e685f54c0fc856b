// Compares the hand-written backward pass with finite differences, for every tensor and every term of the
// loss, separately and together. Rows near a tie, a threshold or a zero of |·| are not used, because the loss
// has no derivative there.

import HSAETensors
import Testing

@testable import HSAEModels

/// A dictionary and settings to differentiate at.
struct GradientCase: CustomTestStringConvertible, Sendable {
  var testDescription: String
  var shape = DictionaryShape(width: 5, experts: 6, sublatents: 3, subspace: 2, activeExperts: 3)
  var vectors: TrainedVectors = []
  var hasBias: Bool {
    get { vectors.contains(.inputBias) }
    set { vectors = newValue ? vectors.union(.inputBias) : vectors.subtracting(.inputBias) }
  }
  var settings = ReferenceSettings.paper(width: 5)

  /// Every dictionary with each of its terms alone, and with all of them together.
  static let all: [GradientCase] = {
    var hierarchical = GradientCase(testDescription: "H-SAE")
    hierarchical.settings.sparsity = 0.05
    var sloped = hierarchical
    sloped.testDescription = "H-SAE, slopes > 0, scope topk, own sub-threshold"
    sloped.settings.slope = 0.3
    sloped.settings.subSlope = 0.2
    sloped.settings.subThreshold = 0.2
    sloped.settings.scope = .topK
    var wide = hierarchical
    wide.testDescription = "H-SAE, slopes > 0, bias, AuxK"
    wide.hasBias = true
    wide.settings.slope = 0.1
    wide.settings.auxiliary = 0.4
    wide.settings.auxiliaryCount = 2
    wide.settings.dead = [true, false, true, true, false, false]
    var flat = GradientCase(testDescription: "flat")
    flat.shape.sublatents = 0
    flat.shape.subspace = 0
    flat.settings = ReferenceSettings()
    var biased = flat
    biased.testDescription = "flat, bias, AuxK"
    biased.hasBias = true
    biased.settings.auxiliary = 1.0 / 30
    biased.settings.auxiliaryCount = 2
    biased.settings.dead = [true, false, true, false, true, true]
    var regularised = biased
    regularised.testDescription = "flat, bias, threshold, L1, orthogonality"
    regularised.settings.threshold = 0.3
    regularised.settings.sparsity = 0.05
    regularised.settings.orthogonality = 0.5
    return [hierarchical, sloped, wide, flat, biased, regularised].flatMap { $0.separately + [$0] }
      + selections(hierarchical, flat: biased)
  }()

  /// The other selections, prefixes and scales, with the whole loss.
  private static func selections(_ wide: GradientCase, flat: GradientCase) -> [GradientCase] {
    var batch = wide
    batch.testDescription = "H-SAE, batchtopk, both biases"
    batch.settings.selection = .batchTopK(BatchTopK(active: 2.3))
    batch.vectors = [.inputBias, .encoderBias]
    var flatBatch = flat
    flatBatch.testDescription = "flat, batchtopk, encoder bias, AuxK by share of dead latents"
    flatBatch.settings.selection = .batchTopK(BatchTopK(active: 1.6))
    flatBatch.settings.auxiliaryScale = .deadShare
    flatBatch.settings.auxiliaryCount = 5
    flatBatch.vectors = [.inputBias, .encoderBias]
    var nested = wide
    nested.testDescription = "H-SAE, matryoshka, bias"
    nested.hasBias = true
    nested.settings.terms += [
      .init(part: .whole, experts: 2, weight: 0.5), .init(part: .whole, experts: 4, weight: 2),
    ]
    var jump = wide
    jump.testDescription = "H-SAE, jumprelu, quadratic, dead penalty"
    (jump.settings.threshold, jump.settings.sparsity) = (0, 0)
    jump.settings.selection = .jumpReLU(JumpReLU(bandwidth: 0.4, target: 2))
    (jump.settings.jumpSparsity, jump.settings.jumpDead) = (0.3, 0.7)
    jump.settings.dead = [true, false, false, true, false, false]
    jump.vectors = [.inputBias, .encoderBias, .thresholds]
    var flatJump = flat
    flatJump.testDescription = "flat, jumprelu, step, matryoshka"
    flatJump.settings.selection = .jumpReLU(JumpReLU(bandwidth: 0.3))
    flatJump.settings.jumpSparsity = 0.2
    flatJump.settings.terms.append(.init(part: .whole, experts: 3, weight: 1))
    flatJump.vectors = [.encoderBias, .thresholds]
    var levels = flatBatch
    levels.testDescription = "flat, matryoshka, batchtopk, AuxK by levels"
    levels.settings.terms.append(.init(part: .whole, experts: 3, weight: 0.5))
    levels.settings.auxiliaryLevels = [3, 6]
    levels.settings.auxiliaryCount = 1
    var divided = levels
    divided.testDescription = "flat, matryoshka, AuxK by levels, divided by the variance"
    divided.settings.selection = .topK
    divided.settings.auxiliaryScale = .variance
    var measured = nested
    measured.testDescription = "H-SAE, matryoshka, bias, another inner product of errors"
    measured.settings.metric = metric(5)
    var flatMeasured = flat
    flatMeasured.testDescription = "flat, AuxK, another inner product of errors"
    flatMeasured.settings.metric = metric(5)
    return [
      batch, flatBatch, nested, jump, flatJump, levels, divided, measured, flatMeasured,
    ]
  }

  /// A symmetric positive matrix of `width` rows.
  private static func metric(_ width: Int) -> [Double] {
    var generator = SeededGenerator(seed: 3)
    let root = (0..<width * width).map { _ in Double(generator.nextSymmetric()) }
    return (0..<width * width).map { place in
      (0..<width).reduce(0) {
        $0 + root[place / width * width + $1] * root[place % width * width + $1]
      }
    }
  }

  /// This case with one term of the loss at a time.
  var separately: [GradientCase] {
    let terms: [(String, WritableKeyPath<ReferenceSettings, Double>)] = [
      ("reconstruction", \.[.whole]), ("top level", \.[.topLevel]),
      ("orthogonality", \.orthogonality), ("L1", \.sparsity), ("AuxK", \.auxiliary),
    ]
    return terms.compactMap { name, kept in
      guard settings[keyPath: kept] != 0 else { return nil }
      var alone = self
      alone.testDescription += ": \(name) alone"
      for (_, path) in terms where path != kept { alone.settings[keyPath: path] = 0 }
      return alone
    }
  }
}

struct GradientTests {
  @Test(arguments: GradientCase.all)
  func finiteDifferencesAgree(_ example: GradientCase) {
    let shape = example.shape
    var generator = SeededGenerator(seed: 11)
    let weights = drawWeights(shape, example.vectors, &generator)
    let rows = drawRows(7, weights, example.settings, &generator)
    let pass = weights.forward(rows, example.settings)
    let gradient = weights.gradients(rows, example.settings, pass)
    let largest = gradient.names.flatMap { gradient[$0] }.reduce(0) { max($0, abs($1)) }
    #expect(largest > 0)
    // The thresholds of JumpReLU have a gradient that is no derivative: `SelectionTests` compares it.
    for name in weights.names where name != .thresholds {
      for index in weights[name].indices {
        // Central, fourth order: exact for polynomials of degree 4.
        func loss(_ offset: Double) -> Double {
          var moved = weights
          moved[name][index] += offset
          return moved.forward(
            rows, example.settings, auxiliaryTargets: pass.auxiliaries.map(\.target)
          ).loss.total
        }
        let h = 1e-3
        let difference = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
        let expected = gradient[name][index]
        #expect(
          abs(difference - expected) <= 1e-6 * max(abs(expected), 1e-4 * largest),
          "\(name.rawValue)[\(index)]: \(difference) by differences, \(expected) by hand")
      }
    }
  }

  @Test func casesReachEveryBranch() {
    // The cases above must include sublatents above and below the threshold, active experts below the
    // threshold, penalised latents outside the top k, and dead latents in use.
    var found = Set<String>()
    for example in GradientCase.all {
      var generator = SeededGenerator(seed: 11)
      let weights = drawWeights(example.shape, example.vectors, &generator)
      let rows = drawRows(7, weights, example.settings, &generator)
      let pass = weights.forward(rows, example.settings)
      for (row, codes) in pass.codes.enumerated() {
        let active = Set(codes.map(\.expert))
        if codes.count < example.shape.activeExperts { found.insert("fewer than k active") }
        for latent in pass.auxiliaries.flatMap({ $0.latents[row] }) {
          let u = pass.preActivations[row * example.shape.experts + latent]
          found.insert(u > 0 ? "dead latent in use" : "dead latent in use below 0")
        }
        for latent in weights.penalised(row, pass, example.settings)
        where !active.contains(latent) {
          found.insert("penalised outside the top k")
        }
        for code in codes {
          let u = pass.preActivations[row * example.shape.experts + code.expert]
          if u < example.settings.threshold { found.insert("active below threshold") }
          for (index, v) in code.subPreActivations.enumerated() {
            let side = v >= example.settings.subThreshold ? "above" : v >= 0 ? "below" : "negative"
            found.insert("\(index == code.sublatent ? "chosen" : "other") sublatent \(side)")
          }
        }
      }
    }
    #expect(
      found.isSuperset(of: [
        "fewer than k active", "dead latent in use", "dead latent in use below 0",
        "penalised outside the top k",
        "active below threshold", "chosen sublatent above", "chosen sublatent below",
        "other sublatent above", "other sublatent below", "other sublatent negative",
      ]), "found only \(found.sorted())")
  }

  @Test func gramFormulaEqualsTheDefinition() {
    for (experts, width, seed) in [(6, 5, 1), (3, 9, 2), (40, 4, 3), (2, 2, 4)] {
      var generator = SeededGenerator(seed: UInt64(seed))
      let shape = DictionaryShape(
        width: width, experts: experts, sublatents: 0, subspace: 0, activeExperts: 1)
      let weights = drawWeights(shape, [], &generator)
      let (gram, direct) = (weights.orthogonalityByGram(), weights.orthogonalityDirectly())
      #expect(abs(gram.value - direct.value) <= 1e-12 * direct.value)
      let scale = direct.encoder.reduce(0) { max($0, abs($1)) }
      for index in gram.encoder.indices {
        #expect(abs(gram.encoder[index] - direct.encoder[index]) <= 1e-12 * scale)
        #expect(abs(gram.decoder[index] - direct.decoder[index]) <= 1e-12 * scale)
      }
    }
  }
}

/// Weights drawn evenly from (-1, 1), with decoder rows of unit norm.
func drawWeights(
  _ shape: DictionaryShape, _ vectors: TrainedVectors, _ generator: inout SeededGenerator
) -> ReferenceParameters {
  var weights = ReferenceParameters(shape: shape, vectors: vectors)
  for name in weights.names {
    weights[name] = weights[name].map { _ in generator.nextSymmetric() }
  }
  weights.bias = weights.bias.map { 0.3 * $0 }
  weights.encoderBias = weights.encoderBias.map { 0.2 * $0 }
  weights.thresholds = weights.thresholds.map { 0.3 + 0.2 * $0 }
  weights.renormaliseDecoders()
  return weights
}

/// `count` rows, each far from every point where a choice of the forward pass changes.
func drawRows(
  _ count: Int, _ weights: ReferenceParameters, _ settings: ReferenceSettings,
  _ generator: inout SeededGenerator
) -> [Double] {
  for _ in 0..<100 {
    var rows: [Double] = []
    for _ in 0..<10_000 where rows.count < count * weights.shape.width {
      let row = (0..<weights.shape.width).map { _ in generator.nextSymmetric() }
      if margin(row, weights, settings) > 0.01 { rows += row }
    }
    precondition(rows.count == count * weights.shape.width, "Too few rows away from every choice.")
    if batchMargin(rows, weights, settings) > 0.01 { return rows }
  }
  preconditionFailure("No batch whose choice is far from a tie.")
}

/// The distance between the last code that a batch takes and the first that it leaves out; infinite if rows choose
/// alone.
private func batchMargin(
  _ rows: [Double], _ weights: ReferenceParameters, _ settings: ReferenceSettings
) -> Double {
  guard case .batchTopK(let batchTopK) = settings.selection else { return .infinity }
  let u = weights.forward(rows, settings).preActivations.sorted(by: >)
  let taken = batchTopK.pairs(rows: rows.count / weights.shape.width)
  return u[taken - 1] - u[taken]
}

/// The distance of `row` from the nearest threshold, zero, or tie.
func margin(
  _ row: [Double], _ weights: ReferenceParameters, _ settings: ReferenceSettings
) -> Double {
  let pass = weights.forward(row, settings)
  let u = pass.preActivations
  var nearest = u.map { min(abs($0 - settings.threshold), abs($0)) }.min() ?? .infinity
  for (u, threshold) in zip(u, weights.thresholds) { nearest = min(nearest, abs(u - threshold)) }
  /// The distance between the last value above `floor` taken and the first one left out.
  func gap(_ values: [Double], _ taken: Int, above floor: Double = 0) -> Double {
    let sorted = values.sorted(by: >)
    guard taken > 0, taken < sorted.count, sorted[taken - 1] > floor else { return .infinity }
    return sorted[taken - 1] - sorted[taken]
  }
  if settings.selection == .topK {
    nearest = min(nearest, gap(u.map(settings.activate), weights.shape.activeExperts))
  }
  var start = 0
  for end in settings.auxiliaryLevels.isEmpty ? [u.count] : settings.auxiliaryLevels {
    let dead = settings.dead.indices.filter { settings.dead[$0] && start <= $0 && $0 < end }
    let isByVariance = settings.auxiliaryScale == .variance
    nearest = min(
      nearest,
      gap(
        dead.map { isByVariance ? max(0, u[$0]) : u[$0] }, settings.auxiliaryCount,
        above: isByVariance ? 0 : -.infinity))
    start = end
  }
  for code in pass.codes[0] {
    for v in code.subPreActivations {
      nearest = min(nearest, abs(v - settings.subThreshold), abs(v))
    }
    let sorted = code.subCodes.sorted(by: >)
    if sorted.count > 1 {
      nearest = min(nearest, (sorted[0] - sorted[1]) / (sorted[0] > 0 ? 1 : settings.subSlope))
    }
  }
  return nearest
}
