// The processes a run is trained by: all of them, and how they are divided.

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
  /// Those that share the dictionary with this one and see the same rows.
  package let dictionary: any Communicator
  /// Those that have the same experts and see other rows.
  package let copies: any Communicator

  /// This process alone.
  public init() {
    world = SingleProcess()
    dictionary = world
    copies = world
  }

  /// The processes of `world`, each of which owns one of `dictionaryRanks` parts of the dictionary; nil:
  /// as many parts as processes.
  ///
  /// Fails with `.usage` if the processes are no multiple of the parts.
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

  /// Whether this process speaks for all.
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

  /// Fails if anything has gone wrong between the ranks.
  package func check() throws(Failure) {
    try world.check()
    try dictionary.check()
    try copies.check()
  }

  /// A signal that any rank has received, the same on all.
  package func any(_ signal: Int32?) -> Int32? {
    let number = world.max(signal ?? 0)
    return number == 0 ? nil : number
  }

  /// How many threads this process should use: all processors it may, or its part of them where it shares
  /// them with others of this machine that the launcher did not bind to processors of their own.
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

  /// The failure of rank `rank` where it does not see `folder`, which rank 0 made.
  package static func unshared(_ folder: String, rank: Int) -> Failure {
    Failure(
      .cannotCreate,
      "\(folder): rank \(rank) does not see this folder, which rank 0 made; the run must be"
        + " in a folder that all machines share.")
  }

  /// The folder of the newest checkpoint of `run` whose files are whole, as rank 0 finds it.
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
