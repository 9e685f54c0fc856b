// Every command that joins a dictionary with rows or a model notes once what differs between their metadata, and
// refuses rows that the dictionary cannot be for.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct RowsMatchCommandTests {
  /// An imported flat dictionary whose cfg.json has `changes` in its metadata, and the store it is joined with.
  private func imported(
    in folder: String, _ changes: [String: JSONValue]
  ) throws -> (run: String, store: String) {
    let (store, runs) = try collectAndTrain(
      in: folder, documents: 60, sizes: CommandFixture.small)
    let (saelens, run) = (Path.join(folder, "saelens"), Path.join(folder, "theirs"))
    #expect(try runHSAE(["export", runs[1], "--out", saelens]).code == 0)
    let file = Path.join(saelens, "cfg.json")
    var members = try #require(try JSONFile.readTree(from: file).object)
    let metadata = try #require(members["metadata"]?.object)
    members["metadata"] = .object(metadata.merging(changes) { $1 })
    try DurableFile.write(JSONValue.object(members).text(), to: file)
    let result = try runHSAE(["import", saelens, "--out", run])
    #expect(result.code == 0, "\(result.errors)")
    return (run, store)
  }

  /// Commands that join `run` with `store` or a model, with the name of what they join it with in notes.
  private func commands(_ run: String, _ store: String, _ folder: String) -> [[String]] {
    [
      ["evaluate", run, "--store", store, "--suite", "core"],
      [
        "evaluate", run, "--text", Path.join(folder, "corpus.txt"), "--layer", "3", "--model",
        "synthetic", "--suite", "core", "--loss-tokens", "500",
      ],
      ["explain", run, store, "--out", Path.join(folder, "features")],
      ["encode", run, store, "--rows", "2"],
      ["report", run, "--store", store, "--out", Path.join(folder, "page.html")],
      ["export", run, "--store", store, "--out", Path.join(folder, "again")],
      [
        "steer", run, "--latent", "0", "--ablate", "--prompt", "the", "--tokens", "2", "--store",
        store, "--model", "synthetic",
      ],
      [
        "steer", run, "--latent", "0", "--ablate", "--prompt", "the", "--tokens", "2", "--layer",
        "3", "--max-activation", "1", "--model", "synthetic",
      ],
    ]
  }

  @Test func oneNoteEach() throws {
    try withTemporaryFolder { folder in
      let (run, store) = try imported(
        in: folder,
        [
          "model_name": .string("pythia-70m"), "hook_name": .string("blocks.1.hook_resid_post"),
          "model_from_pretrained_kwargs": .object(["center_writing_weights": .bool(true)]),
        ])
      for command in commands(run, store, folder) {
        let result = try runHSAE(command)
        #expect(result.code == 0, "\(command): \(result.errors)")
        let notes = result.errors.split(separator: "\n").filter { $0.contains("note: ") }
        #expect(notes.count == 1, "\(command): \(result.errors)")
        for part in [
          "for pythia-70m, blocks.1.hook_resid_post", "of synthetic-", "output of block 3",
          "center_writing_weights",
        ] {
          #expect(notes.first?.contains(part) == true, "\(command): \(part) in \(notes)")
        }
      }
      let info = try runHSAE(["info", run]).output
      #expect(info.contains("loaded with center_writing_weights"), "\(info)")
    }
  }

  @Test func whatCannotBeRight() throws {
    try withTemporaryFolder { folder in
      let (run, store) = try imported(
        in: folder, ["hook_name": .string("blocks.3.hook_mlp_out")])
      for command in commands(run, store, folder) {
        let result = try runHSAE(command)
        #expect(result.code == 65, "\(command): \(result.errors)")
        let last = result.errors.split(separator: "\n").last ?? ""
        #expect(last.hasPrefix("hsae: ") && last.contains("blocks.3.hook_mlp_out"), "\(last)")
      }
      // What an MLP adds can be added to the block's output.
      let steered = try runHSAE([
        "steer", run, "--latent", "0", "--strength", "1", "--prompt", "the", "--tokens", "2",
        "--layer", "3", "--max-activation", "1", "--model", "synthetic",
      ])
      #expect(steered.code == 0 && steered.errors.contains("hook_mlp_out"), "\(steered.errors)")
      #expect(!Path.exists(Path.join(folder, "again")))
    }
  }

  /// A run that was trained here knows its store.
  @Test func ownRunsToo() throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try collectAndTrain(
        in: folder, documents: 60, sizes: CommandFixture.small)
      let other = Path.join(folder, "other")
      let collected = try runHSAE([
        "collect", "synthetic", "--layer", "1", "--text", Path.join(folder, "corpus.txt"), "--out",
        other, "--bos", "never",
      ])
      #expect(collected.code == 0, "\(collected.errors)")
      let result = try runHSAE(["encode", runs[0], other, "--rows", "2"])
      for part in ["output of block 3", "output of block 1", "with BOS", "without BOS"] {
        #expect(result.errors.contains(part), "\(part) in \(result.errors)")
      }
      for more in [[], ["--model", "synthetic"]] {
        expectRefusal(
          try runHSAE(["lookup", runs[0], "the"] + more), 65, ["not trained on a vocabulary"])
      }
      // An export states what the run records, with another store and without any.
      for (number, more) in [["--store", other], []].enumerated() {
        if number == 1 { try FileManager.default.moveItem(atPath: store, toPath: store + "-moved") }
        let out = Path.join(folder, "saelens-\(number)")
        let result = try runHSAE(["export", runs[1], "--out", out] + more)
        #expect(result.code == 0, "\(result.errors)")
        #expect(result.errors.contains("note: ") == (number == 0), "\(result.errors)")
        #expect(!result.errors.contains("names no model"), "\(result.errors)")
        let metadata = try JSONFile.readTree(from: Path.join(out, "cfg.json"))["metadata"]
        #expect(metadata?["hook_name"]?.string == "blocks.3.hook_resid_post")
        #expect(metadata?["prepend_bos"]?.bool == true)
      }
      try FileManager.default.moveItem(atPath: store + "-moved", toPath: store)
      let own = try runHSAE(["encode", runs[0], store, "--rows", "2"])
      #expect(own.code == 0 && own.errors.isEmpty, "\(own.errors)")
    }
  }
}
