// hsae train as a user runs it: what it prints, that the instruction set does not change the result, and that a run
// has one trainer at a time.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct TrainCommandTests {
  @Test func aRunSaysWhatItDid() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let plain = try runHSAE(fixture.training("plain", ["--steps", "5"]))
      #expect(plain.code == 0)
      #expect(plain.complaints.isEmpty, "\(plain.errors)")
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

  /// A run on one tensor of several, named in a configuration file, resumes on the same tensor.
  @Test func theTensorIsRemembered() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let file = fixture.path("rows.safetensors")
      var writer = try SafetensorsWriter(
        path: file, tensors: ["first", "second"].map { .init($0, shape: [200, 20]) })
      for prime in [7, 11] {
        let numbers = (0..<4000).map { Float(($0 * prime) % 23) - 11 }
        try writer.append(prime == 7 ? "first" : "second", numbers)
      }
      _ = try writer.finish()
      let config = fixture.path("options.json")
      try DurableFile.write(#"{"tensor": "second", "threads": 1, "steps": 4}"#, to: config)
      let begun = try runHSAE(
        ["train", file, "--out", fixture.path("run"), "--config", config] + CommandFixture.small)
      #expect(begun.code == 0, "\(begun.errors)")
      let resolved = try JSONFile.readTree(from: fixture.path("run/config.json"))
      #expect(resolved["data"]?["tensor"]?.string == "second")
      let resumed = try runHSAE(fixture.resuming("run"))
      #expect(resumed.code == 0, "\(resumed.errors)")
      Path.removeAll(file)
      expectRefusal(try runHSAE(fixture.resuming("run")), 66, [file, "name their new place"])
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
