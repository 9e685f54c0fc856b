// Tests steering along latents: how far rows move, which rows stay, what ablation subtracts, and that a
// planted latent raises its token.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import Testing

@testable import HSAEEvaluation
@testable import HSAELanguageModels

@Suite struct SteeringTests {
  private static let shape = DictionaryShape(
    width: 16, experts: 8, sublatents: 3, subspace: 2, activeExperts: 2)
  private let dictionary = SparseAutoencoder(
    parameters: .initial(shape: shape, seed: 3),
    activation: ActivationFunction(threshold: 0, subThreshold: 0))
  private let model = SyntheticModel(width: 16, blocks: 2, contextLength: 64)

  /// The rows of a text in the model.
  private func rows() throws -> Matrix {
    let context = self.context
    var rows = Matrix(rows: context.count, columns: 16)
    try model.capture([context], afterBlock: 0, into: &rows)
    return rows
  }

  private var context: [Int32] {
    model.tokenizer.prefix + model.tokenizer.encode(Array("steer".utf8)[...])
  }

  /// The rows after `steering`.
  private func rows(_ steering: Steering, from start: Int = 0) throws -> Matrix {
    var rows = try rows()
    try steering.splice(afterBlock: 0, from: start, tokenizer: model.tokenizer).replace(
      &rows,
      context.enumerated().map { .init(context: 0, position: $0.offset, token: $0.element) })
    return rows
  }

  private func steering(
    _ action: Steering.Action, _ targets: [Steering.Target], isUnit: Bool = true
  ) -> Steering {
    Steering(action, targets, of: dictionary, rowScale: isUnit ? .unit : .own, threads: 2)
  }

  @Test func rowsMoveByMultiplesOfTheMaximum() throws {
    let expert = LatentNumber(expert: 5)
    let sublatent = LatentNumber(expert: 5, sublatent: 1)
    let targets = [
      Steering.Target(sublatent, maximum: 0.25), Steering.Target(expert, maximum: 0.5),
    ]
    let own = dictionary.contribution(of: sublatent)
    let parent = dictionary.contribution(of: expert)
    for isUnit in [true, false] {
      let before = try rows()
      let after = try rows(steering(.add(strength: -2), targets, isUnit: isUnit), from: 2)
      let norms = before.rowNorms()
      for row in 0..<before.rows {
        for column in 0..<16 {
          // Position 0 is a special token; position 1 is before the start.
          let expected =
            row < 2
            ? 0
            : -2 * (isUnit ? norms[row] : 1) * (0.25 * own[column] + 0.5 * parent[column])
          #expect(abs(after[row, column] - before[row, column] - expected) < 1e-3 * norms[row])
        }
      }
    }
    let still = try rows(steering(.add(strength: 0), targets))
    #expect(try still.elements == rows().elements)
  }

  @Test func ablationSubtractsWhatALatentAdds() throws {
    let plain = try rows()
    var unit = plain.copy()
    unit.scaleRowsToUnit()
    let codes = dictionary.encode(unit, threads: 1)
    let norms = plain.rowNorms()
    let code = try #require(codes[2].first)
    let expert = LatentNumber(expert: code.expert)
    let sublatent = LatentNumber(expert: code.expert, sublatent: code.sublatent)
    for target in [expert, sublatent] {
      let after = try rows(steering(.ablate, [.init(target, maximum: 1)]))
      #expect(after.row(0)[3] == plain.row(0)[3], "special tokens stay")
      for row in 1..<plain.rows {
        var expected = [Float](repeating: 0, count: 16)
        for code in codes[row] where code.expert == target.expert {
          if target == expert {
            for (column, value) in dictionary.contribution(of: expert).enumerated() {
              expected[column] += code.value * norms[row] * value
            }
          }
          let chosen = LatentNumber(expert: code.expert, sublatent: code.sublatent)
          if target == expert || target == chosen {
            for (column, value) in dictionary.contribution(of: chosen).enumerated() {
              expected[column] += code.subValue * norms[row] * value
            }
          }
        }
        for column in 0..<16 {
          let gone = plain[row, column] - after[row, column]
          #expect(abs(gone - expected[column]) < 1e-3 * norms[row])
        }
      }
    }
    // A latent that is active for no row changes nothing.
    let dead = try #require(
      (0..<8).first { expert in !codes.all.contains { $0.expert == expert } })
    let same = try rows(steering(.ablate, [.init(LatentNumber(expert: dead), maximum: 1)]))
    #expect(same.elements == plain.elements)
  }

  /// Steering along an expert whose direction promotes a token makes the model write that token.
  @Test func aPlantedFeatureRaisesItsToken() throws {
    let prompt = model.tokenizer.prefix + model.tokenizer.encode(Array("steer".utf8)[...])
    let before = try model.logits(after: prompt, at: 0, splice: nil)
    // The token that a small step along the direction promotes most.
    func logits(_ strength: Float) throws -> [Float] {
      try model.logits(
        after: prompt, at: 0,
        splice: steering(
          .add(strength: strength), [.init(LatentNumber(expert: 4), maximum: 0.5)]
        ).splice(afterBlock: 1, tokenizer: model.tokenizer))
    }
    #expect(try logits(0) == before)
    let small = try logits(0.1)
    let token = try #require(before.indices.max { small[$0] - before[$0] < small[$1] - before[$1] })
    #expect(try logits(1)[token] > small[token] && logits(-1)[token] < before[token])
    let strong = try logits(40)
    #expect(strong.indices.max { strong[$0] < strong[$1] } == token)
  }

  @Test func latentsHaveNames() {
    let shape = Self.shape
    #expect(LatentNumber("7", in: shape) == LatentNumber(expert: 7))
    #expect(LatentNumber("7.2", in: shape) == LatentNumber(expert: 7, sublatent: 2))
    #expect(LatentNumber("7/2", in: shape)?.name == "7.2")
    for wrong in ["", "8", "7.3", "-1", "7.", ".1", "7.1.1", "x", "+7", "7 ", "99999999999999999"] {
      #expect(LatentNumber(wrong, in: shape) == nil, "\(wrong)")
    }
  }
}
