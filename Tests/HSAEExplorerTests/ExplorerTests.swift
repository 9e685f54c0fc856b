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
  static let local = ["host": "localhost:8471"]

  func withExplorer(
    bos: BOSRule = .auto, _ body: (Explorer, ExplainFixture) async throws -> Void
  ) async throws {
    try await ExplainFixture.withExplorer(bos: bos, body)
  }

  func get(_ target: String, _ explorer: Explorer) async -> WebResponse {
    await explorer.respond(to: WebRequest(target: target, headers: Self.local))
  }

  func text(_ response: WebResponse) -> String {
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
      // Experts that do not exist have no sublatents.
      for level in ["24", "-1", "\(Int.max)", "252645135"] {
        for target in [
          "/runs/h/latents?level=\(level)", "/api/v1/runs/h/latents?q=dog&level=\(level)",
        ] {
          #expect(await get(target, explorer).status == 200, "\(target)")
        }
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
      #expect(await put(["host": "localhost:1", "origin": "https://localhost:1"], body) == 400)
      #expect(await put(["host": "localhost:1", "origin": "http://localhost:12"], body) == 400)
      for host in [
        "localhost:1.evil.example", "localhost:", "localhost:a", "localhost.evil.example", "",
        "localhost:123456", "[::1", "[::1]x", "evil.example:localhost",
      ] {
        #expect(await put(["host": host], body) == 400, "\(host)")
      }
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
      // Browsers send a form's origin, because the page's policy lets them.
      #expect(whole.headers["Referrer-Policy"] == "same-origin")
      let labels = text(await get("/api/v1/runs/h/labels", explorer))
      #expect(labels.contains(#""text":"a b&c""#))
    }
  }

  @Test func latentsAreReachedByNumberAndChance() async throws {
    try await withExplorer { explorer, _ in
      for (asked, place) in [("3", "3"), ("3.1", "3.1"), ("3/1", "3.1")] {
        let answer = await get("/runs/h/latents?go=\(asked)", explorer)
        #expect(answer.status == 303 && answer.headers["Location"] == "/runs/h/latents/\(place)")
      }
      #expect(await get("/runs/h/latents?go=99", explorer).status == 404)
      #expect(await get("/runs/h/latents?go=x", explorer).status == 404)
      var places: Set<String> = []
      for _ in 0..<40 {
        let answer = await get("/runs/h/latents/random", explorer)
        #expect(answer.status == 303)
        places.insert(answer.headers["Location"] ?? "")
      }
      #expect(places.count > 1)
      for place in places { #expect(await get(place, explorer).status == 200) }
      let first = text(await get("/runs/h/latents/0", explorer))
      #expect(
        !first.contains("rel=\"prev\"") && first.contains("rel=\"next\" href=\"/runs/h/latents/1\"")
      )
      let last = text(await get("/runs/h/latents/3.3", explorer))
      #expect(
        last.contains("rel=\"prev\" href=\"/runs/h/latents/3.2\"") && !last.contains("rel=\"next\"")
      )
    }
  }

  @Test func vectorsAreThoseOfTheDictionary() async throws {
    try await withExplorer { explorer, _ in
      let dictionary = try ExplainFixture.run().dictionary
      for latent in [LatentNumber(expert: 3), LatentNumber(expert: 3, sublatent: 1)] {
        let answer = await get("/api/v1/runs/h/latents/\(latent.name)/vector", explorer)
        let body = try #require(
          JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
        let vector = try #require(body["vector"] as? [Double]).map(Float.init)
        #expect(vector == dictionary.contribution(of: latent))
        #expect(body["run"] as? String == "h" && body["latent"] as? String == latent.name)
      }
      #expect(await get("/api/v1/runs/h/latents/3.9/vector", explorer).status == 404)
    }
  }

  /// One search in every box: both levels, whatever other fields the form has.
  @Test func theBoxOfTheListFindsEverything() async throws {
    try await withExplorer { explorer, fixture in
      let run = try #require(try explorer.database.run(named: "h"))
      // It is dead, but has a label.
      let latent = LatentNumber(expert: 5, sublatent: 2)
      #expect(try explorer.database.record(of: latent, in: run)?.count == 0)
      try explorer.database.setLabel("zebra", of: latent, in: run)
      for target in [
        "q=zebra", "q=zebra&level=&sort=", "q=5.2&level=&sort=&fragment=1", "labelled=1&level=",
        "q=zebra&labelled=1&level=&sort=",
      ] {
        let page = text(await get("/runs/h/latents?\(target)", explorer))
        #expect(page.contains("href=\"/runs/h/latents/5.2\""), "\(target)")
      }
      let plain = text(await get("/runs/h/latents?level=&sort=", explorer))
      #expect(!plain.contains("href=\"/runs/h/latents/5.2\""))
      // The column that a list is sorted by stays on narrow screens.
      #expect(plain.contains("<th scope=\"col\" class=\"sorted\" aria-sort=\"descending\"><a"))
      for query in [String(repeating: "a", count: 201), String(repeating: "a ", count: 11)] {
        let asked = Address.encoded(query)
        for target in ["/runs/h/latents", "/api/v1/runs/h/search", "/api/v1/runs/h/latents"] {
          let answer = await get("\(target)?q=\(asked)", explorer)
          #expect(answer.status == 400 && text(answer).contains("at most 10 words"), "\(target)")
        }
      }
      // Each latent with a strongest context at the word shows it.
      var all = 0
      for word in ["husky", "puppy", "dog", "bold", "clock", "cafe", "cat"] {
        let found = try explorer.database.search(word, in: run, limit: 500)
        let hits = try explorer.database.contexts(of: found, at: word, in: run)
        let page = text(await get("/runs/h/latents?q=\(word)&dead=1&limit=500", explorer))
        #expect(
          page.components(separatedBy: "<ol class=\"contexts\">").count - 1 == hits.count, "\(word)"
        )
        all += hits.count
      }
      #expect(all > 0)
    }
  }

  @Test func errorsKeepTheNavigation() async throws {
    try await withExplorer { explorer, _ in
      for target in ["/runs/h/latents/99", "/runs/none", "/nothing", "/runs/h/latents?sort=x"] {
        let page = text(await get(target, explorer))
        #expect(page.contains("<a href=\"/runs/h/latents\""), "\(target)")
      }
      let page = text(await get("/compare?run=h&other=h", explorer))
      #expect(page.contains("Choose two different runs."))
    }
  }

  /// Complaints about `value`, which should have the type that `schema` describes; `place` is where it is.
  private func complaints(
    _ value: Any, _ schema: [String: Any], _ all: [String: [String: Any]], _ place: String
  ) -> [String] {
    if let reference = schema["$ref"] as? String {
      guard let name = reference.split(separator: "/").last, let target = all[String(name)] else {
        return ["\(place): there is no \(reference)"]
      }
      return complaints(value, target, all, place)
    }
    switch schema["type"] as? String {
    case "array":
      guard let list = value as? [Any], let items = schema["items"] as? [String: Any] else {
        return ["\(place): no list"]
      }
      return list.prefix(5).flatMap { complaints($0, items, all, place + "[]") }
    case "object":
      guard let object = value as? [String: Any],
        let properties = schema["properties"] as? [String: [String: Any]],
        let required = schema["required"] as? [String]
      else { return ["\(place): no object"] }
      let missing = required.filter { object[$0] == nil }.map { "\(place).\($0) is missing" }
      return missing
        + object.flatMap { key, value in
          properties[key].map { complaints(value, $0, all, place + "." + key) }
            ?? ["\(place).\(key) is not described"]
        }
    case "string": return value is String ? [] : ["\(place): no text"]
    case "boolean": return value is Bool ? [] : ["\(place): no Boolean"]
    case "integer": return value is Int ? [] : ["\(place): no whole number"]
    case "number": return value is Double ? [] : ["\(place): no number"]
    default: return ["\(place): the type is unknown"]
    }
  }

  /// Every described path answers, with what its schema says.
  @Test func theDescribedAPIAnswers() async throws {
    try await withExplorer { explorer, _ in
      let run = try #require(try explorer.database.run(named: "h"))
      try explorer.database.setLabel("dogs", of: LatentNumber(expert: 3), in: run)
      try explorer.database.setListed(
        true, in: "mine", LatentNumber(expert: 3, sublatent: 1), of: run)
      let answer = await get("/api/v1/openapi.json", explorer)
      let document = try #require(
        JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
      let paths = try #require(document["paths"] as? [String: [String: Any]])
      let components = try #require(document["components"] as? [String: Any])
      let schemas = try #require(components["schemas"] as? [String: [String: Any]])
      var compared = 0
      for (path, methods) in paths {
        for (method, description) in methods
        where method != "parameters" && !path.hasSuffix("steer") {
          let target = path.replacingOccurrences(of: "{run}", with: "h")
            .replacingOccurrences(of: "{latent}", with: "3.1")
            .replacingOccurrences(of: "{list}", with: "mine")
          let query =
            path.hasSuffix("compare") ? "?run=h&other=flat%20%26%20%3Ci%3Eplain%3C/i%3E" : "?q=dog"
          let body = #"{"label": "a", "text": "dog puppy"}"#
          let answer = await explorer.respond(
            to: WebRequest(
              method: method.uppercased(), target: target + query, headers: Self.local,
              body: Data((method == "get" ? "" : body).utf8)))
          #expect(answer.status == 200, "\(method) \(target)")
          let value = try JSONSerialization.jsonObject(with: answer.body)
          guard let described = (description as? [String: Any])?["responses"] as? [String: Any],
            let content = (described["200"] as? [String: Any])?["content"] as? [String: Any]
          else { continue }
          let schema = try #require(
            (content["application/json"] as? [String: Any])?["schema"] as? [String: Any])
          #expect(complaints(value, schema, schemas, target) == [])
          compared += 1
        }
      }
      #expect(compared == 14)
    }
  }
}
#endif
