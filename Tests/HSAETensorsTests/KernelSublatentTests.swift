// The sublatents of one expert, forward and backward, compared with a plain twin. All numbers are eighths, so
// that sums are exact and ties, thresholds and every bit can be compared.

import CHSAEKernels
import HSAETensors
import Testing

/// One expert's sub-dictionary and its inputs.
struct SublatentCase: Sendable, CustomTestStringConvertible {
  var s: Int
  var a: Int
  var n: Int
  var threshold: Float = 0.5
  var slope: Float = 0.25
  var penalty: Float = 0.125

  var testDescription: String { "s \(s), a \(a), n \(n), slope \(slope), α \(threshold)" }

  static let all: [SublatentCase] = [
    SublatentCase(s: 1, a: 1, n: 1), SublatentCase(s: 1, a: 2, n: 3),
    SublatentCase(s: 4, a: 15, n: 5), SublatentCase(s: 4, a: 16, n: 17),
    SublatentCase(s: 5, a: 17, n: 8), SublatentCase(s: 5, a: 32, n: 9),
    SublatentCase(s: 8, a: 64, n: 4), SublatentCase(s: 7, a: 65, n: 3),
    SublatentCase(s: 4, a: 16, n: 0), SublatentCase(s: 3, a: 6, n: 16, threshold: 0, slope: 0),
    SublatentCase(s: 3, a: 6, n: 16, threshold: 0.5, slope: 0, penalty: 0),
    SublatentCase(s: 2, a: 20, n: 16, threshold: 100),
  ]

  /// u, derivative and code of every sublatent for row `t`.
  func codes(_ y: [Float], _ encoder: [Float], _ t: Int) -> [(derivative: Float, code: Float)] {
    (0..<a).map { j in
      let u = (0..<s).reduce(Float(0)) { $0 + y[t * s + $1] * encoder[j * s + $1] }
      let derivative = u >= threshold ? 1 : slope
      return (derivative, derivative * u)
    }
  }
}

@Suite struct KernelSublatentTests {
  /// The arrays of one case, and the kernel's view of the expert.
  struct Fixture {
    let y, dv, encoder, decoder: FencedArray
    let scratch: FencedArray

    init(_ example: SublatentCase, _ placement: Placement, seed: UInt64) {
      var generator = SeededGenerator(seed: seed)
      let (s, a, n) = (example.s, example.a, example.n)
      y = FencedArray(generator.eighths(n * s), placement)
      dv = FencedArray(generator.eighths(n * s), placement)
      encoder = FencedArray(generator.eighths(a * s), placement)
      decoder = FencedArray(generator.eighths(a * s), placement)
      // The kernel must not rely on the scratch memory's content.
      scratch = FencedArray(
        [Float](repeating: .nan, count: (2 * s + 3) * (a + 16)), .beforeFence)
    }

    func expert(_ example: SublatentCase) -> hsae_sub_expert {
      unsafe hsae_sub_expert(
        subspace: example.s, sublatents: example.a, threshold: example.threshold,
        slope: example.slope, encoder: encoder.base, decoder: decoder.base, scratch: scratch.base)
    }
  }

  @Test(arguments: InstructionSet.all, SublatentCase.all)
  func forwardChoosesTheStrongest(_ set: InstructionSet, _ example: SublatentCase) {
    for (seed, placement) in Placement.allCases.enumerated() {
      let fixture = Fixture(example, placement, seed: UInt64(seed))
      var expert = unsafe fixture.expert(example)
      let (s, n) = (example.s, example.n)
      var q = [Int32](repeating: -9, count: n)
      let c = FencedArray([Float](repeating: 0, count: n), placement)
      let v = FencedArray([Float](repeating: 0, count: n * s), placement)
      let penalty = FencedArray([Float](repeating: 0, count: n), placement)
      unsafe set.table.sub_forward(
        &expert, fixture.y.base, n, &q, c.base, v.base, penalty.base)
      let (y, decoder) = (fixture.y.elements, fixture.decoder.elements)
      for t in 0..<n {
        let codes = example.codes(y, fixture.encoder.elements, t).map(\.code)
        let total = codes.reduce(0) { $0 + abs($1) }
        #expect(abs(penalty.elements[t] - total) <= 1e-6 * total)
        // The first of the largest, even if all are negative.
        let best = codes.max() ?? 0
        let chosen = codes.firstIndex(of: best) ?? -1
        #expect(Int(q[t]) == chosen)
        #expect(c.elements[t] == best)
        for r in 0..<s {
          #expect(v.elements[t * s + r] == best * decoder[chosen * s + r])
        }
      }
      #expect([c, v, penalty, fixture.scratch, fixture.y].allSatisfy { $0.isIntact })
    }
  }

  @Test(arguments: InstructionSet.all, SublatentCase.all)
  func backwardIsTheChainRule(_ set: InstructionSet, _ example: SublatentCase) {
    for (seed, placement) in Placement.allCases.enumerated() {
      let fixture = Fixture(example, placement, seed: UInt64(seed) + 50)
      var expert = unsafe fixture.expert(example)
      let (s, a, n) = (example.s, example.a, example.n)
      var generator = SeededGenerator(seed: 77)
      let (before, beforeDecoder) = (generator.eighths(a * s), generator.eighths(a * s))
      let gradient = FencedArray(before, placement)
      let decoderGradient = FencedArray(beforeDecoder, placement)
      let dy = FencedArray([Float](repeating: 9, count: n * s), placement)
      var (expected, expectedDecoder) = (before, beforeDecoder)
      var expectedInput = [Float](repeating: 0, count: n * s)
      var (q, c): ([Int32], [Float]) = ([], [])
      let (y, dv) = (fixture.y.elements, fixture.dv.elements)
      let (encoder, decoder) = (fixture.encoder.elements, fixture.decoder.elements)
      for t in 0..<n {
        let codes = example.codes(y, encoder, t)
        let best = codes.map(\.code).max() ?? 0
        let chosen = codes.firstIndex { $0.code == best } ?? 0
        q.append(Int32(chosen))
        c.append(best)
        var direct: Float = 0
        for r in 0..<s {
          direct += dv[t * s + r] * decoder[chosen * s + r]
          expectedDecoder[chosen * s + r] += best * dv[t * s + r]
        }
        for (j, (derivative, code)) in codes.enumerated() {
          let sign: Float = code > 0 ? 1 : (code < 0 ? -1 : 0)
          let du = derivative * (example.penalty * sign + (j == chosen ? direct : 0))
          for r in 0..<s {
            expected[j * s + r] += du * y[t * s + r]
            expectedInput[t * s + r] += du * encoder[j * s + r]
          }
        }
      }
      unsafe set.table.sub_backward(
        &expert, fixture.y.base, fixture.dv.base, q, c, n, example.penalty, gradient.base,
        decoderGradient.base, dy.base)
      #expect(gradient.elements == expected)
      #expect(decoderGradient.elements == expectedDecoder)
      if n > 0 { #expect(dy.elements == expectedInput) }
      #expect([gradient, decoderGradient, dy, fixture.scratch].allSatisfy { $0.isIntact })
    }
  }
}
