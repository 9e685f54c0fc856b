// Runs long computations off the threads that tasks share, where they would keep other tasks waiting.

internal import Dispatch

/// Runs one piece of work after another, on a thread of its own.
struct WorkQueue: Sendable {
  private let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: label, qos: .userInitiated) }

  /// Runs `work` after all earlier work.
  func run<Result: Sendable>(
    _ work: @escaping @Sendable () throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    let outcome: Swift.Result<Result, Failure> = await withCheckedContinuation { continuation in
      queue.async {
        do throws(Failure) {
          continuation.resume(returning: .success(try work()))
        } catch { continuation.resume(returning: .failure(error)) }
      }
    }
    return try outcome.get()
  }

  /// The same for short work, on the calling thread.
  func wait<Result>(_ work: () -> Result) -> Result { queue.sync(execute: work) }
}
