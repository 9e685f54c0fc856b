// 100 random latents of a database against a slow twin; threads, chunks and interruptions change nothing.

#if Explorer
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import HSAERuns
import Testing

@testable import HSAEExplorer

@Suite struct RecomputationTests {
  @Test func aHundredRandomEntriesAgree() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let run = try ExplainFixture.run()
      _ = try #require(try fixture.explainer(run).explain())
      let database = try FeatureDatabase(path: fixture.features)
      let record = try #require(try database.run(named: "h"))
      let twin = try SlowTwin(run, fixture.store)
      #expect(record.isComplete && record.rows == twin.codes.count && record.shape == run.shape)
      let live = (0..<run.shape.experts * 5).map { LatentNumber($0, in: run.shape) }
        .filter { !twin.ranked($0).isEmpty }
      #expect(live.count > 60)
      var generator = SeededGenerator(seed: 42)
      for _ in 0..<100 {
        let latent = live[Int(generator.next() % UInt64(live.count))]
        let detail = try #require(try database.detail(of: latent, in: record))
        try Self.compare(detail, latent, twin, live)
      }
    }
  }

  static func compare(
    _ detail: LatentDetail, _ latent: LatentNumber, _ twin: SlowTwin, _ live: [LatentNumber]
  ) throws {
    let (window, options) = (5, ExplainFixture.options.contexts)
    let active = twin.ranked(latent)
    // Counts, maximum, mean, histogram.
    #expect(detail.latent.count == active.count)
    #expect(detail.latent.maximum == active[0].value)
    let mean = active.reduce(0) { $0 + Double($1.value) } / Double(active.count)
    #expect(abs(detail.latent.mean - mean) < 1e-6)
    #expect(detail.latent.density == Double(active.count) / Double(twin.codes.count))
    if latent.sublatent != nil {
      let parent = twin.ranked(LatentNumber(expert: latent.expert))
      #expect(detail.latent.shareOfParent == Double(active.count) / Double(parent.count))
      let chosen = twin.codes.values.joined().count {
        $0.expert == latent.expert && $0.sublatent == latent.sublatent
      }
      #expect(detail.latent.chosen == chosen)
    }
    var codeBins = [Int](repeating: 0, count: 32)
    for (_, value) in active { codeBins[min(31, Int(value / active[0].value * 32))] += 1 }
    #expect(detail.histogram == codeBins)

    // Contexts: their places, texts and codes.
    func check(_ contexts: [ContextText], _ tokens: [SlowTwin.Token]) throws {
      #expect(
        contexts.map { SlowTwin.Token(document: $0.document ?? -1, position: $0.position) }
          == tokens)
      for (context, token) in zip(contexts, tokens) {
        let text = try twin.text(latent, token, window: window)
        #expect(context.tokens == text)
        #expect(context.value == twin.value(latent, token)?.own)
        #expect(context.parentValue == twin.value(latent, token)?.parent)
        #expect(context.tokens[context.centre].value == context.value)
        #expect(context.title == twin.corpus.title(of: token.document))
      }
    }
    try check(
      detail.strongest, twin.strongest(latent, count: options.strongest, window: window))
    #expect(detail.samples.count == 5)
    for (fifth, samples) in detail.samples.enumerated() {
      let range = fifth * active.count / 5..<(fifth + 1) * active.count / 5
      #expect(samples.count == min(options.samples, range.count))
      let tokens = active[range].map(\.token).filter { token in
        samples.contains { $0.document == token.document && $0.position == token.position }
      }
      try check(samples, tokens)
    }

    // Related latents.
    let coactive = twin.coactive(latent)
    #expect(detail.coactive.count == min(8, coactive.count))
    #expect(
      detail.coactive.map(\.value) == Array(coactive.values.sorted(by: >).prefix(8)))
    for related in detail.coactive { #expect(coactive[related.latent.expert] == related.value) }
    let own = twin.direction(latent)
    let cosines = live.filter { $0.expert != latent.expert }
      .map { SlowTwin.cosine(own, twin.direction($0)) }.sorted(by: >)
    #expect(detail.nearest.count == min(8, cosines.count))
    for (related, cosine) in zip(detail.nearest, cosines) {
      #expect(abs(Double(related.value) - cosine) < 1e-5)
    }

    // Promoted tokens.
    let unembedding = ExplainFixture.unembedding().rows.map { $0.map { Double($0) } }
    func effects(_ direction: [Double]) -> [Double] {
      let norm = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return unembedding.map { zip($0, direction).reduce(0) { $0 + $1.0 * $1.1 } / norm }
    }
    func check(_ texts: PromotedTexts, _ values: [Double]) {
      #expect(texts.promoted.count == 10 && texts.suppressed.count == 10)
      for (tokens, sorted) in [
        (texts.promoted, values.sorted(by: >)), (texts.suppressed, values.sorted(by: <)),
      ] {
        for (token, value) in zip(tokens, sorted) {
          #expect(abs(Double(token.value) - value) < 1e-5)
          #expect(abs(values[token.token] - value) < 1e-5)
          #expect(token.text == twin.store.text(ofToken: Int32(token.token)))
        }
      }
    }
    check(try #require(detail.promoted), effects(own))
    // The histogram of all effects, in bins of a quarter of the products of random directions.
    let squares = unembedding.joined().reduce(0) { $0 + $1 * $1 }
    let width = (squares / Double(unembedding.count * 16)).squareRoot() / 4
    let histogram = try #require(detail.effects)
    #expect(abs(histogram.width - width) < 1e-6)
    var bins = [Int](repeating: 0, count: histogram.counts.count)
    let values = effects(own)
    for value in values {
      let place = (value - histogram.start) / histogram.width
      bins[min(bins.count - 1, max(0, Int(place.rounded(.down))))] += 1
    }
    // A product at an edge may fall on either side.
    let moved = zip(bins, histogram.counts).reduce(0) { $0 + abs($1.0 - $1.1) }
    #expect(histogram.counts.reduce(0, +) == values.count && moved <= 2 + values.count / 20)
    if latent.sublatent != nil {
      let parents = active.map { Double(twin.value(latent, $0.token)?.parent ?? 0) }
      let parentMean = parents.reduce(0, +) / Double(parents.count)
      let parent = twin.direction(LatentNumber(expert: latent.expert))
      let both = zip(own, parent).map { mean * $0 + parentMean * $1 }
      check(try #require(detail.promotedWithParent), effects(both))
    }
  }

  /// The dictionary's codes agree with those of the reference implementation.
  @Test func codesAreThoseOfTheSlowForwardPass() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 10)
      let run = try ExplainFixture.run()
      let twin = try SlowTwin(run, fixture.store)
      let slow = ReferenceParameters(run.dictionary.parameters)
      var settings = ReferenceSettings()
      let activation = run.dictionary.activation
      settings.threshold = Double(activation.threshold)
      settings.subThreshold = Double(activation.subThreshold)
      (settings.slope, settings.subSlope) = (Double(activation.slope), Double(activation.subSlope))
      for row in 0..<fixture.store.rowCount {
        var single = try fixture.store.matrix(rows: row..<row + 1)
        run.prepare(&single)
        let codes = slow.forward(single.elements.map { Double($0) }, settings).codes[0]
        let place = try #require(fixture.store.place(row))
        let fast = twin.codes[.init(document: place.document, position: place.position)] ?? []
        #expect(fast.map(\.expert) == codes.map(\.expert))
        for (fast, slow) in zip(fast, codes) {
          #expect(abs(Double(fast.value) - slow.value) < 1e-5)
          #expect(abs(Double(fast.subValue) - slow.subValue) < 1e-5)
        }
      }
    }
  }

  @Test func nothingDependsOnThreadsOrPieces() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let run = try ExplainFixture.run()
      _ = try fixture.explainer(run).explain()
      let expected = try ExplainFixture.dump(fixture.features)
      #expect(expected.count > 500)
      var options = ExplainFixture.options
      (options.threads, options.blockSize) = (5, 64)
      // oneDNN's products for AVX2 round differently for other numbers of rows.
      if Precision.best == .bfloat16 { options.chunkRows = 1000 }
      let other = Path.join(folder, "other")
      _ = try fixture.explainer(run, to: other, options: options).explain()
      let found = try ExplainFixture.dump(other)
      #expect(found.count == expected.count)
      for (one, another) in zip(found, expected) where one != another {
        Issue.record("\(one) is not \(another)")
        break
      }
    }
  }

  @Test func explainingContinuesWhereverItStopped() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let run = try ExplainFixture.run()
      _ = try fixture.explainer(run).explain()
      let expected = try ExplainFixture.dump(fixture.features)
      let other = Path.join(folder, "other")
      var rounds = 0
      var last: (stage: Explainer.Stage, done: Int)?
      var stopped: (stage: Explainer.Stage, done: Int)?
      while true {
        // Each round goes further than the last one, and a stage begins with what earlier rounds have done of it, if it
        // has parts.
        var steps = 0
        var first: [Explainer.Stage: Int] = [:]
        let summary = try fixture.explainer(
          run, to: other,
          progress: { stage, done, _ in
            steps += 1
            if first[stage] == nil { first[stage] = done }
            if steps <= 3 + rounds { return true }
            last = (stage, done)
            return false
          }
        ).explain()
        if let (stage, done) = stopped, ![.explained, .scores, .matched, .postings].contains(stage)
        {
          #expect(first[stage] == done, "\(stage)")
        }
        stopped = last
        if summary != nil { break }
        rounds += 1
        let database = try FeatureDatabase(path: other)
        let record = try #require(try database.run(named: "h"))
        #expect(!record.isComplete)
        _ = try database.latents(LatentQuery(), in: record)
        _ = try database.detail(of: LatentNumber(expert: 0), in: record)
      }
      #expect(rounds > 8)
      #expect(try ExplainFixture.dump(other) == expected)
      #expect(try Path.list(other).filter { $0.hasPrefix(".explain-") } == [])
      #expect(try FeatureDatabase(path: other).run(named: "h")?.isComplete == true)
    }
  }
}
#endif
