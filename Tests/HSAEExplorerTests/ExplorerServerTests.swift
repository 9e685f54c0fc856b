// The explorer over HTTP, and in a browser if `HSAE_BROWSER_PYTHON` names a Python with Selenium.

#if Explorer
import Foundation
import FoundationNetworking
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Synchronization
import HSAERuns
import Testing

@testable import HSAEExplorer

@Suite(.serialized) struct ExplorerServerTests {
  /// Calls `body` with the address of a server for the database in `features`.
  private func withServer(
    _ features: String, dissector: Dissector? = nil, _ body: (String) async throws -> Void
  ) async throws {
    let database = try FeatureDatabase(path: features)
    let server = try ExplorerServer(
      explorer: Explorer(database: database, dissector: dissector), address: "127.0.0.1", port: 0)
    let (ports, writer) = AsyncStream<UInt16>.makeStream()
    let task = Task { try await server.run { writer.yield($0) } }
    defer { task.cancel() }
    var iterator = ports.makeAsyncIterator()
    let port = try #require(await iterator.next())
    try await body("http://127.0.0.1:\(port)")
    task.cancel()
    try await task.value
  }

  private func synthetic(_ run: LoadedRun) -> Dissector {
    Dissector(
      threads: 1, dictionary: { _ in run.dictionary },
      load: { SyntheticModel(width: 16, parents: 12, contextLength: 64) })
  }

  /// Sends one request and returns the status and the body.
  private func ask(
    _ url: String, method: String = "GET", headers: [String: String] = [:], body: Data? = nil
  ) async throws -> (status: Int, body: String) {
    var request = URLRequest(url: try #require(URL(string: url)))
    // Other tests share the server's threads and may occupy them for minutes.
    request.timeoutInterval = 600
    request.httpMethod = method
    request.httpBody = body
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    let (data, response) = try await URLSession(configuration: .ephemeral).data(for: request)
    let status = try #require(response as? HTTPURLResponse).statusCode
    return (status, String(decoding: data, as: UTF8.self))
  }

  @Test func pagesAreServedOverHTTP() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      try await withServer(fixture.features) { base in
        var answer = try await ask(base + "/runs/h/latents/3")
        #expect(answer.status == 200 && answer.body.hasPrefix("<!doctype html>"))
        answer = try await ask(base + "/runs/h/latents?q=a+b%26c&sort=density")
        #expect(answer.status == 200 && answer.body.contains("a b&amp;c"))
        answer = try await ask(base + "/runs/%68/..%2f..%2fetc%2fpasswd")
        #expect(answer.status == 404)
        answer = try await ask(base + "/api/v1/runs", headers: ["Host": "evil.example"])
        #expect(answer.status == 400 && answer.body.contains("evil.example"))
        let label = base + "/api/v1/runs/h/latents/3/label"
        answer = try await ask(label, method: "PUT", body: Data(#"{"label": "dogs"}"#.utf8))
        #expect(answer.status == 200 && answer.body.contains(#""label":"dogs""#))
        answer = try await ask(
          label, method: "PUT", body: Data(repeating: 0x20, count: Explorer.longestBody + 10))
        #expect(answer.status == 400)
      }
      // A label outlives the server.
      try await withServer(fixture.features) { base in
        let page = try await ask(base + "/runs/h/latents/3").body
        #expect(page.contains("dogs"))
      }
    }
  }

  /// A continuation comes in parts, and the next request is served when it has ended.
  @Test func continuationsAreStreamed() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let run = try ExplainFixture.run()
      _ = try fixture.explainer(run).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let record = try #require(try database.run(named: "h"))
      let latent = try #require(try database.latents(LatentQuery(), in: record).latents.first)
      let body = Data(
        #"{"latent": "\#(latent.expert)", "prompt": "dog", "n_tokens": 50, "seed": 1}"#.utf8)
      try await withServer(fixture.features, dissector: synthetic(run)) { base in
        let url = base + "/api/v1/runs/h/steer"
        for _ in 0..<3 {
          let answer = try await ask(url, method: "POST", body: body)
          #expect(answer.status == 200)
          let lines = answer.body.split(separator: "\n")
          #expect(lines.count > 3 && lines.last?.contains(#""kind":"end""#) == true)
        }
      }
    }
  }

  @Test func manyClientsAtOnceAreServed() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      try await withServer(fixture.features) { base in
        let answers = try await withThrowingTaskGroup(of: Int.self) { group in
          for number in 0..<64 {
            group.addTask { try await ask("\(base)/runs/h/latents/\(number % 24)").status }
          }
          return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(answers == Array(repeating: 200, count: 64))
      }
    }
  }

  @Test func aPortInUseIsReported() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let explorer = Explorer(database: try FeatureDatabase(path: fixture.features))
      #expect(throws: Failure.self) {
        _ = try ExplorerServer(explorer: explorer, address: "here", port: 0)
      }
      try await withServer(fixture.features) { base in
        let port = try #require(URL(string: base)?.port.flatMap(UInt16.init(exactly:)))
        let second = try ExplorerServer(explorer: explorer, address: "127.0.0.1", port: port)
        await #expect(throws: Failure.self) { try await second.run { _ in } }
      }
    }
  }

  @Test(.enabled(if: ProcessInfo.processInfo.environment["HSAE_BROWSER_PYTHON"] != nil))
  func aBrowserShowsThePages() async throws {
    let python = try #require(ProcessInfo.processInfo.environment["HSAE_BROWSER_PYTHON"])
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      let run = try ExplainFixture.run()
      _ = try fixture.explainer(run).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let record = try #require(try database.run(named: "h"))
      var query = LatentQuery()
      (query.order, query.isDescending) = (.density, true)
      let latents = try database.latents(query, in: record).latents
      let sought = try #require(latents.first { !$0.words.isEmpty })
      let text = "dog puppy"
      let dissector = synthetic(run)
      let parts = try await dissector.dissect(text, by: [record], database)
      let experts = [0, 4].map { parts.runs[0].tokens[$0].latents.map(\.latent.expert) }
      let expectations: [String: Any] = [
        "pages": [
          "/", "/runs/h/latents", "/runs/h/latents/\(sought.expert)",
          "/runs/h/latents/\(sought.expert).0", "/text?runs=h&text=dog", "/compare",
        ],
        "run": "h", "word": sought.words[0], "expert": sought.expert, "text": text,
        "parts": ["0": experts[0], "4": experts[1]], "prompt": "dog and puppy",
        "files": Path.join(fixture.folder, "pages"),
      ]
      _ = try PagesWriter(database: database).write(to: Path.join(fixture.folder, "pages"))
      let json = try JSONSerialization.data(withJSONObject: expectations)
      try await withServer(fixture.features, dissector: dissector) { base in
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [Self.script, base, String(decoding: json, as: UTF8.self)]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        // Reads on another thread, so that the server has the threads it needs.
        let text = await withCheckedContinuation { continuation in
          DispatchQueue.global().async {
            let data = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            continuation.resume(returning: String(decoding: data, as: UTF8.self))
          }
        }
        #expect(process.terminationStatus == 0, "\(text)")
      }
    }
  }

  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Browser/browse.py").path
}
#endif
