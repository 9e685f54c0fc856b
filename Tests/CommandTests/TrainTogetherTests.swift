// hsae train --also as a user runs it: what it prints, its errors, and that neither Ctrl-C nor kill -9 changes a
// bit of any run.

import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@Suite(.serialized) struct TrainTogetherTests {
  /// Starts "run" with "flat" as --also.
  private func together(_ fixture: CommandFixture, _ options: [String]) -> [String] {
    fixture.training("run", options)
      + ["--also", fixture.path("flat") + ":sublatents=0,learning-rate=2e-3"]
  }

  private func resuming(_ fixture: CommandFixture) -> [String] {
    fixture.resuming("run") + ["--also", fixture.path("flat")]
  }

  /// Trains each alone, as "run-alone" and "flat-alone".
  private func trainAlone(_ fixture: CommandFixture, _ options: [String]) throws {
    #expect(try runHSAE(fixture.training("run-alone", options)).code == 0)
    let flat = options + ["--sublatents=0", "--subspace=0", "--learning-rate=2e-3"]
    #expect(try runHSAE(fixture.training("flat-alone", flat)).code == 0)
  }

  private func expectAlike(_ fixture: CommandFixture, _ label: String = "") {
    for name in ["run", "flat"] {
      #expect(fixture.weights(name) == fixture.weights(name + "-alone"), "\(name) \(label)")
      #expect(!fixture.weights(name).isEmpty)
      #expect(fixture.checkpoints(name) == fixture.checkpoints(name + "-alone"))
      #expect(fixture.partialNames(name).isEmpty)
    }
  }

  @Test func bothRunsAreSummarised() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      try trainAlone(fixture, ["--steps", "5"])
      let result = try runHSAE(together(fixture, ["--steps", "5"]))
      #expect(result.code == 0 && result.complaints.isEmpty, "\(result.errors)")
      let lines = result.output.split(separator: "\n")
      #expect(lines.count == 2 && lines.allSatisfy { $0.contains("step 5 of 5") })
      expectAlike(fixture)
      #expect(
        fileBytes(fixture.path("flat/config.json"))
          == fileBytes(fixture.path("flat-alone/config.json")))
      let json = try runHSAE(resuming(fixture) + ["--json"])
      let tree = try JSONValue(parsing: Array(json.output.utf8), source: "output")
      #expect(tree.array?.compactMap { $0["run"]?.string }.map(Path.name) == ["run", "flat"])
    }
  }

  /// A seed of its own sets only the weights: rows come in the first run's order.
  @Test func anotherSeedReadsTheSameRows() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let config = fixture.path("own.json")
      try DurableFile.write(#"{"moments": "bfloat16", "k": 2}"#, to: config)
      let alone = ["--steps", "6", "--seed=4", "--order-seed=0", "--k=2", "--moments=bfloat16"]
      #expect(try runHSAE(fixture.training("seed-alone", alone)).code == 0)
      let result = try runHSAE(
        fixture.training("run", ["--steps", "6"])
          + ["--also", fixture.path("seed") + ":seed=4,config=\(config)"])
      #expect(result.code == 0, "\(result.errors)")
      #expect(fixture.weights("seed") == fixture.weights("seed-alone"))
    }
  }

  @Test func aSignalStopsAllAfterACheckpoint() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "1500", "--record-every", "1"]
      try trainAlone(fixture, options)
      let first = try RunningCommand(hsaeExecutable, together(fixture, options))
      #expect(first.waits { fixture.hasRecord("run") && fixture.hasRecord("flat") })
      first.send(SIGINT)
      let result = first.result()
      #expect(result.code == 130, "\(result.errors)")
      let steps = fixture.checkpoints("run")
      #expect(steps.count == 1 && steps == fixture.checkpoints("flat"), "\(steps)")
      #expect(try runHSAE(resuming(fixture)).code == 0)
      for name in ["run", "flat"] {
        #expect(fixture.weights(name) == fixture.weights(name + "-alone"))
      }
    }
  }

  @Test func killedAtRandomMoments() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let kills = ProcessInfo.processInfo.environment["HSAE_SOAK"] == "1" ? 20 : 3
      let steps = 20 * kills
      let options = ["--steps", "\(steps)", "--checkpoint-every", "1", "--record-every", "3"]
      try trainAlone(fixture, options)
      let seed = UInt64.random(in: 0 ... .max)
      var generator = SeededGenerator(seed: seed)
      for kill in 0...kills {
        // The first run's config.json is written last: if it exists, both runs have begun.
        let isBegun = Path.exists(fixture.path("run/config.json"))
        if !isBegun { Path.removeAll(fixture.path("flat")) }
        let command = try RunningCommand(
          hsaeExecutable, isBegun ? resuming(fixture) : together(fixture, options))
        if kill < kills {
          let target = steps * kill / kills + Int(generator.next() % 20)
          let watched = generator.next() % 2 == 0 ? "run" : "flat"
          _ = command.waits { (fixture.checkpoints(watched).last ?? 0) >= target }
          usleep(UInt32(generator.next() % 30_000))
          command.send(SIGKILL)
        }
        let result = command.result()
        #expect(
          result.code == 0 || kill < kills && result.signal == SIGKILL,
          "seed \(seed): \(result.errors)")
      }
      expectAlike(fixture, "seed \(seed)")
    }
  }

  @Test(
    arguments: [
      (":k=2", 64, "folder"), ("flat:sublatents", 64, "key=value"),
      ("flat:colour=red", 64, "colour"), ("flat:k=many", 64, "k"), ("flat:k=41", 64, "--k 41"),
      ("flat:batch=32", 64, "--batch"), ("flat:config=none.json", 66, "none.json"),
      ("flat:out=x", 64, "out"), ("run", 64, "folder"),
    ] as [(String, Int32, String)])
  func invalidAlsoOptionsAreRefused(_ also: String, _ code: Int32, _ says: String) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let text = also.hasPrefix(":") ? also : fixture.path(also)
      let result = try runHSAE(fixture.training("run", ["--steps", "3", "--also", text]))
      #expect(result.code == code, "\(result.errors)")
      #expect(result.complaints.count == 1 && result.errors.contains(says), "\(result.errors)")
      #expect(!Path.exists(fixture.path("run")) && !Path.exists(fixture.path("flat")))
    }
  }

  @Test func resumingNeedsTheSameRuns() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(together(fixture, ["--steps", "2"])).code == 0)
      let settings = fixture.resuming("run") + ["--also", fixture.path("flat") + ":k=2"]
      expectRefusal(try runHSAE(settings), 64, [fixture.path("flat"), "--k 3, not 2"])
      let none = fixture.resuming("run") + ["--also", fixture.path("none")]
      expectRefusal(try runHSAE(none), 66, [fixture.path("none")])
    }
  }
}
