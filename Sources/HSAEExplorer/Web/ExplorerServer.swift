// Serves the explorer over HTTP with FlyingFox: translates its requests and responses into ours and back. No
// other file uses FlyingFox (docs/decisions/0007 says why it was chosen).

#if Explorer
import FlyingFox
import FlyingSocks
import Foundation
public import HSAESupport

/// Serves an explorer over HTTP.
public struct ExplorerServer: Sendable {
  private let server: HTTPServer
  /// The address where it listens.
  public let address: String
  private let port: UInt16

  /// A server at the IPv4 address `address` and `port`; 0 takes a free port.
  ///
  /// Fails with `.usage` if `address` is not an IPv4 address.
  public init(explorer: Explorer, address: String, port: UInt16) throws(Failure) {
    (self.address, self.port) = (address, port)
    let handler = Handler(explorer: explorer)
    do {
      server = HTTPServer(
        address: try .inet(ip4: address, port: port), timeout: 120,
        pool: PromptPool(base: HTTPServer.defaultPool()), logger: .disabled, handler: handler)
    } catch {
      throw .usage(
        "\(address): this is not an IPv4 address; give one of this machine, such as 127.0.0.1.")
    }
  }

  /// Serves until the task is cancelled. `whenListening` receives the port.
  ///
  /// Fails with `.unavailable` if the port is not free.
  public func run(whenListening: @escaping @Sendable (UInt16) -> Void) async throws(Failure) {
    let listening = Task {
      try await server.waitUntilListening()
      if case .ip4(_, let port) = await server.listeningAddress { whenListening(port) }
    }
    defer { listening.cancel() }
    do {
      try await server.run()
    } catch is CancellationError {
      return
    } catch {
      if Task.isCancelled { return }
      if case .failed(_, let number, _) = error as? SocketError {
        let why = systemErrorText(number).lowercased()
        let advice =
          number == addressNotAvailable
          ? "give an --address of this machine" : "choose another --port, or 0 for a free one"
        throw Failure(
          .unavailable, "\(address), port \(port): hsae cannot listen there (\(why)); \(advice).")
      }
      throw Failure(.unavailable, "\(address): hsae cannot listen there (\(error)).")
    }
  }

  /// FlyingFox's pool of sockets with TCP_NODELAY. A head and a body are two writes; without it TCP would
  /// hold the second back until the first is acknowledged, which can take 40 ms.
  private struct PromptPool<Base: AsyncSocketPool>: AsyncSocketPool {
    let base: Base

    func prepare() async throws { try await base.prepare() }
    func run() async throws { try await base.run() }

    func suspendSocket(_ socket: Socket, untilReadyFor events: Socket.Events) async throws {
      // The listening socket waits here before there are connections, which inherit the option.
      sendAtOnce(socket.file.rawValue)
      try await base.suspendSocket(socket, untilReadyFor: events)
    }
  }

  private struct Handler: HTTPHandler {
    let explorer: Explorer

    func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
      var body = Data()
      for try await part in request.bodySequence {
        body.append(part)
        // A body that is too long is refused; the rest is not read.
        if body.count > Explorer.longestBody { break }
      }
      var headers: [String: String] = [:]
      for (name, value) in request.headers { headers[name.rawValue.lowercased()] = value }
      let begin = ContinuousClock.now
      let answer = await explorer.respond(
        to: WebRequest(
          method: request.method.rawValue, target: request.target.rawValue, headers: headers,
          body: body))
      var fields = HTTPHeaders()
      for (name, value) in answer.headers { fields[HTTPHeader(name)] = value }
      // Shown by browsers' developer tools, and read by runs/explorer-load.sh.
      let duration = (ContinuousClock.now - begin) / .milliseconds(1)
      fields[HTTPHeader("Server-Timing")] = "answer;dur=\((duration * 100).rounded() / 100)"
      // A connection whose body was not read to its end cannot be used again.
      if body.count > Explorer.longestBody { fields[.connection] = "close" }
      return HTTPResponse(
        statusCode: HTTPStatusCode(answer.status, phrase: Self.phrases[answer.status] ?? ""),
        headers: fields, body: Self.body(of: answer, isHead: request.method == .HEAD))
    }

    private static func body(of answer: WebResponse, isHead: Bool) -> HTTPBodySequence {
      if let rest = answer.rest, !isHead {
        return HTTPBodySequence(from: StreamedBody(parts: rest), suggestedBufferSize: 1 << 16)
      }
      return HTTPBodySequence(data: isHead ? Data() : answer.body, suggestedBufferSize: 1 << 20)
    }

    /// A body that comes in parts. FlyingFox stops asking for them when the client is gone.
    private struct StreamedBody: AsyncBufferedSequence {
      typealias Element = UInt8
      let parts: AsyncStream<Data>

      func makeAsyncIterator() -> Iterator { Iterator(parts: parts.makeAsyncIterator()) }

      struct Iterator: AsyncBufferedIteratorProtocol {
        var parts: AsyncStream<Data>.AsyncIterator
        private var buffered: ArraySlice<UInt8> = []

        init(parts: AsyncStream<Data>.AsyncIterator) { self.parts = parts }

        mutating func next() async throws -> UInt8? {
          if buffered.isEmpty {
            guard let part = try await nextBuffer(suggested: 1) else { return nil }
            buffered = part[...]
          }
          return buffered.popFirst()
        }

        mutating func nextBuffer(suggested count: Int) async throws -> [UInt8]? {
          await parts.next().map { [UInt8]($0) }
        }
      }
    }

    private static let phrases = [
      200: "OK", 303: "See Other", 400: "Bad Request", 404: "Not Found",
      500: "Internal Server Error", 503: "Service Unavailable",
    ]
  }
}
#endif
