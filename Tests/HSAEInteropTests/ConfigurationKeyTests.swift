// Keys of other tools' configurations: one that changes numbers is refused by name, others that are not known are
// listed in a note. Folders of several dictionaries and files without their folder lead to the right dictionary.

import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETestSupport
import Testing

struct ConfigurationKeyTests {
  private var topK: SourceSAE {
    var source = SourceSAE(seed: 31, unitDecoder: true)
    source.k = 5
    return source
  }

  @Test func saelensKeysThatChangeNumbers() throws {
    try withTemporaryFolder { folder in
      for (changes, word) in [
        (["activation_fn_kwargs": .object(["k": .integer(5), "signed": .bool(true)])], "signed"),
        (["signed": .bool(true)], "signed"), (["tied_weights": .bool(true)], "tied_weights"),
        (["d_out": .integer(9)], "d_out"),
        (["hook_name_out": "blocks.3.hook_mlp_out"], "hook_name_out"),
        (["finetuning_scaling_factor": .bool(true)], "finetuning_scaling_factor"),
        (
          [
            "metadata": .object([
              "hook_name": "blocks.3.ln2.hook_normalized", "hook_name_out": "blocks.3.hook_mlp_out",
            ])
          ],
          "hook_name_out"
        ),
      ] as [([String: JSONValue?], String)] {
        Path.removeAll(folder + "/sae")
        try topK.writeSAELens(to: folder + "/sae", changes)
        let found = failure { _ = try DictionaryImport(path: folder + "/sae") }
        #expect(
          found?.kind == .data && found?.message.contains(word) == true, "\(word): \(found as Any)")
      }
      // An array that no SAE has.
      Path.removeAll(folder + "/sae")
      try topK.writeSAELens(to: folder + "/sae")
      try SourceSAE.write(
        topK.saelensTensors + [("W_skip", [1], [2])], to: folder + "/sae/sae_weights.safetensors")
      #expect(
        failure { _ = try DictionaryImport(path: folder + "/sae") }?.message.contains("W_skip")
          == true)
    }
  }

  /// An array that the architecture does not use would be dropped, and weights of SAELens under another name would be
  /// read as Gemma Scope's.
  @Test func arraysOfOtherArchitecturesAreRefused() throws {
    try withTemporaryFolder { folder in
      try SourceSAE.jumpReLU(seed: 3).writeSAELens(
        to: folder + "/sae", ["architecture": "standard"])
      let found = failure { _ = try DictionaryImport(path: folder + "/sae") }
      #expect(found?.message.contains("\"threshold\"") == true, "\(found?.message ?? "")")
      try DurableFile.write(
        fileBytes(folder + "/sae/sae_weights.safetensors"), to: folder + "/sae/layer3.safetensors")
      let renamed = failure { _ = try DictionaryImport(path: folder + "/sae/layer3.safetensors") }
      #expect(renamed?.message.contains("sae_weights.safetensors") == true)
    }
  }

  @Test func otherKeysAreInANote() throws {
    try withTemporaryFolder { folder in
      try topK.writeSAELens(
        to: folder + "/sae",
        [
          "l1_coefficient": .number(0.1), "wandb_project": "x", "strange": .integer(3),
          "off": .bool(false),
          "activation_fn_kwargs": .object(["k": .integer(5), "signed": .bool(false)]),
          "d_out": .integer(12),
        ])
      let notes = try DictionaryImport(path: folder + "/sae").origin.notes
      #expect(notes.count == 1 && notes[0].contains("no number: \"off\", \"strange\"."), "\(notes)")
      try topK.writeSparsify(
        to: folder + "/layers.3",
        ["strange": "yes", "n_targets": .integer(0), "signed": .bool(false)])
      let imported = try DictionaryImport(path: folder + "/layers.3")
      topK.expectEqual(imported)
      #expect(imported.origin.notes.filter { $0.contains("\"strange\"") }.count == 1)
      #expect(
        imported.origin.notes.allSatisfy { !$0.contains("signed") && !$0.contains("n_targets") })
    }
  }

  /// Python's module json writes NaN and Infinity.
  @Test func numbersThatOnlyPythonWrites() throws {
    try withTemporaryFolder { folder in
      try topK.writeSAELens(to: folder + "/sae")
      let path = folder + "/sae/cfg.json"
      func replace(_ change: (String) -> String) throws {
        try DurableFile.write(change(topKText), to: path)
      }
      let topKText = String(decoding: fileBytes(path), as: UTF8.self)
      try replace {
        $0.replacing(
          "\"d_in\"", with: "\"lr_end\": NaN, \"a\": [Infinity, -Infinity, -1], \"d_in\"")
      }
      topK.expectEqual(try DictionaryImport(path: folder + "/sae"))
      for word in ["NaN", "Infinity", "-Infinity"] {
        try replace { $0.replacing("\"k\": 5", with: "\"k\": \(word)") }
        let found = failure { _ = try DictionaryImport(path: folder + "/sae") }
        #expect(found?.kind == .data && found?.message.contains("\"k\"") == true, "\(word)")
      }
      for word in ["Nan", "Inf", "-Inf", "N", "-I"] {
        try replace { $0.replacing("\"k\": 5", with: "\"k\": \(word)") }
        #expect(
          failure { _ = try DictionaryImport(path: folder + "/sae") }?.kind == .data, "\(word)")
      }
    }
  }

  @Test func foldersOfSeveral() throws {
    try withTemporaryFolder { folder in
      let run = folder + "/sae-pythia"
      for name in ["layers.10", "layers.2", "layers.9.mlp"] {
        try topK.writeSparsify(to: run + "/" + name)
      }
      try DurableFile.write(
        "{\"sae\": {\"k\": 5}, \"model\": \"EleutherAI/pythia-70m\"}", to: run + "/config.json")
      for format in [nil, ImportFormat.sparsify] {
        let found = failure { _ = try DictionaryImport(path: run, format: format) }
        #expect(
          found?.kind == .data
            && found?.message.contains("has 3: layers.2, layers.9.mlp, layers.10;") == true,
          "\(found as Any)")
      }
      let imported = try DictionaryImport(path: run + "/layers.10")
      #expect(imported.origin.model == "EleutherAI/pythia-70m")
      #expect(imported.origin.hook == "blocks.10.hook_resid_post")
      #expect(try DictionaryImport(path: run + "/layers.9.mlp").origin.hook == "layers.9.mlp")
      // Names of folders within folders.
      #expect(
        failure { _ = try DictionaryImport(path: folder) }?.message.contains("sae-pythia/layers.2,")
          == true)
    }
  }

  /// A file of weights is read with the configuration beside it, never as arrays of another tool.
  @Test func filesWithoutTheirFolder() throws {
    try withTemporaryFolder { folder in
      let source = SourceSAE.jumpReLU(seed: 32)
      try source.writeSAELens(to: folder + "/a")
      let imported = try DictionaryImport(path: folder + "/a/sae_weights.safetensors")
      source.expectEqual(imported)
      #expect(imported.origin.layout == "SAELens")
      try topK.writeSparsify(to: folder + "/layers.1")
      topK.expectEqual(try DictionaryImport(path: folder + "/layers.1/sae.safetensors"))
      Path.removeAll(folder + "/a/cfg.json")
      let found = failure { _ = try DictionaryImport(path: folder + "/a/sae_weights.safetensors") }
      #expect(found?.kind == .missing && found?.message.contains("cfg.json") == true)
    }
  }
}
