// Heads of HTTP requests: those of browsers, those that are refused, and a million that are damaged.

#if Explorer
import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct RequestHeadTests {
  private static let browser = """
    GET /runs/h/latents?q=caf%C3%A9 HTTP/1.1\r
    Host: localhost:8471\r
    Accept: text/html\r
    ACCEPT: */*\r
    Cookie: a=b: c\r
    Connection: keep-alive\r
    \r

    """
  private static let form = """
    POST /runs/h/latents/3/label HTTP/1.1\r
    Host:localhost:8471 \r
    Content-Length: 9\r
    Expect: 100-continue\r
    Connection: Keep-Alive, Close\r
    \r

    """

  @Test func requestsAreRead() throws {
    let get = try RequestHead(Self.browser.utf8)
    #expect(get.method == "GET" && get.target == "/runs/h/latents?q=caf%C3%A9")
    #expect(
      get.headers == [
        "host": "localhost:8471", "accept": "text/html, */*", "cookie": "a=b: c",
        "connection": "keep-alive",
      ])
    #expect(get.bodyLength == 0 && get.keepsConnection && !get.awaitsContinue && !get.isOld)
    let post = try RequestHead(Self.form.utf8)
    #expect(post.headers["host"] == "localhost:8471" && post.bodyLength == 9)
    #expect(post.awaitsContinue && !post.keepsConnection)
    // Lines may end with a line feed alone.
    #expect(try RequestHead(Self.browser.replacing("\r\n", with: "\n").utf8) == get)
    let old = try RequestHead("HEAD / HTTP/1.0\r\n\r\n".utf8)
    #expect(old.isOld && !old.keepsConnection && old.headers.isEmpty)
  }

  @Test(arguments: [
    ("", 400), ("\r\n", 400), ("GET /\r\n", 400), ("GET  / HTTP/1.1\r\n", 400),
    ("GET / HTTP/1.1 x\r\n", 400), ("G T / HTTP/1.1\r\n", 400), ("GET x HTTP/1.1\r\n", 400),
    ("GET http://localhost/ HTTP/1.1\r\n", 400), ("GET /\u{7F} HTTP/1.1\r\n", 400),
    ("GET /é HTTP/1.1\r\n", 400), ("GET / HTTP/2.0\r\n", 505), ("GET / http/1.1\r\n", 505),
    ("GET / HTTP/1.1\r\nHost\r\n", 400), ("GET / HTTP/1.1\r\n: x\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : x\r\n", 400), ("GET / HTTP/1.1\r\nA: b\r\n c\r\n", 400),
    ("GET / HTTP/1.1\r\nA: b\u{0}\r\n", 400), ("GET / HTTP/1.1\r\nA: b\rC: d\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    ("PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400),
    ("PUT / HTTP/1.1\r\nContent-Length: -1\r\n", 400),
    ("PUT / HTTP/1.1\r\nContent-Length:\r\n", 400),
    ("PUT / HTTP/1.1\r\nContent-Length: 1e3\r\n", 400),
    ("PUT / HTTP/1.1\r\nContent-Length: 65537\r\n", 413),
    ("PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n", 413),
    ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 411),
    ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", 411),
  ]) func othersAreRefused(_ text: String, _ status: Int) {
    let refusal = #expect(throws: RequestRefusal.self) { try RequestHead((text + "\r\n").utf8) }
    #expect(refusal?.status == status && refusal?.message.hasSuffix(".") == true)
  }

  /// Whatever comes, it is a head within bounds or a refusal; and the end of a head is found wherever it was cut before.
  @Test func damagedHeadsAreReadOrRefused() throws {
    let originals = [Self.browser, Self.form, "PUT / HTTP/1.0\nA: b\n\nrest"].map { Array($0.utf8) }
    var heads = 0
    let growth = Fuzz().feed(originals) { iteration, bytes in
      let end = RequestHead.end(in: bytes, searched: 0)
      let plain = bytes.indices.first { index in
        let rest = bytes[(index + 1)...]
        return bytes[index] == 0x0A && (rest.first == 0x0A || rest.starts(with: [0x0D, 0x0A]))
      }
      #expect(end == plain.map { $0 + (bytes[$0 + 1] == 0x0A ? 2 : 3) })
      if let end {
        for searched in Set([0, iteration % end, end - 1]) {
          #expect(RequestHead.end(in: Array(bytes[..<searched]), searched: 0) == nil)
          #expect(RequestHead.end(in: bytes, searched: searched) == end)
        }
      }
      do throws(RequestRefusal) {
        let head = try RequestHead(bytes.prefix(end ?? bytes.count))
        heads += 1
        #expect((0...Explorer.longestBody).contains(head.bodyLength) && head.target.hasPrefix("/"))
      } catch {
        #expect([400, 411, 413, 505].contains(error.status))
      }
    }
    #expect(heads > 0 && growth < Fuzz.memoryBound)
  }
}
#endif
