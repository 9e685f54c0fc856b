// Tests the suite `cost`: operations of a row, parameters, and a training step compared with a flat one.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAEReport

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
