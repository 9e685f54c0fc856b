// Steering in the explorer: the texts are those of the model without and with the edit, requests out of
// bounds are refused, one request is served at a time, and writing ends when the client goes away.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAERuns
import Testing

@testable import HSAEExplorer

@Suite struct SteeringRequestTests {
  private static let headers = ["host": "localhost:8471"]

  private func post(_ body: String, _ explorer: Explorer, run: String = "h") async -> WebResponse {
    await explorer.respond(
      to: WebRequest(
        method: "POST", target: "/api/v1/runs/\(run)/steer", headers: Self.headers,
        body: Data(body.utf8)))
  }

  private struct Event: Decodable {
    var kind: String
    var text, `default`, steered, error: String?
  }

  /// All events of a response.
  private func events(_ response: WebResponse) async throws -> [Event] {
    var events: [Event] = []
    for await line in try #require(response.rest) {
      events.append(try JSONDecoder().decode(Event.self, from: line))
    }
    return events
  }

  /// `text` as pages show it.
  private func escaped(_ text: String) -> String {
    let entities = ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;"]
    return text.unicodeScalars.map { scalar in
      if scalar.properties.generalCategory == .control, scalar != "\t", scalar != "\n" {
        return "\u{FFFD}"
      }
      return entities[String(scalar)] ?? String(scalar)
    }.joined()
  }

  /// The strongest latent of the run "h".
  private func strongest(_ explorer: Explorer, sublatents: Bool = false) throws -> LatentRecord {
    var query = LatentQuery()
    query.level = sublatents ? .sublatents : .top
    (query.order, query.isDescending) = (.maximum, true)
    let run = try #require(try explorer.database.run(named: "h"))
    return try #require(try explorer.database.latents(query, in: run).latents.first)
  }

  @Test(arguments: [BOSRule.auto, .never])
  func textsAreThoseOfTheModel(_ bos: BOSRule) async throws {
    try await ExplainFixture.withExplorer(bos: bos) { explorer, _ in
      let latent = try strongest(explorer, sublatents: true)
      let name = latent.number.name
      let answer = await post(
        #"{"latent": "\#(name)", "prompt": "dog", "strength": 40, "n_tokens": 12, "seed": 3}"#,
        explorer)
      #expect(answer.status == 200)
      let events = try await events(answer)
      let end = try #require(events.last)
      #expect(end.kind == "end")
      for (kind, whole) in [("default", end.default), ("steered", end.steered)] {
        #expect(events.filter { $0.kind == kind }.compactMap(\.text).joined() == whole)
      }
      let model = SyntheticModel(width: 16, parents: 12, contextLength: 64)
      // The synthetic model's tokens are bytes, and 256 is BOS.
      let prompt = (bos == .never ? [] : [256]) + "dog".utf8.map { Int32($0) }
      let sampling = Sampling(temperature: 0.5, frequencyPenalty: 1, seed: 3)
      var plain = Continuation(of: prompt, by: model, sampling: sampling)
      #expect(try model.tokenizer.text(of: plain.next(12)) == end.default)
      let number = LatentNumber(expert: latent.expert, sublatent: latent.sublatent)
      let steering = Steering(
        .add(strength: 40), [.init(number, maximum: latent.maximum)],
        of: try ExplainFixture.run().dictionary, rowScale: .unit, threads: 1)
      var steered = Continuation(
        of: prompt, by: model, sampling: sampling,
        splice: steering.splice(afterBlock: 1, tokenizer: model.tokenizer))
      #expect(try model.tokenizer.text(of: steered.next(12)) == end.steered)
      #expect(end.default != end.steered)
      // Without the script, the page shows the same.
      let page = await explorer.respond(
        to: WebRequest(
          target: "/runs/h/steer?latent=\(name)&prompt=dog&strength=40&n_tokens=12&seed=3",
          headers: Self.headers))
      let html = String(decoding: page.body, as: UTF8.self)
      #expect(html.contains("<span data-kind=\"steered\">" + escaped(end.steered ?? "")))
    }
  }

  @Test func strengthZeroChangesNothing() async throws {
    try await ExplainFixture.withExplorer { explorer, _ in
      let name = try strongest(explorer).number.name
      for extra in ["", #", "skip_prompt": true"#, #", "with_parent": true"#] {
        let answer = await post(
          #"{"latent": "\#(name)", "prompt": "dog", "strength": 0\#(extra)}"#, explorer)
        let end = try #require(try await events(answer).last)
        // The synthetic model adds noise in each block, so the texts may differ.
        #expect(end.steered?.isEmpty == false && end.error == nil)
      }
    }
  }

  @Test func valuesOutOfBoundsAreRefused() async throws {
    try await ExplainFixture.withExplorer { explorer, fixture in
      let name = try strongest(explorer).number.name
      let long = String(repeating: "dog ", count: 2000)
      for (body, status, words) in [
        ("{", 400, "JSON"), (#"{"latent": "1"}"#, 400, "JSON"),
        (#"{"latent": "99", "prompt": "dog"}"#, 404, "99"),
        (#"{"latent": "\#(name)", "prompt": ""}"#, 400, "prompt"),
        (#"{"latent": "\#(name)", "prompt": "\#(long)"}"#, 400, "bytes"),
        (#"{"latent": "\#(name)", "prompt": "\#(long.prefix(400))"}"#, 400, "tokens"),
        (#"{"latent": "\#(name)", "prompt": "dog", "strength": 101}"#, 400, "strength"),
        (#"{"latent": "\#(name)", "prompt": "dog", "n_tokens": 0}"#, 400, "tokens"),
        (#"{"latent": "\#(name)", "prompt": "dog", "n_tokens": 201}"#, 400, "200"),
        (#"{"latent": "\#(name)", "prompt": "dog", "temperature": -1}"#, 400, "temperature"),
        (#"{"latent": "\#(name)", "prompt": "dog", "seed": -1}"#, 400, "JSON"),
      ] {
        let answer = await post(body, explorer)
        #expect(answer.status == status && answer.rest == nil, "\(body)")
        #expect(String(decoding: answer.body, as: UTF8.self).contains(words), "\(body)")
      }
      #expect(await post(#"{"latent": "1", "prompt": "dog"}"#, explorer, run: "x").status == 404)
      let bare = Explorer(database: try FeatureDatabase(path: fixture.features))
      #expect(await post(#"{"latent": "1", "prompt": "dog"}"#, bare).status == 503)
    }
  }

  @Test func continuationsRunOneAtATimeAndStopForClientsThatLeft() async throws {
    try await ExplainFixture.withExplorer { explorer, _ in
      let name = try strongest(explorer).number.name
      let body = #"{"latent": "\#(name)", "prompt": "dog", "n_tokens": 40}"#
      let run = try #require(try explorer.database.run(named: "h"))
      let dissector = try #require(explorer.dissector)
      try await dissector.prepare(
        SteeringRequest(latent: name, prompt: "dog"), of: run, explorer.database)
      let refused = await post(body, explorer)
      #expect(refused.status == 503)
      #expect(String(decoding: refused.body, as: UTF8.self).contains("someone else"))
      // Meanwhile texts can be read.
      #expect(try await dissector.dissect("dog", by: [run], explorer.database).tokens.count == 3)
      let cancelled = Task { try await dissector.write() }
      cancelled.cancel()
      #expect(try await cancelled.value == nil)
      // Dropping the response ends the writing.
      var dropped: WebResponse? = await post(body, explorer)
      #expect(dropped?.status == 200)
      dropped = nil
      var status = 503
      for _ in 0..<200 where status == 503 {
        try await Task.sleep(for: .milliseconds(20))
        let next = await post(body, explorer)
        status = next.status
        if status == 200 { #expect(try await events(next).last?.kind == "end") }
      }
      #expect(status == 200)
    }
  }

  @Test func multibyteCharactersAreNotSplit() {
    let bytes = Array("a€😀".utf8)
    #expect(bytes.indices.map { wholeCharacters(Array(bytes[...$0])) } == [1, 1, 1, 4, 4, 4, 4, 8])
    #expect(wholeCharacters([]) == 0 && wholeCharacters([0x80, 0x80, 0x80, 0x80]) == 4)
  }
}
#endif
