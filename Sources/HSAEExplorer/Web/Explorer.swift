// The explorer without a network: a request in, a response out. This file decides which requests are allowed
// and which page or API call answers them.

#if Explorer
import Foundation
import HSAEModels
import HSAESupport

/// Pages and a JSON API for a database of features.
public final class Explorer: Sendable {
  let database: FeatureDatabase
  /// Reads texts and steers; nil without a model.
  let dissector: Dissector?
  /// Whether pages are for files without a server, and so without labels, text and steering.
  let isStatic: Bool
  /// The host names, without port, that requests may use; empty for any.
  private let hosts: Set<String>
  private let answers: AnswerCache
  /// Opens dictionaries. It is the dissector if there is one.
  let dictionaries: Dissector

  /// The largest body of a request, in bytes.
  public static let longestBody = 64 * 1024
  /// The names of this machine for itself.
  public static let loopbackHosts: Set<String> = ["localhost", "127.0.0.1", "[::1]"]

  /// An explorer of `database`. Without a `dissector` it does not read texts or steer. Requests for
  /// host names not in `hosts` are refused, so that no other site can reach the explorer under its own name.
  /// With `isStatic` its pages are for files.
  public init(
    database: FeatureDatabase, dissector: Dissector? = nil, hosts: Set<String> = loopbackHosts,
    isStatic: Bool = false
  ) {
    (self.database, self.dissector, self.hosts) = (database, dissector, hosts)
    dictionaries = dissector ?? Dissector { () throws(Failure) in throw Dissector.noModel }
    self.isStatic = isStatic
    answers = AnswerCache(database: database.path)
  }

  /// The answer to `request`; never fails.
  func respond(to request: WebRequest) async -> WebResponse {
    var request = request
    // HEAD gets the answer to GET; the server leaves out the body.
    if request.method == "HEAD" { request.method = "GET" }
    var response: WebResponse
    do throws(Failure) {
      try check(request)
      // The dissector remembers texts itself, and continuations are not kept.
      let isKept =
        request.method == "GET" && request.value("text") == nil && request.path.last != "steer"
      response =
        try await isKept
        ? answers.answer(request) { () async throws(Failure) in try await route(request) }
        : route(request)
    } catch {
      response = failure(error, request)
    }
    for (name, value) in Self.headers where response.headers[name] == nil {
      response.headers[name] = value
    }
    return response
  }

  /// Pages load nothing from other sites, and other sites cannot show them in a frame. Inline styles are
  /// allowed for the widths of bars.
  private static let headers = [
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
      + " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    // With `no-referrer` browsers would send `Origin: null` with a form, and `check` would refuse it.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
  ]

  private func check(_ request: WebRequest) throws(Failure) {
    let host = (request.headers["host"] ?? "").lowercased()
    guard hosts.isEmpty || hosts.contains(Self.name(ofHost: host)) else {
      throw .usage(
        "This explorer answers to \(hosts.sorted().joined(separator: ", ")), not to \"\(host)\".")
    }
    guard request.body.count <= Self.longestBody else {
      throw .usage("A request may have \(Self.longestBody) bytes at most.")
    }
    // Only the explorer's own pages may change anything.
    guard request.method != "GET", let origin = request.headers["origin"] else { return }
    guard origin.lowercased() == "http://\(host)" else {
      throw .usage("Only pages of this explorer may do this.")
    }
  }

  /// `host` without its port. If anything else than a port follows the name, it stays there, so that no name equals it.
  private static func name(ofHost host: String) -> String {
    guard let colon = host.lastIndex(of: ":") else { return host }
    let port = host[host.index(after: colon)...].utf8
    let isPort = (1...5).contains(port.count) && port.allSatisfy { (0x30...0x39).contains($0) }
    return isPort ? String(host[..<colon]) : host
  }

  private func route(_ request: WebRequest) async throws(Failure) -> WebResponse {
    switch request.path.first {
    case "api": return try await api(request)
    case "assets":
      if request.method == "GET", let asset = asset(request.path) { return asset }
    default:
      if let page = try await page(request) { return page }
    }
    throw .missing("There is nothing at /\(request.path.joined(separator: "/")).")
  }

  private func failure(_ error: Failure, _ request: WebRequest) -> WebResponse {
    if request.path.first == "api" {
      return (try? .json(["error": error.message], status: error.status))
        ?? WebResponse(status: error.status, type: "application/json", body: Data("{}".utf8))
    }
    return .html(errorPage(error, request), status: error.status)
  }

  private static let assets = [
    "explorer.css": ("text/css; charset=utf-8", explorerStyle),
    "explorer.js": ("text/javascript; charset=utf-8", explorerScript),
  ]

  private func asset(_ path: [String]) -> WebResponse? {
    Self.assets[path.dropFirst().joined(separator: "/")].map { type, text in
      WebResponse(
        type: type, body: Data(text.utf8), headers: ["Cache-Control": "max-age=3600"])
    }
  }

  func run(_ name: String) throws(Failure) -> RunRecord {
    guard let run = try database.run(named: name) else {
      throw .missing("There is no run \"\(name)\" in this database.")
    }
    return run
  }

  /// The latent that `text` names: "12", or "12.3" for sublatent 3 of expert 12.
  func latent(_ text: String, in run: RunRecord) throws(Failure) -> LatentNumber {
    guard let latent = LatentNumber(text, in: run.shape) else {
      throw .missing("\(run.name) has no latent \"\(text)\".")
    }
    return latent
  }
}
#endif
