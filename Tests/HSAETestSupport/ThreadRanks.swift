// Several ranks as threads of one process, so that tests need no launcher. The calls are those of MPI, but
// memory is copied between threads.

import Foundation
public import HSAEDistribution
import HSAESupport
import Synchronization

/// Runs `body` on `count` ranks at once and returns their results in the order of ranks.
///
/// If a rank throws, the next call of the others fails as if it had died. The first failure that is not such
/// a consequence is thrown.
public func withRanks<Result>(
  _ count: Int, _ body: @escaping (any Communicator) throws -> Result
) throws -> [Result] {
  let room = Room(count)
  // Safe: each thread writes its own element, and all have ended before anything is read.
  nonisolated(unsafe) var results = [Swift.Result<Result, any Error>?](repeating: nil, count: count)
  let lock = NSLock()
  nonisolated(unsafe) let body = body
  let group = DispatchGroup()
  for rank in 0..<count {
    group.enter()
    let thread = Thread {
      let ranks = ThreadCommunicator(room, rank: rank)
      let result = Swift.Result { try unsafe body(ranks) }
      if case .failure = result { room.leave() }
      lock.withLock { unsafe results[rank] = result }
      group.leave()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }
  group.wait()
  let all = unsafe results.compactMap { $0 }
  let failures = all.compactMap { result -> (any Error)? in
    if case .failure(let error) = result { error } else { nil }
  }
  if let failure = failures.first(where: { ($0 as? Failure) != Room.gone }) ?? failures.first {
    throw failure
  }
  return try all.map { try $0.get() }
}

/// The meeting place of one group's ranks.
@safe
private final class Room: @unchecked Sendable {
  static let gone = Failure(.temporary, "Another rank has gone.")
  let size: Int
  // Safe: `condition` guards everything below; between two meetings ranks only read it.
  private let condition = NSCondition()
  private var waiting = 0
  private var round = 0
  private var isBroken = false
  fileprivate var sources: [UnsafeRawPointer?]
  fileprivate var outgoing: [[Range<Int>]]
  fileprivate var colors: [Int]
  private var parts: [Int: Room] = [:]
  private var all: [Room] = []

  init(_ size: Int) {
    self.size = size
    unsafe sources = [UnsafeRawPointer?](repeating: nil, count: size)
    outgoing = [[Range<Int>]](repeating: [], count: size)
    colors = [Int](repeating: 0, count: size)
  }

  /// Runs `post` and returns when every rank has called it; false if one has left for good.
  func meet(_ post: () -> Void = {}) -> Bool {
    condition.withLock {
      post()
      let own = round
      waiting += 1
      if waiting == size {
        waiting = 0
        round += 1
        condition.broadcast()
      }
      while round == own, !isBroken { condition.wait() }
      return !isBroken
    }
  }

  func leave() {
    condition.withLock {
      isBroken = true
      for room in all { room.leave() }
      condition.broadcast()
    }
  }

  func part(_ color: Int, size: Int) -> Room {
    condition.withLock {
      if let room = parts[color] { return room }
      let room = Room(size)
      parts[color] = room
      all.append(room)
      return room
    }
  }

  func forgetParts() { condition.withLock { parts = [:] } }
}

/// One rank in a room.
private final class ThreadCommunicator: Communicator {
  let rank: Int
  var size: Int { room.size }
  private(set) var bytesSent = 0
  private(set) var failure: Failure?
  private let room: Room

  init(_ room: Room, rank: Int) {
    self.room = room
    self.rank = rank
  }

  @unsafe
  func exchange(
    _ source: UnsafeRawPointer, _ outgoing: [Range<Int>], _ target: UnsafeMutableRawPointer,
    _ incoming: [Range<Int>]
  ) {
    guard failure == nil else { return }
    guard
      room.meet({
        unsafe room.sources[rank] = source
        room.outgoing[rank] = outgoing
      })
    else {
      failure = Room.gone
      return
    }
    for other in 0..<size {
      let piece = room.outgoing[other][rank]
      precondition(piece.count == incoming[other].count, "Ranks disagree about a piece's size.")
      if other != rank { bytesSent += outgoing[other].count }
      guard let from = unsafe room.sources[other], !piece.isEmpty else { continue }
      let to = unsafe target + incoming[other].lowerBound
      if unsafe UnsafeRawPointer(to) != from + piece.lowerBound {
        unsafe to.copyMemory(from: from + piece.lowerBound, byteCount: piece.count)
      }
    }
    if !room.meet() { failure = Room.gone }
  }

  func split(color: Int) -> any Communicator {
    guard room.meet({ room.colors[rank] = color }) else {
      failure = Room.gone
      return self
    }
    let own = (0..<size).filter { room.colors[$0] == color }
    let part = room.part(color, size: own.count)
    _ = room.meet()
    if rank == 0 { room.forgetParts() }
    _ = room.meet()
    return ThreadCommunicator(part, rank: own.firstIndex(of: rank) ?? 0)
  }
}
