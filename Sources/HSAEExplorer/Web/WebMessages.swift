// Requests and responses as plain values, so that every route can be called and tested as a function.
// `ExplorerServer` turns HTTP into them.

#if Explorer
import Foundation
import HSAEHTML
import HSAESupport

/// A request.
struct WebRequest: Sendable {
  var method = "GET"
  /// The parts of the path without percent-encoding: `/runs/a%20b` is ["runs", "a b"].
  var path: [String]
  /// All values of the query by name, in order.
  var query: [String: [String]] = [:]
  /// Headers by name in lower case.
  var headers: [String: String] = [:]
  var body = Data()
}

extension WebRequest {
  /// A request for `target`, the path and query of the request line.
  init(
    method: String = "GET", target: String, headers: [String: String] = [:], body: Data = Data()
  ) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let path = parts.first?.split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
    self.init(
      method: method, path: path ?? [], query: parts.count > 1 ? Self.form(parts[1]) : [:],
      headers: headers, body: body)
  }

  /// The values of a form, which is sent as a query or as a body. Browsers send line breaks as CRLF; here they are LF.
  static func form(_ text: some StringProtocol) -> [String: [String]] {
    var values: [String: [String]] = [:]
    for field in text.split(separator: "&") {
      let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
        let spaced = $0.replacingOccurrences(of: "+", with: " ")
        let value = spaced.removingPercentEncoding ?? spaced
        return value.utf8.contains(0x0D) ? value.replacing("\r\n", with: "\n") : value
      }
      values[parts[0], default: []].append(parts.count > 1 ? parts[1] : "")
    }
    return values
  }

  /// The first value of `name` in the query; nil if it is missing or empty.
  func value(_ name: String) -> String? {
    query[name]?.first.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The whole number `name` in the query, clamped to `range`; `other` if it is missing.
  ///
  /// Fails with `.usage` if it is not a whole number.
  func number(_ name: String, in range: ClosedRange<Int>, or other: Int) throws(Failure) -> Int {
    guard let text = value(name) else { return other }
    guard let number = Int(text) else {
      throw .usage("\(name)=\(text): this is not a whole number.")
    }
    return min(max(number, range.lowerBound), range.upperBound)
  }

  /// The number `name` in the query; `other` if it is missing. Fails with `.usage` if it is not a number.
  func decimalNumber(_ name: String, or other: Double) throws(Failure) -> Double {
    guard let text = value(name) else { return other }
    guard let number = Double(text), number.isFinite else {
      throw .usage("\(name)=\(text): this is not a number.")
    }
    return number
  }
}

struct WebResponse: Sendable {
  var status: Int
  /// Headers, including Content-Type.
  var headers: [String: String]
  var body: Data
  /// Parts that follow `body` when they are ready; nil if there are none. Dropping it stops the work.
  var rest: AsyncStream<Data>?

  init(status: Int = 200, type: String, body: Data, headers: [String: String] = [:]) {
    (self.status, self.headers, self.body) = (status, headers, body)
    self.headers["Content-Type"] = type
  }

  static func html(_ markup: Markup, status: Int = 200) -> WebResponse {
    WebResponse(status: status, type: "text/html; charset=utf-8", body: Data(markup.utf8))
  }

  static func json(_ value: some Encodable, status: Int = 200) throws(Failure) -> WebResponse {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      return WebResponse(
        status: status, type: "application/json", body: try encoder.encode(value))
    } catch {
      throw Failure(.software, "An answer could not be written as JSON: \(error)")
    }
  }

  /// A response that sends the client to `path` by GET.
  static func redirect(to path: String) -> WebResponse {
    WebResponse(status: 303, type: "text/plain", body: Data(), headers: ["Location": path])
  }
}

extension Failure {
  /// The HTTP status code for a request that failed with this.
  var status: Int {
    switch kind {
    case .missing: 404
    case .usage, .data: 400
    case .unavailable, .temporary: 503
    case .software, .cannotCreate, .inputOutput: 500
    }
  }
}
#endif
