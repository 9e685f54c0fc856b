// hsae corpus, collect, info and report on the synthetic model: text in, a store out, a description of it.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct InfoCommandTests {
  /// A corpus file, and a store of the synthetic model's rows over it.
  private func withStore(_ body: (_ folder: String, _ store: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let lines = (0..<40).map { number in
        #"{"text": "document \#(number) of several words", "language": "en", "title": "T\#(number)"}"#
      }
      try DurableFile.write(lines.joined(separator: "\n"), to: folder + "/in.jsonl")
      try DurableFile.write("du texte\n\nencore\n", to: folder + "/in.txt")
      let built = try runHSAE(
        ["corpus", "in.jsonl", "in.txt", "--out", "c.jsonl"], currentFolder: folder)
      try #require(built.code == 0, "\(built.errors)")
      #expect(built.output.contains("42 of 42 documents"))
      #expect(built.errors.contains("1 blank"))
      let collected = try runHSAE(
        ["collect", "synthetic", "--layer", "1", "--text", "c.jsonl", "--out", "s.store"],
        currentFolder: folder)
      try #require(collected.code == 0, "\(collected.errors)")
      try body(folder, folder + "/s.store")
    }
  }

  @Test func everythingIsDescribed() throws {
    try withStore { folder, store in
      let told = try runHSAE(["info", store])
      #expect(told.code == 0, "\(told.errors)")
      for part in ["residual-stream", "norms of", "en 95", "rows in context:", "held out"] {
        #expect(told.output.contains(part), "\(part): \(told.output)")
      }
      let json = try runHSAE(["info", store, "--json", "--contexts", "3", "--sample", "50"])
      let tree = try JSONValue(parsing: Array(json.output.utf8), source: "info")
      #expect(tree["contexts"]?.array?.count == 3 && tree["sampled"]?.integer == 50)

      let trained = try runHSAE([
        "train", store, "--experts", "8", "--sublatents", "2", "--subspace", "2", "--k", "2",
        "--batch", "32", "--steps", "5", "--out", folder + "/run",
      ])
      try #require(trained.code == 0, "\(trained.errors)")
      let configuration = try JSONFile.readTree(from: folder + "/run/config.json")
      #expect(configuration["order"]?.string == "chunks")
      let run = try runHSAE(["info", folder + "/run"])
      #expect(
        run.output.contains("8 experts × 2 sublatents") && run.output.contains("order chunks"))

      let page = try runHSAE(["report", folder + "/run", "--out", folder + "/p.html"])
      #expect(page.code == 0, "\(page.errors)")
      let alone = try runHSAE(["report", store, "--out", folder + "/s.html"])
      #expect(alone.code == 0, "\(alone.errors)")
      for name in ["/p.html", "/s.html"] {
        let html = String(decoding: try MappedFile(path: folder + name).copy(), as: UTF8.self)
        #expect(html.contains("id=\"activations\""))
      }
      let text = try runHSAE(["info", folder + "/c.jsonl"])
      #expect(text.output.contains("42 documents") && text.output.contains("unknown 2"))
    }
  }

  @Test func giantNormsAreKeptIfAskedFor() throws {
    try withStore { folder, store in
      // In this store every row beyond the median has a giant norm.
      let strict = folder + "/strict.store"
      let collected = try runHSAE(
        [
          "collect", "synthetic", "--layer", "1", "--text", "c.jsonl", "--giant-norm", "1.01",
          "--out",
          strict,
        ], currentFolder: folder)
      try #require(collected.code == 0, "\(collected.errors)")
      func rows(_ name: String, _ arguments: [String]) throws -> Int? {
        let run = Path.join(folder, name)
        let result = try runHSAE(
          [
            "train", strict, "--experts", "8", "--sublatents", "0", "--k", "2", "--batch", "32",
            "--steps", "3", "--out", run,
          ] + arguments)
        try #require(result.code == 0, "\(result.errors)")
        let again = try runHSAE(["train", "--out", run, "--resume"])
        #expect(again.code == 0, "\(again.errors)")
        return try JSONFile.readTree(from: run + "/config.json")["data"]?["rows"]?.integer
      }
      let kept = try #require(try rows("kept", ["--giant-norms", "keep"]))
      let skipped = try #require(try rows("skipped", []))
      #expect(skipped < kept)
    }
  }

  /// A file of no known kind is not taken for a corpus.
  @Test func filesOfUnknownKindsAreRefused() throws {
    try withTemporaryFolder { folder in
      func write(_ name: String, _ bytes: [UInt8]) throws {
        try Path.createDirectories(Path.parent(folder + "/" + name))
        try DurableFile.write(bytes, to: folder + "/" + name)
      }
      var generator = SystemRandomNumberGenerator()
      let noise =
        [0xFF, 0] + (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
      for name in ["a.npy", "a.gguf", "a.safetensors", "noise", "noise.txt.x", "a.npz"] {
        try write(name, noise)
      }
      try write("empty.npy", [])
      try write("empty", [])
      try write("utf16", [0xFF, 0xFE, 0x61, 0, 0x62, 0])
      try write("page.html", Array("\n<!DOCTYPE html><p>a page</p>".utf8))
      try write("settings.json", Array("{\n  \"a\": 1,\n  \"b\": 2\n}\n".utf8))
      try write("saelens/cfg.json", Array("{}".utf8))
      try write("saelens/README.md", Array("A card.".utf8))
      try write("evaluation/evaluation.json", Array("{\n \"runs\": []\n}\n".utf8))
      try write("evaluation/notes.txt", Array("text".utf8))
      try write("pages/hsae-pages.json", Array("{}".utf8))
      try write("folder/picture.png", noise)
      for (name, says) in [
        ("a.npy", "neither"), ("empty.npy", "neither"), ("a.gguf", "GGUF"),
        ("a.safetensors", "neither"), ("a.npz", "hsae import"),
        ("noise", "does not know what this is"),
        ("noise.txt.x", "not text"), ("utf16", "not text"), ("empty", "it is empty"),
        ("page.html", "browser"), ("settings.json", "does not know what this is"),
        ("saelens", "hsae import"), ("evaluation", "hsae report"),
        ("evaluation/evaluation.json", "hsae report"), ("pages", "index.html"),
        ("folder", "does not know what this is"),
      ] {
        expectRefusal(try runHSAE(["info", folder + "/" + name]), 65, [name, says])
      }
      // Text is accepted whatever its name, and for a corpus without documents no languages are printed.
      try write("LICENSE", Array("é words\n".utf8))
      try write("blank.txt", Array("\n".utf8))
      let text = try runHSAE(["info", folder + "/LICENSE"])
      #expect(
        text.code == 0 && text.output.contains("corpus, 1 document, 8 bytes of text in 1 file\n"))
      let blank = try runHSAE(["info", folder + "/blank.txt"])
      #expect(blank.code == 0 && blank.output.contains("1 blank line or document"))
      #expect(!blank.output.contains("languages:"))
    }
  }

  @Test func aKnownModelIsNamed() throws {
    try withTemporaryFolder { folder in
      func info(_ name: String) throws -> CommandResult {
        try runHSAE(["info", name], environment: ["HSAE_CACHE": folder], currentFolder: folder)
      }
      expectRefusal(try info("Gemma-3-270m"), 66, ["not been fetched", "hsae fetch gemma-3-270m"])
      // The header of a file without metadata and tensors.
      let model = folder + "/models/gemma-3-270m-q4_k_m.gguf"
      try Path.createDirectories(Path.parent(model))
      try DurableFile.write(
        Array("GGUF".utf8) + [3, 0, 0, 0] + [UInt8](repeating: 0, count: 16), to: model)
      let found = try info("gemma-3-270m")
      #expect(found.code == 0 && found.output.contains("GGUF model"), "\(found.errors)")
    }
  }

  @Test func invalidRequestsGiveOneSentence() throws {
    try withTemporaryFolder { folder in
      func refused(_ arguments: [String], _ code: Int32, _ word: String) throws {
        let result = try runHSAE(arguments, currentFolder: folder)
        #expect(result.code == code && result.errors.contains(word), "\(result.errors)")
      }
      try DurableFile.write("x", to: folder + "/a.txt")
      try refused(["info", "nothing"], 66, "nothing here")
      try refused(["info", "nothing"], 66, "gemma-3-270m")
      try refused(["corpus", "nothing", "--out", "o"], 66, "known names")
      try refused(["corpus", "a.txt", "--out", "no/o"], 73, "no such folder")
      try refused(["corpus", "a.txt", "--out", "o", "--mix", "fr"], 64, "fr=3")
      try refused(["corpus", "a.txt", "--out", "o", "--mix", "en=1"], 64, "fr=3")
      try refused(["corpus", "a.txt", "--out", "o", "--longest", "many"], 64, "whole number")
      try refused(["corpus", "a.txt", "--out", "o", "--documents", "0"], 65, "relax")
    }
  }
}
