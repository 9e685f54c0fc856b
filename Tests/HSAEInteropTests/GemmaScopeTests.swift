// Gemma Scope 1 and 2: folders and files are imported with what configuration and path say; transcoders are refused.

import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETestSupport
import Testing

struct GemmaScopeTests {
  private var source: SourceSAE {
    var source = SourceSAE.jumpReLU(seed: 41)
    source.subtracts = false
    return source
  }

  @Test func foldersAndFilesOfTheSecondSuite() throws {
    try withTemporaryFolder { folder in
      let place = folder + "/layer_12_width_16k_l0_small"
      try source.writeGemmaScope(to: place)
      for path in [place, place + "/params.safetensors"] {
        let imported = try DictionaryImport(path: path)
        source.expectEqual(imported)
        let origin = imported.origin
        #expect(origin.layout == "Gemma Scope" && origin.architecture == "jumprelu")
        #expect(origin.hook == "blocks.12.hook_resid_post" && origin.model == "google/gemma-3-270m")
        #expect(origin.hashes.keys.sorted() == ["config.json", "params.safetensors"])
        #expect(
          origin.notes.allSatisfy { !$0.contains("keys") && !$0.contains("path") },
          "\(origin.notes)")
      }
      try source.writeGemmaScope(
        to: folder + "/attention",
        [
          "hf_hook_point_in": "model.layers.5.self_attn.o_proj.input",
          "hf_hook_point_out": "model.layers.5.self_attn.o_proj.input",
          "model_name": "gemma-v3-1b-it",
          "strange": .integer(1),
        ])
      let attention = try DictionaryImport(path: folder + "/attention").origin
      #expect(attention.hook == "blocks.5.attn.hook_z" && attention.model == "google/gemma-3-1b-it")
      #expect(attention.notes.contains { $0.contains("\"strange\"") })
      // A configuration may say that b_dec is subtracted.
      var subtracting = source
      subtracting.subtracts = true
      try subtracting.writeGemmaScope(to: folder + "/b", ["apply_b_dec_to_input": .bool(true)])
      subtracting.expectEqual(try DictionaryImport(path: folder + "/b"))
    }
  }

  @Test func whatIsNoAutoencoder() throws {
    try withTemporaryFolder { folder in
      for (changes, word) in [
        (["type": "transcoder"], "transcoder"), (["type": "crosscoder"], "crosscoder"),
        (["hf_hook_point_out": "model.layers.12.post_feedforward_layernorm.output"], "transcoder"),
        (["affine_connection": .bool(true)], "affine_connection"),
        (["architecture": "topk"], "topk"),
        (["width": .integer(41)], "width"), (["type": .integer(1)], "type"),
      ] as [([String: JSONValue?], String)] {
        Path.removeAll(folder + "/sae")
        try source.writeGemmaScope(to: folder + "/sae", changes)
        for path in [folder + "/sae", folder + "/sae/params.safetensors"] {
          let found = failure { _ = try DictionaryImport(path: path) }
          #expect(
            found?.kind == .data && found?.message.contains(word) == true,
            "\(word): \(found as Any)")
        }
      }
      try source.writeGemmaScope(
        to: folder + "/skip",
        extra: [("affine_skip_connection", [12, 12], Array(repeating: 0, count: 144))])
      #expect(
        failure { _ = try DictionaryImport(path: folder + "/skip") }?.message.contains(
          "affine_skip_connection") == true)
      // The path alone, with or without a configuration that does not say.
      for place in [
        "gemma-scope-2b-pt-transcoders/layer_5/width_16k/average_l0_7",
        "gemma-scope-2-1b-pt/clt/width_262k",
        "gemma-scope-2-1b-pt/transcoder_all/layer_5_width_16k_l0_big",
        "gemma-scope-2-4b-it/crosscoder/layer_9",
      ] {
        for changes in [nil, ["type": nil, "hf_hook_point_out": nil]] as [[String: JSONValue?]?] {
          Path.removeAll(folder + "/" + place)
          try source.writeGemmaScope(to: folder + "/" + place, changes)
          let found = failure { _ = try DictionaryImport(path: folder + "/" + place) }
          #expect(
            found?.kind == .data && found?.message.contains("in its path") == true,
            "\(place): \(found as Any)")
        }
      }
    }
  }

  @Test func whatThePathSays() throws {
    try withTemporaryFolder { folder in
      for (place, model, hook) in [
        (
          "models--google--gemma-scope-9b-it-res/snapshots/a1/layer_20/width_16k/average_l0_7",
          "google/gemma-2-9b-it", "blocks.20.hook_resid_post"
        ),
        (
          "transcoder-study/gemma-scope-2b-pt-mlp/layer_3/width_16k/average_l0_7",
          "google/gemma-2-2b",
          "blocks.3.hook_mlp_out"
        ),
        (
          "gemma-scope-2b-pt-att/layer_3/width_16k/average_l0_7", "google/gemma-2-2b",
          "blocks.3.attn.hook_z"
        ),
        (
          "gemma-scope-2-270m-pt/resid_post_all/layer_12_width_16k_l0_small", "google/gemma-3-270m",
          "blocks.12.hook_resid_post"
        ),
        (
          "gemma-scope-2-1b-it/attn_out/layer_7_width_1m_l0_big", "google/gemma-3-1b-it",
          "blocks.7.attn.hook_z"
        ),
        ("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_7", "google/gemma-2-2b", "embedding"),
        ("elsewhere/layer_20/width_16k", nil, "layer 20"), ("elsewhere/here", nil, nil),
      ] as [(String, String?, String?)] {
        let path = folder + "/" + place
        try source.writeGemmaScope(to: path, nil)
        let imported = try DictionaryImport(path: path)
        source.expectEqual(imported)
        #expect(imported.origin.model == model && imported.origin.hook == hook, "\(place)")
        #expect(
          imported.origin.notes.contains { $0.contains("which rows it is for") }
            == (hook == nil || hook == "layer 20"), "\(place)")
      }
    }
  }
}
