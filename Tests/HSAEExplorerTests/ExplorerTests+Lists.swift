// The user's lists, the page of all runs, links that sort, what scores are compared with, and how tokens are usually
// explained.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer

extension ExplorerTests {
  private func post(_ target: String, _ body: String, _ explorer: Explorer) async -> WebResponse {
    await explorer.respond(
      to: WebRequest(method: "POST", target: target, headers: Self.local, body: Data(body.utf8)))
  }

  @Test func latentsAreKeptInLists() async throws {
    try await withExplorer { explorer, _ in
      let run = try #require(try explorer.database.run(named: "h"))
      let plain = text(await get("/runs/h/latents", explorer))
      #expect(!plain.contains("name=\"list\""))
      // A dead sublatent and an expert.
      for latent in ["5.2", "3"] {
        let answer = await post("/runs/h/latents/\(latent)/lists", "list=to+read%26", explorer)
        #expect(answer.status == 303 && answer.headers["Location"] == "/runs/h/latents/\(latent)")
      }
      _ = await post("/runs/h/latents/3/lists", "list=bookmarks", explorer)
      #expect(
        try explorer.database.lists(in: run) == [
          ListRecord(name: "bookmarks", count: 1), ListRecord(name: "to read&", count: 2),
        ])
      let page = text(await get("/runs/h/latents/3", explorer))
      #expect(page.contains("<a href=\"/runs/h/latents?list=to%20read%26\">to read&amp;</a>"))
      let list = text(await get("/runs/h/latents?list=to%20read%26", explorer))
      #expect(list.contains("/latents/5.2\"") && list.contains("/latents/3\""))
      #expect(list.contains("<option value=\"to read&amp;\" selected>"))
      #expect(text(await get("/runs/h", explorer)).contains(">bookmarks</a> (1)"))
      // A search finds a list by its name, and the page of all runs has it.
      #expect(
        text(await get("/runs/h/latents?q=Book", explorer)).contains(">bookmarks</a> has 1 latent.")
      )
      #expect(text(await get("/", explorer)).contains(">bookmarks</a> (1)"))
      // They are exported with the labels.
      try explorer.database.setLabel("dogs", of: LatentNumber(expert: 3), in: run)
      let labels = try explorer.database.labels(in: run)
      #expect(labels.map(\.text) == ["dogs", ""])
      #expect(labels.map(\.lists) == [["bookmarks", "to read&"], ["to read&"]])
      _ = await post("/runs/h/latents/3/lists", "list=&remove=to+read%26", explorer)
      _ = await post("/runs/h/latents/3/lists", "remove=bookmarks", explorer)
      #expect(
        try explorer.database.lists(in: run) == [ListRecord(name: "to read&", count: 1)])
      // The button beside a label removes it.
      _ = await post("/runs/h/latents/3/label", "label=dogs&previous=dogs&remove=1", explorer)
      #expect(try explorer.database.labels(in: run).map(\.lists) == [["to read&"]])
      for body in ["list=", "list=+", "list=a%0Ab", "list=" + String(repeating: "a", count: 801)] {
        #expect(await post("/runs/h/latents/3/lists", body, explorer).status == 400, "\(body)")
      }
    }
  }

  /// A run that is explained again keeps labels and lists if its weights are the same.
  @Test func listsStayWithTheWeights() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      var options = ExplainFixture.options
      func lists() throws -> [ListRecord] {
        let database = try FeatureDatabase(path: fixture.features)
        return try database.lists(in: #require(try database.run(named: "h")))
      }
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let run = try #require(try database.run(named: "h"))
      try database.setListed(true, in: "mine", LatentNumber(expert: 3), of: run)
      options.replace = true
      _ = try fixture.explainer(ExplainFixture.run(), options: options).explain()
      #expect(try lists() == [ListRecord(name: "mine", count: 1)])
      _ = try fixture.explainer(ExplainFixture.run(), weights: "other", options: options).explain()
      #expect(try lists() == [])
    }
  }

  @Test func allRunsAreSearchedAtOnce() async throws {
    try await withExplorer { explorer, _ in
      let start = text(await get("/", explorer))
      #expect(start.contains("action=\"/\"") && start.contains("action=\"/text\""))
      let found = text(await get("/?q=dog", explorer))
      let flat = Address.encoded("flat & <i>plain</i>")
      #expect(found.contains("href=\"/runs/h/latents/"))
      #expect(found.contains("href=\"/runs/\(flat)/latents/"))
      #expect(found.contains("href=\"/runs/h/latents?desc=1&amp;q=dog&amp;sort=density\""))
      #expect(await get("/?q=" + String(repeating: "a", count: 201), explorer).status == 400)
    }
  }

  /// The number of a sublatent leads to its page; other searches are lists.
  @Test func numbersLeadToLatents() async throws {
    try await withExplorer { explorer, _ in
      for asked in ["3.1", "3/1"] {
        let answer = await get("/runs/h/latents?q=\(asked)", explorer)
        #expect(answer.status == 303 && answer.headers["Location"] == "/runs/h/latents/3.1")
      }
      for asked in ["3.1&fragment=1", "3", "99.1", "a.b"] {
        #expect(await get("/runs/h/latents?q=\(asked)", explorer).status == 200, "\(asked)")
      }
      #expect(
        soughtWords("Rivers glasses series the bus, des") == [
          "river", "glass", "series", "the", "bus", "des",
        ])
    }
  }

  /// The latents of a token are sorted by the codes of sublatents, or those of both runs come first.
  @Test func latentsOfATokenAreSorted() async throws {
    try await withExplorer { explorer, _ in
      let runs = try explorer.database.runs()
      let dissection = try #require(
        try await explorer.dissector?.dissect("dog puppy", by: runs, explorer.database))
      let own = dissection.runs[0].tokens[4].latents
      let flat = Address.encoded(runs[1].name)
      func experts(_ order: String) async -> [Int] {
        let page = text(
          await get("/text?runs=h&runs=\(flat)&text=dog+puppy&at=4&order=\(order)", explorer))
        let list = page.components(separatedBy: "<ol class=\"active\">")[1]
          .components(separatedBy: "</ol>")[0]
        return list.components(separatedBy: "<li>").dropFirst().compactMap { item in
          item.components(separatedBy: "latents/").dropFirst().first
            .flatMap { Int($0.prefix { $0.isNumber }) }
        }
      }
      #expect(await experts("") == own.map(\.latent.expert))
      #expect(await experts("nonsense") == own.map(\.latent.expert))
      let bySublatents = own.sorted {
        ($0.isSublatentActive ? $0.subValue : 0) > ($1.isSublatentActive ? $1.subValue : 0)
      }
      #expect(await experts("sublatents") == bySublatents.map(\.latent.expert))
      let shared = await experts("shared")
      #expect(Set(shared) == Set(own.map(\.latent.expert)))
    }
  }

  /// Headings of lists sort by their column, and then the other way round.
  @Test func headingsSort() async throws {
    try await withExplorer { explorer, _ in
      let plain = text(await get("/runs/h/latents?dead=1&offset=2", explorer))
      let down = "/runs/h/latents?dead=1&amp;desc=1&amp;sort=maximum"
      #expect(plain.contains("href=\"\(down)\""))
      let sorted = text(
        await get(down.replacing("&amp;", with: "&"), explorer))
      #expect(sorted.contains("href=\"/runs/h/latents?dead=1&amp;desc=0&amp;sort=maximum\""))
    }
  }

  @Test func scoresComeWithTheirScale() async throws {
    try await withExplorer { explorer, fixture in
      let run = try #require(try explorer.database.run(named: "h"))
      let numbers = try explorer.database.statistics(of: run)
      let scale = try #require(numbers.scoreScale)
      #expect(scale.rows == run.rows)
      // The same from an evaluation of the rows.
      let store = fixture.store
      let loaded = try ExplainFixture.run()
      var rows = try store.matrix(rows: 0..<store.rowCount)
      loaded.prepare(&rows)
      let codes = loaded.dictionary.encode(rows, threads: 1)
      let evaluation = DictionaryEvaluation(
        loaded.dictionary, rows: rows, codes: codes,
        words: WordTable(
          tokens: (0..<store.rowCount).map(store.token), vocabulary: store.vocabulary))
      let judged = evaluation.shuffledHierarchies.filter { $0.judged.count >= 3 }.map(\.score)
      #expect(scale.shuffledHighest == (judged.count >= 10 ? judged.max() : nil))
      let all = try explorer.database.latents(
        LatentQuery(order: .score, isDescending: true, limit: 100), in: run
      ).latents
      #expect(numbers.highestScore == all.compactMap(\.score).max())
      var rank = 0
      for latent in all {
        let detail = try #require(try explorer.database.detail(of: latent.number, in: run))
        let parts = try #require(detail.scoreParts)
        let score = try #require(latent.score)
        // Experts with too few judged sublatents have no parts.
        let product =
          Double(parts.cohesion * parts.margin)
          * Double(parts.gain * parts.richness * parts.readability).squareRoot()
        #expect(abs(product - score) < 1e-6)
        if score < all[rank].score ?? 0 { rank = all.firstIndex(of: latent) ?? rank }
        #expect(try explorer.database.rank(ofScore: score, in: run) == rank)
      }
      let page = text(await get("/runs/h", explorer))
      #expect(page.contains("Scores are of the first"))
      #expect(page.contains("With sublatents shuffled") == (scale.shuffledHighest != nil))
    }
  }

  /// How well rows of a token are explained, against a plain computation.
  @Test func tokensStandAmongTheirKind() async throws {
    try await withExplorer { explorer, fixture in
      let (run, store) = (try ExplainFixture.run(), fixture.store)
      let record = try #require(try explorer.database.run(named: "h"))
      var all: [Double] = []
      var known: [Int32: [Double]] = [:]
      for row in 0..<store.rowCount {
        var single = try store.matrix(rows: row..<row + 1)
        run.prepare(&single)
        let rebuilt = run.dictionary.decode(run.dictionary.encode(single, threads: 1), threads: 1)
        let (x, y) = (single.elements.map(Double.init), rebuilt.elements.map(Double.init))
        let left = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        // Shares below 0 count as 0.
        let share = max(0, 1 - left / x.reduce(0) { $0 + $1 * $1 })
        all.append(share)
        known[store.token(row), default: []].append(share)
      }
      // A token that the corpus does not have is compared with all rows.
      known[250] = []
      #expect(known.values.contains { $0.count >= 20 })
      for (token, shares) in known {
        let those = shares.count >= 20 ? shares : all
        let asked = those[0]
        let standing = try #require(
          try explorer.database.standing(of: token, explained: asked, in: record))
        #expect(standing.isSameToken == (shares.count >= 20) && standing.rows == those.count)
        // Bins have a width of 1/40.
        let less = those.count { $0 < asked - 0.025 }
        let more = those.count { $0 <= asked + 0.025 }
        let below = standing.below * Double(those.count)
        #expect(Double(less) <= below && below <= Double(more))
        let median = those.sorted()[(those.count - 1) / 2]
        #expect(abs(standing.median - median) <= 0.0251)
      }
      let page = text(await get("/text?runs=h&text=dog+puppy&at=1", explorer))
      #expect(page.contains("are explained less; their median is"))
    }
  }

  @Test func sharesAreCounted() {
    var shares = ExplainedShares()
    for share in [-1, 0.1, 0.5, 0.5, 0.99, 1, .nan] { shares.add(share) }
    #expect(shares.rows == 7)
    #expect(abs(shares.below(0.5) - (3 + 1) / 7) < 1e-12)
    #expect(abs(shares.median - 0.5125) < 1e-12)
    #expect(abs(shares.below(2) - 6 / 7) < 1e-12)
    #expect(ExplainedShares().median == 0 && ExplainedShares().below(0.5) == 0)
  }

  /// A run that stopped after it was compared is compared with one that is explained meanwhile.
  @Test func runsThatOvertakeEachOtherAreCompared() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let first = try ExplainFixture.run()
      let stopped = try fixture.explainer(first, progress: { stage, _, _ in stage != .search })
        .explain()
      #expect(stopped == nil)
      _ = try fixture.explainer(ExplainFixture.flatRun()).explain()
      _ = try fixture.explainer(first).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let runs = try database.runs()
      #expect(try database.comparison(of: runs[0], with: runs[1]) != nil)
      #expect(try database.comparison(of: runs[1], with: runs[0]) != nil)
      // A latent of one run has its nearest in the other.
      let latent = LatentNumber(expert: 3)
      let nearest = try database.nearest(of: [latent], runs[1], in: runs[0])
      let row = try database.comparison(of: runs[1], with: runs[0], limit: 100)?.matched.first {
        $0.latent.number == latent
      }
      #expect(try #require(row).other.number == #require(nearest[latent]).latent)
    }
  }
}
#endif
