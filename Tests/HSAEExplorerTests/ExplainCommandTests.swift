// The command hsae explain: from a collected store to exports, killed at random moments, and refusals.

#if Explorer
import Foundation
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct ExplainCommandTests {
  /// Makes a store of the synthetic model and two runs on it in `folder`.
  private func prepare(_ folder: String) throws -> (store: String, runs: [String]) {
    try collectAndTrain(
      in: folder, documents: 150,
      sizes: [
        "--experts", "40", "--sublatents", "4", "--subspace", "3", "--k", "3", "--batch", "64",
      ])
  }

  @Test func explainingAStoreWritesADatabase() throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try prepare(folder)
      let out = Path.join(folder, "features")
      let first = try runHSAE(
        ["explain", runs[0], "--out", out], environment: ["HSAE_PROGRESS_SECONDS": "0"])
      #expect(first.code == 0, "\(first.errors)")
      #expect(first.errors.contains("hsae explain: after 0 s: texts, "), "\(first.errors)")
      #expect(first.output.contains(" of 40 on these rows") && first.output.contains("rows/s"))
      let second = try runHSAE([
        "explain", runs[1], Path.join(store, "holdout"), "--out", out, "--json", "--name", "held",
      ])
      #expect(second.code == 0, "\(second.errors)")
      let tree = try JSONValue(parsing: Array(second.output.utf8), source: "output")
      #expect(tree["name"]?.string == "held")
      let database = try FeatureDatabase(path: out)
      let records = try database.runs()
      #expect(records.map(\.name) == ["h", "held"] && records.allSatisfy(\.isComplete))
      // The folder of the first run is there, so its sublatents are compared too.
      let comparison = try #require(try database.comparison(of: records[0], with: records[1]))
      #expect(!comparison.matched.isEmpty && !comparison.sublatents.isEmpty)
      var query = LatentQuery()
      (query.order, query.isDescending) = (.density, true)
      let latent = try #require(try database.latents(query, in: records[1]).latents.first)
      let detail = try #require(
        try database.detail(of: LatentNumber(expert: latent.expert), in: records[1]))
      #expect(!detail.strongest.isEmpty)
      let info = try runHSAE(["info", out])
      #expect(info.code == 0 && info.output.contains("explained features of 2 runs"))

      let json = Path.join(folder, "json")
      try database.setLabel("dogs", of: latent.number, in: records[0])
      let exported = try runHSAE(["export-features", out, "--run", "h", "--out", json])
      #expect(exported.code == 0, "\(exported.errors)")
      #expect(exported.output.contains(" experts of h\n"), "\(exported.output)")
      let batch = try JSONFile.readTree(from: Path.join(json, "batch-0.json"))
      let features = try #require(batch["features"]?.array)
      #expect(try features.count == database.latents(LatentQuery(), in: records[0]).total)
      let strongest = try #require(features[0]["activations"]?.array?.first)
      let values = try #require(strongest["values"]?.array).compactMap(\.number)
      #expect(strongest["tokens"]?.array?.count == values.count)
      let centre = try #require(strongest["qualifying_token_index"]?.number)
      #expect(values[Int(centre)] == values.max())
      #expect(features[0]["pos_str"]?.array?.count == 0)
      let labels = try JSONFile.readTree(from: Path.join(json, "labels.json"))
      #expect(labels.array?.count == 1 && labels.array?.first?["text"]?.string == "dogs")
      #expect(
        try runHSAE([
          "export-features", out, "--run", "h", "--out", json + "-sub", "--sublatents",
        ]).code == 0)
      #expect(try runHSAE(["export-features", out, "--run", "h", "--out", json]).code == 73)
      #expect(try runHSAE(["export-features", out, "--out", json + "-x"]).code == 64)

      let pages = Path.join(folder, "pages")
      let written = try runHSAE(["explain", "--html", pages, "--out", out])
      #expect(written.code == 0 && written.output.contains("index.html"), "\(written.errors)")
      #expect(Path.exists(Path.join(pages, "compare/h-with-held.html")))
      #expect(try runHSAE(["explain", "--html", pages, "--out", out, "--json"]).code == 0)
      #expect(try runHSAE(["explain", "--html", json, "--out", out]).code == 73)
      #expect(try runHSAE(["explain", "--html", pages + "-x", "--out", pages]).code == 66)
      #expect(try runHSAE(["explain", "--out", out]).code == 64)
      Path.removeAll(pages)

      let again = try runHSAE(["explain", runs[0], "--out", out, "--html", pages])
      #expect(again.code == 0 && again.output.contains("nothing was left to do"))
      #expect(again.errors.contains("wrote \(pages)") && Path.exists(pages))
      #expect(try Path.list(out).filter { $0 != ".explain.lock" } == ["features.sqlite"])
    }
  }

  @Test func killedAtRandomMoments() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try prepare(folder)
      let whole = Path.join(folder, "whole")
      let start = Date()
      #expect(try runHSAE(["explain", runs[0], "--out", whole]).code == 0)
      let duration = Date().timeIntervalSince(start)
      let expected = try ExplainFixture.dump(whole)
      var generator = SeededGenerator(seed: 1)
      let rounds = ProcessInfo.processInfo.environment["HSAE_SOAK"] == nil ? 3 : 20
      for round in 0..<rounds {
        let out = Path.join(folder, "killed-\(round)")
        for _ in 0..<3 {
          let command = try RunningCommand(hsaeExecutable, ["explain", runs[0], "--out", out])
          usleep(UInt32(duration * 1e6 * generator.nextUniform()))
          command.send(SIGKILL)
          _ = command.result()
        }
        let last = try runHSAE(["explain", runs[0], "--out", out])
        #expect(last.code == 0, "\(last.errors)")
        #expect(try ExplainFixture.dump(out) == expected)
      }
    }
  }

  /// Killed in its first transaction: the file has one page of several, and the journal says it had none.
  @Test func aDatabaseKilledInItsFirstTransactionIsBegunAgain() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try prepare(folder)
      let (whole, out) = (Path.join(folder, "whole"), Path.join(folder, "killed"))
      #expect(try runHSAE(["explain", runs[0], "--out", whole]).code == 0)
      let database = Path.join(out, FeatureDatabase.fileName)
      try Path.createDirectories(out)
      let bytes = fileBytes(Path.join(whole, FeatureDatabase.fileName))
      try DurableFile.write(Array(bytes.prefix(4096)), to: database)
      // The journal: magic, no pages in it, a nonce, 0 pages before, sectors of 512 bytes, pages of 4096.
      let header: [UInt8] = [
        0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0,
        0, 0, 2, 0, 0, 0, 16, 0,
      ]
      let padding = [UInt8](repeating: 0, count: 512 - header.count)
      try DurableFile.write(header + padding, to: database + "-journal")
      let result = try runHSAE(["explain", runs[0], "--out", out])
      #expect(result.code == 0, "\(result.errors)")
      #expect(try ExplainFixture.dump(out) == ExplainFixture.dump(whole))
      // Without the journal the file is refused as cut short.
      try DurableFile.write(Array(bytes.prefix(4096)), to: database)
      #expect(try runHSAE(["explain", runs[0], "--out", out]).errors.contains("cut short"))
    }
  }

  @Test func invalidRequestsGiveOneSentence() throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try prepare(folder)
      let out = Path.join(folder, "features")
      func refused(_ arguments: [String], _ code: Int32, _ parts: [String]) throws {
        let result = try runHSAE(["explain"] + arguments)
        #expect(result.code == code, "\(result.errors)")
        #expect(result.output.isEmpty)
        for part in parts { #expect(result.errors.contains(part), "\(result.errors)") }
      }
      try refused([Path.join(folder, "none"), "--out", out], 66, ["no such run"])
      try refused([runs[0], Path.join(folder, "none"), "--out", out], 66, ["none"])
      try refused([runs[0], "--out", Path.join(folder, "a/b")], 73, ["no such folder"])
      try refused([runs[0]], 64, ["--out"])
      try refused([runs[0], "--out", out, "--contexts", "0"], 64, ["--contexts"])
      try refused([runs[0], "--out", out, "--window", "128"], 64, ["--window"])
      try refused([runs[0], "--out", out, "--tokens", "none"], 64, ["--tokens"])
      let matrix = Path.join(folder, "rows.npy")
      try writeNumpy([Float](repeating: 1, count: 60), width: 20, to: matrix)
      try refused([runs[0], matrix, "--out", out], 65, ["width 20", "needs 64"])
      #expect(try runHSAE(["explain", runs[0], "--out", out]).code == 0)
      try refused([runs[0], "--out", out, "--seed", "1"], 73, ["--name", "--replace"])
      #expect(
        try runHSAE(["explain", runs[0], "--out", out, "--seed", "1", "--replace"]).code == 0)
      try DurableFile.write(
        Array("no database".utf8), to: Path.join(out, FeatureDatabase.fileName))
      try refused([runs[0], store, "--out", out], 65, ["features.sqlite"])
    }
  }
}
#endif
