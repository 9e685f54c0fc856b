// The explorer over HTTP, and in a browser if `HSAE_BROWSER_PYTHON` names a Python with Selenium.

#if Explorer
import FlyingSocks
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
    _ features: String, dissector: Dissector? = nil,
    patience: ExplorerServer.Patience = ExplorerServer.Patience(),
    _ body: (String) async throws -> Void
  ) async throws {
    let database = try FeatureDatabase(path: features)
    let server = try ExplorerServer(
      explorer: Explorer(database: database, dissector: dissector), address: "127.0.0.1", port: 0,
      patience: patience)
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
        #expect(answer.status == 413)
      }
      // A label outlives the server.
      try await withServer(fixture.features) { base in
        let page = try await ask(base + "/runs/h/latents/3").body
        #expect(page.contains("dogs"))
      }
    }
  }

  /// Sends the bytes of `text` over a connection of its own and returns everything that comes until the server closes it.
  /// Without a closing request it is the server that loses patience.
  private func send(_ text: String, to base: String) async throws -> String {
    let port = try #require(URL(string: base)?.port.flatMap(UInt16.init(exactly:)))
    let socket = try await AsyncSocket.connected(
      to: sockaddr_in.inet(ip4: "127.0.0.1", port: port), timeout: 600)
    defer { try? socket.close() }
    // A server that refuses the request may close the connection before all is written; its answer is there then.
    do { try await socket.write(Data(text.utf8)) } catch SocketError.disconnected {}
    var answer: [UInt8] = []
    do {
      while true { answer += try await socket.read(atMost: 4096) }
    } catch SocketError.disconnected {
      return String(decoding: answer, as: UTF8.self)
    }
  }

  @Test func requestsAreBounded() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let host = "Host: localhost\r\n"
      let long = String(repeating: "a", count: 2_000_000)
      // The address may be as long as a text of the page needs.
      let text = Address.encoded(String(repeating: "語", count: Explorer.longestText))
      // Other tests may keep this one's client waiting for minutes.
      let patience = ExplorerServer.Patience(idle: 600, request: 600, answer: 600, refusal: 600)
      try await withServer(fixture.features, patience: patience) { base in
        for (request, status) in [
          ("GET /?q=\(long) HTTP/1.1\r\n\(host)\r\n", 414),
          ("GET / HTTP/1.1\r\n\(host)A: \(long)\r\n\r\n", 431),
          ("GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 20_000) + "\r\n", 431),
          ("PUT / HTTP/1.1\r\n\(host)Content-Length: 70000\r\n\r\n" + long.prefix(70_000), 413),
          ("PUT / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 411),
          ("hello\r\n\r\n", 400), ("GET / HTTP/3.0\r\n\r\n", 505),
          ("GET / HTTP/1.0\r\n\r\n", 400),
          ("GET /runs/h HTTP/1.0\r\n\(host)\r\n", 200),
          ("GET /text?runs=h&text=\(text) HTTP/1.0\r\n\(host)\r\n", 503),
        ] {
          let answer = try await send(request, to: base)
          #expect(
            answer.hasPrefix("HTTP/1.1 \(status) "), "\(request.prefix(40)): \(answer.prefix(200))")
          #expect(answer.contains("\r\nConnection: close\r\n"), "\(request.prefix(40))")
        }
        // Such requests at the same time do not stop others.
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<8 {
            group.addTask {
              let answer = try await send("GET /?q=\(long)\(long) HTTP/1.1\r\n\r\n", to: base)
              #expect(answer.hasPrefix("HTTP/1.1 414 "))
            }
            group.addTask {
              let status = try await ask(base + "/runs/h/latents").status
              #expect(status == 200)
            }
          }
          try await group.waitForAll()
        }
      }
    }
  }

  @Test func aConnectionServesSeveralRequests() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      try await withServer(fixture.features) { base in
        let get = "GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\n"
        var answer = try await send(
          "\r\n\(get)\r\n" + get.replacing("GET", with: "HEAD")
            + "\r\n\(get)Connection: close\r\n\r\n",
          to: base)
        var parts = answer.components(separatedBy: "HTTP/1.1 200 OK\r\n").dropFirst()
          .map { $0.components(separatedBy: "\r\n\r\n") }
        #expect(parts.count == 3 && parts.allSatisfy { $0.count == 2 })
        func length(_ head: String) -> String? {
          head.components(separatedBy: "\r\n").first { $0.hasPrefix("Content-Length: ") }
        }
        #expect(length(parts[0][0]) == "Content-Length: \(parts[0][1].utf8.count)")
        #expect(length(parts[1][0]) == length(parts[0][0]) && parts[1][1].isEmpty)
        #expect(parts[2][1] == parts[0][1])
        // A client that asks whether its body is welcome.
        let body = #"{"label": "dogs"}"#
        answer = try await send(
          "PUT /api/v1/runs/h/latents/3/label HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n\(body)", to: base)
        parts = answer.components(separatedBy: "HTTP/1.1 ").dropFirst()
          .map { $0.components(separatedBy: "\r\n\r\n") }
        #expect(parts.last?[0].hasPrefix("200 OK") == true && answer.contains(#""label":"dogs""#))
      }
    }
  }

  /// The server closes the connection of a client that stops in the middle of a request, or sends none.
  @Test func clientsThatStopAreLeft() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let patience = ExplorerServer.Patience(idle: 0.5, request: 0.5)
      try await withServer(fixture.features, patience: patience) { base in
        for request in [
          "", "GET / HT", "GET /runs/h HTTP/1.1\r\nHost: localhost\r\n",
          "PUT /api/v1/runs/h/latents/3/label HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        ] {
          let answer = try await send(request, to: base)
          #expect(answer == "", "\(request)")
        }
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
          "/", "/?q=\(sought.words[0])", "/runs/h", "/runs/h/latents",
          "/runs/h/latents/\(sought.expert)",
          "/runs/h/latents/\(sought.expert).0", "/text?runs=h&text=dog", "/compare",
        ],
        "run": "h", "word": sought.words[0], "expert": sought.expert, "text": text,
        "parts": ["0": experts[0], "4": experts[1]], "prompt": "dog and puppy",
        "files": Path.join(fixture.folder, "pages"), "axe": Self.axe ?? NSNull(),
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

  /// axe-core, which `scripts/interop-python.sh` installs beside its Python; nil if it is not there.
  private static var axe: String? {
    guard let python = ProcessInfo.processInfo.environment["HSAE_INTEROP_PYTHON"], !python.isEmpty
    else { return nil }
    let libraries = URL(fileURLWithPath: python).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("lib").path
    let folders = (try? FileManager.default.contentsOfDirectory(atPath: libraries)) ?? []
    return folders.map {
      Path.join(libraries, "\($0)/site-packages/axe_playwright_python/axe.min.js")
    }.first(where: Path.exists)
  }

  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Browser/browse.py").path
}
#endif
