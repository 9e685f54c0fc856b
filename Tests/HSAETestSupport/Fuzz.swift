// Shared by the fuzz suites: the number of damaged inputs, their seed, and the limit of memory.
// An input takes at most about 0.3 ms of one core, so that a million take about five minutes; keep it so.
// HSAE_FUZZ_ITERATIONS sets the number of inputs for each reader (default 10,000), HSAE_FUZZ_SEED the first
// seed.

import Foundation
import HSAESupport
import HSAETensors

/// A round of damaged inputs.
public struct Fuzz: Sendable {
  /// The number of inputs.
  public let iterations: Int
  private let firstSeed: UInt64
  /// Whether memory is checked: only in the long rounds, where no other suite runs at the same time.
  private let watchesMemory: Bool

  /// The round that the environment sets.
  public init() {
    let environment = ProcessInfo.processInfo.environment
    let asked = environment["HSAE_FUZZ_ITERATIONS"].flatMap { Int($0) }
    iterations = asked ?? 10_000
    firstSeed = environment["HSAE_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    watchesMemory = asked != nil
  }

  /// The most by which the peak of memory may grow, in bytes.
  public static let memoryBound = 512 << 20

  /// The most memory this process has had, in bytes.
  private var peakMemory: Int {
    var usage = rusage()
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// Calls `body` with damaged copies of `originals` in turn and their numbers. Returns by how many bytes the
  /// peak of memory grew, 0 if it is not checked.
  public func feed(
    _ originals: [[UInt8]], to body: (Int, [UInt8]) throws -> Void
  ) rethrows -> Int {
    let before = peakMemory
    for iteration in 0..<iterations {
      var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
      try body(iteration, mutated(originals[iteration % originals.count], by: &generator))
    }
    return watchesMemory ? peakMemory - before : 0
  }

  /// Calls `body` with the path of a new, empty folder, in memory where the system has such folders, and then removes it.
  public static func withFolder(_ body: (String) throws -> Void) throws {
    let memory = "/dev/shm"
    let isThere = Path.isDirectory(memory) && FileManager.default.isWritableFile(atPath: memory)
    try withTemporaryFolder(in: isThere ? memory : nil, body)
  }

  /// Puts `bytes` at `path` without waiting for the disk.
  public static func put(_ bytes: [UInt8], at path: String) throws {
    let file = try Descriptor(updating: path)
    // Some file systems wait for the disk when a file is emptied first and then rewritten.
    try unsafe file.write(bytes.span.bytes, at: 0)
    try file.truncate(to: bytes.count)
  }
}
