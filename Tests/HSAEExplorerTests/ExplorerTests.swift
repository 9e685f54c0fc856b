// Pages and the JSON API, called as functions: what they show, refuse and escape.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEHTML
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import HSAERuns
import Testing

@testable import HSAEExplorer

@Suite struct ExplorerTests {
  private static let local = ["host": "localhost:8471"]

  private func withExplorer(
    bos: BOSRule = .auto, _ body: (Explorer, ExplainFixture) async throws -> Void
  ) async throws {
    try await ExplainFixture.withExplorer(bos: bos, body)
  }

  private func get(_ target: String, _ explorer: Explorer) async -> WebResponse {
    await explorer.respond(to: WebRequest(target: target, headers: Self.local))
  }

  private func text(_ response: WebResponse) -> String {
    String(decoding: response.body, as: UTF8.self)
  }

  @Test func everyPageOpens() async throws {
    try await withExplorer { explorer, _ in
      let flat = Address.encoded("flat & <i>plain</i>")
      let text = Address.encoded("dog puppy <b>bold</b>")
      for target in [
        "/", "/runs/h", "/runs/\(flat)", "/runs/h/latents", "/runs/h/latents?q=dog",
        "/runs/h/latents?level=sub&sort=density&desc=0&dead=1&offset=3", "/runs/h/latents/3",
        "/runs/h/latents/3.1", "/runs/\(flat)/latents/2", "/text?runs=h&runs=\(flat)&text=\(text)",
        "/text?runs=h&text=dog&at=99&fragment=1", "/compare", "/runs/h/steer",
        "/runs/h/steer?latent=dog", "/runs/h/steer?latent=\(text)", "/runs/\(flat)/steer?latent=3",
        "/compare?run=h&other=\(flat)",
        "/assets/explorer.css", "/assets/explorer.js",
      ] {
        let answer = await get(target, explorer)
        #expect(answer.status == 200, "\(target): \(self.text(answer).prefix(300))")
        #expect(answer.headers["Content-Security-Policy"]?.contains("default-src 'none'") == true)
        guard answer.headers["Content-Type"]?.hasPrefix("text/html") == true else { continue }
        let page = self.text(answer)
        #expect(!page.contains("<i>plain") && !page.contains("<b>bold"), "\(target)")
        // Every opened element is closed.
        for tag in ["section", "div", "ol", "ul", "article", "table", "form", "details", "main"] {
          #expect(
            page.components(separatedBy: "<\(tag)").count
              == page.components(separatedBy: "</\(tag)>").count, "\(target): \(tag)")
        }
      }
    }
  }

  /// The contexts that a page fetches later are those that it does not show.
  @Test func furtherContextsComeWhenAskedFor() async throws {
    try await withExplorer { explorer, fixture in
      let database = try FeatureDatabase(path: fixture.features)
      let run = try #require(try database.run(named: "h"))
      var query = LatentQuery()
      (query.order, query.isDescending) = (.density, true)
      let busiest = try #require(try database.latents(query, in: run).latents.first)
      let detail = try #require(
        try database.detail(of: LatentNumber(expert: busiest.expert), in: run))
      let shown = min(detail.strongest.count, Explorer.contextsAtOnce)
      #expect(detail.latent.count > shown)
      let address = "/runs/h/latents/\(busiest.expert)"
      func contexts(_ html: String) -> Int {
        html.components(separatedBy: "<span class=\"code\">").count - 1
      }
      let page = text(await get(address, explorer))
      let further = text(await get(address + "?more=1&fragment=1", explorer))
      let whole = text(await get(address + "?more=1", explorer))
      #expect(page.contains("data-from=\"\(address)?more=1\""))
      #expect(!page.contains("From the strongest fifth"))
      #expect(further == explorer.furtherContexts(detail).description)
      #expect(whole.contains(further) && !further.contains("<html"))
      #expect(contexts(whole) == contexts(page) + contexts(further))
      let all = detail.strongest.count + detail.samples.map(\.count).reduce(0, +)
      #expect(contexts(further) == all - shown)
    }
  }

  /// Lists are kept; a label, a filter or an order makes a new one.
  @Test func keptListsFollowChanges() async throws {
    try await withExplorer { explorer, fixture in
      let database = try FeatureDatabase(path: fixture.features)
      let run = try #require(try database.run(named: "h"))
      var query = LatentQuery()
      query.includesDead = true
      let all = try database.latents(query, in: run)
      #expect(all.total == run.shape.experts && all.latents.map(\.expert) == Array(0..<24))
      (query.offset, query.limit) = (20, 3)
      let part = try database.latents(query, in: run)
      #expect(part.total == all.total && part.latents == Array(all.latents[20..<23]))
      query.offset = 99
      #expect(try database.latents(query, in: run).latents.isEmpty)
      (query.offset, query.isLabelled) = (0, true)
      #expect(try database.latents(query, in: run).total == 0)
      try database.setLabel("late", of: LatentNumber(expert: 7), in: run)
      #expect(try database.latents(query, in: run).latents.map(\.expert) == [7])
    }
  }

  @Test func unknownAddressesAreReported() async throws {
    try await withExplorer { explorer, _ in
      for target in [
        "/nothing", "/runs/none", "/runs/h/latents/24", "/runs/h/latents/3.4", "/runs/h/latents/-1",
        "/runs/h/latents/3.1.2", "/runs/h/latents/x", "/runs/..%2F..%2Fetc/latents",
        "/assets/../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd", "/api/v1/nothing",
        "/api/v2/runs",
        "/api/v1/runs/none", "/api/v1/runs/h/latents/99", "/compare?run=none",
      ] {
        #expect(await get(target, explorer).status == 404, "\(target)")
      }
      for target in [
        "/runs/h/latents?sort=x", "/runs/h/latents?offset=x",
        "/api/v1/runs/h/latents?min_density=x",
        "/api/v1/runs/h/latents?level=x", "/api/v1/compare?run=h",
        "/api/v1/compare?run=h&other=h",
      ] {
        #expect(await get(target, explorer).status == 400, "\(target)")
      }
      // SQL and full-text queries in a search are plain text.
      for query in ["'; DROP TABLE label;--", "\"", "a* OR b", "NEAR(a b)", "(", "%", "\u{0}"] {
        let target = "/runs/h/latents?q=\(Address.encoded(query))"
        #expect(await get(target, explorer).status == 200, "\(query)")
      }
    }
  }

  @Test func onlyItsOwnPagesMayWrite() async throws {
    try await withExplorer { explorer, _ in
      let body = Data(#"{"label": "dogs <script>"}"#.utf8)
      func put(_ headers: [String: String], _ body: Data) async -> Int {
        await explorer.respond(
          to: WebRequest(
            method: "PUT", target: "/api/v1/runs/h/latents/3/label", headers: headers, body: body)
        ).status
      }
      #expect(await put(["host": "evil.example"], body) == 400)
      #expect(await put(["host": "localhost:1", "origin": "http://evil.example"], body) == 400)
      #expect(await put(["host": "localhost:1", "origin": "null"], body) == 400)
      #expect(await put(Self.local, Data("{".utf8)) == 400)
      #expect(await put(Self.local, Data(repeating: 0x20, count: 1 << 17)) == 400)
      #expect(await put(Self.local, Data(#"{"label": 3}"#.utf8)) == 400)
      #expect(await put(["host": "[::1]:8471", "origin": "http://[::1]:8471"], body) == 200)
      var page = text(await get("/runs/h/latents/3", explorer))
      #expect(page.contains("dogs &lt;script&gt;") && !page.contains("dogs <script>"))
      page = text(await get("/runs/h/latents?q=dogs", explorer))
      #expect(page.contains("/runs/h/latents/3\""))
      // A search keeps the other settings of the form.
      for (fields, isThere) in [
        ("level=top&labelled=1", true), ("level=sub", false), ("level=both&labelled=1", true),
      ] {
        page = text(await get("/runs/h/latents?q=dogs&sort=&\(fields)&fragment=1", explorer))
        let table = page.prefix(upTo: page.range(of: "</table>")?.lowerBound ?? page.startIndex)
        #expect(table.contains("/runs/h/latents/3\"") == isThere, "\(fields)")
      }
      // Another window, whose form still has no label.
      let stale = Data(#"{"label": "cats", "previous": ""}"#.utf8)
      #expect(await put(Self.local, stale) == 400)
      let head = await explorer.respond(
        to: WebRequest(method: "HEAD", target: "/runs/h", headers: Self.local))
      let whole = await get("/runs/h", explorer)
      #expect(head.status == 200 && head.body == whole.body)
      let form = await explorer.respond(
        to: WebRequest(
          method: "POST", target: "/runs/h/latents/3/label", headers: Self.local,
          body: Data("label=a+b%26c".utf8)))
      #expect(form.status == 303 && form.headers["Location"] == "/runs/h/latents/3")
      let labels = text(await get("/api/v1/runs/h/labels", explorer))
      #expect(labels.contains(#""text":"a b&c""#))
    }
  }

  /// The explorer shows the codes that the dictionary gives for the model's rows.
  @Test(arguments: [BOSRule.auto, .never])
  func aTextIsTakenApart(_ bos: BOSRule) async throws {
    try await withExplorer(bos: bos) { explorer, _ in
      let words = "dog puppy"
      let answer = await explorer.respond(
        to: WebRequest(
          method: "POST", target: "/api/v1/dissect", headers: Self.local,
          body: Data(#"{"text": "\#(words)", "runs": ["h"]}"#.utf8)))
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let dissection = try decoder.decode(Dissection.self, from: answer.body)
      let model = SyntheticModel(width: 16, parents: 12, contextLength: 64)
      let tokens = model.tokenizer.encode(Array(words.utf8)[...])
      #expect(dissection.tokens.map(\.token) == tokens.map(Int.init))
      let prefix: [Int32] = bos == .never ? [] : [256]
      var rows = Matrix(rows: prefix.count + tokens.count, columns: 16)
      try model.capture([prefix + tokens], afterBlock: 1, into: &rows)
      rows.scaleRowsToUnit()
      let codes = try ExplainFixture.run().dictionary.encode(rows, threads: 1)
      for (index, parts) in dissection.runs[0].tokens.enumerated() {
        let expected = Array(codes[prefix.count + index])
        #expect(parts.latents.map(\.latent.expert) == expected.map(\.expert))
        #expect(parts.latents.map(\.value) == expected.map(\.value))
        #expect(parts.latents.map { $0.sublatent?.sublatent } == expected.map(\.sublatent))
        #expect(parts.explained <= 1)
      }
      #expect(await get("/text?runs=h&text=%20", explorer).status == 200)
      let long = String(repeating: "dog ", count: 1000)
      let cut = await get("/text?runs=h&text=\(Address.encoded(long))", explorer)
      #expect(text(cut).contains("Only the first"))
      // The size of a page grows with the length of the text, not with its square.
      #expect(cut.body.count < 100 * long.utf8.count)
      #expect(await get("/text?runs=h&text=\(Address.encoded(long))+x", explorer).status == 400)
      #expect(await get("/text?runs=none&text=dog", explorer).status == 404)
    }
  }

  @Test func pagesWorkWithoutAModel() async throws {
    try await withExplorer { explorer, fixture in
      let bare = Explorer(database: try FeatureDatabase(path: fixture.features))
      #expect(await get("/runs/h", bare).status == 200)
      #expect(await get("/text", bare).status == 200)
      let answer = await get("/text?runs=h&text=dog", bare)
      #expect(answer.status == 503 && text(answer).contains("--model"))
    }
  }

  @Test func theDescribedAPIAnswers() async throws {
    try await withExplorer { explorer, _ in
      let answer = await get("/api/v1/openapi.json", explorer)
      let document = try #require(
        JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
      let paths = try #require(document["paths"] as? [String: [String: Any]])
      for (path, methods) in paths where methods["get"] != nil {
        let target = path.replacingOccurrences(of: "{run}", with: "h")
          .replacingOccurrences(of: "{latent}", with: "3.1")
        let query =
          path.hasSuffix("compare") ? "?run=h&other=flat%20%26%20%3Ci%3Eplain%3C/i%3E" : "?q=dog"
        let answer = await get(target + query, explorer)
        #expect(answer.status == 200, "\(target)")
        #expect((try? JSONSerialization.jsonObject(with: answer.body)) != nil, "\(target)")
      }
    }
  }
}
#endif
