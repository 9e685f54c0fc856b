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
      let found = try database.search(words: "hus", in: run, limit: 200)
      #expect(!found.isEmpty)
      #expect(
        found.contains { $0.words.contains { $0.hasPrefix("hus") } })
      let hits = try database.search(contexts: "husky", in: run)
      #expect(!hits.isEmpty && hits.map(\.hits) == hits.map(\.hits).sorted(by: >))
      for hit in hits {
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
        _ = try database.search(words: hostile, in: run)
        _ = try database.search(contexts: hostile, in: run)
        query.text = hostile
        _ = try database.latents(query, in: run)
      }
      #expect(try database.run(named: "' OR 1=1 --") == nil)
    }
  }

  /// The order of the results, checked with the latents' own words.
  @Test(arguments: ["hus", "husky", "dog", "cat", "d"])
  func theBestMatchesComeFirst(_ asked: String) throws {
    try withTemporaryFolder { folder in
      let (_, database, run) = try explained(folder)
      try database.setLabel("a \(asked)", of: LatentNumber(expert: 7), in: run)
      let found = try database.search(words: asked, in: run, limit: 500)
      func key(_ latent: LatentRecord) -> [Int] {
        let words = latent.words.map { $0.replacingOccurrences(of: "▁", with: "").lowercased() }
        let kind =
          latent.label != nil
          ? 0 : words.contains(asked) ? 1 : words.contains { $0.hasPrefix(asked) } ? 2 : 3
        let text = words.joined(separator: "\n")
        let place = text.range(of: asked).map {
          text.unicodeScalars.distance(from: text.startIndex, to: $0.lowerBound)
        }
        return [kind, place ?? .max, -latent.count]
      }
      let keys = found.map(key)
      #expect(found.first?.expert == 7 && keys.count > 3)
      #expect(!zip(keys, keys.dropFirst()).contains { $1.lexicographicallyPrecedes($0) }, "\(keys)")
    }
  }

  @Test func labelsAreKeptAndFound() throws {
    try withTemporaryFolder { folder in
      let (fixture, database, run) = try explained(folder)
      let (dogs, other) = (LatentNumber(expert: 3, sublatent: 2), LatentNumber(expert: 5))
      try database.setLabel("  Dogs & <i>Hünde</i>; it's \"all\" \n", of: dogs, in: run)
      try database.setLabel("zebra", of: other, in: run)
      let again = try FeatureDatabase(path: fixture.features)
      #expect(try again.record(of: dogs, in: run)?.label == "Dogs & <i>Hünde</i>; it's \"all\"")
      #expect(try again.search(words: "hunde", in: run).first?.sublatent == 2)
      var query = LatentQuery()
      (query.level, query.isLabelled, query.includesDead) = (.sublatents, true, true)
      #expect(try again.latents(query, in: run).latents.map(\.expert) == [3])
      try again.setLabel("cats", of: dogs, in: run)
      #expect(try again.search(words: "hunde", in: run) == [])
      #expect(try again.search(words: "cats", in: run).first?.expert == 3)
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
      #expect(try kept.search(words: "zebra", in: run).first?.expert == 5)
      let hits = try kept.search(words: "husky", in: run, limit: 200).count
      _ = try fixture.explainer(
        ExplainFixture.run(seed: 2), weights: "other", options: options
      ).explain()
      let replaced = try FeatureDatabase(path: fixture.features)
      #expect(try replaced.runs().count == 1 && hits > 0)
      #expect(try replaced.labels(in: run) == [])
      #expect(try replaced.search(words: "zebra", in: run) == [])
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
      #expect(try database.search(contexts: "dog", in: runs[1]) == [])
      // No run here can take a text apart, so there is no form to type one in.
      for target in ["/text", "/text?runs=words", "/text?runs=words&text=dog"] {
        let answer = await Explorer(database: database).respond(
          to: WebRequest(method: "GET", target: target, headers: ["host": "localhost:1"]))
        let page = String(decoding: answer.body, as: UTF8.self)
        #expect(answer.status == 200 && !page.contains("<textarea"), "\(target)")
        #expect(page.contains("Only complete runs on a language model’s residual stream"))
      }
    }
  }
}
#endif
