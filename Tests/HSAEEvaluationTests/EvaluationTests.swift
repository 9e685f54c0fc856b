// What all suites share: the bootstrap, refused input, JSON round trips, SAEBench's files, text.

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

@Suite struct BootstrapTests {
  @Test func theIntervalOfAMeanIsTheTextbooks() throws {
    var sums = GroupedSums(groups: 400, quantities: 2)
    var generator = SeededGenerator(seed: 1)
    var (sum, squares) = (0.0, 0.0)
    for group in 0..<400 {
      let value = generator.nextSymmetric()
      (sum, squares) = (sum + value, squares + value * value)
      sums.add([1, value].span, ofGroup: group)
    }
    let interval = try #require(
      sums.bootstrap(resamples: 4000, seed: 2).interval { $0[1] / $0[0] })
    let mean = sum / 400
    let error = ((squares / 400 - mean * mean) / 400).squareRoot()
    #expect(abs(interval.low - (mean - 1.96 * error)) < 0.1 * error * 1.96)
    #expect(abs(interval.high - (mean + 1.96 * error)) < 0.1 * error * 1.96)
  }

  /// Equal tokens of one document count as one observation, not as many.
  @Test func groupsAreResampledWhole() throws {
    func width(groupOf: (Int) -> Int, groups: Int) throws -> Double {
      var sums = GroupedSums(groups: groups, quantities: 2)
      for row in 0..<1000 {
        sums.add([1, Double(row / 100 % 2)].span, ofGroup: groupOf(row))
      }
      let interval = try #require(
        sums.bootstrap(resamples: 1000, seed: 0).interval { $0[1] / $0[0] })
      return interval.high - interval.low
    }
    let byDocument = try width(groupOf: { $0 / 100 }, groups: 10)
    let byToken = try width(groupOf: { $0 }, groups: 1000)
    #expect(byDocument > 5 * byToken)
  }

  @Test func threadsAndSeeds() {
    var sums = GroupedSums(groups: 10, quantities: 1)
    for group in 0..<10 { sums.add([Double(group)].span, ofGroup: group) }
    func interval(_ seed: UInt64, _ threads: Int) -> Interval? {
      sums.bootstrap(resamples: 100, seed: seed, threads: threads).interval { $0[0] }
    }
    #expect(interval(1, 1) == interval(1, 4) && interval(1, 1) != interval(2, 1))
    #expect(
      GroupedSums(groups: 1, quantities: 1).bootstrap(resamples: 10, seed: 0).interval { $0[0] }
        == nil, "one group has no spread")
  }
}

@Suite struct EvaluationTests {
  private func evaluation(_ folder: String) throws -> Evaluation {
    let model = SyntheticModel(width: 16, contextLength: 64)
    let store = try EvaluationFixture.collect(
      folder + "/store", model: model, documents: EvaluationFixture.documents(40))
    let runs = [try EvaluationFixture.perfect(16), try EvaluationFixture.constant("a/zero", 16)]
    return try Evaluation(
      of: runs, suites: [CoreSuite.self, CostSuite.self],
      input: EvaluationFixture.input(store, model: model))
  }

  @Test func jsonThereAndBack() throws {
    try withTemporaryFolder { folder in
      let evaluation = try evaluation(folder)
      let path = folder + "/evaluation.json"
      try JSONFile.write(evaluation, to: path)
      // Compared as text, because missing numbers are NaN, and NaN does not equal itself.
      let text = try JSONFile.encode(evaluation)
      #expect(try JSONFile.encode(Evaluation.read(from: path)) == text && text.contains("NaN"))
      // Runs and suites from several files are merged.
      var one = evaluation
      one.runs = [one.runs[0]]
      one.runs[0].results = [one.runs[0].results[0]]
      one.merge(evaluation)
      #expect(try JSONFile.encode(one) == text)
    }
  }

  /// Differences between an H-SAE and the flat one of equal sizes are paired. A run minus itself is zero, no
  /// matter how wide its own interval is.
  @Test func comparisonsArePaired() throws {
    try withTemporaryFolder { folder in
      let model = SyntheticModel(width: 16, contextLength: 64)
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let sizes = DictionaryShape(
        width: 16, experts: 32, sublatents: 2, subspace: 1, activeExperts: 4)
      var flatSizes = sizes
      (flatSizes.sublatents, flatSizes.subspace) = (0, 0)
      // The second level adds nothing: its up projectors are zero.
      let h = try EvaluationFixture.run("h", sizes) { p in
        p = Parameters.initial(shape: sizes, seed: 4)
        for expert in 0..<32 {
          for column in 0..<16 { p.decoderSide[2 * expert + 1, column] = 0 }
        }
      }
      let flat = try EvaluationFixture.run("flat", flatSizes) { p in
        let source = Parameters.initial(shape: sizes, seed: 4)
        for expert in 0..<32 {
          for column in 0..<16 {
            p.encoderSide[expert, column] = source.encoderSide[2 * expert, column]
            p.decoderSide[expert, column] = source.decoderSide[2 * expert, column]
          }
        }
      }
      let evaluation = try Evaluation(
        of: [h, flat], suites: [CoreSuite.self, CostSuite.self],
        input: EvaluationFixture.input(store, model: model))
      // This checks both levels, with losses. The tests of the other suites check theirs.
      Definitions.expect(evaluation.runs.flatMap(\.results))
      let core = try #require(evaluation.runs[0].result("core"))
      let comparison = try #require(core.comparison)
      #expect(comparison.baseline == "flat" && !comparison.numbers.isEmpty)
      for number in comparison.numbers {
        #expect(abs(number.value) < 1e-5, "\(number.key)")
        let interval = try #require(number.interval)
        #expect(interval.high - interval.low < 1e-5, "\(number.key)")
      }
      let own = try #require(core["explained_variance"]?.interval)
      #expect(own.high - own.low > 1e-3)
      #expect(evaluation.runs[1].result("core")?.comparison == nil)
      #expect(evaluation.runs[0].result("cost")?.comparison == nil)
      #expect(evaluationText(evaluation, width: 120).contains("h − flat"))
    }
  }

  @Test func saeBenchsLayout() throws {
    try withTemporaryFolder { folder in
      let files = try evaluation(folder).saeBenchFiles(milliseconds: 5)
      #expect(
        files.map(\.name) == [
          "hsae_perfect_core_eval_results.json", "hsae_a_zero_core_eval_results.json",
        ])
      let tree = try JSONValue(parsing: Array(files[0].text.utf8), source: "file")
      for key in [
        "eval_type_id", "eval_config", "eval_id", "datetime_epoch_millis", "eval_result_metrics",
        "eval_result_details", "sae_bench_commit_hash", "sae_lens_id", "sae_lens_release_id",
        "sae_lens_version", "sae_cfg_dict", "eval_result_unstructured",
      ] { #expect(tree[key] != nil, "\(key)") }
      let metrics = try #require(tree["eval_result_metrics"])
      #expect(
        abs(try #require(metrics["model_performance_preservation"]?["ce_loss_score"]?.number) - 1)
          < 1e-3)
      #expect(metrics["sparsity"]?["l0"] != nil && metrics["misc_metrics"]?["frac_alive"] != nil)
      #expect(tree["sae_lens_id"]?.string == "custom_sae")
      let sizes = try #require(tree["sae_cfg_dict"])
      #expect(sizes["architecture"]?.string == "topk" && sizes["d_sae"]?.integer == 32)
      #expect(sizes["n_experts"] == nil)
    }
  }

  @Test func textAndPage() throws {
    try withTemporaryFolder { folder in
      var evaluation = try evaluation(folder)
      let text = evaluationText(evaluation, width: 100)
      #expect(text.contains("perfect") && text.contains("a/zero"))
      #expect(text.contains("explained variance") && text.contains("held-out rows"))
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= 160 })
      // The page has one heading, and a section for each suite.
      let alone = try makeReport(
        ReportInput(title: "Evaluation", subtitle: "", runs: [], evaluation: evaluation))
      #expect(alone.matches(of: />Evaluation</).count == 2, "the title and the heading")
      #expect(alone.contains("<h2 id=\"suite-1\">core</h2>"))
      #expect(alone.contains("<a href=\"#suite-2\">cost</a>"))
      #expect(!alone.contains("<div class=\"charts\"></div>"))
      // Intervals and words are explained only where a page has some.
      #expect(alone.matches(of: /bootstrap\s+intervals/).count == 1)
      #expect(!alone.contains("Words are tokens"))
      evaluation.runs[0].name = "<script>alert(1)</script>"
      let page = try makeReport(
        ReportInput(title: "Evaluation", subtitle: "", runs: [], evaluation: evaluation))
      #expect(page.contains("id=\"evaluation\"") && !page.contains("<script>alert"))
    }
  }

  /// Values measured on rows of different lengths are not compared.
  @Test func bestValuesAreChosenAmongComparableRuns() throws {
    for isAlike in [true, false] {
      var evaluation = try JSONFile.decode(
        Evaluation.self, from: Array(#"{"format": 1, "seed": 0, "runs": []}"#.utf8), source: "test")
      for (name, value) in [("theirs", 0.5), ("ours", 0.75)] {
        var result = SuiteResult(
          suite: "core", evaluatedOn: "rows",
          numbers: ["mse", "mse_unscaled", "cosine"].map {
            EvaluationNumber($0, $0, value, better: .higher)
          })
        result.seesUnitRows = isAlike || name == "ours"
        let shape = DictionaryShape(
          width: 4, experts: 2, sublatents: 0, subspace: 0, activeExperts: 1)
        evaluation.runs.append(
          Evaluation.Run(name: name, shape: shape, step: 1, trainedRows: 1, results: [result]))
      }
      let page = try makeReport(
        ReportInput(title: "t", subtitle: "", runs: [], evaluation: evaluation))
      #expect(page.matches(of: /<td class="best">0.7500/).count == (isAlike ? 3 : 2))
    }
  }

  /// Runs stand side by side on 80 columns: labels take several lines, and intervals one of their own. No word
  /// of a label is lost.
  @Test func narrowTerminals() throws {
    let shape = DictionaryShape(
      width: 4, experts: 2, sublatents: 0, subspace: 0, activeExperts: 1)
    func evaluation(_ names: [String], _ value: Double) throws -> Evaluation {
      var evaluation = try JSONFile.decode(
        Evaluation.self, from: Array(#"{"format": 1, "seed": 0, "runs": []}"#.utf8), source: "test")
      for name in names {
        let numbers = [
          EvaluationNumber(
            "explained_variance_legacy_unscaled_top_level",
            "explained variance, legacy, unscaled rows, top level", value,
            Interval(value * 0.98, value * 1.02)),
          EvaluationNumber("l0", "L0, active latents", 31.25, digits: 2),
          EvaluationNumber(
            "e", "explained variance, dictionary_learning", .nan, Interval(.nan, .nan)),
        ]
        evaluation.runs.append(
          Evaluation.Run(
            name: name, shape: shape, step: 1, trainedRows: 1,
            results: [SuiteResult(suite: "core", evaluatedOn: "rows", numbers: numbers)]))
      }
      return evaluation
    }
    func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
    let two = try evaluation(["h", "flat"], 0.8227)
    let wide = lines(evaluationText(two, width: .max))
    #expect(wide[2].hasSuffix(" h                     flat"))
    #expect(
      wide[3] == "  explained variance, legacy, unscaled rows, top level"
        + "  0.8227 [0.8062, 0.8392]  0.8227 [0.8062, 0.8392]")
    let narrow = evaluationText(two, width: 80)
    #expect(lines(narrow).allSatisfy { $0.count <= 80 && !$0.hasSuffix(" ") })
    #expect(
      lines(narrow)[3].hasPrefix("  explained variance,")
        && lines(narrow)[3].hasSuffix("0.8227 [0.8062, 0.8392]  0.8227 [0.8062, 0.8392]"))
    // Long numbers, and three runs: the interval is below its number.
    let long = try evaluationText(evaluation(["theirs", "ours"], 550_716_568.0212), width: 80)
    #expect(lines(long).allSatisfy { $0.count <= 80 })
    #expect(long.contains("550,716,568                 550,716,568"))
    #expect(long.contains("[539,702,237, 561,730,899]  [539,702,237, 561,730,899]"))
    let three = try evaluationText(evaluation(["a", "b", "c"], 0.8227), width: 80)
    #expect(lines(three).allSatisfy { $0.count <= 80 } && lines(three)[2].hasSuffix("c"))
    #expect(!three.contains("\n\n  a"))
    // If not all of them fit, as many as fit stand side by side.
    let many = try lines(evaluationText(evaluation(["a", "b", "c", "d"], 0.8227), width: 80))
    #expect(many.count { $0.hasSuffix(" c") || $0.hasSuffix(" d") } == 2)
    for text in [narrow, long, three] {
      let words = text.split { $0 == " " || $0 == "\n" }
      for word in ["legacy,", "unscaled", "rows,", "dictionary_learning"] {
        #expect(words.contains(Substring(word)), "\(word)")
      }
    }
  }

  /// A store of a vocabulary's rows, of width 16.
  private func vocabulary(_ path: String) throws -> ActivationStore {
    var generator = SeededGenerator(seed: 5)
    var rows = Matrix(rows: 8, columns: 16)
    for row in 0..<8 { for column in 0..<16 { rows[row, column] = Float(generator.nextUniform()) } }
    rows.scaleRowsToUnit()
    try ActivationStore.create(
      at: path,
      attributes: StoreAttributes(
        kind: .unembedding, modelName: "tiny", modelSHA256: "", hookPoint: "unembedding"),
      rows: rows, norms: Array(repeating: 1, count: 8), tokens: Array(0..<8),
      vocabulary: (0..<8).map(String.init), shuffleSeed: 3)
    return try ActivationStore(path: path)
  }

  @Test func tokensThatTheModelLacksAreRefused() throws {
    try withTemporaryFolder { folder in
      let model = SyntheticModel(width: 16, contextLength: 64)
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(20))
      let tokens = folder + "/store/corpus/tokens/c/0"
      try DurableFile.write(fileBytes(tokens).map { _ in 255 }, to: tokens)
      let found = failure {
        _ = try CoreSuite.evaluate(
          [EvaluationFixture.constant("any", 16)], EvaluationFixture.input(store, model: model))
      }
      #expect(found?.kind == .data && found?.message.contains("no token -1") == true)
    }
  }

  @Test func runsAndInputsThatDoNotMatchAreRefused() throws {
    try withTemporaryFolder { folder in
      let model = SyntheticModel(width: 16, contextLength: 64)
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(20))
      let narrow = try EvaluationFixture.constant("narrow", 8)
      let fitting = try EvaluationFixture.constant("fitting", 16)
      func complaint(
        _ run: LoadedRun, _ input: EvaluationInput
      ) -> Failure? {
        failure { _ = try Evaluation(of: [run], suites: [CoreSuite.self], input: input) }
      }
      var found = complaint(narrow, EvaluationFixture.input(store))
      #expect(found?.kind == .data && found?.message.contains("width 16") == true)
      let other = SyntheticModel(width: 16, seed: 9, contextLength: 64)
      found = complaint(fitting, EvaluationFixture.input(store, model: other))
      #expect(found?.kind == .data && found?.message.contains("--model is another") == true)
      let wide = SyntheticModel(width: 32, contextLength: 64)
      let text = EvaluationFixture.documents(3)
      found = complaint(
        fitting, EvaluationFixture.input(nil, model: wide, text: text, layer: 1))
      #expect(found?.kind == .data && found?.message.contains("width 32") == true)
      found = complaint(
        fitting, EvaluationFixture.input(nil, model: model, text: text, layer: 7))
      #expect(found?.kind == .usage && found?.message.contains("no block 7") == true)
      found = complaint(fitting, EvaluationFixture.input(nil, model: model, text: text))
      #expect(found?.kind == .usage && found?.message.contains("--layer") == true)
      found = complaint(fitting, EvaluationFixture.input(store, model: model, layer: 1))
      #expect(found?.kind == .usage && found?.message.contains("block 3") == true)
      found = complaint(
        fitting, EvaluationFixture.input(try vocabulary(folder + "/words"), model: model, layer: 1))
      #expect(found?.kind == .data && found?.message.contains("of its vocabulary") == true)
      found = complaint(fitting, EvaluationFixture.input(nil))
      #expect(found?.kind == .usage && found?.message.contains("--store") == true)
      #expect(
        failure { _ = try EvaluationSuites.named("core,crost") }?.message.contains("did you mean")
          == true)
    }
  }

  /// Text instead of a store: rows are captured from the model.
  @Test func textInsteadOfAStore() throws {
    let model = SyntheticModel(width: 16, contextLength: 64)
    let result = try CoreSuite.evaluate(
      [try EvaluationFixture.perfect(16)],
      EvaluationFixture.input(
        nil, model: model, text: EvaluationFixture.documents(9), layer: 3))[0]
    #expect(abs(try #require(result["explained_variance"]).value - 1) < 1e-5)
    #expect(abs(try #require(result["explained_variance_unscaled"]).value - 1) < 1e-5)
    #expect(abs(try #require(result["ce_loss_own_difference"]).value) < 1e-3)
  }
}
