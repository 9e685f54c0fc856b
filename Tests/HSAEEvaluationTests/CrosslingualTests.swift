// Tests the suite `crosslingual` on cases with known answers, and the files of parallel sentences.

import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct CrosslingualTests {
  @Test func strongestLatents() {
    var codes = Codes()
    codes.append([Code(expert: 9, value: 1)])
    codes.append([Code(expert: 4, value: 3), Code(expert: 1, value: 1)])
    codes.append([Code(expert: 2, value: 2), Code(expert: 1, value: 1.5)])
    let latents = StrongestLatents(codes, 1..<3, count: 2)
    #expect(latents.last == [2, 1])
    #expect(latents.pooled == [4, 1], "1 adds up to 2.5, above 2's 2")
    #expect(StrongestLatents(codes, 1..<3, count: 1).last == [2])
    #expect(StrongestLatents(codes, 0..<0, count: 2).last.isEmpty)
  }

  @Test func differencesOfPlantedSets() throws {
    func latents(_ last: Set<Int>, _ pooled: Set<Int>) -> StrongestLatents {
      var codes = Codes()
      codes.append([])
      var result = StrongestLatents(codes, 0..<1, count: 8)
      (result.last, result.pooled) = (last, pooled)
      return result
    }
    // Two sentences in three languages; the third language differs from the others.
    let all = [
      [latents([1, 2], [7]), latents([3, 4], [8])], [latents([1, 5], [7]), latents([3, 4], [8])],
      [latents([10, 11], [20]), latents([12, 13], [21])],
    ]
    let differences = CrosslingualDifferences(all, other: [1, 0])
    #expect(differences.pairs.count == 3)
    let table = differences.table(["en", "fr", "xx"])
    #expect(table.lines[0].label == "en–fr" && table.lines[0].values == [1, 4, 0, 2])
    #expect(table.lines[1].values == [4, 4, 2, 2] && table.lines[2].values == [4, 4, 2, 2])
    let numbers = differences.numbers(["en", "fr", "xx"], EvaluationOptions())
    func value(_ key: String) throws -> Double {
      try #require(numbers.first { $0.key == key }).value
    }
    #expect(try value("difference") == 3 && value("difference_shuffled") == 4)
    #expect(try value("difference_ratio") == 0.75 && value("set_size") == 2)
    #expect(try value("difference_en_fr") == 1 && value("difference_fr_xx") == 4)
    #expect(numbers.allSatisfy { $0.interval != nil })
  }

  /// Equal sentences in both languages do not differ; different sentences do.
  @Test func theSameSentenceTwice() throws {
    let model = SyntheticModel(width: 16, contextLength: 64)
    let sentences = ParallelSentences(
      languages: ["en", "fr"],
      sentences: EvaluationFixture.documents(30).map {
        let text = String(decoding: $0.text, as: UTF8.self)
        return [text, text]
      }, description: "twice the same")
    let run = try EvaluationFixture.run(
      "random",
      DictionaryShape(width: 16, experts: 64, sublatents: 0, subspace: 0, activeExperts: 8)
    ) { $0 = Parameters.initial(shape: $0.shape, seed: 2) }
    func evaluate(_ change: (inout EvaluationOptions) -> Void = { _ in }) throws -> SuiteResult {
      var options = EvaluationOptions()
      options.resamples = 100
      change(&options)
      let input = EvaluationInput(
        options: options, layer: 3, loader: { (_, _) throws(Failure) in model },
        sentences: { () throws(Failure) in sentences })
      return try CrosslingualSuite.evaluate([run], input)[0]
    }
    let result = try evaluate()
    Definitions.expect([result])
    #expect(result["difference"]?.value == 0 && result["difference_pooled"]?.value == 0)
    #expect(try #require(result["difference_shuffled"]).value > 1)
    #expect(result.evaluatedOn.contains("30 sentences in en, fr"))
    #expect(try evaluate { $0.threads = 3 } == result)
    #expect(try evaluate { $0.sentences = 10 }.evaluatedOn.contains("10 sentences"))
  }

  @Test func filesOfSentences() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/sentences.json"
      try DurableFile.write(
        #"[{"fr": "un", "en": "one", "de": "eins"}, {"de": "zwei", "en": "two", "fr": "deux"}]"#,
        to: path)
      let sentences = try ParallelSentences(path: path)
      #expect(sentences.languages == ["en", "fr", "de"])
      #expect(sentences.sentences == [["one", "un", "eins"], ["two", "deux", "zwei"]])
      #expect(sentences.sample(1, seed: 0).sentences.count == 1)
      for (text, says) in [
        ("[]", "no parallel sentences"), ("{}", "no parallel sentences"),
        (#"[{"en": "one"}]"#, "two or more languages"),
        (#"[{"en": "one", "fr": "un"}, {"en": "two"}]"#, "sentence 1"),
        (#"[{"en": "one", "fr": ""}]"#, "sentence 0"), (#"[{"en": 1, "fr": "un"}]"#, "sentence 0"),
        ("[", "sentences.json"),
      ] {
        try DurableFile.write(text, to: path)
        let found = failure { _ = try ParallelSentences(path: path) }
        #expect(
          found?.kind == .data && found?.message.contains(says) == true,
          "\(text): \(found?.message ?? "")")
      }
    }
  }
}
