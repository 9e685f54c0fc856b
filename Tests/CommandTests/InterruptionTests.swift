// Ctrl-C, SIGTERM and kill -9 at any moment: trained steps are kept, and a resumed run has the same bits as an
// uninterrupted one.

import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

/// HSAE_SOAK=1 runs the long form of these tests.
private let isSoak = ProcessInfo.processInfo.environment["HSAE_SOAK"] == "1"

@Suite(.serialized) struct InterruptionTests {
  @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func aSignalStopsAfterACheckpoint(_ signal: Int32, _ code: Int32) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "2500", "--record-every", "1"]
      #expect(try runHSAE(fixture.training("whole", options)).code == 0)

      let first = try RunningCommand(hsaeExecutable, fixture.training("run", options))
      #expect(first.waits { fixture.hasRecord("run") })
      first.send(signal)
      let result = first.result()
      #expect(result.code == code, "\(result.errors)")
      #expect(result.errors.contains("stopping after a checkpoint"))
      let steps = fixture.checkpoints("run")
      #expect(steps.count == 1 && steps[0] < 2500, "\(steps)")
      #expect(result.output.contains("step \(steps.first ?? 0) of 2500"))
      #expect(fixture.partialNames("run").isEmpty)

      let second = try runHSAE(fixture.resuming("run"))
      #expect(second.code == 0)
      #expect(second.complaints.isEmpty, "\(second.errors)")
      #expect(fixture.weights("run") == fixture.weights("whole"))
    }
  }

  /// `timeout -s INT` signals the process and then its group; a shell may do the same.
  @Test func signalsInQuickSuccessionCountOnce() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let run = try RunningCommand(
        hsaeExecutable, fixture.training("run", ["--steps", "100000", "--record-every", "1"]))
      #expect(run.waits { fixture.hasRecord("run") })
      // The kernel may deliver different signals in any order.
      for signal in [SIGINT, SIGINT, SIGINT] {
        run.send(signal)
        usleep(2_000)
      }
      let result = run.result()
      #expect(result.code == 130, "\(result.errors)")
      #expect(fixture.checkpoints("run").count == 1)
    }
  }

  /// oneDNN's fp32 kernels crash if a signal handler runs on their stack, so none may run there.
  @Test func signalsDoNotDisturbProductsInFloat32() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "100000", "--precision", "float32", "--record-every", "1"]
      for moment in 0..<(isSoak ? 20 : 3) {
        let name = "run\(moment)"
        let run = try RunningCommand(hsaeExecutable, fixture.training(name, options))
        #expect(run.waits { fixture.hasRecord(name) })
        usleep(UInt32(moment * 7_919 % 50_000))
        run.send(moment % 2 == 0 ? SIGINT : SIGTERM)
        let result = run.result()
        #expect(result.code == (moment % 2 == 0 ? 130 : 143), "\(result.errors)")
      }
    }
  }

  @Test func killedAtRandomMoments() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let steps = isSoak ? 400 : 80
      let options = ["--steps", "\(steps)", "--checkpoint-every", "1", "--record-every", "3"]
      #expect(try runHSAE(fixture.training("whole", options)).code == 0)
      let seed = UInt64.random(in: 0 ... .max)
      var generator = SeededGenerator(seed: seed)
      let kills = isSoak ? 20 : 3
      var isBegun = false
      for kill in 0..<kills {
        // A trainer may have been killed before it wrote config.json.
        isBegun = Path.exists(fixture.path("run/config.json"))
        let command = try RunningCommand(
          hsaeExecutable, isBegun ? fixture.resuming("run") : fixture.training("run", options))
        let target = steps * kill / kills + Int(generator.next() % UInt64(steps / kills))
        _ = command.waits { (fixture.checkpoints("run").last ?? 0) >= target }
        usleep(UInt32(generator.next() % 30_000))
        command.send(SIGKILL)
        let result = command.result()
        #expect(result.signal == SIGKILL || result.code == 0, "\(result.errors)")
      }
      let last = try runHSAE(
        isBegun ? fixture.resuming("run") : fixture.training("run", options))
      #expect(last.code == 0, "seed \(seed): \(last.errors)")
      #expect(fixture.weights("run") == fixture.weights("whole"), "seed \(seed)")
      #expect(fixture.checkpoints("run") == [steps - 1, steps])
      #expect(fixture.partialNames("run").isEmpty)
    }
  }

  @Test func killedWhileACheckpointIsWritten() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "30", "--checkpoint-every", "1"]
      #expect(try runHSAE(fixture.training("whole", options)).code == 0)
      var isCaught = 0
      for attempt in 0..<(isSoak ? 20 : 3) {
        let command = try RunningCommand(
          hsaeExecutable,
          attempt == 0 ? fixture.training("run", options) : fixture.resuming("run"))
        let before = fixture.checkpoints("run").last ?? 0
        _ = command.waits {
          (fixture.checkpoints("run").last ?? 0) > before && !fixture.partialNames("run").isEmpty
        }
        command.send(SIGKILL)
        _ = command.result()
        isCaught += fixture.partialNames("run").isEmpty ? 0 : 1
      }
      #expect(isCaught > 0, "no kill met a checkpoint that was being written")
      let last = try runHSAE(fixture.resuming("run"))
      #expect(last.code == 0 && last.complaints.isEmpty, "\(last.errors)")
      #expect(fixture.weights("run") == fixture.weights("whole"))
      #expect(fixture.partialNames("run").isEmpty)
    }
  }
}
