// The latents that fire in a text: on the page of texts, on the page of a latent, and in the JSON API.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEHTML
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import Testing

@testable import HSAEExplorer

extension ExplorerTests {
  /// The explorer shows the codes that the dictionary gives for the model's rows.
  @Test(arguments: [BOSRule.auto, .never])
  func aTextIsRead(_ bos: BOSRule) async throws {
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

  /// Two runs beside each other have one choice of a token, whose name has both shares.
  @Test func aTextIsShownForTwoRuns() async throws {
    try await withExplorer { explorer, _ in
      let flat = "flat & <i>plain</i>"
      let target = "/text?runs=h&runs=\(Address.encoded(flat))&text=dog+puppy&at=4"
      let page = text(await get(target, explorer))
      #expect(page.components(separatedBy: "type=\"radio\"").count - 1 == 9)
      #expect(page.components(separatedBy: " for=\"t4\"").count - 1 == 1)
      #expect(
        page.contains(" by h, ")
          && page.contains(" by flat &amp; &lt;i&gt;plain&lt;/i&gt; explained\""))
      // All tokens come before all latents.
      let (lastToken, firstLatent) = try (
        #require(page.range(of: "for=\"t8\"")?.lowerBound),
        #require(page.range(of: "<ol class=\"active\">")?.lowerBound)
      )
      #expect(lastToken < firstLatent)
      // The average leaves out the first token.
      let run = try #require(try explorer.database.run(named: "h"))
      let dissection = try #require(
        try await explorer.dissector?.dissect("dog puppy", by: [run], explorer.database))
      let shares = dissection.runs[0].tokens.map(\.explained)
      let mean = shares.dropFirst().reduce(0, +) / Double(shares.count - 1)
      #expect(page.contains("\(percent(mean)) explained on average, the first token left out."))
      // Without a choice the token that is explained least is shown.
      let worst = try #require(shares.indices.dropFirst().min { shares[$0] < shares[$1] })
      let unchosen = text(await get("/text?runs=h&text=dog+puppy", explorer))
      #expect(unchosen.contains("name=\"at\" value=\"\(worst)\""))
      #expect(unchosen.components(separatedBy: " checked>").count == 3)
      let chosen = try #require(unchosen.range(of: "value=\"\(worst)\"")?.upperBound)
      #expect(unchosen[chosen...].prefix(200).contains(" checked>"))
      // A latent shades the sentence, and its page shows the same.
      let active = try #require(dissection.runs[0].tokens[4].latents.first)
      let shaded = text(await get(target + "&shade=h/\(active.latent.expert)", explorer))
      #expect(shaded.contains("Shaded by expert \(active.latent.expert)."))
      #expect(shaded.contains("title=\"\(code(active.value))\""))
      // The next token that is chosen keeps the shading: a field after the buttons has it.
      let field =
        "<input type=\"hidden\" form=\"typing\" name=\"shade\" value=\"h/\(active.latent.expert)\">"
      let (button, kept) = try (
        #require(shaded.range(of: "<button class=\"link\"", options: .backwards)?.lowerBound),
        #require(shaded.range(of: field)?.lowerBound)
      )
      #expect(button < kept)
      let own = text(await get("/runs/h/latents/\(active.latent.expert)?text=dog+puppy", explorer))
      #expect(own.contains("\(code(active.value))\">") && own.contains("It fires at "))
      let fired = dissection.runs[0].tokens.count { $0.value(of: active.latent.number) > 0 }
      #expect(own.contains("It fires at \(fired) of 9 tokens"))
      #expect(await get(target + "&shade=h/99", explorer).status == 404)
      #expect(await get(target + "&shade=nothing", explorer).status == 200)
    }
  }

  /// Inactive latents that resemble what is left, against a plain computation.
  @Test func whatIsLeftIsCompared() async throws {
    try await withExplorer { explorer, _ in
      let run = try #require(try explorer.database.run(named: "h"))
      let dissector = try #require(explorer.dissector)
      let rest = try await dissector.rests(
        at: 2, of: "dog puppy", by: [run], explorer.database)[0]
      let found = rest.latents
      // This model has no file with an unembedding.
      #expect(rest.tokens == nil)
      let model = SyntheticModel(width: 16, parents: 12, contextLength: 64)
      let tokens: [Int32] = [256] + model.tokenizer.encode(Array("dog puppy".utf8)[...])
      var rows = Matrix(rows: tokens.count, columns: 16)
      try model.capture([tokens], afterBlock: 1, into: &rows)
      rows.scaleRowsToUnit()
      let dictionary = try ExplainFixture.run().dictionary
      let codes = dictionary.encode(rows, threads: 1)
      let rebuilt = dictionary.decode(codes, threads: 1)
      let left = (0..<16).map { Double(rows[3, $0]) - Double(rebuilt[3, $0]) }
      func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
      let active = codes[3].map(\.expert)
      let cosines = (0..<24).filter { !active.contains($0) }.map { expert -> (Int, Double) in
        let direction = dictionary.contribution(of: LatentNumber(expert: expert)).map(Double.init)
        let product = zip(left, direction).reduce(0) { $0 + $1.0 * $1.1 }
        return (expert, product / norm(left) / norm(direction))
      }.sorted { $0.1 > $1.1 }.prefix(5)
      #expect(found.map(\.latent.expert) == cosines.map(\.0))
      for (record, cosine) in zip(found, cosines) {
        #expect(abs(Double(record.value) - cosine.1) < 1e-5)
      }
    }
  }

  /// Browsers send the line breaks of a form as CRLF.
  @Test func lineBreaksOfFormsAreOneCharacter() async throws {
    try await withExplorer { explorer, _ in
      let page = text(await get("/text?runs=h&text=dog%0D%0Apuppy", explorer))
      #expect(page.contains(">dog\npuppy</textarea>") && !page.contains("\u{FFFD}"))
      #expect(page.contains("↵") && !page.contains("\r"))
      #expect(page.components(separatedBy: "type=\"radio\"").count - 1 == 9)
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
}
#endif
