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

  /// The mean and covariance that whitening uses are those of NumPy in double precision, to 1e-9; rows that are too few or
  /// constant are named.
  @Test func whiteningHasTheCovarianceOfNumPy() throws {
    guard let python = ProcessInfo.processInfo.environment["HSAE_INTEROP_PYTHON"], !python.isEmpty
    else { return }
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let cache = ["HSAE_CACHE": fixture.path("cache")]
      let white = ["--whiten", "activations", "--normalize", "none", "--steps", "3"]
      let run = try runHSAE(fixture.training("white", white), environment: cache)
      #expect(run.code == 0 && run.errors.contains("reading 300 rows"), "\(run.errors)")
      let again = try runHSAE(fixture.training("again", white), environment: cache)
      #expect(again.code == 0 && !again.errors.contains("reading"), "\(again.errors)")
      let statistics = Path.join(fixture.path("cache"), "row-statistics")
      let file = Path.join(statistics, try Path.list(statistics)[0])
      let script = """
        import json, sys, numpy
        def load_file(path):
            data = open(path, "rb").read()
            start = 8 + int.from_bytes(data[:8], "little")
            return {
                name: numpy.frombuffer(data[start:][slice(*t["data_offsets"])]).reshape(t["shape"])
                for name, t in json.loads(data[8:start]).items() if name != "__metadata__"}
        x = numpy.load(sys.argv[1]).astype(numpy.float64)
        own = load_file(sys.argv[2])
        mean, covariance = x.mean(0), numpy.cov(x, rowvar=False, bias=True)
        assert abs(own["mean"] - mean).max() <= 1e-9 * abs(mean).max()
        assert abs(own["covariance"] - covariance).max() <= 1e-9 * abs(covariance).max()
        white = load_file(sys.argv[3])
        z = (x - white["mean"]) @ white["matrix"]
        assert abs((z ** 2).sum(1).mean() - 1) < 1e-9
        assert abs(white["matrix"] @ white["inverse"] - numpy.eye(20)).max() < 1e-9
        """
      let compared = try RunningCommand(
        python,
        ["-c", script, fixture.data, file, fixture.path("white/whitening.safetensors")]
      ).result()
      #expect(compared.code == 0, "\(compared.errors)")
      // Fewer rows than columns, one of them constant.
      let few = fixture.path("few.npy")
      var numbers: [Float] = []
      for index in 0..<9 * 20 { numbers.append(index % 20 == 4 ? 1 : Float(index * 7 % 23) - 11) }
      try writeNumpy(numbers, width: 20, to: few)
      let narrow = try runHSAE(
        ["train", few, "--out", fixture.path("few")] + CommandFixture.small + white,
        environment: cache)
      #expect(narrow.code == 0 && narrow.errors.contains("of 20; the ridge"), "\(narrow.errors)")
      expectRefusal(
        try runHSAE(
          ["train", few, "--out", fixture.path("none")] + CommandFixture.small + white
            + ["--whiten-ridge", "0"], environment: cache), 65, ["--whiten-ridge 0.0 is too small"])
    }
  }

  @Test func whiteningOptionsNeedWhitening() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      for option in [["--whiten-loss", "original"], ["--whiten-ridge", "0.1"]] {
        expectRefusal(try runHSAE(fixture.training("run", option)), 64, ["need --whiten"])
      }
      expectRefusal(
        try runHSAE(fixture.training("run", ["--whiten", "unembedding"])), 64, ["--model"])
      expectRefusal(
        try runHSAE(
          fixture.training("run", ["--whiten", "activations", "--whiten-ridge=-1"])), 64,
        ["--whiten-ridge"])
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

  /// BatchTopK, JumpReLU and prefixes side by side: what is said of them, and what info says of their runs.
  @Test func otherSelectionsAreTrainedAndDescribed() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "6", "--activation", "batchtopk", "--k", "2.5", "--batch", "64"]
      let sizes = ["--experts", "40", "--sublatents", "4", "--subspace", "3"]
      let jump = fixture.path("jump") + ":activation=jumprelu,l0-target=4"
      let prefixes = fixture.path("prefixes") + ":activation=topk,k=3,matryoshka=10,20"
      let result = try runHSAE(
        ["train", fixture.data, "--out", fixture.path("batch"), "--also", jump, "--also", prefixes]
          + sizes + options)
      #expect(result.code == 0, "\(result.errors)")
      #expect(result.complaints.count == 1)
      #expect(result.errors.contains("the whole dictionary, 40 experts, is the last prefix too."))
      let lines = result.output.split(separator: "\n")
      #expect(lines.map { $0.contains(", L0 ") } == [true, true, false], "\(result.output)")
      for (name, parts) in [
        ("batch", ["batchtopk, 2.5 active on average (threshold ", ", L0 "]),
        ("jump", ["jumprelu, 4 active wanted (mean threshold ", ", L0 "]),
        ("prefixes", ["3 active", "prefixes: 10, 20, 40"]),
      ] {
        let told = try runHSAE(["info", fixture.path(name)])
        #expect(told.code == 0, "\(told.errors)")
        for part in parts { #expect(told.output.contains(part), "\(part): \(told.output)") }
        #expect(try runHSAE(fixture.resuming(name)).code == 0)
        let codes = try runHSAE(["encode", fixture.path(name), fixture.data])
        #expect(codes.code == 0, "\(codes.errors)")
      }
      let alone = ["--steps", "6", "--activation", "jumprelu", "--l0-target", "4", "--batch", "64"]
      let apart = try runHSAE(
        ["train", fixture.data, "--out", fixture.path("jump-alone")] + sizes + alone)
      #expect(apart.code == 0, "\(apart.errors)")
      #expect(fixture.weights("jump") == fixture.weights("jump-alone"))
    }
  }

  @Test func settingsOfAnotherSelectionAreRefusedBeforeAnythingIsWritten() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      for (options, part) in [
        (["--activation", "jumprelu"], "--k does not go with --activation jumprelu"),
        (["--l0-target", "4"], "--l0-target needs --activation jumprelu"),
        (["--matryoshka", "20,10"], "--matryoshka 20,10"),
        (["--decoder-cosine", "0.8", "--freeze", "decoder"], "--decoder-cosine"),
      ] {
        let result = try runHSAE(fixture.training("run", ["--steps", "2"] + options))
        expectRefusal(result, 64, [part])
        #expect(!Path.exists(fixture.path("run")))
      }
    }
  }
}
