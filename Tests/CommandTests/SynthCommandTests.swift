// hsae synth: a forest, a dictionary trained on it without a row on the disk, the suites that know the truth, and rows for
// other programs.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

struct SynthCommandTests {
  static let law = ["--preset", "small", "--orthogonal-steps", "2", "--rows", "20k"]

  @Test func aDictionaryOfAForestIsMeasured() throws {
    try withTemporaryFolder { folder in
      func run(_ arguments: [String]) throws -> CommandResult {
        try runHSAE(arguments, currentFolder: folder)
      }
      let made = try run(["synth", "f.safetensors"] + Self.law)
      try #require(made.code == 0, "\(made.errors)")
      #expect(made.output.contains("512 features in 64 dimensions, 336 of them in 16 trees"))
      let told = try run(["info", "f.safetensors"])
      #expect(told.output.contains("synthetic forest"), "\(told.output)")
      #expect(told.output.contains("law: bias 0.5, branching "), "\(told.output)")
      #expect(told.output.contains("orthogonalSteps 2, "), "\(told.output)")
      let trained = try run(
        [
          "train", "f.safetensors", "--experts", "32", "--sublatents", "4", "--subspace", "4",
          "--k", "4", "--batch", "64", "--steps", "20", "--normalize", "none", "--out", "run",
        ])
      try #require(trained.code == 0, "\(trained.errors)")
      #expect(!trained.errors.contains("differ in length"))
      let unit = try run(["train", "f.safetensors", "--experts", "8", "--steps", "1", "--out", "u"])
      #expect(unit.errors.contains("--normalize none keeps their lengths"), "\(unit.errors)")
      let endless = try run(["encode", "run", "f.safetensors"])
      #expect(endless.code == 64 && endless.errors.contains("--rows"), "\(endless.errors)")
      let measured = try run([
        "evaluate", "run", "--suite", "truth,structure", "--tokens", "2k", "--meta-steps", "20",
        "--out", "e.json",
      ])
      try #require(measured.code == 0, "\(measured.errors)")
      #expect(measured.output.contains("2,000 of 20,000 held-out rows"))
      #expect(measured.output.contains("edges that are right, own tree"))
      #expect(measured.output.contains("coverage: P(any child | parent), own tree"))
      #expect(measured.output.contains("meta-structure"))
      #expect(Path.exists(folder + "/e.json"))
      // Its rows have no words; a page measures held-out ones.
      let page = try run(["report", "run", "--out", "r.html"])
      try #require(page.code == 0, "\(page.errors)")
      let text = try String(decoding: MappedFile(path: folder + "/r.html").copy(), as: UTF8.self)
      #expect(
        text.contains("Rows of a synthetic forest have no words") && !text.contains("&lt;token"))
      #expect(text.contains("Measured on 20,000 held-out rows of the forest"))
      // The run names the forest, so that it can be resumed.
      let resumed = try run(["train", "--resume", "--out", "run"])
      #expect(resumed.code == 0, "\(resumed.errors)")
    }
  }

  @Test func rowsAreWrittenWithTheirFeatures() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/f.safetensors"
      let made = try runHSAE(["synth", path] + Self.law)
      try #require(made.code == 0, "\(made.errors)")
      let written = try runHSAE([
        "synth", path, "--write", folder + "/r.npy", "--count", "100", "--first", "7", "--held-out",
      ])
      try #require(written.code == 0, "\(written.errors)")
      let rows = try SyntheticRows(path: path).heldOut()
      let read = try openRows(path: folder + "/r.npy")
      #expect(try read.matrix(rows: 0..<100).elements == rows.matrix(rows: 7..<107).elements)
      // Whenever it is stopped, nothing is left.
      for calls in 0..<4 {
        var asked = 0
        let stopped = try rows.write(
          0..<9_000, to: folder + "/stopped.npy",
          shouldStop: {
            asked += 1
            return asked > calls
          })
        #expect(stopped == nil && asked == calls + 1)
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
          == ["f.safetensors", "r.fired.safetensors", "r.npy"])
      let fired = try SafetensorsFile(path: folder + "/r.fired.safetensors")
      #expect(fired["offsets"]?.shape == [101])
      let magnitudes = try fired.floats("magnitudes")
      let expected = (7..<107).flatMap { row in
        rows.fired(row).sorted { $0.feature < $1.feature }.map(\.magnitude)
      }
      #expect(magnitudes == expected)
    }
  }

  @Test func wrongOptionsAreRefused() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/f.safetensors"
      for (arguments, part) in [
        (["--preset", "smal"], "there is no law \"smal\""), (["--rates", "0.1"], "--rates"),
        (["--rates", "0.1,0.2"], "--rates"), (["--features", "0"], "--features"),
        (["--exclusive", "2"], "--exclusive"),
        (["--first=-1", "--write", folder + "/r.npy"], "--first must be a row"),
        (["--write", path], "must end in .npy"), (["--count", "10"], "need --write"),
        (["--count", "x", "--write", folder + "/r.npy"], "--count"),
      ] {
        let result = try runHSAE(["synth", path] + arguments)
        #expect(result.code == 64, "\(arguments): \(result.errors)")
        #expect(result.errors.contains(part), "\(arguments): \(result.errors)")
        #expect(!Path.exists(path))
      }
      #expect(try runHSAE(["synth", path] + Self.law).code == 0)
      #expect(try runHSAE(["synth", path]).code == 0)
      #expect(try runHSAE(["synth", path, "--features", "512"]).code == 0)
      #expect(try runHSAE(["synth", folder + "/forest"] + Self.law).code == 64)
      #expect(try runHSAE(["synth", path, "--preset", "synthsaebench-16k"]).code == 73)
      let other = try runHSAE(["synth", path] + Self.law + ["--seed", "5"])
      #expect(other.code == 73)
      #expect(other.errors.contains("seed 42, not 5"))
      let many = try runHSAE(["synth", path, "--write", folder + "/r.npy", "--count", "30k"])
      #expect(many.code == 64)
      #expect(many.errors.contains("20,000 rows"))
      // Other rows have no truth.
      let matrix = try runHSAE(["synth", path, "--write", folder + "/r.npy", "--count", "200"])
      #expect(matrix.code == 0)
      let taken = try runHSAE(["synth", path, "--write", folder + "/r.npy", "--count", "9"])
      #expect(taken.code == 73)
      let trained = try runHSAE([
        "train", folder + "/r.npy", "--experts", "8", "--sublatents", "0", "--k", "2", "--batch",
        "16", "--steps", "3", "--out", folder + "/run",
      ])
      try #require(trained.code == 0, "\(trained.errors)")
      let refused = try runHSAE(["evaluate", folder + "/run", "--suite", "truth"])
      #expect(refused.code == 64)
      #expect(refused.errors.contains("--store"))
    }
  }
}
