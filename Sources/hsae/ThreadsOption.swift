// The option --threads, the same in every command that computes.

import ArgumentParser
import HSAETensors

struct ThreadsOption: ParsableArguments {
  @Option(help: "Threads (default: all processors). The result does not depend on it.")
  var threads: Int?

  /// The number of threads to use.
  var count: Int { threads ?? processorCount }

  func validate() throws {
    if let threads, !(1...4096).contains(threads) {
      throw ValidationError("--threads must be between 1 and 4096.")
    }
  }
}
