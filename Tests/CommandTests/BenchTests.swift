// hsae bench as a user runs it: the run it makes, what it prints, and its errors.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct BenchTests {
  /// A separate cache, and options for a measurement that takes no time.
  struct Fixture {
    let command: CommandFixture
    var cache: String { command.path("cache") }
    static let short = [
      "--warm-steps", "1", "--blocks", "3", "--block-steps", "2", "--comparison-batch", "96",
      "--json",
    ]

    init(in folder: String) throws { command = try CommandFixture(in: folder) }

    func bench(_ arguments: [String]) throws -> CommandResult {
      try runHSAE(["bench"] + arguments + Self.short, environment: ["HSAE_CACHE": cache])
    }

    func json(_ result: CommandResult) throws -> JSONValue {
      try JSONValue(parsing: Array(result.output.utf8), source: "output")
    }

    func runs() throws -> [String] {
      try Path.list(cache + "/bench").filter { $0.hasPrefix("run-") }
    }
  }

  @Test func aRunIsMadeOnceAndMeasured() throws {
    try withTemporaryFolder { folder in
      let fixture = try Fixture(in: folder)
      let arguments = [fixture.command.data, "--steps", "30"] + CommandFixture.small
      let first = try fixture.bench(arguments + ["--batch", "5000"])
      #expect(first.code == 0, "\(first.errors)")
      #expect(first.errors.contains("training 30 steps of 4,096 rows first"))
      #expect(try fixture.runs().count == 1)
      let result = try fixture.json(first)
      func number(_ key: String) -> Double { result[key]?.number ?? .nan }
      for key in [
        "tokensPerSecond", "secondsPerStep", "limitSeconds", "stepOverLimit",
        "limitSecondsFloat32", "stepOverLimitFloat32", "hierarchicalOverFlat",
        "hierarchicalOverFlatLimit", "hierarchicalOverFlatLimitWithPairs", "productRate",
        "bandwidth", "cacheBandwidth", "encodeRate", "optimizerRate",
      ] { #expect(number(key) > 0, "\(key)") }
      #expect(number("trainedSteps") == 30)
      #expect(number("comparisonBatch") == 96)
      #expect(abs(number("tokensPerSecond") * number("secondsPerStep") - 5000) < 1e-6)
      let ratio = number("secondsPerStep") / number("limitSeconds")
      #expect(abs(number("stepOverLimit") - ratio) < 1e-9 * ratio)
      let withPairs =
        number("secondsPerStep") / (number("limitSeconds") + number("pairLimitSeconds"))
      #expect(abs(number("stepOverLimitWithPairs") - withPairs) < 1e-9 * withPairs)
      #expect(number("stepOverLimitFloat32WithPairs") < number("stepOverLimitFloat32"))
      #expect(number("aboveThreshold") >= 0 && number("aboveThreshold") <= 1)
      let phases = result["phases"]
      let sum = ["encode", "group", "forward", "auxiliary", "orthogonality", "penalty", "backward"]
        .reduce(0) { $0 + (phases?[$1]?.number ?? .nan) }
      #expect(sum > 0 && sum <= number("secondsPerStep") * 3)

      // The run is found again, also for another batch, because it has the largest batch of a prepared run.
      let second = try fixture.bench(arguments + ["--batch", "6000"])
      #expect(second.code == 0 && second.errors.isEmpty, "\(second.errors)")
      #expect(try fixture.runs().count == 1)
    }
  }

  @Test func aGivenRunIsMeasuredAndNotChanged() throws {
    try withTemporaryFolder { folder in
      let fixture = try Fixture(in: folder)
      let command = fixture.command
      #expect(try runHSAE(command.training("run", ["--steps", "9"])).code == 0)
      let before = command.weights("run")
      let result = try fixture.bench(["--from", command.path("run"), "--batch", "128"])
      #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
      let tree = try fixture.json(result)
      #expect(tree["batch"]?.integer == 128 && tree["trainedSteps"]?.integer == 9)
      #expect(command.weights("run") == before)
      #expect(!Path.exists(fixture.cache))
      // A flat run cannot be compared with a flat counterpart.
      let flat = ["--steps", "5", "--sublatents=0", "--subspace=0"]
      #expect(try runHSAE(command.training("flat", flat)).code == 0)
      let flatTree = try fixture.json(fixture.bench(["--from", command.path("flat")]))
      #expect(flatTree["hierarchicalOverFlat"] == nil && flatTree["flatSecondsPerStep"] == nil)
    }
  }

  /// The rows of a run that a program trained cannot be read again, so others must be named.
  @Test func aRunOnAStreamNeedsOtherRows() throws {
    try withTemporaryFolder { folder in
      let fixture = try Fixture(in: folder)
      let command = fixture.command
      try #require(try runHSAE(command.training("run", ["--steps", "2"])).code == 0)
      let config = command.path("run/config.json")
      let data = try #require(try JSONFile.readTree(from: config)["data"])
      var text = String(decoding: fileBytes(config), as: UTF8.self)
      for (key, value) in [("fingerprint", "stream"), ("path", "")] {
        text.replace("\"\(try #require(data[key]?.string))\"", with: "\"\(value)\"")
      }
      try DurableFile.write(text, to: config)
      let from = ["--from", command.path("run")]
      expectRefusal(
        try fixture.bench(from), 64,
        [command.path("run"), "rows that a program gave it", "name others: hsae bench DATA --from"])
      let result = try fixture.bench([command.data] + from)
      #expect(result.code == 0, "\(result.errors)")
    }
  }

  /// Rows of a store are those that `hsae train` reads: flagged ones if the run kept them, and at the lengths that
  /// `--normalize` asks for.
  @Test func rowsOfAStoreAreThoseOfTraining() throws {
    try withTemporaryFolder { folder in
      let fixture = try Fixture(in: folder)
      let command = fixture.command
      let lines = (0..<40).map { "document \($0) of several words" }
      try DurableFile.write(lines.joined(separator: "\n"), to: command.path("c.txt"))
      let store = command.path("s.store")
      let collected = try runHSAE([
        "collect", "synthetic", "--layer", "1", "--text", command.path("c.txt"), "--giant-norm",
        "1.01", "--out", store,
      ])
      try #require(collected.code == 0, "\(collected.errors)")
      let options = ["--preset", "unembedding", "--steps", "4"] + CommandFixture.small
      for (name, own) in [
        ("kept", ["--giant-norms", "keep"]), ("long", ["--normalize", "original"]),
      ] {
        let trained = try runHSAE(
          ["train", store, "--out", command.path(name)] + options + own)
        try #require(trained.code == 0, "\(trained.errors)")
      }
      let kept = try runHSAE(
        ["bench", "--from", command.path("kept")] + Fixture.short.dropLast(),
        environment: ["HSAE_CACHE": fixture.cache])
      #expect(kept.code == 0 && !kept.output.contains("left out"), "\(kept.errors)\(kept.output)")

      let made = try fixture.bench([store] + options + ["--normalize", "original"])
      try #require(made.code == 0, "\(made.errors)")
      let run = fixture.cache + "/bench/" + (try #require(try fixture.runs().first))
      func weights(_ run: String) -> [UInt8] {
        fileBytes(run + "/checkpoints/step-00000004/hsae_weights.safetensors")
      }
      #expect(!weights(run).isEmpty && weights(run) == weights(command.path("long")))
    }
  }

  @Test func invalidRequestsAreRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try Fixture(in: folder)
      let command = fixture.command
      #expect(try runHSAE(command.training("run", ["--steps", "2"])).code == 0)
      let from = ["--from", command.path("run")]
      for (arguments, code, says) in [
        ([command.data, "--experts", "50M", "--k", "3"], 69, "memory"),
        ([command.data, "--init", "w.safetensors"], 64, "--init"),
        ([command.data, "--comparison-batch", "many"], 64, "--comparison-batch"),
        (from + ["--experts", "8"], 64, "--from"), (from + ["--batch", "0"], 64, "--batch"),
        (["--from", command.path("none")], 66, "no such run"),
      ] as [([String], Int32, String)] {
        // The last of two equal options counts.
        expectRefusal(
          try runHSAE(
            ["bench"] + Fixture.short + arguments, environment: ["HSAE_CACHE": fixture.cache]),
          code, [says])
      }
      // Other rows of another width, and rows that are gone.
      let other = command.path("other.npy")
      try writeNumpy([Float](repeating: 1, count: 60), width: 6, to: other)
      expectRefusal(try fixture.bench([other] + from), 65, ["width 6", "needs 20"])
      Path.removeAll(command.data)
      expectRefusal(try fixture.bench(from), 66, [command.data, "name others"])
      try writeNumpy([Float](repeating: 1, count: 6000), width: 20, to: command.data)
      expectRefusal(try fixture.bench(from), 65, [command.data, "has changed since"])
      for wrong in [["--width", "0"], ["--width", "8"] + from, ["--blocks", "0"]] {
        #expect(try runHSAE(["bench"] + wrong).code == 64)
      }
    }
  }
}
