// What pages and the JSON API see of HTTP: values without a library, so that every route can be called
// and tested as a function. `ExplorerServer` turns real requests into them.

#if Explorer
public import Foundation
import HSAEHTML
import HSAESupport

/// A request.
public struct WebRequest: Sendable {
  /// "GET", "PUT", …
  public var method: String
  /// The parts of the path, percent-encoding removed: `/runs/a%20b` is ["runs", "a b"].
  public var path: [String]
  /// The query's values by name; of several with one name all, in order.
  public var query: [String: [String]]
  /// Headers, by name in lower case.
  public var headers: [String: String]
  /// The body.
  public var body: Data

  /// A request with the given parts.
  public init(
    method: String = "GET", path: [String], query: [String: [String]] = [:],
    headers: [String: String] = [:], body: Data = Data()
  ) {
    (self.method, self.path, self.query) = (method, path, query)
    (self.headers, self.body) = (headers, body)
  }

  /// A request for `target`, the path and query as the request line has them.
  public init(
    method: String = "GET", target: String, headers: [String: String] = [:], body: Data = Data()
  ) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let path = parts.first?.split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
    self.init(
      method: method, path: path ?? [], query: parts.count > 1 ? Self.form(parts[1]) : [:],
      headers: headers, body: body)
  }

  /// The values that a form sends, as a query or as a body.
  static func form(_ text: some StringProtocol) -> [String: [String]] {
    var values: [String: [String]] = [:]
    for field in text.split(separator: "&") {
      let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
        let spaced = $0.replacingOccurrences(of: "+", with: " ")
        return spaced.removingPercentEncoding ?? spaced
      }
      values[parts[0], default: []].append(parts.count > 1 ? parts[1] : "")
    }
    return values
  }

  /// The first value of `name` in the query; nil if it is not there or empty.
  func value(_ name: String) -> String? {
    query[name]?.first.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The whole number `name` in the query, brought into `range`; `other` if it is not there.
  ///
  /// Fails with `.usage` if it is no number.
  func number(_ name: String, in range: ClosedRange<Int>, or other: Int) throws(Failure) -> Int {
    guard let text = value(name) else { return other }
    guard let number = Int(text) else { throw .usage("\(name)=\(text): this is no whole number.") }
    return min(max(number, range.lowerBound), range.upperBound)
  }

  /// The number `name` in the query; `other` if it is not there. Fails with `.usage` if it is no number.
  func decimalNumber(_ name: String, or other: Double) throws(Failure) -> Double {
    guard let text = value(name) else { return other }
    guard let number = Double(text), number.isFinite else {
      throw .usage("\(name)=\(text): this is no number.")
    }
    return number
  }
}

/// What is answered.
public struct WebResponse: Sendable {
  /// The status code.
  public var status: Int
  /// Headers, Content-Type among them.
  public var headers: [String: String]
  /// The body.
  public var body: Data
  /// What comes after `body` in its own time; nil if that is all. Whoever drops it ends the work behind it.
  public var rest: AsyncStream<Data>?

  /// An answer with the given parts.
  public init(status: Int = 200, type: String, body: Data, headers: [String: String] = [:]) {
    self.status = status
    self.headers = headers
    self.headers["Content-Type"] = type
    self.body = body
  }

  /// A page.
  static func html(_ markup: Markup, status: Int = 200) -> WebResponse {
    WebResponse(status: status, type: "text/html; charset=utf-8", body: Data(markup.utf8))
  }

  /// JSON.
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

  /// Go elsewhere: to `path` by GET.
  static func redirect(to path: String) -> WebResponse {
    WebResponse(status: 303, type: "text/plain", body: Data(), headers: ["Location": path])
  }
}

extension Failure {
  /// The status code that says of a request what this says of a command.
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
