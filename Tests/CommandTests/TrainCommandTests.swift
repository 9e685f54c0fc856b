// hsae train as a user runs it: what it prints, that no instruction set changes what is learned, and
// one trainer at a time.

import Glibc
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct TrainCommandTests {
  @Test func aRunSaysWhatItDid() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let plain = try runHSAE(fixture.training("plain", ["--steps", "5"]))
      #expect(plain.code == 0)
      #expect(plain.errors.isEmpty, "\(plain.errors)")
      #expect(plain.output.contains("step 5 of 5") && plain.output.contains("loss"))
      let json = try runHSAE(fixture.training("json", ["--steps", "5", "--json"]))
      let tree = try JSONValue(parsing: Array(json.output.utf8), source: "output")
      #expect(tree["run"]?.string == fixture.path("json"))
      #expect(tree["last"]?["step"]?.integer == 5)
      #expect(fixture.weights("plain") == fixture.weights("json"))
      #expect(fixture.checkpoints("plain") == [5])
    }
  }

  /// A run by a relative path can be resumed from another folder.
  @Test func pathsMayBeRelative() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let arguments = ["train", "rows.npy", "--out", "run", "--steps", "4"] + CommandFixture.small
      #expect(try runHSAE(arguments, currentFolder: folder).code == 0)
      #expect(try runHSAE(fixture.resuming("run"), currentFolder: "/").code == 0)
    }
  }

  @Test func instructionSetsLearnTheSame() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      var losses: [Double] = []
      for name in ["generic", "avx2", "avx512", "unknown"] {
        let result = try runHSAE(
          fixture.training(name, ["--steps", "40", "--precision", "float32", "--json"]),
          environment: ["HSAE_ISA": name])
        #expect(result.code == 0)
        let tree = try JSONValue(parsing: Array(result.output.utf8), source: name)
        losses.append(tree["last"]?["loss"]?.number ?? .nan)
      }
      #expect(losses.allSatisfy { abs($0 - losses[0]) < 1e-3 * losses[0] }, "\(losses)")
    }
  }

  @Test func aSecondTrainerIsRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let first = try RunningCommand(hsaeExecutable, fixture.training("run", ["--steps", "1M"]))
      #expect(first.waits { fixture.hasRecord("run") })
      let second = try runHSAE(fixture.resuming("run"))
      expectRefusal(second, 73, ["in use by process"])
      expectRefusal(try runHSAE(fixture.training("run", ["--steps", "1M"])), 73, ["run"])
      #expect(first.isRunning)
      first.send(SIGKILL)
      #expect(first.result().signal == SIGKILL)
    }
  }
}
