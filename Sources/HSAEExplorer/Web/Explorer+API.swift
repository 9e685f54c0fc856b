// The JSON API under /api/v1; `openAPIDocument` describes it.

#if Explorer
import Foundation
import HSAEModels
import HSAESupport

extension Explorer {
  func api(_ request: WebRequest) async throws(Failure) -> WebResponse {
    let path = Array(request.path.dropFirst())
    let unknown = Failure.missing(
      "There is no \(request.method) /\(request.path.joined(separator: "/")); see"
        + " /api/v1/openapi.json.")
    guard path.first == "v1" else { throw unknown }
    switch (request.method, path.count, path.dropFirst().first) {
    case ("GET", 2, "openapi.json"):
      return WebResponse(type: "application/json", body: Data(openAPIDocument.utf8))
    case ("GET", 2, "runs"):
      return try .json(database.runs())
    case ("GET", 2, "compare"):
      return try compare(request)
    case ("POST", 2, "dissect"):
      return try await dissect(request)
    case (_, 3..., "runs"):
      return try await runAPI(request, run: run(path[2]), rest: Array(path.dropFirst(3)), unknown)
    default:
      throw unknown
    }
  }

  private func runAPI(
    _ request: WebRequest, run: RunRecord, rest: [String], _ unknown: Failure
  ) async throws(Failure) -> WebResponse {
    switch (request.method, rest.count, rest.first) {
    case ("GET", 0, _):
      return try .json(run)
    case ("GET", 1, "statistics"):
      return try .json(database.statistics(of: run))
    case ("GET", 1, "latents"):
      return try .json(database.latents(LatentQuery(request, limit: 50), in: run))
    case ("GET", 1, "labels"):
      return try .json(database.labels(in: run))
    case ("GET", 1, "lists"):
      return try .json(database.lists(in: run))
    case ("GET", 1, "search"):
      return try .json(SearchResult(request, run, database))
    case ("GET", 2, "latents"):
      let latent = try latent(rest[1], in: run)
      guard let detail = try database.detail(of: latent, in: run) else { throw unknown }
      return try .json(detail)
    case ("GET", 3, "latents") where rest[2] == "vector":
      return try await .json(vector(of: latent(rest[1], in: run), run))
    case ("POST", 1, "steer"):
      return try await steer(request, run)
    case ("PUT", 3, "latents") where rest[2] == "label":
      let latent = try latent(rest[1], in: run)
      let label = try Self.decode(LabelBody.self, request)
      try database.setLabel(label.label, replacing: label.previous, of: latent, in: run)
      return try .json(database.record(of: latent, in: run))
    case ("PUT", 4, "latents") where rest[2] == "lists",
      ("DELETE", 4, "latents") where rest[2] == "lists":
      let latent = try latent(rest[1], in: run)
      try database.setListed(request.method == "PUT", in: rest[3], latent, of: run)
      return try .json(database.lists(in: run))
    default:
      throw unknown
    }
  }

  private struct LabelBody: Decodable {
    var label: String
    var previous: String?
  }

  private struct DissectBody: Decodable {
    var text: String
    var runs: [String]?
  }

  private static func decode<Value: Decodable>(
    _ type: Value.Type, _ request: WebRequest
  ) throws(Failure) -> Value {
    do {
      return try JSONDecoder().decode(type, from: request.body)
    } catch {
      throw .usage("The body is not the JSON that is expected here; see /api/v1/openapi.json.")
    }
  }

  private struct VectorBody: Encodable {
    var run: String
    var latent: String
    var vector: [Float]
  }

  /// What the latent adds to a reconstruction for a code of 1, from the run's checkpoint.
  private func vector(of latent: LatentNumber, _ run: RunRecord) async throws(Failure) -> VectorBody
  {
    let dictionary = try await dictionaries.dictionary(of: run)
    return VectorBody(
      run: run.name, latent: latent.name, vector: dictionary.contribution(of: latent))
  }

  private func compare(_ request: WebRequest) throws(Failure) -> WebResponse {
    guard let first = request.value("run"), let second = request.value("other") else {
      throw .usage("Name two runs: /api/v1/compare?run=…&other=….")
    }
    guard first != second else { throw .usage("A run is compared with another, not with itself.") }
    let limit = try request.number("limit", in: 1...LatentQuery.largestPage, or: 50)
    let comparison = try database.comparison(of: run(first), with: run(second), limit: limit)
    guard let comparison else {
      throw .missing("\(first) and \(second) were not compared: they are of different rows.")
    }
    return try .json(comparison)
  }

  /// Continuations as lines of JSON, one for each piece of text. If the client goes away, the writing ends.
  private func steer(_ request: WebRequest, _ run: RunRecord) async throws(Failure) -> WebResponse {
    guard let dissector else { throw Dissector.noModel }
    let asked = try Self.decode(SteeringRequest.self, request)
    try await dissector.prepare(asked, of: run, database)
    let (events, writer) = AsyncStream<Data>.makeStream()
    let writing = Task {
      do throws(Failure) {
        _ = try await dissector.write { writer.yield($0.line) }
      } catch {
        writer.yield(SteeringEvent(kind: .end, error: error.message).line)
      }
      writer.finish()
    }
    writer.onTermination = { _ in writing.cancel() }
    var response = WebResponse(type: "application/x-ndjson", body: Data())
    response.rest = events
    return response
  }

  private func dissect(_ request: WebRequest) async throws(Failure) -> WebResponse {
    guard let dissector else { throw Dissector.noModel }
    let body = try Self.decode(DissectBody.self, request)
    var runs = try database.runs().filter(\.isComplete)
    if let names = body.runs {
      runs = []
      guard names.count <= Self.mostRuns else {
        throw .usage("Name \(Self.mostRuns) runs at most.")
      }
      for name in names { runs.append(try run(name)) }
    }
    return try .json(await dissector.dissect(body.text, by: runs, database))
  }
}

struct SearchResult: Encodable {
  /// Latents that match, best first.
  var latents: [LatentRecord]
  /// The contexts at the words, for those of `latents` that are strongest there.
  var contexts: [ContextHit]

  init(_ request: WebRequest, _ run: RunRecord, _ database: FeatureDatabase) throws(Failure) {
    let text = try SearchQuery.checked(request.value("q") ?? "")
    let limit = try request.number("limit", in: 1...100, or: 20)
    latents = try database.search(text, in: run, limit: limit)
    let found = try database.contexts(of: latents, at: text, in: run)
    contexts = latents.compactMap { found[$0.number] }
  }
}
#endif
