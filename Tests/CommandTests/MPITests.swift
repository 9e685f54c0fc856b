// Processes started by mpirun on this machine. HSAE_MPI_EXECUTABLE names a program that was built with MPI
// (`make test-mpi`); the errors of a program without MPI are always tested.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite(.serialized) struct MPITests {
  static let program = ProcessInfo.processInfo.environment["HSAE_MPI_EXECUTABLE"] ?? ""
  static let isThere = !program.isEmpty

  /// mpirun with any number of processes, however many processors this machine has.
  static let launcher = [
    "mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1",
  ]
  static let environment = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  ]

  /// Starts groups of processes: for each, how many, a prefix of the command, and its arguments.
  private func start(
    _ groups: [(count: Int, prefix: [String], arguments: [String])]
  ) throws -> RunningCommand {
    var arguments = Self.launcher
    for (index, group) in groups.enumerated() {
      if index > 0 { arguments.append(":") }
      arguments += ["-n", "\(group.count)"] + group.prefix + [Self.program] + group.arguments
    }
    return try RunningCommand("/usr/bin/env", arguments, environment: Self.environment)
  }

  /// The lines that `hsae` itself wrote to standard error.
  private func sentences(_ result: CommandResult) -> [Substring] {
    result.errors.split(separator: "\n").filter {
      $0.hasPrefix("hsae: ") && !$0.hasPrefix("hsae: memory: ") && !$0.hasPrefix("hsae: one of")
    }
  }

  private func expectOneSentence(
    _ result: CommandResult, _ code: Int32, _ parts: [String],
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(result.code == code, "\(result.errors)", sourceLocation: location)
    let own = sentences(result)
    #expect(own.count == 1, "\(result.errors)", sourceLocation: location)
    for part in parts {
      #expect(own.first?.contains(part) == true, "\(own)", sourceLocation: location)
    }
  }

  private func losses(_ fixture: CommandFixture, _ name: String) throws -> [Double] {
    let text = String(decoding: fileBytes(fixture.path(name) + "/metrics.jsonl"), as: UTF8.self)
    return try text.split(separator: "\n").map { line in
      try JSONValue(parsing: Array(line.utf8), source: name)["loss"]?.number ?? .nan
    }
  }

  @Test func aBuildWithoutMPISaysSo() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let environment = ["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"]
      let train = try runHSAE(fixture.training("run", ["--steps", "3"]), environment: environment)
      expectRefusal(train, 69, ["without MPI", "make mpi"])
      #expect(!Path.exists(fixture.path("run")))
      let info = try runHSAE(["info", fixture.data], environment: environment)
      expectRefusal(info, 64, ["one process"])
      // Processes that do not communicate each report their own failure.
      let second = ["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"]
      let collect = try runHSAE(
        ["collect", "synthetic", "--layer", "3", "--text", fixture.path("none"), "--out"]
          + [fixture.path("store")], environment: second)
      expectRefusal(collect, 66, ["none"])
      let wrong = try runHSAE(fixture.training("run", ["--steps", "3", "--dictionary-ranks", "2"]))
      expectRefusal(wrong, 64, ["--dictionary-ranks 2"])
    }
  }

  @Test(.enabled(if: isThere)) func processesTrainAsOne() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = [
        "--steps", "60", "--record-every", "5", "--checkpoint-every", "30", "--threads", "1",
      ]
      #expect(try runHSAE(fixture.training("one", options)).code == 0)
      let expected = try losses(fixture, "one")
      for (name, count, more) in [
        ("two", 2, []), ("three", 3, []), ("four", 4, ["--dictionary-ranks", "2"]),
      ] {
        let result = try start([(count, [], fixture.training(name, options + more))]).result()
        #expect(result.code == 0 && sentences(result).isEmpty, "\(result.errors)")
        #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
        for (a, b) in zip(try losses(fixture, name), expected) { #expect(abs(a - b) < 1e-5 * b) }
      }
      // Another number of processes can resume, and commands that read runs read shards.
      Path.removeAll(fixture.path("three") + "/checkpoints/step-00000060")
      let resumed = try start([(2, [], fixture.resuming("three"))]).result()
      #expect(resumed.code == 0, "\(resumed.errors)")
      for (a, b) in zip(try losses(fixture, "three"), expected) { #expect(abs(a - b) < 1e-5 * b) }
      for command in [["info", fixture.path("three")], ["evaluate", fixture.path("three")]] {
        let result = try runHSAE(command)
        #expect(result.code == 0, "\(result.errors)")
      }
    }
  }

  @Test(.enabled(if: isThere)) func processesCollectOneStore() throws {
    try withTemporaryFolder { folder in
      let corpus = Path.join(folder, "corpus.txt")
      let lines = (0..<300).map { "the w\($0 % 17) of w\($0 % 23) is w\($0 * 7 % 31)" }
      try DurableFile.write(lines.joined(separator: "\n") + "\n", to: corpus)
      let (one, two) = (Path.join(folder, "one"), Path.join(folder, "two"))
      let command = ["collect", "synthetic", "--layer", "3", "--text", corpus, "--out"]
      #expect(try runHSAE(command + [one]).code == 0)
      let result = try start([(2, [], command + [two])]).result()
      #expect(result.code == 0 && sentences(result).isEmpty, "\(result.errors)")
      #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
      let compared = try RunningCommand("/usr/bin/diff", ["-r", one, two]).result()
      #expect(compared.code == 0, "\(compared.output)")
      let again = try start([(2, [], command + [two])]).result()
      #expect(again.code == 0 && again.output.split(separator: "\n").count == 1)
    }
  }

  @Test(.enabled(if: isThere)) func processesEvaluateAsOne() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try collectAndTrain(
        in: folder, documents: 200, sizes: CommandFixture.small)
      let command =
        ["evaluate"] + runs + [
          "--model", "synthetic", "--loss-tokens", "500", "--json", "--threads", "1",
        ]
      let one = try runHSAE(command)
      let expected = try JSONValue(parsing: Array(one.output.utf8), source: "one")
      let out = Path.join(folder, "evaluation")
      for count in [2, 3] {
        let result = try start([(count, [], command + ["--out", out])]).result()
        #expect(result.code == 0 && sentences(result).isEmpty, "\(result.errors)")
        #expect(result.errors.components(separatedBy: "suite core").count == 2)
        let tree = try JSONValue(parsing: Array(result.output.utf8), source: "several")
        let pairs = zip(numbers(of: expected), numbers(of: tree))
        #expect(numbers(of: tree).count == numbers(of: expected).count)
        for (a, b) in pairs { #expect(a.0 == b.0 && abs(a.1 - b.1) <= 1e-11 * max(1, abs(a.1))) }
        let again = try start([(count, [], command)]).result()
        #expect(again.output == result.output, "the same bits")
        #expect(fileBytes(Path.join(out, "evaluation.json")) == Array(result.output.utf8))
      }
      let topics = ["evaluate"] + runs + ["--suite", "core,hierarchy"]
      expectOneSentence(
        try start([(2, [], topics)]).result(), 64,
        ["hierarchy", "without mpirun", "2 processes"])
      expectOneSentence(
        try start([(1, [], command), (1, [], command + ["--seed", "2"])]).result(), 64,
        ["Rank 1", "options"])
      expectOneSentence(
        try start([
          (1, [], ["evaluate", runs[0]]), (1, [], ["evaluate", Path.join(folder, "none")]),
        ]).result(), 66, ["rank 1 of 2", "no such run"])
    }
  }

  /// All numbers of an evaluation with their keys, in order.
  private func numbers(of tree: JSONValue) -> [(String, Double)] {
    (tree["runs"]?.array ?? []).flatMap { run in
      (run["results"]?.array ?? []).flatMap { result in
        (result["numbers"]?.array ?? []).map {
          ($0["key"]?.string ?? "", $0["value"]?.number ?? .infinity)
        }
      }
    }
  }

  @Test(.enabled(if: isThere)) func allProcessesStopIfOneIsKilled() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "1000000", "--checkpoint-every", "20", "--threads", "1"]
      let job = try start([(3, [], fixture.training("run", options))])
      #expect(job.waits { fixture.checkpoints("run").count == 2 })
      let ranks = processes(running: Self.program, with: fixture.path("run"))
      #expect(ranks.count == 3)
      let begin = ContinuousClock.now
      if let last = ranks.last { kill(last, SIGKILL) }
      let result = job.result(within: 60)
      #expect(!result.timedOut && ContinuousClock.now - begin < .seconds(20))
      #expect(result.code != 0)
      let said = sentences(result)
      #expect(said.count == 1, "\(result.errors)")
      for part in ["Rank 2 of 3", "has died", "--resume"] {
        #expect(said.first?.contains(part) == true, "\(said)")
      }
      #expect(result.errors.contains("mpirun noticed that process rank 2"))
      // A new call starts at a whole checkpoint, without a message.
      #expect(processes(running: Self.program, with: fixture.path("run")).isEmpty)
      let kept = try #require(fixture.checkpoints("run").last)
      let resumed = try RunningCommand(hsaeExecutable, fixture.resuming("run"))
      #expect(resumed.waits { (fixture.checkpoints("run").last ?? 0) > kept })
      resumed.send(SIGTERM)
      #expect(resumed.result().code == 143)
    }
  }

  @Test(.enabled(if: isThere)) func allProcessesStopEvaluatingIfOneIsKilled() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try collectAndTrain(in: folder, documents: 50, sizes: CommandFixture.small)
      // The second process waits for a text that never comes.
      let pipe = Path.join(folder, "pipe.txt")
      try #require(unsafe mkfifo(pipe, 0o600) == 0)
      func command(_ text: String) -> [String] {
        ["evaluate", runs[0], "--model", "synthetic", "--text", text, "--threads", "1"]
      }
      let job = try start([
        (1, [], command(Path.join(folder, "corpus.txt"))), (1, [], command(pipe)),
      ])
      // The pipe can be opened when a process reads from it.
      var writer: Int32 = -1
      let isRead = job.waits {
        writer = unsafe open(pipe, O_WRONLY | O_NONBLOCK)
        return writer >= 0
      }
      #expect(isRead)
      defer { close(writer) }
      let second = try #require(processes(running: Self.program, with: pipe).last)
      kill(second, SIGKILL)
      let result = job.result(within: 60)
      #expect(!result.timedOut && result.code != 0)
      let said = sentences(result)
      #expect(said.count == 1, "\(result.errors)")
      for part in ["Rank 1 of 2", "has died", "start again"] {
        #expect(said.first?.contains(part) == true, "\(said)")
      }
    }
  }

  @Test(.enabled(if: isThere)) func aFailureOfOneProcessStopsAllWithItsMessage() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "60", "--checkpoint-every", "20", "--threads", "1"]
      // No space on the disk for the second process's shard.
      let full = try start([
        (1, [], fixture.training("full", options)),
        (1, ["bash", "-c", "ulimit -f 8; exec \"$@\"", "-"], fixture.training("full", options)),
      ]).result()
      expectOneSentence(full, 74, ["rank 1 of 2", "hsae_weights-00002-of-00002.safetensors"])
      #expect(fixture.checkpoints("full").isEmpty && fixture.partialNames("full").isEmpty)
      // Other settings, other data, another build.
      let settings = try start([
        (1, [], fixture.training("run", options)),
        (1, [], fixture.training("run", options + ["--seed", "3"])),
      ]).result()
      expectOneSentence(settings, 64, ["Rank 1", "\"seed\": 3"])
      let other = fixture.path("other.npy")
      var bytes = fileBytes(fixture.data)
      bytes[bytes.count - 3] ^= 1
      try DurableFile.write(bytes, to: other)
      let data = try start([
        (2, [], fixture.training("run", options)),
        (1, [], ["train", other] + fixture.training("run", options).dropFirst(2)),
      ]).result()
      expectOneSentence(data, 65, ["rank 2", "other.npy"])
      let copy = fixture.path("hsae")
      try copyAll(Self.program, to: copy)
      let program = try FileHandle(forWritingTo: URL(fileURLWithPath: copy))
      try program.seekToEnd()
      try program.write(contentsOf: [0])
      try program.close()
      let build = try start([
        (1, [], fixture.training("run", options)),
        (
          1, ["bash", "-c", "shift; exec \(copy) \"$@\"", "-"],
          fixture.training("run", options)
        ),
      ]).result()
      expectOneSentence(build, 69, ["Rank 1", "another build"])
      #expect(!Path.exists(fixture.path("run")))
      // An error that concerns all processes is printed once.
      let wrong = try start([(3, [], fixture.training("run", options + ["--k", "0"]))]).result()
      expectOneSentence(wrong, 64, ["--k"])
      for parts in ["0", "2"] {
        let wrong = fixture.training("run", options + ["--dictionary-ranks", parts])
        expectOneSentence(try start([(3, [], wrong)]).result(), 64, ["--dictionary-ranks"])
      }
      let few = fixture.training("run", options + ["--experts", "2", "--k", "1"])
      expectOneSentence(try start([(3, [], few)]).result(), 64, ["--experts", "at least 3"])
    }
  }

  /// Before ranks work together they check that they were started for the same command.
  @Test(.enabled(if: isThere)) func processesStartedForDifferentCommandsStop() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let training = fixture.training("run", ["--steps", "5", "--threads", "1"])
      for other in [
        training + ["--dictionary-ranks", "1"], fixture.resuming("run"), ["evaluate", folder],
      ] {
        let result = try start([(1, [], training), (1, [], other)]).result(within: 60)
        expectOneSentence(result, 64, ["Rank 1 was started for", "start all for the same"])
      }
      // The second process reports an error in its own arguments.
      let misspelt = try start([(1, [], training), (1, [], training + ["--bogus"])]).result()
      #expect(misspelt.code == 64 && misspelt.errors.contains("--bogus"), "\(misspelt.errors)")
      let alone = try start([(1, [], training), (1, [], ["info", folder])]).result()
      expectOneSentence(alone, 64, ["runs in one process"])
      let help = try start([(2, [], ["train", "--help"])]).result()
      #expect(help.code == 0 && help.output.components(separatedBy: "USAGE:").count == 2)
      #expect(!Path.exists(fixture.path("run")))
    }
  }

  /// Processes started by another MPI's launcher, or by srun without PMIx, would each be alone.
  @Test(.enabled(if: isThere)) func processesThatCannotCommunicateStop() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      for (size, rank) in [("PMI_SIZE", "PMI_RANK"), ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")] {
        for number in ["0", "1"] {
          let environment = Self.environment.merging([size: "2", rank: number]) { $1 }
          let result = try RunningCommand(
            Self.program, fixture.training("run", ["--steps", "5"]), environment: environment
          ).result()
          #expect(result.code == 69, "\(result.errors)")
          let said = sentences(result)
          #expect(said.count == (number == "0" ? 1 : 0), "\(result.errors)")
          if let said = said.first { #expect(said.contains("MPI knows of 1; start them")) }
        }
      }
      #expect(!Path.exists(fixture.path("run")))
    }
  }

  /// A disk that fills up during a run.
  @Test(.enabled(if: isThere)) func allProcessesStopIfADiskIsFull() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "1000000", "--checkpoint-every", "20", "--threads", "1"]
      _ = try withSmallDisk("16m") { disk, resize in
        let (small, run) = (CommandFixture(folder: disk), Path.join(disk, "run"))
        let arguments = ["train", fixture.data, "--out", run] + CommandFixture.small + options
        let job = try start([(2, [], arguments)])
        #expect(job.waits { small.checkpoints("run").count == 2 })
        let begin = ContinuousClock.now
        let filler = try Descriptor(updating: Path.join(disk, "filler"))
        let full = failure {
          for place in 0..<4096 {
            try unsafe filler.write([UInt8](repeating: 1, count: 4096).span.bytes, at: place * 4096)
          }
        }
        #expect(full != nil)
        let result = job.result(within: 60)
        #expect(!result.timedOut && ContinuousClock.now - begin < .seconds(20))
        expectOneSentence(result, 74, [run, "no space"])
        #expect(small.partialNames("run").isEmpty)
        let kept = try #require(small.checkpoints("run").last)
        #expect(try resize("64m"))
        let resumed = try RunningCommand(hsaeExecutable, ["train", "--resume", "--out", run])
        #expect(resumed.waits { (small.checkpoints("run").last ?? 0) > kept })
        resumed.send(SIGTERM)
        let end = resumed.result()
        #expect(end.code == 143 && !end.errors.contains("Passing over"), "\(end.errors)")
      }
    }
  }

  @Test(.enabled(if: isThere)) func aSignalToOneStopsAllAfterACheckpoint() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "1000000", "--checkpoint-every", "0", "--threads", "1"]
      let job = try start([(2, [], fixture.training("run", options))])
      #expect(job.waits { fixture.hasRecord("run") })
      let ranks = processes(running: Self.program, with: fixture.path("run"))
      if let last = ranks.last { kill(last, SIGTERM) }
      #expect(job.result().code == 143)
      #expect(fixture.checkpoints("run").count == 1)
    }
  }

  /// Running processes of `program` with the argument `argument`.
  private func processes(running program: String, with argument: String) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.filter { id in
      let words = fileBytes("/proc/\(id)/cmdline").split(separator: 0).map {
        String(decoding: $0, as: UTF8.self)
      }
      return words.first == program && words.contains(argument)
    }.sorted()
  }
}
