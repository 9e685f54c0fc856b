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
  let dictionary: any Communicator
  /// Those that have the same experts and see other rows.
  let copies: any Communicator

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
  var isFirst: Bool { world.rank == 0 }
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

  /// What this process sends in a step of a run with `configuration`, where the rank that has most dead
  /// latents has `deadLatents`; nil: as many as count.
  public func traffic(
    of configuration: TrainingConfiguration, deadLatents: Int? = 0
  ) -> StepTraffic {
    StepTraffic(
      configuration, dictionaryRanks: dictionary.size, groups: copies.size, rank: world.rank,
      deadLatents: deadLatents)
  }

  /// Fails if anything has gone wrong between the ranks.
  func check() throws(Failure) {
    try world.check()
    try dictionary.check()
    try copies.check()
  }

  /// A signal that any rank has received, the same on all.
  func any(_ signal: Int32?) -> Int32? {
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
  func sameHost() -> Int {
    let own = ProcessInfo.processInfo.hostName
    return world.gathered(own).count { $0 == own }
  }

  /// What `configuration` has too few of for every rank to have a part.
  func complaint(_ configuration: TrainingConfiguration) -> (name: String, least: Int)? {
    if configuration.shape.experts < dictionary.size { return ("--experts", dictionary.size) }
    if configuration.batch < copies.size { return ("--batch", copies.size) }
    return nil
  }

  /// Fails unless all ranks are to train with the same settings on the same data.
  func requireAlike(_ configurations: [TrainingConfiguration]) throws(Failure) {
    guard world.size > 1 else { return }
    try world.requireAlike("\(configurations.count)") { rank, own, first in
      .usage(
        "Rank \(rank) was given \(own) runs and rank 0 \(first); give all the same --also.")
    }
    let data = configurations.map { "\($0.data.fingerprint) \($0.data.rows) \($0.data.width)" }
    let path = configurations.first?.data.path ?? ""
    let paths = world.gathered(path)
    try world.requireAlike(data.joined(separator: "\n")) { rank, _, _ in
      .data(
        "\(paths[rank]): the data of rank \(rank) are not those of rank 0 (\(paths[0])); give all"
          + " ranks the same.")
    }
    var text = ""
    for var configuration in configurations {
      // Each machine may have its own copy, anywhere.
      configuration.data.path = ""
      text += try JSONFile.encode(configuration)
    }
    try world.requireAlike(text) { rank, own, first in
      let lines = (own.split(separator: "\n"), first.split(separator: "\n"))
      let place = zip(lines.0, lines.1).first { $0.0 != $0.1 }
      func trimmed(_ line: Substring?) -> String {
        (line ?? "").trimmingCharacters(in: [" ", ","]).replacing("\" : ", with: "\": ")
      }
      return .usage(
        "Rank \(rank) was given other settings than rank 0 (\(trimmed(place?.0)), not"
          + " \(trimmed(place?.1))); give all the same options, and the same kind of machine.")
    }
  }

  /// Fails unless the ranks of each group have read the same rows as batch `index`, of which this one's mark is
  /// `mark`. Fingerprints are of samples, so other data can have the same.
  func requireSameRows(
    _ mark: UInt64, batch index: Int, of source: any RowSource
  ) throws(Failure) {
    guard dictionary.size > 1 else { return }
    try world.requireAlike(mark, inGroupsOf: dictionary.size) { rank, first in
      let paths = world.gathered(source.path)
      return .data(
        "\(paths[rank]): in step \(index + 1) rank \(rank) has read other rows than rank \(first)"
          + " (\(paths[first])); give all ranks the same data.")
    }
  }

  /// The failure of rank `rank` where it does not see `folder`, which rank 0 made.
  static func unshared(_ folder: String, rank: Int) -> Failure {
    Failure(
      .cannotCreate,
      "\(folder): rank \(rank) does not see this folder, which rank 0 made; the run must be"
        + " in a folder that all machines share.")
  }

  /// The folder of the newest checkpoint of `run` whose files are whole, as rank 0 finds it.
  func newestWholeCheckpoint(
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
