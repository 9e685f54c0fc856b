// Serves the explorer over HTTP/1.1, on the sockets of FlyingSocks. It keeps no more of a request than its bounds allow, and
// closes the connection of a client that stops in the middle (docs/decisions/0007 says why there is no library).

#if Explorer
import FlyingSocks
import Foundation
public import HSAESupport
import Synchronization

/// Serves an explorer over HTTP.
public struct ExplorerServer: Sendable {
  /// For how long a client may keep the server waiting, in seconds.
  struct Patience: Sendable {
    /// Between two requests.
    var idle = 120.0
    /// From the first byte of a request to the end of its head, and from there to the end of its body.
    var request = 20.0
    /// While an answer, or a part of one, is taken.
    var answer = 60.0
    /// After a refusal, while the client still sends.
    var refusal = 5.0
  }

  private let explorer: Explorer
  private let socketAddress: any SocketAddress
  private let patience: Patience
  /// The address where it listens.
  public let address: String
  private let port: UInt16

  /// The largest number of connections at a time.
  private static let mostConnections = 512

  /// A server at the IPv4 address `address` and `port`; 0 takes a free port.
  ///
  /// Fails with `.usage` if `address` is not an IPv4 address.
  public init(explorer: Explorer, address: String, port: UInt16) throws(Failure) {
    try self.init(explorer: explorer, address: address, port: port, patience: Patience())
  }

  init(
    explorer: Explorer, address: String, port: UInt16, patience: Patience
  ) throws(Failure) {
    guard let place = try? sockaddr_in.inet(ip4: address, port: port) else {
      throw .usage(
        "\(address): this is not an IPv4 address; give one of this machine, such as 127.0.0.1.")
    }
    (self.explorer, self.address, self.port) = (explorer, address, port)
    (socketAddress, self.patience) = (place, patience)
  }

  /// Serves until the task is cancelled. `whenListening` receives the port.
  ///
  /// Fails with `.unavailable` if the port is not free.
  public func run(whenListening: @escaping @Sendable (UInt16) -> Void) async throws(Failure) {
    do {
      try await serve(whenListening)
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

  private func serve(_ whenListening: (UInt16) -> Void) async throws {
    let pool = SocketPool<ePoll>.ePoll()
    try await pool.prepare()
    let socket = try Socket(domain: Int32(sockaddr_in.family))
    do {
      try socket.setValue(true, for: .localAddressReuse)
      try socket.bind(to: socketAddress)
    } catch {
      try? socket.close()
      throw error
    }
    // Connections inherit it.
    sendAtOnce(socket.file.rawValue)
    // It closes the socket itself if it fails.
    try socket.listen()
    defer { try? socket.close() }
    let listener = try AsyncSocket(socket: socket, pool: pool)
    if case .ip4(_, let port) = try socket.sockname() { whenListening(port) }
    let deadlines = Deadlines()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await pool.run() }
      group.addTask { try await deadlines.watch() }
      group.addTask { await accept(listener, pool, deadlines) }
      // The first to end is a failure of the pool, or the cancellation.
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private func accept(
    _ listener: AsyncSocket, _ pool: SocketPool<ePoll>, _ deadlines: Deadlines
  ) async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        guard let socket = try? await listener.accept() else {
          // Perhaps too many files are open; a connection that ends frees one.
          try? await Task.sleep(for: .milliseconds(50))
          continue
        }
        guard deadlines.count < Self.mostConnections else {
          try? socket.close()
          continue
        }
        group.addTask {
          var connection = Connection(
            socket: socket, explorer: explorer, patience: patience, deadlines: deadlines)
          await connection.serve()
          deadlines.remove(socket.socket.file.rawValue)
          await pool.settle()
          try? socket.close()
        }
      }
    }
  }
}

extension SocketPool {
  /// Returns when the pool has done what it began. It forgets a socket only after it has resumed the task that waited for
  /// it; if that task closed the socket before, the pool would never watch another one with the same number.
  fileprivate func settle() {}
}

/// Ends connections whose clients keep the server waiting for too long.
private final class Deadlines: Sendable {
  /// When the client of each connection must have done its part; nil while the server works.
  private let ends = Mutex<[Int32: ContinuousClock.Instant?]>([:])

  /// The number of connections.
  var count: Int { ends.withLock(\.count) }

  /// Gives the client of `socket` this many seconds from now.
  func set(_ socket: Int32, seconds: Double) {
    ends.withLock { $0[socket] = .some(.now + .seconds(seconds)) }
  }

  /// Stops the clock of `socket` while the server works.
  func suspend(_ socket: Int32) { ends.withLock { $0[socket] = .some(nil) } }

  /// Forgets `socket`. The caller closes it afterwards, so that no other connection with its number is ended.
  func remove(_ socket: Int32) { _ = ends.withLock { $0.removeValue(forKey: socket) } }

  func watch() async throws {
    while true {
      try await Task.sleep(for: .milliseconds(200))
      ends.withLock { ends in
        let now = ContinuousClock.now
        for case (let socket, let end?) in ends where end < now { shutDown(socket) }
      }
    }
  }
}

/// A client's connection: requests and answers in turn.
private struct Connection {
  let socket: AsyncSocket
  let explorer: Explorer
  let patience: ExplorerServer.Patience
  let deadlines: Deadlines
  /// What came after the last request.
  private var received: [UInt8] = []

  /// The largest number of bytes that are read after a refusal, so that the client gets to read it.
  private static let mostUnread = 8 << 20

  init(
    socket: AsyncSocket, explorer: Explorer, patience: ExplorerServer.Patience,
    deadlines: Deadlines
  ) {
    (self.socket, self.explorer) = (socket, explorer)
    (self.patience, self.deadlines) = (patience, deadlines)
  }

  private var number: Int32 { socket.socket.file.rawValue }

  mutating func serve() async {
    do {
      while true {
        let head = try await head()
        let body = try await body(of: head)
        deadlines.suspend(number)
        let begin = ContinuousClock.now
        var answer = await explorer.respond(
          to: WebRequest(
            method: head.method, target: head.target, headers: head.headers, body: body))
        // Shown by browsers' developer tools, and read by runs/explorer-load.sh.
        let duration = (ContinuousClock.now - begin) / .milliseconds(1)
        answer.headers["Server-Timing"] = "answer;dur=\((duration * 100).rounded() / 100)"
        try await send(answer, to: head)
        if !head.keepsConnection { break }
      }
    } catch let refusal as RequestRefusal {
      await refuse(refusal)
    } catch {
      // The client is gone or too slow, or the server ends.
    }
  }

  /// The head of the next request.
  private mutating func head() async throws -> RequestHead {
    deadlines.set(number, seconds: received.isEmpty ? patience.idle : patience.request)
    var searched = 0
    var hasBegun = !received.isEmpty
    while true {
      // Empty lines may stand before a request.
      if searched == 0 {
        received.trimPrefix { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
      }
      if let end = RequestHead.end(in: received, searched: searched) {
        guard end <= RequestHead.longest else { throw tooLong }
        defer { received.removeFirst(end) }
        return try RequestHead(received[..<end])
      }
      guard received.count < RequestHead.longest else { throw tooLong }
      searched = received.count
      let part = try await socket.read(atMost: 4096)
      if !hasBegun { deadlines.set(number, seconds: patience.request) }
      hasBegun = true
      received += part
    }
  }

  private var tooLong: RequestRefusal {
    RequestRefusal(
      status: received.prefix(RequestHead.longest).contains(UInt8(ascii: "\n")) ? 431 : 414,
      message:
        "The address and the fields of a request may have \(RequestHead.longest) bytes at most.")
  }

  private mutating func body(of head: RequestHead) async throws -> Data {
    if head.bodyLength == 0 { return Data() }
    deadlines.set(number, seconds: patience.request)
    if head.awaitsContinue, received.isEmpty {
      try await socket.write(Data("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    }
    while received.count < head.bodyLength {
      received += try await socket.read(atMost: min(4096, head.bodyLength - received.count))
    }
    defer { received.removeFirst(head.bodyLength) }
    return Data(received[..<head.bodyLength])
  }

  private func send(_ answer: WebResponse, to head: RequestHead) async throws {
    var fields = answer.headers
    if answer.rest == nil {
      fields["Content-Length"] = "\(answer.body.count)"
    } else if !head.isOld {
      fields["Transfer-Encoding"] = "chunked"
    }
    if !head.keepsConnection { fields["Connection"] = "close" }
    var text = "HTTP/1.1 \(answer.status) \(Self.phrases[answer.status] ?? "")\r\n"
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
      text += "\(name): \(String(value.filter { !$0.isNewline }))\r\n"
    }
    var data = Data((text + "\r\n").utf8)
    if head.method != "HEAD", answer.rest == nil { data += answer.body }
    try await write(data)
    guard head.method != "HEAD", let rest = answer.rest else { return }
    // Leaving the loop drops the stream, which ends the work.
    if !answer.body.isEmpty { try await write(part(answer.body, head)) }
    for await data in rest where !data.isEmpty { try await write(part(data, head)) }
    if !head.isOld { try await write(Data("0\r\n\r\n".utf8)) }
  }

  /// A part of an answer that comes in parts.
  private func part(_ data: Data, _ head: RequestHead) -> Data {
    head.isOld
      ? data : Data("\(String(data.count, radix: 16))\r\n".utf8) + data + Data("\r\n".utf8)
  }

  private func write(_ data: Data) async throws {
    deadlines.set(number, seconds: patience.answer)
    try await socket.write(data)
    deadlines.suspend(number)
  }

  /// Answers a request that is malformed or too long. Then it reads what the client still sends: otherwise the system
  /// would take the answer back.
  private func refuse(_ refusal: RequestRefusal) async {
    let body = Data((refusal.message + "\n").utf8)
    let text = """
      HTTP/1.1 \(refusal.status) \(Self.phrases[refusal.status] ?? "")\r
      Connection: close\r
      Content-Length: \(body.count)\r
      Content-Type: text/plain; charset=utf-8\r
      X-Content-Type-Options: nosniff\r
      \r

      """
    do {
      try await write(Data(text.utf8) + body)
      shutDown(number, onlyWriting: true)
      deadlines.set(number, seconds: patience.refusal)
      var unread = Self.mostUnread
      while unread > 0 { unread -= try await socket.read(atMost: 4096).count }
    } catch {
      // The client has closed the connection.
    }
  }

  private static let phrases = [
    200: "OK", 303: "See Other", 400: "Bad Request", 404: "Not Found", 411: "Length Required",
    413: "Content Too Large", 414: "URI Too Long", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
  ]
}
#endif
