// What the fuzz suites share: how many damaged inputs, from which seed, and how much memory they may
// take. HSAE_FUZZ_ITERATIONS sets the number of inputs for each reader (default 10,000),
// HSAE_FUZZ_SEED the first seed.

import Foundation
import HSAESupport
import HSAETensors

/// A round of damaged inputs.
public struct Fuzz: Sendable {
  /// The number of inputs.
  public let iterations: Int
  private let firstSeed: UInt64
  /// Memory says something only where no other suite runs beside this one, as in the long rounds.
  private let watchesMemory: Bool

  /// The round that the environment asks for.
  public init() {
    let environment = ProcessInfo.processInfo.environment
    let asked = environment["HSAE_FUZZ_ITERATIONS"].flatMap { Int($0) }
    iterations = asked ?? 10_000
    firstSeed = environment["HSAE_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    watchesMemory = asked != nil
  }

  /// What the peak of memory may grow by, in bytes.
  public static let memoryBound = 512 << 20

  /// The most memory this process has had, in bytes.
  private var peakMemory: Int {
    var usage = rusage()
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// Gives `body` damaged copies of `originals` in turn, each with its number; by how many bytes the
  /// peak of memory grew (0 where it is not watched).
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

  /// Puts `bytes` at `path` without waiting for the disk.
  public static func put(_ bytes: [UInt8], at path: String) throws {
    let file = try Descriptor(updating: path)
    // In this order: some file systems wait for the disk after a file was emptied and rewritten.
    try unsafe file.write(bytes.span.bytes, at: 0)
    try file.truncate(to: bytes.count)
  }
}
