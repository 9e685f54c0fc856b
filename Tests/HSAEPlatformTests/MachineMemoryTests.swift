// The machine's memory, read from Linux's files.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEPlatform

@Suite struct MachineMemoryTests {
  private static let machine = "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"

  /// The memory a machine with these files has.
  private func memory(_ files: [String: String]) throws -> MachineMemory {
    try withTemporaryFolder { folder in
      for (name, text) in files {
        let path = Path.join(folder, name)
        try Path.createDirectories(Path.parent(path))
        try DurableFile.write(text, to: path)
      }
      return MachineMemory(root: folder)
    }
  }

  @Test func controlGroupsLimitMemory() throws {
    #expect(try memory([:]).limit == .infinity && memory([:]).available == .infinity)
    let plain = try memory(["proc/meminfo": Self.machine])
    #expect(plain.limit == 0x1p34 && plain.available == 0x1p33 && plain.source.contains("machine"))

    // Version 2: the group above allows less than the process's own; cache can be freed.
    let two = try memory([
      "proc/meminfo": Self.machine, "proc/self/cgroup": "0::/jobs/mine\n",
      "sys/fs/cgroup/jobs/memory.max": "4294967296\n",
      "sys/fs/cgroup/jobs/memory.current": "2147483648\n",
      "sys/fs/cgroup/jobs/memory.stat": "anon 5\ninactive_file 1073741824\n",
      "sys/fs/cgroup/jobs/mine/memory.max": "max\n",
    ])
    #expect(two.limit == 0x1p32 && two.source.contains("control group"))
    #expect(two.available == 0x1p31 + 0x1p30)

    // In a container the limit is at the top, whatever the group's path on the host.
    let container = try memory([
      "proc/meminfo": Self.machine, "proc/self/cgroup": "0::/host/path\n",
      "sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/memory.current": "2147483648\n",
    ])
    #expect(container.limit == 0x1p30 && container.available == 0)

    // Version 1, where "no limit" is a number of 63 bits.
    let one = try memory([
      "proc/meminfo": Self.machine, "proc/self/cgroup": "5:cpu:/x\n4:memory:/job\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2147483648\n",
    ])
    #expect(one.limit == 0x1p31 && one.available == 0x1p31)
  }

  @Test func thisMachineHasMemory() {
    let memory = MachineMemory.current
    #expect(memory.limit > 0x1p28 && memory.available > 0 && memory.available <= memory.limit)
  }

  @Test(
    arguments: [
      (0, "0 MiB"), (1, "1 MiB"), (0x1p20 * 340, "340 MiB"), (0x1p30, "1.0 GiB"),
      (5.86 * 0x1p30, "5.9 GiB"),
    ] as [(Double, String)])
  func bytesForPeople(_ bytes: Double, _ text: String) {
    #expect(MachineMemory.text(bytes) == text)
  }
}
