// Which of the processes started together are still there. When one dies, the launcher ends the others with a
// signal that does not say why; those on the same machine can look.

internal import Foundation
public import HSAESupport

/// The processes that were started together, by number and machine.
public struct Peers: Sendable {
  private let rank: Int
  /// Where each is, the name of the machine first, and its number there.
  private let all: [(host: String, process: Int32)]

  /// The processes of `world`. All ranks make this call.
  public init(_ world: any Communicator) throws(Failure) {
    // In a container with numbers of its own for processes, others cannot be looked up.
    let host = ProcessInfo.processInfo.hostName
    let hosts = world.gathered("\(host) \(CurrentProcess.numbering ?? "")")
    let processes = world.gathered([CurrentProcess.id]).map { $0[0] }
    try world.check()
    self.init(rank: world.rank, all: Array(zip(hosts, processes)))
  }

  init(rank: Int, all: [(host: String, process: Int32)]) {
    (self.rank, self.all) = (rank, all)
  }

  /// Where this one is.
  private var host: String { all[rank].host }

  /// Whether a process of this machine has died; then the others can only wait for it, and should leave.
  public var oneHasDied: Bool { !dead.isEmpty }

  /// The processes of this machine, and those of them that have died.
  private var here: [Int] { all.indices.filter { all[$0].host == host } }
  private var dead: [Int] { here.filter { !CurrentProcess.isRunning(all[$0].process) } }

  /// Ends this process as `signal` does, after `say` has got the obituary, if there is one to be said here.
  ///
  /// A second passes first, in which the others that were told to stop can look who is dead, and do not see one
  /// that has just left.
  public func leave(_ signal: Int32, _ say: (String) -> Void) -> Never {
    if let obituary = obituary() { say(obituary) }
    Thread.sleep(forTimeInterval: 1)
    // Not `exit`: other threads are at work.
    CurrentProcess.endAtOnce(128 + signal)
  }

  /// A sentence about the first process of this machine that has died; nil where none has, or another that is
  /// still here, of a lower rank, says it.
  public func obituary() -> String? {
    let dead = dead
    guard let first = dead.first, here.first(where: { !dead.contains($0) }) == rank else {
      return nil
    }
    let process = all[first].process
    let machine = host.prefix { $0 != " " }
    return "Rank \(first) of \(all.count) (process \(process) on \(machine)) has died, so all stop"
  }
}
