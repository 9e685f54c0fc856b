// Bad input on the command line: one sentence, the right exit code, and no output that looks complete.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct BadInputTests {
  /// Files that are not a matrix to train on, and what the error must contain.
  static let badData: [(name: String, bytes: [UInt8], says: String)] = {
    func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    let whole = numpyBytes(shape: [50, 4], content: zeros(800))
    return [
      ("integers", numpyBytes(shape: [50, 4], type: "<i4", content: zeros(800)), "<i4"),
      ("big-endian", numpyBytes(shape: [50, 4], type: ">f4", content: zeros(800)), "big-endian"),
      ("truncated", Array(whole.dropLast(1)), "cut short"),
      ("longer", whole + [0], "byte"),
      ("header only", Array(whole.prefix(40)), "header"),
      ("magic only", Array(whole.prefix(7)), "npy"),
      ("one dimension", numpyBytes(shape: [200], content: zeros(800)), "1 dimensions"),
      ("three dimensions", numpyBytes(shape: [50, 2, 2], content: zeros(800)), "3 dimensions"),
      ("no rows", numpyBytes(shape: [0, 4], content: []), "0 × 4"),
      ("no width", numpyBytes(shape: [4, 0], content: []), "4 × 0"),
      ("huge", numpyBytes(shape: [Int.max, 4], content: zeros(800)), "cut short"),
      ("text", Array("1,2,3\n4,5,6\n".utf8), "neither"),
      ("empty", [], "neither"),
      (
        "pointer",
        Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n".utf8),
        "git lfs pull"
      ),
    ]
  }()

  @Test(arguments: badData.indices)
  func badDataExits65(_ index: Int) throws {
    let (_, bytes, says) = Self.badData[index]
    try withTemporaryFolder { folder in
      let data = Path.join(folder, "bad.npy")
      try DurableFile.write(bytes, to: data)
      let out = Path.join(folder, "run")
      let result = try runHSAE(["train", data, "--out", out] + CommandFixture.small)
      expectRefusal(result, 65, [data, says])
      #expect(!Path.exists(out))
    }
  }

  @Test func aRowThatIsNotFiniteIsNamed() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      for (row, value) in [(0, Float.nan), (299, .infinity)] {
        var rows = [Float](repeating: 1, count: 300 * 20)
        rows[row * 20 + 19] = value
        try writeNumpy(rows, width: 20, to: fixture.data)
        let result = try runHSAE(fixture.training("run-\(row)", ["--steps", "9"]))
        expectRefusal(result, 65, [fixture.data, "row \(row) "])
        #expect(fixture.checkpoints("run-\(row)").isEmpty)
      }
    }
  }

  @Test func missingInputExits66() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let none = fixture.path("none")
      for arguments in [
        ["train", none, "--out", fixture.path("run")],
        fixture.training("run", ["--config", none]), fixture.training("run", ["--init", none]),
        fixture.resuming("none"), ["unembed", none, "--out", fixture.path("store")],
      ] {
        expectRefusal(try runHSAE(arguments), 66, [none])
      }
      // A folder that is not a run; a run whose data are gone.
      try Path.createDirectories(fixture.path("folder"))
      expectRefusal(try runHSAE(fixture.resuming("folder")), 66, [fixture.path("folder")])
      #expect(try runHSAE(fixture.training("run", ["--steps", "2"])).code == 0)
      Path.removeAll(fixture.data)
      expectRefusal(try runHSAE(fixture.resuming("run")), 66, [fixture.data])
    }
  }

  @Test(
    arguments: [
      (["--k", "41"], 64, "--k"), (["--k", "0"], 64, "--k"),
      (["--steps", "5", "--epochs", "1"], 64, "--epochs"),
      (["--steps", "many"], 64, "--steps"), (["--batch", "1.5"], 64, "--batch"),
      (["--batch", "99999999999999999999"], 64, "--batch: \"99999999999999999999\" is too large"),
      (["--steps", "0"], 64, "--steps"),
      (["--subspace", "21"], 64, "--subspace"), (["--experts", "3G"], 64, "too large"),
      (["--learning-rate", "nan"], 64, "--learning-rate"), (["--clip", "-1"], 64, "--clip"),
      (["--experts", "200M", "--k", "3"], 69, "memory"),
    ] as [([String], Int32, String)])
  func settingsThatDoNotFitAreRefused(_ options: [String], _ code: Int32, _ says: String) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      // The last of two equal options counts, and a value that begins with a dash needs the form --x=-1.
      let joined = zip(options.indices, options).compactMap { index, word in
        index % 2 == 0 ? "\(word)=\(options[index + 1])" : nil
      }
      let result = try runHSAE(fixture.training("run", joined))
      expectRefusal(result, code, [says])
      #expect(!Path.exists(fixture.path("run")))
    }
  }

  @Test func configurationFilesAreChecked() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let config = fixture.path("config.json")
      for (text, says) in [
        (#"{"expert": 5}"#, #"did you mean "experts"?"#), (#"{"k": "five"}"#, "k"),
        ("{", "byte"), (#"{"resume": true}"#, "resume"),
      ] {
        try DurableFile.write(text, to: config)
        let result = try runHSAE(fixture.training("run", ["--config", config]))
        expectRefusal(result, 65, [config, says])
        #expect(!Path.exists(fixture.path("run")))
      }
      // A run's own config.json is not a file of options.
      #expect(try runHSAE(fixture.training("first", ["--steps", "1"])).code == 0)
      let own = fixture.path("first/config.json")
      let result = try runHSAE(fixture.training("run", ["--config", own]))
      expectRefusal(result, 65, [own, "of a run", "--resume"])
      #expect(!Path.exists(fixture.path("run")))
      // The command line wins over the file, and settings in neither have their defaults.
      try DurableFile.write(#"{"experts": 64, "k": 2, "steps": 3, "l1": 0.5}"#, to: config)
      let given = try runHSAE([
        "train", fixture.data, "--out", fixture.path("run"), "--config", config, "--k", "4",
      ])
      #expect(given.code == 0, "\(given.errors)")
      let resolved = try JSONFile.readTree(from: fixture.path("run/config.json"))
      #expect(resolved["shape"]?["experts"]?.integer == 64)
      #expect(resolved["shape"]?["activeExperts"]?.integer == 4)
      #expect(resolved["steps"]?.integer == 3)
      #expect(resolved["objective"]?["l1"]?.number == 0.5)
      #expect(resolved["clip"]?.number == 0.75)
    }
  }

  /// A run that fails before its first step is removed, so the corrected command can start it.
  @Test func aRunThatFailsBeforeItsFirstStepIsRemoved() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let good = fileBytes(fixture.data)
      try writeNumpy([Float](repeating: .nan, count: 300 * 20), width: 20, to: fixture.data)
      let command = fixture.training(
        "run", ["--steps", "3", "--tensorboard", "--also", fixture.path("other") + ":seed=2"])
      // In a folder that existed before, other files stay.
      try Path.createDirectories(fixture.path("other"))
      try DurableFile.write("mine", to: fixture.path("other/.note"))
      expectRefusal(try runHSAE(command), 65, [fixture.data, "NaN"])
      #expect(!Path.exists(fixture.path("run")))
      #expect(Set(try Path.list(fixture.path("other"))).isSubset(of: [".note", "run.lock"]))
      #expect(Path.exists(fixture.path("other/.note")))
      try DurableFile.write(good, to: fixture.data)
      let mended = try runHSAE(command)
      #expect(mended.code == 0, "\(mended.errors)")
      // A run that has taken steps stays, and so does a resumed run.
      let steps = try runHSAE(
        fixture.training("longer", ["--steps", "2", "--checkpoint-every", "0"]))
      #expect(steps.code == 0)
      Path.removeAll(fixture.path("longer/checkpoints"))
      try writeNumpy([Float](repeating: .nan, count: 300 * 20), width: 20, to: fixture.data)
      let resumed = try runHSAE(fixture.resuming("longer"))
      #expect(resumed.code == 65 && Path.exists(fixture.path("longer/config.json")))
    }
  }

  @Test func allZeroRowsAreReported() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      try writeNumpy([Float](repeating: 0, count: 300 * 20), width: 20, to: fixture.data)
      let result = try runHSAE(fixture.training("run", ["--steps", "2"]))
      #expect(result.code == 0 && result.complaints.count == 1, "\(result.errors)")
      #expect(result.errors.contains("256 rows sampled evenly are all zero"), "\(result.errors)")
    }
  }

  @Test func unwritablePlacesExit73() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      var places = [fixture.data, fixture.data + "/run"]
      // Not even root can make folders there.
      places += ["/proc/hsae-run", "/sys/hsae-run"].filter { Path.isDirectory(Path.parent($0)) }
      for place in places {
        let result = try runHSAE(
          ["train", fixture.data, "--out", place, "--steps", "2"] + CommandFixture.small)
        expectRefusal(result, 73, [place.hasPrefix(fixture.data) ? fixture.data : place])
      }
      #expect(fileBytes(fixture.data).count > 300 * 20 * 4)
    }
  }

  @Test func aRunIsNotOverwritten() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(fixture.training("run", ["--steps", "3"])).code == 0)
      let weights = fixture.weights("run")
      let again = try runHSAE(fixture.training("run", ["--steps", "4"]))
      expectRefusal(again, 73, ["--resume", fixture.path("run")])
      #expect(fixture.weights("run") == weights)
      let changed = try runHSAE(fixture.resuming("run") + ["--steps", "4"])
      expectRefusal(changed, 64, ["--steps 3, not 4"])
      // Resume on other rows.
      let other = fixture.path("other.npy")
      try writeNumpy([Float](repeating: 1, count: 300 * 20), width: 20, to: other)
      let wrong = try runHSAE(["train", other, "--resume", "--out", fixture.path("run")])
      expectRefusal(wrong, 65, [other])
      #expect(fixture.weights("run") == weights)
    }
  }
}
