// What people bring as rows, through the executable: rows of any length, and files whose tensor has to be named.

import HSAEActivations
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct RowInputTests {
  /// The numbers of the rows of `fixture`, all `factor` times as long.
  private func rows(_ fixture: CommandFixture, times factor: Float) throws -> [Float] {
    let bytes = fileBytes(fixture.data)
    return stride(from: bytes.count - 300 * 20 * 4, to: bytes.count, by: 4).map { place in
      let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << (8 * UInt32($1)) }
      return Float(bitPattern: bits) * factor
    }
  }

  /// The latents that `hsae encode` prints: for each row [expert, code, sublatent, code] one after another.
  private func codes(_ run: String, _ data: String) throws -> [[[Double]]] {
    let result = try runHSAE(["encode", run, data])
    try #require(result.code == 0, "\(result.errors)")
    return try result.output.split(separator: "\n").map { line in
      let tree = try JSONValue(parsing: Array(line.utf8), source: "output")
      return try #require(tree["latents"]?.array).map { $0.array?.compactMap(\.number) ?? [] }
    }
  }

  /// Rows that are all shorter or longer train the same dictionary and have the same codes.
  @Test func lengthsOfRowsDoNotMatter() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "20", "--precision", "float32"]
      #expect(try runHSAE(fixture.training("run", options)).code == 0)
      let expected = try codes(fixture.path("run"), fixture.data)
      #expect(expected.count == 300)
      // Powers of two only change the exponents of unit rows, so all bits are the same, as long as no number is
      // squared in another precision.
      let short = fixture.path("short.npy")
      try writeNumpy(try rows(fixture, times: 0x1p-30), width: 20, to: short)
      let trained = try runHSAE(
        ["train", short, "--out", fixture.path("other")] + CommandFixture.small + options)
      try #require(trained.code == 0, "\(trained.errors)")
      #expect(!fixture.weights("run").isEmpty && fixture.weights("run") == fixture.weights("other"))
      #expect(try codes(fixture.path("run"), short) == expected)
      // Lengths of about 1e-30 and 1e36.
      for factor: Float in [0x1p-99, 0x1p120] {
        let path = fixture.path("\(factor).npy")
        try writeNumpy(try rows(fixture, times: factor), width: 20, to: path)
        for (row, right) in zip(try codes(fixture.path("run"), path), expected) {
          #expect(row.map(\.first) == right.map(\.first))
          for (latent, other) in zip(row, right) {
            #expect(zip(latent, other).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
          }
        }
        // The squares of these norms are zero or infinite in single precision.
        let expected = try medianNorm(fixture.data) * Double(factor)
        #expect(abs(try medianNorm(path) / expected - 1) < 1e-5)
      }
    }
  }

  /// Writes the rows of `fixture` and half of them, as tensors "all" and "half", to `path`.
  private func writeTwo(_ fixture: CommandFixture, to path: String) throws {
    let rows = try rows(fixture, times: 1)
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [.init("all", shape: [300, 20]), .init("half", shape: [150, 20])])
    try writer.append("all", rows)
    try writer.append("half", Array(rows.prefix(3000)))
    _ = try writer.finish()
  }

  /// Every command that reads rows can name a tensor, in one file and in several with an index.
  @Test(arguments: [1, 2])
  func aTensorCanBeNamed(_ files: Int) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      var two = fixture.path("two.safetensors")
      try writeTwo(fixture, to: two)
      if files > 1 { two = try divideSafetensors(two, into: files) }
      let run = fixture.path("run")
      let training = ["train", two, "--tensor", "all", "--out", run] + CommandFixture.small
      #expect(try runHSAE(training + ["--steps", "5"]).code == 0)
      // The run knows its tensor, and goes on with it.
      #expect(try runHSAE(["train", "--resume", "--out", run]).code == 0)

      let codes = try runHSAE(["encode", run, two, "--tensor", "half"])
      #expect(codes.output.split(separator: "\n").count == 150, "\(codes.errors)")
      let other = fixture.path("other")
      #expect(try runHSAE(fixture.training("other", ["--steps", "5"])).code == 0)
      for command in [
        ["evaluate", other, "--suite", "core", "--store", two],
        ["report", other, "--out", fixture.path("p.html"), "--store", two],
      ] {
        let unnamed = try runHSAE(command)
        #expect(unnamed.code == 65 && unnamed.errors.contains("(all, half)"), "\(unnamed.errors)")
        #expect(unnamed.errors.contains("--tensor"))
        let named = try runHSAE(command + ["--tensor", "half"])
        #expect(named.code == 0 && named.output.contains("150"), "\(named.errors)")
      }
      // Commands that need a store do not ask for a tensor.
      for (command, part) in [
        (["export", other, "--out", fixture.path("out")], "not an activation store"),
        (["lookup", other, "dog"], "not a store with a vocabulary"),
      ] {
        let refused = try runHSAE(command + ["--store", two])
        expectRefusal(refused, 65, [two, part])
        #expect(!refused.errors.contains("--tensor"), "\(refused.errors)")
      }
      #expect(try runHSAE(["evaluate", other, "--tensor", "half"]).code == 64)
      expectRefusal(
        try runHSAE(["evaluate", other, "--store", two, "--tensor", "x"]), 65, ["\"x\""])

      // hsae info lists the tensors, and describes one.
      let list = try runHSAE(["info", two])
      #expect(list.code == 0 && list.output.contains("2 tensors"), "\(list.errors)")
      for line in ["all  F32  [300, 20]", "half  F32  [150, 20]"] {
        #expect(list.output.contains(line))
      }
      let half = try runHSAE(["info", two, "--tensor", "half"])
      #expect(half.output.contains("150 rows of width 20"))
    }
  }

  #if Explorer
  @Test func explainNamesATensor() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let two = fixture.path("two.safetensors")
      try writeTwo(fixture, to: two)
      #expect(try runHSAE(fixture.training("run", ["--steps", "5"])).code == 0)
      let command = ["explain", fixture.path("run"), two, "--out", fixture.path("features")]
      expectRefusal(try runHSAE(command), 65, ["(all, half)", "--tensor"])
      let named = try runHSAE(command + ["--tensor", "half"])
      #expect(named.code == 0 && named.output.contains("150 rows"), "\(named.errors)")
    }
  }
  #endif

  /// Configurations and other JSON are no corpora without documents.
  @Test func otherJSONIsNoCorpus() throws {
    try withTemporaryFolder { folder in
      try Path.createDirectories(folder + "/run/checkpoints")
      for (name, says) in [
        ("cfg.json", "hsae import \(folder)"), ("run/config.json", "hsae info \(folder)/run"),
        ("settings.json", "\"text\""), ("x.safetensors.index.json", "\"text\""),
      ] {
        try DurableFile.write(#"{"architecture": "topk", "d_in": 8}"#, to: folder + "/" + name)
        expectRefusal(try runHSAE(["info", folder + "/" + name]), 65, [name, says])
      }
    }
  }

  /// The median norm that `hsae info` prints.
  private func medianNorm(_ data: String) throws -> Double {
    let result = try runHSAE(["info", data, "--json"])
    try #require(result.code == 0, "\(result.errors)")
    let tree = try JSONValue(parsing: Array(result.output.utf8), source: "output")
    return try #require(tree["norms"]?["quantiles"]?.array?[3].number)
  }
}
