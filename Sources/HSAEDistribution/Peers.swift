// Finds out which of the processes started together have died. When one dies, the launcher ends the others
// with a signal that gives no reason; processes on the same machine can look.

internal import Foundation
public import HSAESupport

/// The processes that were started together, by number and machine.
public struct Peers: Sendable {
  private let rank: Int
  /// The place of each process, beginning with the machine's name, and its number there.
  private let all: [(host: String, process: Int32)]

  /// The processes of `world`. All ranks make this call.
  public init(_ world: any Communicator) throws(Failure) {
    // A container may have its own numbers for processes, so that those outside cannot be looked up.
    let host = ProcessInfo.processInfo.hostName
    let hosts = world.gathered("\(host) \(CurrentProcess.numbering ?? "")")
    let processes = world.gathered([CurrentProcess.id]).map { $0[0] }
    try world.check()
    self.init(rank: world.rank, all: Array(zip(hosts, processes)))
  }

  init(rank: Int, all: [(host: String, process: Int32)]) {
    (self.rank, self.all) = (rank, all)
  }

  private var host: String { all[rank].host }

  /// Whether a process of this machine has died. Then the others should end, or they would wait forever.
  public var oneHasDied: Bool { !dead.isEmpty }

  /// The processes of this machine, and the dead ones among them.
  private var here: [Int] { all.indices.filter { all[$0].host == host } }
  private var dead: [Int] { here.filter { !CurrentProcess.isRunning(all[$0].process) } }

  /// Calls `say` with the result of `obituary`, if there is one, and ends the process as `signal` does.
  ///
  /// It waits a second before it ends: meanwhile the others look which process died, and must not find this
  /// one dead.
  public func leave(_ signal: Int32, _ say: (String) -> Void) -> Never {
    if let obituary = obituary() { say(obituary) }
    Thread.sleep(forTimeInterval: 1)
    // Other threads are still working, so the process must not clean up.
    CurrentProcess.endAtOnce(128 + signal)
  }

  /// A sentence about the first process of this machine that has died; nil if none has, or if a live process
  /// of lower rank prints it.
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
