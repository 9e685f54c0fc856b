// A disk that fills up during a run: exit 74 with one sentence, and the run continues when there is space. Uses a
// small file system in memory if it can be mounted, and a limit on file sizes everywhere.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite(.serialized) struct FullDiskTests {
  @Test func aRunGoesOnWhenThereIsSpaceAgain() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "20", "--checkpoint-every", "2", "--record-every", "1"]
      #expect(try runHSAE(fixture.training("whole", options)).code == 0)
      _ = try withSmallDisk("256k") { disk, resize in
        let run = Path.join(disk, "run")
        let begin = ["train", fixture.data, "--out", run] + CommandFixture.small + options
        expectRefusal(try runHSAE(begin), 74, [run, "no space"])
        let small = CommandFixture(folder: disk)
        #expect(!small.checkpoints("run").isEmpty && small.checkpoints("run") != [18, 20])
        #expect(small.partialNames("run").isEmpty)
        // Still full: another error, and nothing is lost.
        let before = small.weights("run")
        expectRefusal(try runHSAE(["train", "--resume", "--out", run]), 74, ["no space"])
        #expect(small.weights("run") == before)
        #expect(try resize("16m"))
        let result = try runHSAE(["train", "--resume", "--out", run])
        #expect(result.code == 0 && result.complaints.isEmpty, "\(result.errors)")
        #expect(small.weights("run") == fixture.weights("whole"))
        #expect(
          try records(run + "/metrics.jsonl") == records(fixture.path("whole/metrics.jsonl")))
      }
    }
  }

  /// A disk that is full from the start.
  @Test func afterAFullDiskTheSameCommandWorks() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      _ = try withSmallDisk("64k") { disk, _ in
        let (filler, run) = (Path.join(disk, "filler"), Path.join(disk, "run"))
        _ = failure {
          let file = try Descriptor(updating: filler)
          for place in 0..<20 {
            try unsafe file.write([UInt8](repeating: 1, count: 4096).span.bytes, at: place * 4096)
          }
        }
        let begin =
          ["train", fixture.data, "--out", run, "--steps", "1"] + [
            "--experts", "4", "--sublatents", "0", "--k", "1", "--batch", "8",
          ]
        expectRefusal(try runHSAE(begin), 74, ["no space"])
        Path.removeAll(filler)
        let result = try runHSAE(begin)
        #expect(result.code == 0, "\(result.errors)")
      }
    }
  }

  @Test func aFileSizeLimitIsReportedAsAWriteError() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "6", "--checkpoint-every", "3"]
      #expect(try runHSAE(fixture.training("whole", options)).code == 0)
      // 40 KiB: enough for the weights, but not for the optimizer's state.
      let result = try RunningCommand(
        "/bin/sh",
        ["-c", "ulimit -f 80; exec \"$0\" \"$@\"", hsaeExecutable]
          + fixture.training("run", options)
      ).result()
      expectRefusal(result, 74, [fixture.path("run"), "larger"])
      #expect(fixture.checkpoints("run").isEmpty && fixture.partialNames("run").isEmpty)
      #expect(try runHSAE(fixture.resuming("run")).code == 0)
      #expect(fixture.weights("run") == fixture.weights("whole"))
    }
  }

  /// The steps and losses in a log.
  private func records(_ path: String) throws -> [[Double?]] {
    try fileBytes(path).split(separator: UInt8(ascii: "\n")).map {
      let record = try JSONValue(parsing: Array($0), source: path)
      return [record["step"]?.number, record["loss"]?.number, record["gradientNorm"]?.number]
    }
  }
}

extension CommandFixture {
  /// A fixture whose runs are in `folder`, without data of its own.
  init(folder: String) { self.folder = folder }
}

/// Calls `body` with a folder on a new file system of `size`, and a function that changes the size. Returns
/// false if no file system can be mounted here.
func withSmallDisk(
  _ size: String, _ body: (_ folder: String, _ resize: (String) throws -> Bool) throws -> Void
) throws -> Bool {
  try withTemporaryFolder { folder in
    func mount(_ options: String) throws -> Bool {
      guard Path.exists("/bin/mount") else { return false }
      return try RunningCommand("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder])
        .result().code == 0
    }
    guard getuid() == 0, try mount("size=\(size)") else { return false }
    defer { _ = try? RunningCommand("/bin/umount", ["-l", folder]).result() }
    try body(folder) { try mount("remount,size=\($0)") }
    return true
  }
}
