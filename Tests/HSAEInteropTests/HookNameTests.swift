// Names of hook points in exports are those of TransformerLens, or cfg.json has none.

import HSAEActivations
import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETestSupport
import Testing

struct HookNameTests {
  @Test(arguments: [
    ("layers.10", "blocks.10.hook_resid_post"), ("gpt_neox.layers.5", "blocks.5.hook_resid_post"),
    ("model.layers.12.output", "blocks.12.hook_resid_post"),
    ("transformer.h.0", "blocks.0.hook_resid_post"),
    ("h.7", "blocks.7.hook_resid_post"),
    ("model.layers.3.self_attn.o_proj.input", "blocks.3.attn.hook_z"),
    ("model.layers.3.post_feedforward_layernorm.output", "blocks.3.hook_mlp_out"),
    ("blocks.8.hook_resid_pre", "blocks.8.hook_resid_pre"),
    ("blocks.8.attn.hook_z", "blocks.8.attn.hook_z"),
    ("hook_embed", "hook_embed"), ("layer 20", nil), ("layers.10.mlp", nil), ("unembedding", nil),
    ("embedding", nil), ("layers.x", nil), ("layers.99999", nil), ("layers.", nil),
    ("blocks..hook_z", nil),
    ("blocks.x.hook_z", nil), ("hook_", nil), ("a b.hook_z", nil), ("", nil),
  ])
  func names(_ name: String, _ expected: String?) {
    #expect(HookName.transformerLens(name) == expected)
  }

  /// Runs that were imported before have the names of modules.
  @Test func exportsOfImportedRuns() throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE(seed: 51, unitDecoder: true)
      source.k = 5
      try source.writeSAELens(to: folder + "/sae")
      let imported = try DictionaryImport(path: folder + "/sae")
      for (number, (hook, expected)) in [
        ("layers.10", "blocks.10.hook_resid_post"), ("layer 20", nil),
        ("blocks.5.hook_mlp_out", "blocks.5.hook_mlp_out"),
        (nil, nil),
      ].enumerated() as EnumeratedSequence<[(String?, String?)]> {
        var origin = imported.origin
        origin.hook = hook
        let path = folder + "/run-\(number)"
        try RunDirectory.write(
          imported: imported.dictionary, normalize: imported.normalize, origin: origin, to: path)
        let export = try SAELensExport(RunDirectory(path: path), attributes: nil)
        try export.write(to: path + "-out")
        let metadata = try JSONFile.readTree(from: path + "-out/cfg.json")["metadata"]
        #expect(metadata?["hook_name"]?.string == expected)
        #expect(export.notes.count == (hook != nil && expected == nil ? 1 : 0))
        #expect(
          export.notes.allSatisfy { $0.contains("hook_name") && $0.contains("\"\(hook ?? "")\"") })
      }
      // A store gives what the files leave out, and no more: run 0 has a hook point, run 3 has none.
      var stream = StoreAttributes(
        kind: .residualStream, modelName: "m", modelSHA256: "0", hookPoint: "output of block 2")
      stream.layer = 2
      let vocabulary = StoreAttributes(
        kind: .unembedding, modelName: "m", modelSHA256: "0", hookPoint: "unembedding")
      for (run, attributes, expected) in [
        (0, stream, "blocks.10.hook_resid_post"), (0, vocabulary, "blocks.10.hook_resid_post"),
        (3, stream, "blocks.2.hook_resid_post"), (3, vocabulary, nil),
      ] as [(Int, StoreAttributes, String?)] {
        let export = try SAELensExport(
          RunDirectory(path: folder + "/run-\(run)"), attributes: attributes)
        let out = folder + "/\(run)-\(attributes.kind)"
        try export.write(to: out)
        let tree = try JSONFile.readTree(from: out + "/cfg.json")
        #expect(tree["metadata"]?["hook_name"]?.string == expected)
        #expect(export.notes.count == (expected == nil ? 1 : 0))
      }
    }
  }
}
