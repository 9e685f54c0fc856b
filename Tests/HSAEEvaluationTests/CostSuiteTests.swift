// Tests the suite `cost`: operations of a row, parameters, and a training step compared with a flat one.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAEReport
@testable import HSAERuns

@Suite struct CostSuiteTests {
  /// The paper's example: 21.0 of 21.3 million operations at m 16k, d 640, k 32, s 4, a 16 are encoding.
  @Test func thePapersFormula() throws {
    let run = try EvaluationFixture.constant("small", 16)
    let shape = DictionaryShape(
      width: 640, experts: 16_384, sublatents: 16, subspace: 4, activeExperts: 32)
    let numbers = CostSuite.numbers(of: shape, run.description.training)
    func value(_ key: String) throws -> Double {
      try #require(numbers.first { $0.key == key }).value
    }
    #expect(abs(try value("forward_formula") - 21_344_512) < 1)
    #expect(abs(try value("encoding_share") - 20_971_520.0 / 21_344_512) < 1e-9)
    #expect(try value("forward_over_flat") < 1.02)
  }

  /// 32 codes against 32.5 are alike, 32 against 64 are not; a pair at equal codes is preferred to one at equal k.
  @Test func unequalCodesAreNamed() throws {
    func result(_ codes: Double) -> SuiteResult {
      SuiteResult(
        suite: "core", evaluatedOn: "rows", numbers: [EvaluationNumber("codes_row", "codes", codes)]
      )
    }
    func notes(_ runs: [LoadedRun], _ codes: [Double]) -> [String] {
      var results = codes.map(result)
      Comparison.noteUnequalCosts(of: runs, in: &results)
      return results.first?.notes ?? []
    }
    let shape = DictionaryShape(width: 16, experts: 4, sublatents: 2, subspace: 1, activeExperts: 2)
    func flat(_ active: Int) throws -> LoadedRun {
      try EvaluationFixture.run(
        "flat \(active)",
        DictionaryShape(width: 16, experts: 4, sublatents: 0, subspace: 0, activeExperts: active))
    }
    let runs = [try EvaluationFixture.run("h", shape), try flat(2), try flat(4)]
    func wide(_ experts: Int, _ sublatents: Int) throws -> LoadedRun {
      try EvaluationFixture.run(
        "wide",
        DictionaryShape(
          width: 640, experts: experts, sublatents: sublatents, subspace: sublatents / 4,
          activeExperts: 2))
    }
    #expect(notes([try wide(2_048, 0), try wide(2_150, 0)], [32, 32.5]) == [])
    let found = notes([try wide(2_048, 0), try wide(2_048, 16)], [32, 64])
    #expect(
      found.count == 2 && found[0].contains("(32.0, 64.0)") && found[1].contains("2.62, 13.4"))
    #expect(notes([], []) == [])
    let results = [result(4), result(2), result(4)]
    #expect(Comparison.baseline(of: 0, among: runs, results) == 2)
    #expect(Comparison.baseline(of: 0, among: runs) == 1)
    // A control is not what others are compared with.
    var control = try #require(runs[1].description.training)
    control.freeze = .decoder
    let frozen = LoadedRun(
      name: "frozen", path: "frozen", description: .trained(control), step: 10,
      dictionary: runs[1].dictionary)
    #expect(Comparison.baseline(of: 0, among: [runs[0], frozen, runs[1]]) == 2)
    #expect(Comparison.baseline(of: 0, among: [runs[0], frozen]) == nil)
    #expect(
      Comparison(results[0], less: results[1], name: "f").title(of: "h")
        == "h − f (4.0 − 2.0 codes a row)")
    #expect(Comparison(results[0], less: results[2], name: "f").title(of: "h") == "h − f")
  }

  /// 24 of 2,048 experts, 8 of which have one of 16 sublatents: 24 · 11 + 8 · 4 bits, and 24 · H(1/3) for which they are.
  @Test func bitsOfIndices() {
    var shape = DictionaryShape(
      width: 16, experts: 2_048, sublatents: 16, subspace: 4, activeExperts: 24)
    #expect(abs(indexBits(shape, experts: 24, sublatentCodes: 8) - 318.0391) < 1e-4)
    #expect(indexBits(shape, experts: 24, sublatentCodes: 24) == 24 * 15)
    #expect(indexBits(shape, experts: 0, sublatentCodes: 0) == 0)
    (shape.sublatents, shape.subspace) = (0, 0)
    #expect(indexBits(shape, experts: 32, sublatentCodes: 0) == 352)
  }

  /// The cost of training an imported run is not known. The cost of a row is, and it needs no rows.
  @Test func anImportedRunHasNoTraining() throws {
    let run = EvaluationFixture.changed(try EvaluationFixture.constant("own", 16), "theirs")
    let evaluation = try Evaluation(
      of: [run], suites: [CostSuite.self], input: EvaluationFixture.input(nil))
    let result = try #require(evaluation.runs[0].result("cost"))
    for number in result.numbers {
      let isOfTraining = ["training", "training_over_flat", "optimizer_bytes"].contains(number.key)
      #expect(number.value.isNaN == isOfTraining, "\(number.key)")
    }
    #expect(result.notes == ["theirs was imported: the cost of its training is not known."])
    #expect(evaluationText(evaluation, width: 100).contains(/training step \(operations\) +–/))
  }

  /// Counted by hand, for batches of 4,096 in bf16: a flat dictionary pays nothing for orthogonality.
  @Test func aTrainingStepOverAFlatOne() throws {
    let run = try EvaluationFixture.constant("small", 640)
    var configuration = try #require(run.description.training)
    (configuration.batch, configuration.precision) = (4096, .bfloat16)
    configuration.objective.ortho = 0.01
    let shape = DictionaryShape(
      width: 640, experts: 2048, sublatents: 16, subspace: 4, activeExperts: 32)
    func value(_ key: String, _ shape: DictionaryShape) throws -> Double {
      let numbers = CostSuite.numbers(of: shape, configuration)
      return try #require(numbers.first { $0.key == key }).value
    }
    // Encoding and decoding, k exact pre-activations, and what the second level adds.
    let forward = 2_621_440.0 + 40_960 + 40_960
    let levels = 327_680.0 + 4_096 + 256
    // Adam's 12 for each of 13,369,344 parameters, or of 2,621,440, over the batch.
    let own = forward + levels + 614_400 + 8_704 + 1_228_800 + 39_168
    let flat = forward + 122_880 + 7_680
    #expect(own == 4_926_464 && flat == 2_833_920)
    #expect(try value("training", shape) == own)
    #expect(abs(try value("training_over_flat", shape) - own / flat) < 1e-12)
    // 28 bytes for each parameter, over the batch.
    #expect(try value("optimizer_bytes", shape) == 91_392)
    var plain = shape
    (plain.sublatents, plain.subspace) = (0, 0)
    configuration.objective.ortho = 0
    #expect(try value("training", plain) == flat)
    #expect(try value("training_over_flat", plain) == 1)
  }
}
