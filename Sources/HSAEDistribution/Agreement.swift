// Turns a failure of one rank into a failure of all. Ranks do work that can fail (reading, writing, memory)
// in `agree`; after it, either all continue or all throw the same failure. So no rank waits for one that has
// ended, and one rank's message is enough for the user.

public import HSAESupport
internal import Synchronization

extension Communicator {
  /// Runs `body` on every rank. If it fails on some, all throw the failure of the first of these.
  public func agree<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    guard size > 1 else { return try body() }
    let outcome: Swift.Result<Result, Failure>
    do throws(Failure) { outcome = .success(try body()) } catch { outcome = .failure(error) }
    var own: [Int32] = [0]
    if case .failure(let failure) = outcome { own = [failure.kind.rawValue] }
    let codes = gathered(own).map { $0[0] }
    try check()
    guard let first = codes.firstIndex(where: { $0 != 0 }) else { return try outcome.get() }
    var message = ""
    if first == rank, case .failure(let failure) = outcome { message = failure.message }
    let text = gathered(message)[first]
    try check()
    let place = codes.allSatisfy { $0 == codes[0] } ? "" : "rank \(first) of \(size): "
    throw AgreedFailures.note(
      Failure(Failure.Kind(rawValue: codes[first]) ?? .software, place + text))
  }

  /// Fails unless `value` is the same on all ranks. `complaint` makes the failure for the first rank whose
  /// value differs from rank 0's.
  public func requireAlike(
    _ value: String, _ complaint: (_ rank: Int, _ own: String, _ first: String) -> Failure
  ) throws(Failure) {
    let all = gathered(value)
    try check()
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    throw AgreedFailures.note(complaint(other, all[other], all[0]))
  }

  /// Fails unless `value` is the same on all ranks of each group of `size` consecutive ranks. All ranks call
  /// `complaint`, which makes the failure for the first rank whose value differs from that of its group's
  /// first rank.
  public func requireAlike(
    _ value: UInt64, inGroupsOf size: Int, _ complaint: (_ rank: Int, _ first: Int) -> Failure
  ) throws(Failure) {
    let all = gathered([value]).map { $0[0] }
    try check()
    guard let other = all.indices.first(where: { all[$0] != all[$0 / size * size] }) else { return }
    throw AgreedFailures.note(complaint(other, other / size * size))
  }

  /// Runs `body` on rank 0 alone; if it fails there, all throw its failure.
  public func onFirst(_ body: () throws(Failure) -> Void) throws(Failure) {
    try agree { () throws(Failure) in if rank == 0 { try body() } }
  }
}

/// Failures that all ranks have thrown, so that only the first rank needs to print them.
public enum AgreedFailures {
  private static let noted = Mutex<Set<Failure>>([])

  static func note(_ failure: Failure) -> Failure {
    noted.withLock { _ = $0.insert(failure) }
    return failure
  }

  /// Whether all ranks have thrown `failure`.
  public static func contains(_ failure: Failure) -> Bool {
    noted.withLock { $0.contains(failure) }
  }
}
