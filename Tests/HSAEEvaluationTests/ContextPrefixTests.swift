// Texts that a suite gives to the model begin as the contexts did that the rows come from.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

@Suite struct ContextPrefixTests {
  /// An imported run whose files say whether contexts began with BOS.
  private func imported(_ name: String, prepends: Bool?) throws -> LoadedRun {
    let run = try EvaluationFixture.perfect(16)
    var origin = Origin(layout: "SAELens", architecture: "standard", path: "/theirs")
    origin.metadata = prepends.map { ["prepend_bos": .bool($0)] }
    return LoadedRun(
      name: name, path: name,
      description: .imported(
        ImportedDictionary(
          shape: run.shape, activation: run.description.activation, normalize: .unit,
          origin: origin)),
      step: 0, dictionary: run.dictionary)
  }

  @Test(arguments: BOSRule.allCases, [true, false])
  func asInTheStore(_ rule: BOSRule, declared: Bool) throws {
    try withTemporaryFolder { folder in
      let model = SyntheticModel(width: 16, contextLength: 64, declaresBOS: declared)
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(20), bos: rule)
      let text = [Document(text: Array("dog".utf8))]
      let input = EvaluationFixture.input(store, model: model, text: text)
      let run = try imported("theirs", prepends: rule == .never)
      let found = try input.contexts(for: [run], limit: 10, model: model, suite: "core").contexts
      // The synthetic model's tokens are bytes, and 256 is BOS.
      let begins = rule == .always || rule == .auto && declared
      #expect(found.map(\.tokens) == [(begins ? [256] : []) + [100, 111, 103]])
    }
  }

  @Test func withoutAStoreAsInTraining() throws {
    let model = SyntheticModel(width: 16, contextLength: 64, declaresBOS: false)
    let input = EvaluationFixture.input(nil, model: model, text: [], layer: 0)
    let runs = try [
      imported("with", prepends: true), imported("without", prepends: false),
      imported("silent", prepends: nil),
    ]
    #expect(try input.prefix(for: [runs[0], runs[2]], of: model) == [256])
    #expect(try input.prefix(for: [runs[1], runs[2]], of: model) == [])
    #expect(try input.prefix(for: [runs[2]], of: model) == [])
    let mixed = failure { _ = try input.prefix(for: runs, of: model) }
    #expect(mixed?.kind == .usage && mixed?.message.contains("without") == true)
  }
}
