// Keeps answers until the database changes. Pages depend on nothing else, and users often go back to a page.

#if Explorer
import HSAESupport
import Synchronization

/// Answers by address, kept while the files of the database do not change.
final class AnswerCache: Sendable {
  /// The largest number of bytes that are kept; beyond it all answers are dropped.
  private static let capacity = 64 << 20
  /// Answers to longer addresses are not kept.
  private static let longestKey = 2048

  private struct State {
    var stamp = FileStamp()
    var answers: [String: WebResponse] = [:]
    var bytes = 0
  }

  private let state = Mutex(State())
  private let path: String

  init(database path: String) { self.path = path }

  /// The kept answer to `request`, or the one that `make` returns.
  ///
  /// The stamp is taken before `make` reads, so an answer is never older than its stamp.
  func answer(
    _ request: WebRequest, _ make: () async throws(Failure) -> WebResponse
  ) async throws(Failure) -> WebResponse {
    let stamp = FileStamp(database: path)
    let key = Self.key(request)
    let known = state.withLock { state -> WebResponse? in
      if state.stamp != stamp { state = State(stamp: stamp) }
      return state.answers[key]
    }
    if let known { return known }
    let answer = try await make()
    guard answer.status == 200, key.utf8.count <= Self.longestKey else { return answer }
    state.withLock { state in
      guard state.stamp == stamp, state.answers[key] == nil else { return }
      let bytes = answer.body.count + key.utf8.count
      if state.bytes + bytes > Self.capacity { state = State(stamp: stamp) }
      state.answers[key] = answer
      state.bytes += bytes
    }
    return answer
  }

  private static func key(_ request: WebRequest) -> String {
    let query = request.query.sorted { $0.key < $1.key }.flatMap { name, values in
      [name] + values + ["\u{1}"]
    }
    return (request.path + ["\u{2}"] + query).joined(separator: "\u{0}")
  }
}
#endif
