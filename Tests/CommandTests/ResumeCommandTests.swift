// One line of hsae train that a batch job runs until the runs are complete: it begins them, continues them and, when they
// are complete, only prints the summary; options that differ are refused.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite(.serialized) struct ResumeCommandTests {
  private let settings = ":sublatents=0,learning-rate=2e-3"

  /// The line for the runs `prefix`run and `prefix`flat.
  private func line(
    _ fixture: CommandFixture, _ options: [String], prefix: String = ""
  ) -> [String] {
    fixture.training(prefix + "run", options)
      + ["--resume", "--also", fixture.path(prefix + "flat") + settings]
  }

  /// Trains each alone, as "alone-run" and "alone-flat".
  private func trainAlone(_ fixture: CommandFixture, _ options: [String]) throws {
    let flat = options + ["--sublatents=0", "--subspace=0", "--learning-rate=2e-3"]
    #expect(try runHSAE(fixture.training("alone-run", options)).code == 0)
    #expect(try runHSAE(fixture.training("alone-flat", flat)).code == 0)
  }

  private func expectAlike(_ fixture: CommandFixture, prefix: String = "") {
    for name in ["run", "flat"] {
      #expect(!fixture.weights(prefix + name).isEmpty)
      #expect(
        fixture.weights(prefix + name) == fixture.weights("alone-" + name), "\(prefix)\(name)")
      #expect(
        fileBytes(fixture.path(prefix + name) + "/config.json")
          == fileBytes(fixture.path("alone-" + name) + "/config.json"))
    }
  }

  @Test func oneLineBeginsContinuesAndEnds() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "1500", "--record-every", "1", "--checkpoint-every", "100"]
      try trainAlone(fixture, options)
      let line = line(fixture, options)
      let first = try RunningCommand(hsaeExecutable, line)
      #expect(first.waits { fixture.hasRecord("run") && fixture.hasRecord("flat") })
      first.send(SIGTERM)
      let stopped = first.result()
      #expect(stopped.code == 143, "\(stopped.errors)")
      let step = try #require(fixture.checkpoints("run").last)
      let second = try RunningCommand(hsaeExecutable, line)
      #expect(second.waits { (fixture.checkpoints("flat").last ?? 0) > step })
      second.send(SIGKILL)
      _ = second.result()
      let third = try runHSAE(line)
      #expect(third.code == 0, "\(third.errors)")
      expectAlike(fixture)
      // Again, when nothing is left to do; and without the options.
      for arguments in [line, fixture.resuming("run") + ["--also", fixture.path("flat")]] {
        let again = try runHSAE(arguments)
        #expect(again.code == 0 && again.output == third.output, "\(again.errors)")
      }
      expectAlike(fixture)
    }
  }

  /// Killed while the runs began: one of --also has its settings and nothing else, and the first only what a process
  /// leaves that is killed before it writes them.
  @Test func aHalfBegunFolderIsNotLost() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "12"]
      try trainAlone(fixture, options)
      let flat = fixture.path("half-flat")
      try Path.createDirectories(flat)
      try DurableFile.write(
        fileBytes(fixture.path("alone-flat/config.json")), to: flat + "/config.json")
      try Path.createDirectories(fixture.path("half-run"))
      for name in ["run.lock", ".config.json.partial-7"] {
        try DurableFile.write("", to: fixture.path("half-run/\(name)"))
      }
      let result = try runHSAE(line(fixture, options, prefix: "half-"))
      #expect(result.code == 0, "\(result.errors)")
      expectAlike(fixture, prefix: "half-")
      // The other way round: a run joins one that is complete.
      Path.removeAll(flat)
      let joined = try runHSAE(line(fixture, options, prefix: "half-"))
      #expect(joined.code == 0, "\(joined.errors)")
      expectAlike(fixture, prefix: "half-")
      // Its settings follow from those of the first, so these must be given.
      Path.removeAll(flat)
      let partly = try runHSAE(
        ["train", fixture.data, "--out", fixture.path("half-run"), "--resume", "--k", "3"]
          + ["--also", flat + settings])
      expectRefusal(partly, 64, ["half-run", "--experts 40, not 16384", "--steps 12, not "])
      #expect(!Path.exists(flat))
      // Without DATA nothing can begin.
      let none = try runHSAE(fixture.resuming("half-run") + ["--also", flat])
      expectRefusal(none, 66, [flat, "no such run"])
      // A folder with something else is no run to begin.
      try Path.createDirectories(flat)
      try DurableFile.write("mine", to: flat + "/notes")
      expectRefusal(
        try runHSAE(line(fixture, options, prefix: "half-")), 73, [flat, "notes"])
    }
  }

  @Test func optionsThatDifferAreRefusedByName() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let config = fixture.path("own.json")
      try DurableFile.write(#"{"beta": 0.2, "threads": 1, "precision": "auto"}"#, to: config)
      let options = ["--steps", "3", "--config", config]
      #expect(try runHSAE(line(fixture, options)).code == 0)
      let before = fixture.weights("run") + fixture.weights("flat")
      let (run, flat) = (fixture.path("run"), fixture.path("flat"))
      let cases: [(arguments: [String], parts: [String])] = [
        (["--out", run, "--steps", "4"], [run, "--steps 3, not 4", "leave out"]),
        (["--out", run, "--epochs", "9"], [run, "--steps 3, not 43 (--epochs 9)"]),
        (["--out", run, "--k", "3", "--l1", "0.5"], [run, "--l1 0.001, not 0.5"]),
        (
          ["--out", run, "--preset", "gemma-3-270m", "--beta", "0.1"],
          [run, "--batch 64, not 8192 (--preset gemma-3-270m); --beta 0.2, not 0.1"]
        ),
        (
          ["--out", run, "--init", "w"],
          [run, "no --init, not \(FileManager.default.currentDirectoryPath)/w"]
        ),
        (["--out", run, "--also", flat + ":k=2"], [flat, "--k 3, not 2"]),
        (["--out", run, "--also", flat + ":sublatents=4"], [flat, "--sublatents 0, not 4"]),
        // Options of the first run are those of the others too.
        (
          ["--out", run, "--experts", "40", "--sublatents", "4", "--also", flat],
          [flat, "--sublatents 0, not 4"]
        ),
      ]
      for (arguments, parts) in cases {
        let result = try runHSAE(["train", fixture.data, "--resume"] + arguments)
        expectRefusal(result, 64, parts)
        #expect(!result.errors.contains("--k 3, not 3"))
      }
      // Options that the runs have, some or all of them, in other words.
      for arguments in [
        ["--steps", "3"], ["--experts", "40", "--beta", "0.2", "--seed", "0"],
        ["--config", config, "--batch", "64", "--epochs", "0.5"], ["--giant-norms", "keep"],
      ] {
        let result = try runHSAE(["train", fixture.data, "--resume", "--out", run] + arguments)
        #expect(result.code == 0, "\(arguments): \(result.errors)")
      }
      #expect(fixture.weights("run") + fixture.weights("flat") == before)
    }
  }

  @Test(.enabled(if: MPITests.isThere)) func severalProcessesRunTheSameLine() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let command = MPITests.launcher + ["-n", "2", MPITests.program]
      func run(_ options: [String]) throws -> CommandResult {
        try RunningCommand(
          "/usr/bin/env", command + line(fixture, options + ["--threads", "1"]),
          environment: MPITests.environment
        ).result()
      }
      let first = try run(["--steps", "6"])
      #expect(first.code == 0, "\(first.errors)")
      #expect(fixture.checkpoints("run") == [6] && fixture.checkpoints("flat") == [6])
      let weights = try fixture.path("run/checkpoints").listing()
      let again = try run(["--steps", "6"])
      #expect(again.code == 0 && again.output == first.output, "\(again.errors)")
      #expect(try fixture.path("run/checkpoints").listing() == weights)
      let other = try run(["--steps", "7"])
      #expect(other.code == 64 && other.errors.contains("--steps 6, not 7"), "\(other.errors)")
    }
  }
}

extension String {
  /// The names and sizes of the files below this folder.
  fileprivate func listing() throws -> [String] {
    let names = FileManager.default.enumerator(atPath: self)?.allObjects as? [String] ?? []
    return names.sorted().map { "\($0) \(Path.fileSize(Path.join(self, $0)) ?? 0)" }
  }
}
