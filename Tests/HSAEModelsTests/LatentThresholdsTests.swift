// The encoder's bias, the thresholds and the scales of latents: the fast encoder agrees with the reference
// implementation, with any of these parts, and for any number of active latents.

import HSAETensors
import Testing

@testable import HSAEModels

struct LatentThresholdsTests {
  private func numbers(_ count: Int, _ range: ClosedRange<Float>, _ seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float.random(in: range, using: &generator) }
  }

  @Test(
    arguments: [3, 300, 700],
    [
      (true, true, false), (true, false, false), (false, true, false), (true, false, true),
      (false, false, true),
    ])
  func agreesWithTheTwin(active: Int, parts: (bias: Bool, threshold: Bool, scale: Bool)) {
    // More latents than a tile has, and not a multiple of it.
    let shape = DictionaryShape(
      width: 16, experts: 700, sublatents: 0, subspace: 0, activeExperts: active)
    let thresholds = LatentThresholds(
      encoderBias: parts.bias ? numbers(700, -0.5...0.5, 1) : [],
      threshold: parts.threshold ? numbers(700, -0.3...1, 2) : [],
      // Some latents have the scale 0.
      codeScale: parts.scale ? numbers(700, -0.2...3, 5).map { max(0, $0) } : [])
    let parameters = Parameters.initial(shape: shape, seed: 3, hasBias: true)
    var settings = ReferenceSettings()
    settings.selection = .thresholds(thresholds)
    let twin = ReferenceParameters(parameters)
    let rows = Matrix(rows: 75, columns: 16, elements: numbers(75 * 16, -1...1, 4))
    let expected = twin.forward(rows.elements.map { Double($0) }, settings)
    let dictionary = SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0, subThreshold: 0),
      selection: .thresholds(thresholds))
    let codes = dictionary.encode(rows, threads: 2)
    #expect(codes.all == dictionary.encode(rows, threads: 1).all)
    let rebuilt = dictionary.decode(codes)
    var active = 0
    for row in 0..<75 {
      active += codes[row].count
      for (one, next) in zip(codes[row], codes[row].dropFirst()) {
        #expect(one.value >= next.value)
      }
      let own = Dictionary(uniqueKeysWithValues: codes[row].map { ($0.expert, Double($0.value)) })
      let other = Dictionary(
        uniqueKeysWithValues: expected.codes[row].map { ($0.expert, $0.value) })
      #expect(Set(own.keys) == Set(other.keys))
      for (latent, value) in own { #expect(abs(value - (other[latent] ?? 0)) < 1e-5) }
      for column in 0..<16 {
        #expect(
          abs(Double(rebuilt[row, column]) - expected.reconstruction[row * 16 + column]) < 1e-4)
      }
    }
    #expect(active > 75 * 2)
  }

  @Test func emptyThresholdsAreNone() {
    let shape = DictionaryShape(
      width: 4, experts: 5, sublatents: 0, subspace: 0, activeExperts: 2)
    let dictionary = SparseAutoencoder(
      parameters: .initial(shape: shape, seed: 1),
      activation: ActivationFunction(threshold: 0, subThreshold: 0),
      selection: .thresholds(LatentThresholds()))
    #expect(dictionary.thresholds == nil)
    #expect(!LatentThresholds(encoderBias: [1]).fits(5) && LatentThresholds(threshold: [1]).fits(1))
  }
}
