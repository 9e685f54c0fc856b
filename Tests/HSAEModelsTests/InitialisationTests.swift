// Fresh weights: they follow the table of initial values, and a seed determines them.

import HSAETensors
import Testing

@testable import HSAEModels

struct InitialisationTests {
  let shape = DictionaryShape(width: 24, experts: 40, sublatents: 6, subspace: 3, activeExperts: 4)

  @Test func followsTheTable() {
    let weights = ReferenceParameters(Parameters.initial(shape: shape, seed: 5, hasBias: true))
    let (d, s) = (shape.width, shape.subspace)
    let bound = (6.0 / Double(d)).squareRoot()
    #expect(weights.encoder.allSatisfy { abs($0) <= bound + 1e-7 })
    let variance = dot(weights.encoder, 0, weights.encoder, 0, 40 * d) / Double(40 * d)
    #expect(abs(variance - bound * bound / 3) < 0.1 * bound * bound / 3)
    for latent in 0..<shape.experts {
      let norm = dot(weights.encoder, latent * d, weights.encoder, latent * d, d).squareRoot()
      for column in latent * d..<(latent + 1) * d {
        #expect(abs(weights.decoder[column] - weights.encoder[column] / norm) < 1e-7)
      }
    }
    #expect(weights.up == weights.down)
    #expect(weights.subDecoder == weights.subEncoder)
    for row in 0..<shape.experts * s {
      #expect(abs(dot(weights.down, row * d, weights.down, row * d, d) - 1) < 1e-6)
    }
    for row in 0..<shape.experts * shape.sublatents {
      #expect(abs(dot(weights.subEncoder, row * s, weights.subEncoder, row * s, s) - 1) < 1e-6)
    }
    #expect(weights.bias == [Double](repeating: 0, count: d))
  }

  @Test func seedFixesTheWeights() {
    let one = ReferenceParameters(Parameters.initial(shape: shape, seed: 5))
    #expect(one == ReferenceParameters(Parameters.initial(shape: shape, seed: 5)))
    #expect(one.encoder != ReferenceParameters(Parameters.initial(shape: shape, seed: 6)).encoder)
  }

  @Test func anExpertDoesNotDependOnTheOthers() {
    var more = shape
    more.experts = 50
    let small = ReferenceParameters(Parameters.initial(shape: shape, seed: 5))
    let large = ReferenceParameters(Parameters.initial(shape: more, seed: 5))
    #expect(Array(large.encoder.prefix(small.encoder.count)) == small.encoder)
    #expect(Array(large.down.prefix(small.down.count)) == small.down)
    #expect(Array(large.subEncoder.prefix(small.subEncoder.count)) == small.subEncoder)
  }

  @Test func layoutsConvertBothWays() {
    let weights = Parameters.initial(shape: shape, seed: 9, hasBias: true)
    let wide = ReferenceParameters(weights)
    #expect(wide.encoder[2 * 24 + 5] == Double(weights.encoderSide[2 * 4, 5]))
    #expect(wide.up[(2 * 3 + 1) * 24 + 5] == Double(weights.decoderSide[2 * 4 + 2, 5]))
    #expect(ReferenceParameters(wide.rounded()) == wide)
  }

  @Test func flatDictionariesHaveNoSecondLevel() {
    let flat = DictionaryShape(
      width: 24, experts: 40, sublatents: 0, subspace: 0, activeExperts: 4)
    let weights = ReferenceParameters(Parameters.initial(shape: flat, seed: 5))
    #expect(weights.down.isEmpty && weights.subEncoder.isEmpty)
    #expect(weights.encoder.count == 40 * 24)
  }
}
