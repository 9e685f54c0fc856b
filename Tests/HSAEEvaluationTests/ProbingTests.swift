// Tests the suite probing: logistic regression against its definition, choices and scores against sae-probes, sets of texts
// with known answers, and files that are not sets.

import Foundation
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

/// The content of `Fixtures/probing.json`, which runs/interop/probing_equal.py wrote.
private struct ProbingFixture: Decodable {
  struct Probe: Decodable {
    var auc, accuracy, strength: Double
    /// The same with a regression that converges.
    var exact: Solution?
  }
  struct Solution: Decodable {
    var weights: [Double]
    var bias, strength: Double
  }
  struct Set: Decodable {
    var labels: [Int]
    /// Codes [texts][latents], in thousandths.
    var codes: [[Int]]
    var ranked: [Int]
    var probes: [Probe]
    var whole: Probe
  }
  var training: Int
  var sets: [Set]
}

struct ProbingTests {
  @Test func theSolutionIsStationary() {
    var generator = SeededGenerator(seed: 1)
    var rows = Matrix(rows: 60, columns: 4)
    var labels: [Bool] = []
    for row in 0..<60 {
      for column in 0..<4 { rows[row, column] = Float(generator.nextNormal()) }
      labels.append(rows[row, 0] + 0.5 * Float(generator.nextNormal()) > 0.3)
    }
    for strength in [1e-3, 1, 1e4] {
      let data = LabelledRows(rows, rows: 10..<60, labels: labels)
      let probe = LogisticRegression(data, strength: strength)
      #expect(probe.isConverged)
      // d/dw of Σ log(1 + exp(-y z)) + |w|² / 2C is zero, and so is d/db.
      var slopes = probe.weights.map { $0 / strength } + [0]
      for row in 10..<60 {
        let logit = probe.logit(rows.row(row))
        let slope = 1 / (1 + exp(-logit)) - (labels[row] ? 1 : 0)
        for column in 0..<4 { slopes[column] += slope * Double(rows[row, column]) }
        slopes[4] += slope
      }
      for slope in slopes { #expect(abs(slope) < 50 * 2e-6) }
      let again = LogisticRegression(data, strength: strength, from: probe)
      #expect(again.weights == probe.weights)
    }
  }

  @Test func degenerateRowsAreFitted() {
    let zeros = Matrix(rows: 4, columns: 1)
    let probe = LogisticRegression(
      LabelledRows(zeros, rows: 0..<4, labels: [true, true, true, false]), strength: 1)
    #expect(abs(probe.bias - log(3)) < 1e-4)
    #expect(probe.weights == [0])
    let none = LogisticRegression(
      LabelledRows(zeros, rows: 0..<0, labels: [true, true, true, false]), strength: 1)
    #expect(none.bias == 0)
  }

  @Test func theAreaUnderTheCurveCountsPairs() {
    #expect(areaUnderCurve([1, 2, 3, 4], labels: [false, false, true, true]) == 1)
    #expect(areaUnderCurve([4, 3, 2, 1], labels: [false, false, true, true]) == 0)
    #expect(areaUnderCurve([1, 1, 1], labels: [false, true, true]) == 0.5)
    // scikit-learn's roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).
    #expect(areaUnderCurve([0.1, 0.4, 0.35, 0.8], labels: [false, false, true, true]) == 0.75)
    #expect(areaUnderCurve([1], labels: [true]).isNaN)
  }

  @Test func choicesAndScoresAreThoseOfSAEProbes() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/probing.json")
    let fixture = try JSONDecoder().decode(ProbingFixture.self, from: Data(contentsOf: file))
    #expect(fixture.sets.count == 3)
    for set in fixture.sets {
      let split = ProbeSplit(labels: set.labels.map { $0 == 1 }, training: fixture.training)
      let latents = set.codes[0].count
      let codes = SparseRows(
        rows: set.codes.map { row in
          row.enumerated().map { LatentCode(latent: $0.offset, value: Float($0.element) / 1000) }
        })
      let ranked = codes.mostDifferent(5, split)
      #expect(ranked == set.ranked)
      for (count, expected) in zip([1, 2, 5], set.probes) {
        let score = ProbeScore(codes.features(Array(ranked.prefix(count))), split)
        #expect(abs(score.areaUnderCurve - expected.auc) < 1e-3)
        #expect(abs(score.accuracy - expected.accuracy) < 1e-9)
        #expect(abs(score.strength / expected.strength - 1) < 1e-9)
        let exact = try #require(expected.exact)
        let probe = LogisticRegression(
          LabelledRows(
            codes.features(Array(ranked.prefix(count))), rows: 0..<fixture.training,
            labels: split.labels), strength: exact.strength)
        for (own, other) in zip(probe.weights + [probe.bias], exact.weights + [exact.bias]) {
          #expect(abs(own - other) < 1e-3 * max(1, abs(other)))
        }
      }
      let whole = ProbeScore(codes.features(Array(0..<latents)), split)
      #expect(abs(whole.areaUnderCurve - set.whole.auc) < 1e-3)
      #expect(abs(whole.accuracy - set.whole.accuracy) < 1e-9)
    }
  }

  // MARK: The suite

  private let model = SyntheticModel(width: 32, blocks: 2, contextLength: 64)

  /// Texts that end with one of two letters, labelled by it, and texts labelled by their first letter, which the row at the
  /// end does not know.
  private func sets(_ folder: String) throws -> String {
    var generator = SeededGenerator(seed: 5)
    func word() -> String {
      String((0..<8).map { _ in Character(UnicodeScalar(UInt8(97 + generator.next() % 26))) })
    }
    var lines = ""
    for name in ["last", "first"] {
      let texts = (0..<300).map { index in
        let letter = index % 2 == 0 ? "k" : "q"
        return name == "last" ? word() + letter : letter + word()
      }
      let quoted = texts.map { "\"\($0)\"" }.joined(separator: ", ")
      let labels = texts.indices.map { "\($0 % 2)" }.joined(separator: ", ")
      lines += "[\"\(name)\", [\"k\", \"q\"], [\(quoted)], [\(labels)]]\n"
    }
    let path = Path.join(folder, "sets.jsonl")
    try DurableFile.write(lines, to: path)
    return path
  }

  private func run(_ name: String, experts: Int, sublatents: Int = 0) throws -> LoadedRun {
    let shape = DictionaryShape(
      width: 32, experts: experts, sublatents: sublatents, subspace: sublatents,
      activeExperts: min(3, experts))
    return try EvaluationFixture.run(name, shape) { parameters in
      for latent in 0..<experts {
        for column in 0..<32 {
          parameters.encoderSide[latent, column] = model.parents[latent, column]
          parameters.decoderSide[latent, column] = model.parents[latent, column]
        }
      }
    }
  }

  private func results(
    _ runs: [LoadedRun], _ change: @escaping (inout EvaluationOptions) -> Void = { _ in }
  ) throws -> [SuiteResult] {
    try withTemporaryFolder { folder in
      let path = try sets(folder)
      var options = EvaluationOptions()
      (options.resamples, options.threads) = (100, 2)
      (options.probeSets, options.probeTexts) = ("all", 300)
      change(&options)
      let model = model
      let input = EvaluationInput(
        options: options, layer: 1, loader: { (_, _) throws(Failure) in model },
        probing: { () throws(Failure) in try ProbingTexts(path: path) })
      return try ProbingSuite.evaluate(runs, input)
    }
  }

  @Test func latentsTellWhatTheyStandFor() throws {
    let runs = [
      try run("flat", experts: 24), try run("tree", experts: 24, sublatents: 2),
      try run("single", experts: 1),
    ]
    let found = try results(runs)
    let table = try #require(found[0].tables.first)
    #expect(table.lines.map(\.label) == ["last", "first"])
    // The letter at the end decides the row's parents; the first letter is too far away to count.
    #expect(table.lines[0].values == [1, 1, 1, 1] + [table.lines[0].values[4]])
    for value in table.lines[1].values { #expect(abs(try #require(value) - 0.5) < 0.15) }
    let random = try #require(found[0]["auc_k1_random"])
    #expect(random.value < (try #require(found[0]["auc_k1"])).value)
    #expect(found[0]["accuracy_dense"]?.value.isFinite == true)
    #expect(found[0]["auc_k1_both"] == nil)
    #expect(found[1]["auc_k5_both"] != nil)
    #expect(found[1].tables[0].lines[0].values.prefix(4) == table.lines[0].values.prefix(4))
    #expect(found[1].tables.count == 2)
    #expect(found[2]["auc_k5"]?.value.isFinite == true)
    #expect(found[0]["codes_row"]?.value == 3)
  }

  @Test func resultsDoNotDependOnThreads() throws {
    let runs = [try run("tree", experts: 24, sublatents: 2)]
    #expect(try results(runs) == results(runs) { $0.threads = 1 })
    #expect(try results(runs) != results(runs) { $0.seed = 9 })
  }

  @Test func setsAreChosenByNumberOrName() throws {
    let names = (0..<20).map { "set\($0)" }
    let drawn = try ProbingSuite.chooseSets("5", of: names, seed: 1)
    #expect(drawn.count == 5 && drawn == drawn.sorted())
    #expect(try ProbingSuite.chooseSets("5", of: names, seed: 1) == drawn)
    #expect(try ProbingSuite.chooseSets("5", of: names, seed: 2) != drawn)
    #expect(try ProbingSuite.chooseSets("99", of: names, seed: 1).count == 20)
    #expect(try ProbingSuite.chooseSets("set3,set1,set3", of: names, seed: 1) == [3, 1])
    #expect(throws: Failure.self) { try ProbingSuite.chooseSets("set33", of: names, seed: 1) }
    #expect(throws: Failure.self) { try ProbingSuite.chooseSets("0", of: names, seed: 1) }
    #expect(throws: Failure.self) { try ProbingSuite.chooseSets("-3", of: names, seed: 1) }
    #expect(throws: Failure.self) { try ProbingSuite.chooseSets("", of: names, seed: 1) }
  }

  @Test func setsThatAreTooSmallAreLeftOut() throws {
    let failure = try #require(throws: Failure.self) {
      try results([run("flat", experts: 24)]) { $0.probeTexts = 100 }
    }
    #expect(failure.message.contains("--probe-sets"))
  }

  @Test func noTextTrainsAndTests() {
    // 150 different texts of each class, each twice, and ten that have both labels.
    var (texts, labels) = ([String](), [Bool]())
    for index in 0..<300 {
      for _ in 0..<2 {
        texts.append("text \(index)")
        labels.append(index % 2 == 0)
      }
    }
    for index in 0..<10 {
      texts.append("text \(index)")
      labels.append(index % 2 != 0)
    }
    var generator = SeededGenerator(seed: 3)
    let drawn = ProbingSuite.draw(
      LabelledTexts(name: "set", texts: texts, labels: labels), count: 600, model: model,
      prefix: [256], using: &generator)
    #expect(drawn.contexts.count == 2 * 145)
    #expect(Set(drawn.contexts).count == drawn.contexts.count)
    #expect(drawn.split.training == 2 * 96)
    for part in [0..<drawn.split.training, drawn.split.training..<drawn.contexts.count] {
      #expect(2 * drawn.split.labels[part].count { $0 } == part.count)
    }
    for (context, label) in zip(drawn.contexts, drawn.split.labels) {
      let number = Int(String(decoding: context.dropFirst(6).map { UInt8($0) }, as: UTF8.self)) ?? 0
      #expect(label == (number % 2 == 0) && number >= 10)
    }
  }

  @Test(arguments: [
    "", "{}", "[1]", "[\"a\"", "[\"a\", [], [\"x\"], [2]]", "[\"a\", [], [\"x\"], []]",
    "[\"a\", [], [1], [1]]", "[\"a\", [], [\"x\"]]", "[\"a\", 1, 2, 3]\n[\"a\", 1, 2, 3]",
  ])
  func filesThatAreNotSetsAreRefused(_ text: String) throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "sets.jsonl")
      try DurableFile.write(text, to: path)
      #expect(throws: Failure.self) {
        let sets = try ProbingTexts(path: path)
        if sets.names.isEmpty { throw Failure.data("empty") }
        _ = try sets.set(0)
      }
    }
  }
}
