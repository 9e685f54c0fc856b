// The processes that train a run together, and how they are divided into groups.

internal import Foundation
internal import HSAEActivations
public import HSAEDistribution
internal import HSAEModels
public import HSAESupport
internal import HSAETensors

/// The processes that train one run.
public struct Ranks {
  /// All processes.
  public let world: any Communicator
  /// The processes that share the dictionary with this one and see the same rows.
  package let dictionary: any Communicator
  /// The processes that have the same experts and see other rows.
  package let copies: any Communicator

  /// This process alone.
  public init() {
    world = SingleProcess()
    dictionary = world
    copies = world
  }

  /// The processes of `world`. Each owns one of `dictionaryRanks` parts of the dictionary; nil means as many
  /// parts as processes.
  ///
  /// Fails with `.usage` if the number of processes is not a multiple of the number of parts.
  public init(_ world: any Communicator, dictionaryRanks: Int? = nil) throws(Failure) {
    let parts = dictionaryRanks ?? world.size
    try world.agree { () throws(Failure) in
      guard parts >= 1 else { throw .usage("--dictionary-ranks must be at least 1.") }
      guard world.size % parts == 0 else {
        let there = world.size == 1 ? "there is 1 process" : "there are \(world.size) processes"
        throw .usage("--dictionary-ranks \(parts): \(there); start a multiple of \(parts).")
      }
    }
    self.world = world
    dictionary = parts == world.size ? world : world.split(color: world.rank / parts)
    copies = parts == world.size ? SingleProcess() : world.split(color: world.rank % parts)
    try world.check()
  }

  /// Whether this process acts for all, as rank 0.
  package var isFirst: Bool { world.rank == 0 }
}

extension Ranks {
  /// Bytes this process has sent to others so far.
  public var bytesSent: Int { communicators.reduce(0) { $0 + $1.bytesSent } }

  /// Seconds this process has spent sending, receiving and waiting for others so far.
  public var secondsExchanging: Double { communicators.reduce(0) { $0 + $1.secondsExchanging } }

  private var communicators: [any Communicator] {
    var seen: Set<ObjectIdentifier> = []
    return [world, dictionary, copies].filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  /// Fails if the communication between the ranks has failed.
  package func check() throws(Failure) {
    for ranks in [world, dictionary, copies] { try ranks.check() }
  }

  /// A signal that any rank has received; the same on all ranks.
  package func any(_ signal: Int32?) -> Int32? {
    let number = world.max(signal ?? 0)
    return number == 0 ? nil : number
  }

  /// How many threads this process should use. If the launcher bound it to some processors, it uses those;
  /// otherwise it shares the processors evenly with the other ranks on this machine.
  public func defaultThreads() -> Int {
    let here = sameHost()
    let isBound = processorCount < ProcessInfo.processInfo.activeProcessorCount
    return isBound ? processorCount : max(1, processorCount / here)
  }

  /// How many ranks are on this machine.
  package func sameHost() -> Int {
    let own = ProcessInfo.processInfo.hostName
    return world.gathered(own).count { $0 == own }
  }

  /// The failure to throw if rank `rank` does not see `folder`, which rank 0 made.
  package static func unshared(_ folder: String, rank: Int) -> Failure {
    Failure(
      .cannotCreate,
      "\(folder): rank \(rank) does not see this folder, which rank 0 made; the run must be"
        + " in a folder that all machines share.")
  }

  /// Waits until this rank sees the run at `path`, which rank 0 sees: a folder on a network may need a moment. Fails if
  /// it does not appear.
  package func waitForRun(at path: String) throws(Failure) {
    let file = RunDirectory.configurationFile(path)
    for _ in 0..<100 where world.size > 1 && !Path.exists(file) { pause(.milliseconds(100)) }
    guard Path.exists(file) else { throw Self.unshared(path, rank: world.rank) }
  }

  /// The folder of the newest checkpoint of `run` whose files are whole, as rank 0 finds it; nil if there is
  /// none.
  package func newestWholeCheckpoint(
    of run: RunDirectory, warn: (String) -> Void
  ) throws(Failure) -> String? {
    var step = -1
    try world.onFirst { () throws(Failure) in
      step = try run.newestWholeCheckpoint(warn: warn)?.state.step ?? -1
    }
    step = world.gathered([step])[0][0]
    return step < 0 ? nil : run.checkpoint(step: step)
  }
}
