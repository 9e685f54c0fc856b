// Several ranks evaluate like one: numbers agree up to the rounding of sums, repetitions give the same bits,
// and a failure of one rank is the same message on all ranks.

import HSAEActivations
import HSAEDistribution
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct SharedEvaluationTests {
  @Test func workIsDividedAmongRanks() {
    #expect(sharesOfWork([], among: 3) == [0..<0, 0..<0, 0..<0])
    #expect(sharesOfWork([5], among: 1) == [0..<1])
    #expect(sharesOfWork([1, 1, 1, 1], among: 2) == [0..<2, 2..<4])
    #expect(sharesOfWork([9, 1, 1, 1], among: 2) == [0..<1, 1..<4])
    #expect(sharesOfWork([1, 1, 1, 9], among: 2) == [0..<3, 3..<4])
    #expect(sharesOfWork([0, 0], among: 2).map(\.count).reduce(0, +) == 2)
    #expect(sharesOfWork([4, 4, 4], among: 5).map(\.count).reduce(0, +) == 3)
  }

  private func dictionaries(_ width: Int) throws -> [LoadedRun] {
    let shape = DictionaryShape(
      width: width, experts: 32, sublatents: 3, subspace: 2, activeExperts: 4)
    var flat = shape
    (flat.sublatents, flat.subspace) = (0, 0)
    return try [("h", shape), ("flat", flat)].map { name, shape in
      try EvaluationFixture.run(name, shape) { $0 = Parameters.initial(shape: shape, seed: 4) }
    }
  }

  /// An input for one of `ranks`, with its own store and model.
  private func input(
    _ ranks: any Communicator, _ source: (any RowSource)?, _ model: (any ResidualStreamModel)?,
    text: [Document]? = nil, change: (inout EvaluationOptions) -> Void = { _ in }
  ) -> EvaluationInput {
    var options = EvaluationOptions()
    (options.resamples, options.threads) = (100, 1)
    change(&options)
    var loader: EvaluationInput.ModelLoader?
    if let model { loader = { (_, _) throws(Failure) in model } }
    let sentences = ParallelSentences(
      languages: ["en", "fr"],
      sentences: EvaluationFixture.documents(31).map {
        let text = String(decoding: $0.text, as: UTF8.self)
        return [text, "le " + text]
      }, description: "made up")
    return EvaluationInput(
      options: options, source: source, text: text, textName: "text", layer: text == nil ? nil : 3,
      loader: loader, sentences: { () throws(Failure) in sentences }, ranks: ranks)
  }

  /// Expects `other` to equal `one`, numbers and intervals up to rounding.
  private func expectAlike(
    _ one: Evaluation, _ other: Evaluation, at location: SourceLocation = #_sourceLocation
  ) {
    #expect(one.runs.count == other.runs.count, sourceLocation: location)
    func close(_ a: Double, _ b: Double) -> Bool {
      a == b || a.isNaN && b.isNaN || abs(a - b) <= 1e-11 * max(1, abs(a))
    }
    for (a, b) in zip(one.runs, other.runs) {
      #expect(a.results.count == b.results.count, sourceLocation: location)
      for (x, y) in zip(a.results, b.results) {
        #expect(
          x.evaluatedOn == y.evaluatedOn && x.numbers.count == y.numbers.count,
          sourceLocation: location)
        #expect(x.histograms == y.histograms && x.notes == y.notes, sourceLocation: location)
        for (p, q) in zip(x.numbers, y.numbers) {
          #expect(
            p.key == q.key && close(p.value, q.value), "\(p.key) \(p.value) \(q.value)",
            sourceLocation: location)
          #expect((p.interval == nil) == (q.interval == nil), sourceLocation: location)
          if let i = p.interval, let j = q.interval {
            #expect(close(i.low, j.low) && close(i.high, j.high), sourceLocation: location)
          }
        }
      }
    }
  }

  @Test(arguments: [2, 3])
  func storeAndTextAndSentences(_ count: Int) throws {
    try withTemporaryFolder { folder in
      let documents = EvaluationFixture.documents(60)
      _ = try EvaluationFixture.collect(
        folder + "/store", model: SyntheticModel(width: 16, contextLength: 64),
        documents: documents)
      let runs = try dictionaries(16)
      func evaluation(_ ranks: any Communicator, text: Bool) throws -> Evaluation {
        let model = SyntheticModel(width: 16, contextLength: 64)
        return try Evaluation(
          of: runs, suites: [CoreSuite.self, CrosslingualSuite.self, CostSuite.self],
          input: input(
            ranks, text ? nil : try ActivationStore(path: folder + "/store"), model,
            text: text ? documents : nil))
      }
      for text in [false, true] {
        let one = try evaluation(SingleProcess(), text: text)
        let all = try withRanks(count) { try evaluation($0, text: text) }
        for other in all {
          expectAlike(one, other)
          #expect(other == all[0])
        }
        // A context's losses and a document's sums are bit for bit the same on any rank.
        #expect(
          all[0].runs[0].result("core")?["ce_loss_score"]
            == one.runs[0].result("core")?["ce_loss_score"])
        #expect(try withRanks(count) { try evaluation($0, text: text) } == all)
      }
    }
  }

  /// There are more rows than fit in a chunk, and more ranks than chunks.
  @Test(arguments: [2, 5])
  func chunksOfRows(_ count: Int) throws {
    try withTemporaryFolder { folder in
      let planted = PlantedHierarchy(
        width: 6, parents: 4, children: 2, subspace: 1, active: 2, seed: 1)
      try writeNumpy(planted.rows(18_000), width: 6, to: folder + "/rows.npy")
      let runs = try dictionaries(6)
      func evaluation(_ ranks: any Communicator) throws -> Evaluation {
        try Evaluation(
          of: runs, suites: [CoreSuite.self],
          input: input(ranks, try openRows(path: folder + "/rows.npy"), nil))
      }
      let one = try evaluation(SingleProcess())
      let all = try withRanks(count, evaluation)
      for other in all { expectAlike(one, other) }
      #expect(try withRanks(count, evaluation) == all)
    }
  }

  @Test func firstLetters() throws {
    func vectors(_ ranks: any Communicator) throws -> [Float] {
      let model = WordModel(each: 20)
      let words = FirstLetterWords(pieces: model.tokenizer.pieces, limit: 400, seed: 1)
      return try FirstLetterRows(
        words: words.training, examplesFrom: words.training,
        settings: FirstLetterSettings(block: 0), model: model,
        generator: SeededGenerator(seed: 1), ranks: ranks
      ).rows.elements
    }
    let one = try vectors(SingleProcess())
    for other in try withRanks(3, vectors) { #expect(other == one) }
  }

  @Test func aFailureOfOneRankIsReportedByAll() throws {
    try withTemporaryFolder { folder in
      let runs = try dictionaries(6)
      var rows = (0..<20_000 * 6).map { Float($0 % 7) - 3 }
      try writeNumpy(rows, width: 6, to: folder + "/rows.npy")
      rows[rows.count - 1] = 9
      try writeNumpy(rows, width: 6, to: folder + "/others.npy")
      rows[rows.count - 1] = .nan
      try writeNumpy(rows, width: 6, to: folder + "/damaged.npy")
      func failures(
        _ path: @escaping (Int) -> String,
        _ change: @escaping (Int, inout EvaluationOptions) -> Void = { _, _ in }
      ) throws -> [Failure?] {
        try withRanks(2) { ranks in
          let source = try openRows(path: folder + "/" + path(ranks.rank))
          return failure {
            _ = try Evaluation(
              of: runs, suites: [CoreSuite.self],
              input: input(ranks, source, nil) { change(ranks.rank, &$0) })
          }
        }
      }
      func expect(
        _ found: [Failure?], _ kind: Failure.Kind, _ parts: [String],
        at location: SourceLocation = #_sourceLocation
      ) throws {
        for failure in found {
          let failure = try #require(failure, sourceLocation: location)
          #expect(failure.kind == kind, sourceLocation: location)
          #expect(AgreedFailures.contains(failure), sourceLocation: location)
          for part in parts {
            #expect(failure.message.contains(part), "\(failure)", sourceLocation: location)
          }
        }
      }
      try expect(
        failures { $0 == 0 ? "rows.npy" : "others.npy" }, .data, ["others.npy", "rank 1", "rank 0"])
      try expect(failures { _ in "damaged.npy" }, .data, ["rank 1 of 2", "damaged.npy"])
      try expect(
        failures({ _ in "rows.npy" }) { $1.seed = UInt64($0) }, .usage, ["Rank 1", "options"])
    }
  }

  @Test func suitesThatCannotBeDividedNeedOneProcess() throws {
    let alone = try EvaluationSuites.named("core,hierarchy", processes: 1)
    #expect(alone.count == 2)
    let refusal = failure { _ = try EvaluationSuites.named("core,hierarchy", processes: 2) }
    #expect(refusal?.kind == .usage && refusal?.message.contains("hierarchy") == true)
    let divided = try EvaluationSuites.named("core,absorption,crosslingual,cost", processes: 2)
    #expect(divided.count == 4)
  }
}
