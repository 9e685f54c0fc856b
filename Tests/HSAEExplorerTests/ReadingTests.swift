// Queries of a database of text, of a vocabulary, and of a plain matrix.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import HSAERuns
import Testing

@testable import HSAEExplorer

@Suite struct ReadingTests {
  private func explained(
    _ folder: String
  ) throws -> (fixture: ExplainFixture, database: FeatureDatabase, run: RunRecord) {
    let fixture = try ExplainFixture(in: folder)
    _ = try fixture.explainer(ExplainFixture.run()).explain()
    let database = try FeatureDatabase(path: fixture.features)
    return (fixture, database, try #require(try database.run(named: "h")))
  }

  @Test func listsAreFilteredAndSorted() throws {
    try withTemporaryFolder { folder in
      let (_, database, run) = try explained(folder)
      var query = LatentQuery()
      query.includesDead = true
      let all = try database.latents(query, in: run)
      #expect(all.total == 24 && all.latents.map(\.expert) == Array(0..<24))
      #expect(all.latents.allSatisfy { $0.sublatent == nil })
      query.includesDead = false
      for order in LatentQuery.Order.all {
        (query.order, query.isDescending) = (order, true)
        let page = try database.latents(query, in: run)
        let keys = page.latents.map { latent -> Double in
          switch order.name {
          case "number": Double(latent.expert)
          case "density": latent.density
          case "maximum": Double(latent.maximum)
          case "live": Double(latent.liveSublatents)
          case "score", "match": latent.score ?? -1
          default: .nan
          }
        }
        #expect(keys == keys.sorted(by: >), "\(order.name)")
        #expect(page.total == all.latents.count { $0.count > 0 })
      }
      query = LatentQuery()
      query.order = .density
      (query.offset, query.limit) = (2, 3)
      let page = try database.latents(query, in: run)
      #expect(page.latents.count == 3)
      let density = page.latents[2].density
      (query.offset, query.bounds) = (0, ["min_density": density, "max_density": density])
      #expect(try database.latents(query, in: run).latents.first?.density == density)
      query = LatentQuery()
      query.level = .sublatentsOf(3)
      query.includesDead = true
      #expect(
        try database.latents(query, in: run).latents.map(\.sublatent) == [0, 1, 2, 3])
      query.level = .sublatents
      #expect(try database.latents(query, in: run).total == 24 * 4)
      #expect(try database.detail(of: LatentNumber(expert: 24), in: run) == nil)
      #expect(try database.detail(of: LatentNumber(expert: 0, sublatent: 4), in: run) == nil)
      #expect(try database.detail(of: LatentNumber(expert: -1), in: run) == nil)
      #expect(try database.run(named: "none") == nil)
    }
  }

  @Test func searchFindsWordsContextsAndLabels() throws {
    try withTemporaryFolder { folder in
      let (_, database, run) = try explained(folder)
      let found = try database.search("hus", in: run, limit: 200)
      #expect(!found.isEmpty)
      #expect(
        found.contains { $0.words.contains { $0.hasPrefix("hus") } })
      let everything = try database.search("husky", in: run, limit: 500)
      let hits = try database.contexts(of: everything, at: "husky", in: run)
      #expect(!hits.isEmpty && hits.values.allSatisfy { $0.hits > 0 })
      for hit in hits.values {
        let text = hit.context.tokens.map(\.text).joined()
        #expect(text.contains("h") || text.contains("y"), "\(text)")
      }
      // A search lists latents of the given level, the best first, and counts them all.
      var query = LatentQuery()
      (query.text, query.order, query.limit, query.includesDead) = ("hus", .match, 2, true)
      var totals: [Int] = []
      for level in [LatentQuery.Level.top, .sublatents, .both] {
        query.level = level
        let list = try database.latents(query, in: run)
        totals.append(list.total)
        #expect(list.latents.count == min(2, list.total))
        #expect(
          level == .both || list.latents.allSatisfy { ($0.sublatent == nil) == (level == .top) })
      }
      #expect(totals[0] > 0 && totals[1] > 0 && totals[0] + totals[1] == totals[2])
      #expect(totals[2] == found.count)
      query.offset = 2
      #expect(try database.latents(query, in: run).latents == Array(found[2..<min(4, found.count)]))
      // Bytes that are parts of characters are spelled out.
      let texts = try (0..<24).flatMap {
        try #require(try database.detail(of: LatentNumber(expert: $0), in: run)).strongest
      }.flatMap(\.tokens).map(\.text)
      #expect(texts.contains("<0xc3>") && texts.contains("<"))
      for hostile in [
        "", " ", "\"", "'; DROP TABLE latent; --", "* OR *", "NEAR(a b)", "a\u{0}b", "((((",
        "words:dog", "-dog", "^", String(repeating: "dog ", count: 5000),
      ] {
        let found = try database.search(hostile, in: run)
        _ = try database.contexts(of: found, at: hostile, in: run)
        query.text = hostile
        _ = try database.latents(query, in: run)
      }
      #expect(try database.run(named: "' OR 1=1 --") == nil)
    }
  }

  /// What is found and in which order, against a plain reading of every latent.
  @Test(arguments: ["hus", "husky", "dog", "cat", "d", "caf"])
  func theBestMatchesComeFirst(_ asked: String) throws {
    try withTemporaryFolder { folder in
      let (_, database, run) = try explained(folder)
      try database.setLabel("a \(asked)", of: LatentNumber(expert: 7), in: run)
      let found = try database.search(asked, in: run, limit: 500)
      let everything = try database.latents(
        LatentQuery(level: .both, includesDead: true, limit: 500), in: run
      ).latents
      let promoted = try database.promoted(by: everything, in: run)
      let hits = try database.contexts(of: everything, at: asked, in: run)
      func words(_ text: String) -> [String] {
        text.folding(options: [.caseInsensitive, .diacriticInsensitive], locale: nil)
          .components(separatedBy: CharacterSet.alphanumerics.inverted)
      }
      var expected: [LatentNumber: (points: Double, count: Int)] = [:]
      for (latent, promoted) in zip(everything, promoted) {
        var points = 0.0
        let tokens = promoted?.promoted.flatMap { words($0.text) } ?? []
        if tokens.contains(where: { $0.hasPrefix(asked) }) { points += 0.3 }
        points += 0.1 * Double(min(20, hits[latent.number]?.hits ?? 0))
        let own = (latent.name + latent.words).map(words)
        if let place = own.firstIndex(where: { $0.contains { $0.hasPrefix(asked) } }) {
          points += (own.joined().contains(asked) ? 1 : 0.8) / Double(place + 1)
        }
        // The words of rare latents mean little.
        if latent.count < 30 { points *= 0.5 }
        if latent.label != nil { points += 4 }
        if points > 0 { expected[latent.number] = (points, latent.count) }
      }
      #expect(found.first?.expert == 7 && found.count > 3)
      #expect(Set(found.map(\.number)) == Set(expected.keys))
      for (first, second) in zip(found, found.dropFirst()) {
        let (better, worse) = try (
          #require(expected[first.number]), #require(expected[second.number])
        )
        #expect(better.points > worse.points - 1e-9, "\(first.number), \(second.number)")
        if abs(better.points - worse.points) < 1e-9 { #expect(better.count >= worse.count) }
      }
    }
  }

  /// Numbers and paths are found like words, dead latents too.
  @Test func latentsAreFoundByNumber() throws {
    try withTemporaryFolder { folder in
      let (_, database, run) = try explained(folder)
      let query = LatentQuery(level: .both, includesDead: true, limit: 500)
      let all = try database.latents(query, in: run).latents
      let dead = try #require(all.first { $0.count == 0 && $0.sublatent != nil })
      for (asked, number) in [
        ("3", LatentNumber(expert: 3)), ("3.1", LatentNumber(expert: 3, sublatent: 1)),
        ("3/1", LatentNumber(expert: 3, sublatent: 1)), (dead.number.name, dead.number),
      ] {
        var query = LatentQuery()
        (query.text, query.order, query.level) = (asked, .match, .both)
        let list = try database.latents(query, in: run).latents
        #expect(list.first?.number == number, "\(asked)")
        // Other dead latents stay away.
        #expect(list.dropFirst().allSatisfy { $0.count > 0 })
        query.level = .top
        let top = try database.latents(query, in: run).latents
        #expect(top.contains { $0.number == number } == (number.sublatent == nil), "\(asked)")
      }
      #expect(try database.search("99", in: run).isEmpty)
      #expect(try database.search("3.9", in: run).isEmpty)
    }
  }

  /// The quick way through ASCII words and the slow one agree.
  @Test func theFirstWordThatMatchesIsCounted() {
    let words = "▁Fluß\n▁rivers\nRiver\n▁o'clock\ncafé"
    for (sought, expected) in [
      ("fluß", 1), ("fl", 1), ("river", 2), ("rivers", 2), ("o", 4), ("clock", 4), ("cafe", 5),
      ("none", 5),
    ] {
      #expect(place(of: searchWords(sought)[0], in: words) == expected, "\(sought)")
    }
    #expect(
      place(of: "cafe", in: "▁Café\n▁cafe") == 1 && place(of: "clock", in: "o'clock\nclock") == 1)
    #expect(place(of: "x", in: "") == 1)
  }

  @Test func labelsAreKeptAndFound() throws {
    try withTemporaryFolder { folder in
      let (fixture, database, run) = try explained(folder)
      let (dogs, other) = (LatentNumber(expert: 3, sublatent: 2), LatentNumber(expert: 5))
      try database.setLabel("  Dogs & <i>Hünde</i>; it's \"all\" \n", of: dogs, in: run)
      try database.setLabel("zebra", of: other, in: run)
      let again = try FeatureDatabase(path: fixture.features)
      #expect(try again.record(of: dogs, in: run)?.label == "Dogs & <i>Hünde</i>; it's \"all\"")
      #expect(try again.search("hunde", in: run).first?.sublatent == 2)
      var query = LatentQuery()
      (query.level, query.isLabelled, query.includesDead) = (.sublatents, true, true)
      #expect(try again.latents(query, in: run).latents.map(\.expert) == [3])
      try again.setLabel("cats", of: dogs, in: run)
      #expect(try again.search("hunde", in: run) == [])
      #expect(try again.search("cats", in: run).first?.expert == 3)
      #expect(try again.labels(in: run).map(\.text) == ["cats", "zebra"])
      try again.setLabel(" ", of: dogs, in: run)
      #expect(try again.labels(in: run).map(\.text) == ["zebra"])
      #expect(
        failure { try again.setLabel("x", of: LatentNumber(expert: 99), in: run) }?.kind == .data)
      // A label that another window has written meanwhile is not lost.
      try again.setLabel("stripes", replacing: "zebra", of: other, in: run)
      #expect(
        failure { try again.setLabel("horse", replacing: "zebra", of: other, in: run) }?.message
          .contains("stripes") == true)
      #expect(failure { try again.setLabel("x", replacing: "zebra", of: dogs, in: run) } != nil)
      try again.setLabel("zebra", replacing: "stripes", of: other, in: run)
      for hidden in ["a\nb", "a\u{202E}b", "a\u{0}b", "a\u{2028}b"] {
        #expect(failure { try again.setLabel(hidden, of: other, in: run) }?.kind == .data)
      }
      let long = String(repeating: "x", count: FeatureDatabase.longestLabel + 1)
      #expect(failure { try again.setLabel(long, of: other, in: run) }?.kind == .data)

      // Replacing the run keeps labels of the same weights, and no others.
      var options = ExplainFixture.options
      options.replace = true
      options.contexts.window = 4
      _ = try fixture.explainer(ExplainFixture.run(), options: options).explain()
      let kept = try FeatureDatabase(path: fixture.features)
      #expect(try kept.labels(in: run).map(\.text) == ["zebra"])
      #expect(try kept.search("zebra", in: run).first?.expert == 5)
      let hits = try kept.search("husky", in: run, limit: 200).count
      _ = try fixture.explainer(
        ExplainFixture.run(seed: 2), weights: "other", options: options
      ).explain()
      let replaced = try FeatureDatabase(path: fixture.features)
      #expect(try replaced.runs().count == 1 && hits > 0)
      #expect(try replaced.labels(in: run) == [])
      #expect(try replaced.search("zebra", in: run) == [])
    }
  }

  @Test func runsAreCompared() throws {
    try withTemporaryFolder { folder in
      let (fixture, _, _) = try explained(folder)
      let flat = DictionaryShape(
        width: 16, experts: 10, sublatents: 0, subspace: 0, activeExperts: 3)
      let run = try ExplainFixture.run("flat", shape: flat, seed: 1)
      let options = ExplainFixture.options
      _ = try fixture.explainer(run, options: options).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let runs = try database.runs()
      #expect(runs.map(\.name) == ["h", "flat"] && runs.allSatisfy(\.isComplete))
      #expect(runs[0].corpus == runs[1].corpus)
      // Expert j's encoder row depends on the seed and j only, so the ten are the first of the 24.
      let comparison = try #require(try database.comparison(of: runs[1], with: runs[0]))
      #expect(comparison.histogram.reduce(0, +) == comparison.histogram[9])
      for pair in comparison.matched {
        #expect(pair.latent.expert == pair.other.expert && pair.cosine > 0.9999 && pair.isMutual)
      }
      let back = try #require(try database.comparison(of: runs[0], with: runs[1]))
      #expect(back.mutual == comparison.mutual)
      #expect((back.alone.first?.cosine ?? 1) < 0.9)
      #expect(try database.comparison(of: runs[0], with: runs[0]) == nil)
      // The flat run came second, and the folder of the first is not there: its sublatents do not take part.
      #expect(comparison.nearSublatents == 0 && back.sublatents.isEmpty)
      // The hierarchical run once more: its sublatents beside the flat latents, and the reverse.
      let again = try ExplainFixture.run("again", seed: 4)
      _ = try fixture.explainer(again, options: options).explain()
      let third = try #require(try database.run(named: "again"))
      func direction(_ run: LoadedRun, _ latent: LatentNumber) -> [Double] {
        run.dictionary.unitDirection(of: latent).map(Double.init)
      }
      func live(_ run: RunRecord) throws -> [LatentRecord] {
        try database.latents(LatentQuery(level: .both, limit: 500), in: run).latents
      }
      func nearest(
        _ latent: LatentRecord, of own: LoadedRun, in other: LoadedRun, among: [LatentRecord]
      ) -> (LatentNumber, Double)? {
        let vector = direction(own, latent.number)
        return among.map { candidate in
          let theirs = direction(other, candidate.number)
          return (candidate.number, zip(vector, theirs).reduce(0) { $0 + $1.0 * $1.1 })
        }.max { $0.1 < $1.1 }
      }
      let both = try #require(
        try database.comparison(of: third, with: runs[1], limit: 500))
      let (sublatents, flats) = try (
        live(third).filter { $0.sublatent != nil && !$0.isRare }, live(runs[1])
      )
      #expect(Set(both.sublatents.map(\.latent)) == Set(sublatents) && sublatents.count > 3)
      for pair in both.sublatents {
        let expected = try #require(nearest(pair.latent, of: again, in: run, among: flats))
        #expect(pair.other.number == expected.0 && abs(pair.cosine - expected.1) < 1e-5)
      }
      let reverse = try #require(
        try database.comparison(of: runs[1], with: third, limit: 500))
      let all = try live(third)
      for pair in reverse.matched {
        let expected = try #require(nearest(pair.latent, of: run, in: again, among: all))
        #expect(pair.other.number == expected.0 && abs(pair.cosine - expected.1) < 1e-5)
      }
      #expect(reverse.nearSublatents == reverse.matched.count { $0.other.sublatent != nil })
      #expect(reverse.nearSublatents > 0)
      // The same run is there already; a different one needs another name.
      #expect(try fixture.explainer(run).explain()?.wasThere == true)
      let refusal = failure {
        _ = try fixture.explainer(ExplainFixture.run("flat", shape: flat, seed: 3), weights: "x")
          .explain()
      }
      #expect(refusal?.kind == .cannotCreate && refusal?.message.contains("--name") == true)
    }
  }

  @Test func vocabulariesAndMatricesHaveTokensAndRows() async throws {
    try await withTemporaryFolder { folder in
      let words = ["▁dog", "▁puppy", "cat", "Ω", "▁vet", "<0xE2>", "▁it's", "\u{202E}x"]
      var rows = Matrix(rows: 200, columns: 16)
      var generator = SeededGenerator(seed: 9)
      for row in 0..<200 {
        for column in 0..<16 { rows[row, column] = Float(generator.nextSymmetric()) }
      }
      rows.scaleRowsToUnit()
      let path = Path.join(folder, "words.store")
      try ActivationStore.create(
        at: path,
        attributes: StoreAttributes(
          kind: .unembedding, modelName: "tiny", modelSHA256: "", hookPoint: "unembedding"),
        rows: rows, norms: [Float](repeating: 1, count: 200), tokens: (0..<200).map { Int32($0) },
        vocabulary: (0..<200).map { words[$0 % 8] + ($0 < 8 ? "" : "\($0)") }, shuffleSeed: 3)
      let store = try ActivationStore(path: path)
      let features = Path.join(folder, "features")
      let run = try ExplainFixture.run("words")
      _ = try Explainer(
        run, weights: "w", rows: ExplainedRows(store), model: nil,
        effects: { () throws(Failure) in try .vocabulary(store, threads: 1) }, folder: features,
        options: ExplainFixture.options
      ).explain()

      let matrix = Path.join(folder, "rows.npy")
      try writeNumpy(rows.elements, width: 16, to: matrix)
      _ = try Explainer(
        ExplainFixture.run("matrix"), weights: "w2", rows: ExplainedRows(openRows(path: matrix)),
        model: nil, effects: nil, folder: features, options: ExplainFixture.options
      ).explain()

      let database = try FeatureDatabase(path: features)
      let runs = try database.runs()
      var query = LatentQuery()
      (query.order, query.isDescending) = (.density, true)
      let latent = try #require(try database.latents(query, in: runs[0]).latents.first)
      let detail = try #require(
        try database.detail(of: LatentNumber(expert: latent.expert), in: runs[0]))
      #expect(detail.strongest.count == 6 && detail.latent.words.count == 6)
      for context in detail.strongest {
        #expect(context.tokens.count == 1 && context.document == nil)
        #expect(context.tokens[0].text == store.text(ofToken: Int32(context.position)))
      }
      // A direction's products with the rows it was trained on.
      let direction = run.dictionary.unitDirection(of: LatentNumber(expert: latent.expert))
      let elements = rows.elements
      var best: Float = 0
      for row in 0..<200 {
        var product: Float = 0
        for column in 0..<16 { product += elements[row * 16 + column] * direction[column] }
        best = max(best, product)
      }
      #expect(abs((detail.promoted?.promoted.first?.value ?? 0) - best) < 0.01)
      let plain = try #require(try database.detail(of: LatentNumber(expert: 0), in: runs[1]))
      #expect(plain.promoted == nil && plain.latent.words.isEmpty)
      #expect(plain.strongest.allSatisfy { $0.tokens[0].text == "row \($0.position)" })
      #expect(try database.search("dog", in: runs[1]) == [])
      // No run here can read a text, so there is no form to type one in.
      for target in ["/text", "/text?runs=words", "/text?runs=words&text=dog"] {
        let answer = await Explorer(database: database).respond(
          to: WebRequest(method: "GET", target: target, headers: ["host": "localhost:1"]))
        let page = String(decoding: answer.body, as: UTF8.self)
        #expect(answer.status == 200 && !page.contains("<textarea"), "\(target)")
        #expect(page.contains("This needs a complete run on a language model’s residual stream"))
      }
    }
  }
}
#endif
