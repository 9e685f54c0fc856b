// The head of an HTTP/1.1 request, checked byte by byte. Whatever a client sends, the result is a head or a refusal.

#if Explorer
import Foundation

/// The line and the fields of a request.
struct RequestHead: Hashable, Sendable {
  var method: String
  /// The path and the query.
  var target: String
  /// Fields by name in lower case; values of a field that comes several times are joined by commas.
  var headers: [String: String]
  /// Number of bytes of the body.
  var bodyLength: Int
  /// Whether the client speaks HTTP/1.0, which has no chunks.
  var isOld: Bool

  /// Whether the client may send another request on this connection.
  var keepsConnection: Bool { !isOld && !has("close", in: "connection") }
  /// Whether the client waits for a go-ahead before it sends the body.
  var awaitsContinue: Bool { !isOld && has("100-continue", in: "expect") }

  /// The largest head, in bytes. A text of 4,000 characters has 36,000 in an address.
  static let longest = 64 * 1024

  private func has(_ option: String, in name: String) -> Bool {
    headers[name]?.lowercased().split(separator: ",").contains {
      $0.trimmingCharacters(in: .whitespaces) == option
    } ?? false
  }
}

/// A request that is answered with a status and one sentence, after which the connection is closed.
struct RequestRefusal: Error, Hashable {
  var status: Int
  var message: String

  static func malformed(_ message: String) -> RequestRefusal {
    RequestRefusal(status: 400, message: message)
  }
}

extension RequestHead {
  /// The index after the empty line that ends a head in `bytes`; nil if it is not there yet. Bytes before `searched` were
  /// searched already.
  static func end(in bytes: [UInt8], searched: Int) -> Int? {
    var index = max(0, searched - 2)
    while let line = bytes[index...].firstIndex(of: .lineFeed) {
      let next = bytes[(line + 1)...].prefix(2)
      if next.first == .lineFeed { return line + 2 }
      if next.elementsEqual([.carriageReturn, .lineFeed]) { return line + 3 }
      index = line + 1
    }
    return nil
  }

  /// Reads the head `bytes`, with or without the empty line at its end.
  init(_ bytes: some Sequence<UInt8>) throws(RequestRefusal) {
    var lines = Array(bytes).split(separator: .lineFeed, omittingEmptySubsequences: false).map {
      $0.last == .carriageReturn ? $0.dropLast() : $0
    }
    // The empty line, and what follows the last line feed.
    while lines.last?.isEmpty == true { lines.removeLast() }
    let parts = (lines.first ?? []).split(separator: .space, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(\.isTokenByte) else {
      throw .malformed("A request begins with a method, an address and a version.")
    }
    method = String(decoding: parts[0], as: UTF8.self)
    switch String(decoding: parts[2], as: UTF8.self) {
    case "HTTP/1.1": isOld = false
    case "HTTP/1.0": isOld = true
    default: throw RequestRefusal(status: 505, message: "This server speaks HTTP/1.1.")
    }
    guard parts[1].first == UInt8(ascii: "/"), parts[1].allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw .malformed("An address begins with / and has no spaces or control characters.") }
    target = String(decoding: parts[1], as: UTF8.self)
    var values: [String: [String]] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
        line[..<colon].allSatisfy(\.isTokenByte),
        line[colon...].allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == .tab })
      else { throw .malformed("A field of this request is not a name, a colon and a value.") }
      let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
      let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
        .trimmingCharacters(in: .whitespaces)
      values[name, default: []].append(value)
    }
    for name in ["host", "content-length", "origin"] where values[name, default: []].count > 1 {
      throw .malformed("The field \(name) comes twice.")
    }
    headers = values.mapValues { $0.joined(separator: ", ") }
    guard headers["transfer-encoding"] == nil else {
      throw RequestRefusal(status: 411, message: "Send the length of the body (Content-Length).")
    }
    let length = headers["content-length"] ?? "0"
    guard !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      throw .malformed("Content-Length is not a number.")
    }
    // A number that does not fit is too large as well.
    bodyLength = Int(length) ?? .max
    guard bodyLength <= Explorer.longestBody else {
      throw RequestRefusal(
        status: 413, message: "A request may have a body of \(Explorer.longestBody) bytes at most.")
    }
  }
}

extension UInt8 {
  fileprivate static let lineFeed = UInt8(ascii: "\n")
  fileprivate static let carriageReturn = UInt8(ascii: "\r")
  fileprivate static let space = UInt8(ascii: " ")
  fileprivate static let tab = UInt8(ascii: "\t")

  /// Whether it may be part of a method or of a field's name (RFC 9110, section 5.6.2).
  fileprivate var isTokenByte: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(self)
    }
  }
}
#endif
