// hsae import: a run that was exported and imported equals the original, and every command that takes a run takes
// it or says in one sentence why not.

import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@Suite struct ImportCommandTests {
  private struct Made {
    var store: String
    var runs: [String]
    var imported: [String]
  }

  /// An H-SAE and a flat SAE on a store, and both after export to SAELens and import.
  private func make(in folder: String) throws -> Made {
    let (store, runs) = try collectAndTrain(
      in: folder, documents: 100, sizes: CommandFixture.small)
    var imported: [String] = []
    for run in runs {
      let saelens = run + "-saelens"
      let back = run + "-back"
      #expect(try runHSAE(["export", run, "--out", saelens]).code == 0)
      let result = try runHSAE(["import", saelens, "--out", back])
      #expect(result.code == 0 && result.output.contains("imported run"), "\(result.errors)")
      imported.append(back)
    }
    return Made(store: store, runs: runs, imported: imported)
  }

  private func numbers(_ text: String) -> [Double] {
    text.split { !($0.isNumber || $0 == "." || $0 == "-" || $0 == "e") }.compactMap { Double($0) }
  }

  @Test func exportAndImportKeepTheCodes() throws {
    try withTemporaryFolder { folder in
      let made = try make(in: folder)
      for (run, imported) in zip(made.runs, made.imported) {
        let codes = try [run, imported].map {
          numbers(try runHSAE(["encode", $0, made.store, "--rows", "40"]).output)
        }
        #expect(codes[0].count == codes[1].count && codes[0].count > 200)
        for (a, b) in zip(codes[0], codes[1]) { #expect(abs(a - b) < 1e-5 * max(1, abs(a))) }
      }
    }
  }

  @Test func everyCommandAcceptsAnImportedRun() throws {
    try withTemporaryFolder { folder in
      let made = try make(in: folder)
      let run = made.imported[0]
      func path(_ name: String) -> String { Path.join(folder, name) }
      for command in [
        ["info", run], ["info", run, "--json"],
        ["evaluate", run, made.runs[0], "--store", made.store, "--suite", "core,cost"],
        [
          "evaluate", run, "--store", made.store, "--model", "synthetic", "--suite", "core",
          "--loss-tokens", "2k",
        ],
        ["report", run, "--store", made.store, "--out", path("page.html")],
        ["explain", run, made.store, "--out", path("features")],
        ["encode", run, made.store, "--rows", "3"],
        ["export", run, "--out", path("again")],
        [
          "steer", run, "--latent", "0", "--ablate", "--prompt", "the w1", "--tokens", "2",
          "--store", made.store, "--model", "synthetic",
        ],
      ] {
        let result = try runHSAE(command)
        #expect(result.code == 0, "\(command): \(result.errors)")
      }
      let info = try runHSAE(["info", run]).output
      #expect(info.contains("SAELens, hsae") && info.contains("√d") == false)

      // The run has no rows of its own and no training state.
      expectRefusal(try runHSAE(["evaluate", run]), 64, ["imported", "--store"])
      let cost = try runHSAE(["evaluate", run, "--suite", "cost"])
      #expect(cost.code == 0 && cost.output.contains("parameters"), "\(cost.errors)")
      // The error comes after a line that names the run.
      let refused = try runHSAE(["report", run, "--out", path("page.html")])
      let sentence = refused.errors.split(separator: "\n").last ?? ""
      #expect(refused.code == 64 && sentence.hasPrefix("hsae: "))
      #expect(sentence.contains("imported") && sentence.contains("--store"))
      expectRefusal(try runHSAE(["explain", run, "--out", path("f2")]), 64, ["imported"])
      expectRefusal(try runHSAE(["train", "--resume", "--out", run]), 64, ["imported"])
      expectRefusal(try runHSAE(["bench", "--from", run]), 64, ["imported"])

      expectRefusal(try runHSAE(["import", run, "--out", path("x")]), 65, ["SAELens"])
      expectRefusal(try runHSAE(["import", path("nowhere"), "--out", path("x")]), 66, ["nowhere"])
      expectRefusal(
        try runHSAE(["import", made.runs[0] + "-saelens", "--out", run]), 73, [run])
      expectRefusal(
        try runHSAE(["import", made.runs[0] + "-saelens", "--out", path("no/x")]), 73, ["no such"])
      for command in [
        ["encode", made.runs[0] + "-saelens", made.store], ["evaluate", made.runs[0] + "-saelens"],
      ] {
        expectRefusal(try runHSAE(command), 65, ["dictionary of SAELens", "run hsae import"])
      }
      // A file of no known format is reported as unknown, not as damaged.
      try DurableFile.write([UInt8](repeating: 0xA5, count: 4_000), to: path("x.npy"))
      expectRefusal(
        try runHSAE(["import", path("x.npy"), "--out", path("x")]), 65,
        ["x.npy", "the format is not known"])
      #expect(!Path.exists(path("x")))
    }
  }

  /// Without a k, and with --max-active at the number of latents, every active latent is kept.
  @Test func withoutALimitEveryActiveLatentIsKept() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try collectAndTrain(in: folder, documents: 40, sizes: CommandFixture.small)
      let saelens = folder + "/saelens"
      #expect(try runHSAE(["export", runs[1], "--out", saelens]).code == 0)
      let configuration = String(decoding: fileBytes(saelens + "/cfg.json"), as: UTF8.self)
      try DurableFile.write(
        configuration.replacing(#""topk""#, with: #""standard""#), to: saelens + "/cfg.json")
      let all = try runHSAE(["import", saelens, "--out", folder + "/all"])
      #expect(all.code == 0 && all.output.contains(", any number active, width"), "\(all)")
      let few = try runHSAE(["import", saelens, "--out", folder + "/few", "--max-active", "5"])
      #expect(few.output.contains("any number active (the strongest 5 are kept)"))
    }
  }

  @Test func rowsGetTheirLengthsBack() throws {
    try withTemporaryFolder { folder in
      let (store, _) = try collectAndTrain(in: folder, documents: 60, sizes: CommandFixture.small)
      // The same rows with their original lengths, as a matrix.
      let source = try ActivationStore(path: store)
      var rows: [Double] = []
      for row in 0..<40 {
        let unit = try source.matrix(rows: row..<row + 1)
        for column in 0..<source.width { rows.append(Double(unit[0, column] * source.norm(row))) }
      }
      try writeNumpy(rows.map { Float($0) }, width: source.width, to: folder + "/rows.npy")
      let options = ["--out", folder + "/raw", "--normalize", "original", "--steps", "5"]
      let begun = try runHSAE(["train", store] + options + CommandFixture.small)
      #expect(begun.code == 0, "\(begun.errors)")
      let codes = try [store, folder + "/rows.npy"].map {
        numbers(try runHSAE(["encode", folder + "/raw", $0, "--rows", "40"]).output)
      }
      #expect(codes[0].count == codes[1].count && codes[0].count > 100)
      for (a, b) in zip(codes[0], codes[1]) { #expect(abs(a - b) <= 1e-4 * max(1, abs(a))) }
      let result = try runHSAE(["train", "--resume", "--out", folder + "/raw"])
      #expect(result.code == 0, "\(result.errors)")
      #expect(
        try runHSAE(["evaluate", folder + "/raw", folder + "/flat", "--suite", "core"]).code == 0)
    }
  }
}
