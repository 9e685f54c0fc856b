// How much memory this process may use: the machine's memory, or less if its control groups (containers,
// batch systems) or resource limits allow less.

import FoundationEssentials
import Glibc

/// The memory this process may use, in bytes.
public struct MachineMemory: Hashable, Sendable {
  /// The most this process could ever have; infinite if nothing is known.
  public var limit = Double.infinity
  /// What sets the limit: "this machine has", "the control group allows", "ulimit -v allows".
  public var source = "this machine has"
  /// What is free now or can be freed.
  public var available = Double.infinity

  /// The memory at this moment.
  public static var current: MachineMemory {
    var memory = MachineMemory(root: "/")
    var limit = rlimit()
    // Safe: the system writes to the variable during the call.
    if unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 {
      memory.lower(to: Double(limit.rlim_cur), "ulimit -v allows")
    }
    return memory
  }

  /// Memory with a limit, all of it free.
  public init(limit: Double, source: String) {
    (self.limit, self.source, available) = (limit, source, limit)
  }

  /// Reads the files below `root` ("/" for a real machine): proc/meminfo, proc/self/cgroup and the groups
  /// below sys/fs/cgroup. Each group may allow less than the one above it.
  init(root: String) {
    let numbers = Self.pairs(Path.join(root, "proc/meminfo"))
    if let total = numbers["MemTotal:"] { lower(to: total * 1024, "this machine has") }
    if let free = numbers["MemAvailable:"] { available = free * 1024 }
    for line in Self.lines(Path.join(root, "proc/self/cgroup")) {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[1].isEmpty {  // version 2: one tree
        visit(
          Path.join(root, "sys/fs/cgroup"), String(fields[2]), limit: "memory.max",
          usage: "memory.current", cache: "inactive_file")
      } else if fields[1].split(separator: ",").contains("memory") {
        visit(
          Path.join(root, "sys/fs/cgroup/memory"), String(fields[2]),
          limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes",
          cache: "total_inactive_file")
      }
    }
  }

  /// Applies the limits of the group `path` below `top` and of the groups above it. Inside a container the
  /// path may be the host's, and only `top` exists.
  private mutating func visit(
    _ top: String, _ path: String, limit: String, usage: String, cache: String
  ) {
    var folder = top
    for part in [""] + path.split(separator: "/").map(String.init) {
      if !part.isEmpty { folder = Path.join(folder, part) }
      guard let most = Self.number(Path.join(folder, limit)) else { continue }
      lower(to: most, "the control group allows")
      if let used = Self.number(Path.join(folder, usage)) {
        let pages = Self.pairs(Path.join(folder, "memory.stat"))[cache] ?? 0
        available = min(available, max(0, most - used + pages))
      }
    }
  }

  private mutating func lower(to bytes: Double, _ source: String) {
    if bytes < limit { (limit, self.source) = (bytes, source) }
    available = min(available, limit)
  }

  private static func lines(_ path: String) -> [Substring] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    return String(decoding: data, as: UTF8.self).split(separator: "\n")
  }

  private static func number(_ path: String) -> Double? { lines(path).first.flatMap { Double($0) } }

  /// The first two words of each line, the second a number.
  private static func pairs(_ path: String) -> [String: Double] {
    var result: [String: Double] = [:]
    for line in lines(path) {
      let words = line.split(separator: " ")
      if words.count >= 2, let number = Double(words[1]) { result[String(words[0])] = number }
    }
    return result
  }

  /// `bytes` for people: "5.9 GiB", "340 MiB".
  public static func text(_ bytes: Double) -> String {
    let mebibytes = max(0, min(bytes, 1e30)) / 0x1p20
    guard mebibytes >= 1000 else { return "\(Int(mebibytes.rounded(.up))) MiB" }
    return "\((mebibytes / 102.4).rounded() / 10) GiB"
  }
}
