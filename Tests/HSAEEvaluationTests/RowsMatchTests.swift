// A dictionary that is joined with rows or a model: which differences hsae notes, and which rows it refuses.

import HSAEActivations
import HSAELanguageModels
import HSAERuns
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct RowsMatchTests {
  /// The difference between rows and a dictionary whose files say the given things.
  private func difference(
    model: String? = nil, hook: String? = nil, metadata: [String: JSONValue]? = nil,
    from place: RowsPlace
  ) throws -> String? {
    let run = EvaluationFixture.changed(try EvaluationFixture.perfect(16), "theirs")
    guard case .imported(var imported) = run.description else { return nil }
    (imported.origin.model, imported.origin.hook) = (model, hook)
    imported.origin.metadata = metadata
    return try place.difference(from: .imported(imported), of: "theirs")
  }

  private func place(
    _ model: String = "Pythia 70m", sha256: String = "0", isVocabulary: Bool = false,
    block: Int? = 5, beginsWithBOS: Bool? = true
  ) -> RowsPlace {
    RowsPlace(
      name: "rows.store", modelName: model, modelSHA256: sha256, isVocabulary: isVocabulary,
      block: isVocabulary ? nil : block, beginsWithBOS: isVocabulary ? nil : beginsWithBOS)
  }

  @Test func whatAgreesOrIsNotKnownIsNoDifference() throws {
    for model in ["pythia-70m", "EleutherAI/pythia-70m", nil] {
      for hook in [
        "blocks.5.hook_resid_post", "blocks.6.hook_resid_pre", "layers.5", "gpt_neox.layers.5",
        "transformer.h.5.output", "layer 5", nil,
      ] {
        #expect(try difference(model: model, hook: hook, from: place()) == nil, "\(hook ?? "")")
      }
    }
    #expect(try difference(metadata: ["prepend_bos": .bool(true)], from: place()) == nil)
    let silent = place(beginsWithBOS: nil)
    #expect(try difference(metadata: ["prepend_bos": .bool(true)], from: silent) == nil)
    #expect(try difference(hook: "unembedding", from: place(isVocabulary: true)) == nil)
    // A catalogued model has other names than its file's.
    let smol = try #require(ModelCatalogue.model(named: "smollm2-135m"))
    let own = place("Smollm2 135M 8k", sha256: smol.sha256)
    #expect(try difference(model: "HuggingFaceTB/SmolLM2-135M-Instruct", from: own) == nil)
    #expect(try difference(model: "gpt2-small", from: place("GPT2")) == nil)
  }

  @Test func differencesAreOneSentence() throws {
    let place = place("Gemma 3 270m", block: 1)
    let all = try difference(
      model: "pythia-70m", hook: "blocks.5.hook_resid_post",
      metadata: [
        "prepend_bos": .bool(false),
        "model_from_pretrained_kwargs": .object([
          "center_writing_weights": .bool(true), "fold_ln": .bool(true),
          "dtype": .string("float16"),
        ]),
      ], from: place)
    #expect(
      all
        == "theirs: its dictionary is for pythia-70m, blocks.5.hook_resid_post, contexts without BOS, and"
        + " rows.store is of Gemma 3 270m, output of block 1, counting from 0, contexts with BOS;"
        + " its model was loaded with center_writing_weights, unlike that of rows.store.")
    let kwargs = try difference(
      metadata: ["model_from_pretrained_kwargs": .object(["center_writing_weights": .bool(true)])],
      from: place)
    #expect(
      kwargs
        == "theirs: its model was loaded with center_writing_weights, unlike that of rows.store.")
    let off: JSONValue = .object(["center_writing_weights": .bool(false)])
    #expect(try difference(metadata: ["model_from_pretrained_kwargs": off], from: place) == nil)
    for hook in ["somewhere", "layers.5.norm"] {
      #expect(
        try difference(hook: hook, from: place)
          == "theirs: hook point \(hook) is not one that hsae knows; make sure that rows.store has its rows."
      )
    }
    // Text of a file does not break the line.
    let strange = try difference(model: "a\nb\u{1B}[31m", from: place)
    #expect(strange?.contains("a b [31m") == true && strange?.contains("\u{1B}") == false)
  }

  @Test(arguments: [
    ("blocks.5.hook_mlp_out", false), ("blocks.5.attn.hook_z", false), ("layers.5.mlp", false),
    ("transformer.h.5.attn", false), ("blocks.5.hook_resid_mid", false), ("hook_embed", false),
    ("blocks.0.hook_resid_pre", false), ("unembedding", false),
    ("blocks.5.hook_resid_post", true), ("blocks.5.hook_mlp_out", true),
  ])
  func whatCannotBeRightIsRefused(_ hook: String, isVocabulary: Bool) {
    let place = place(isVocabulary: isVocabulary)
    let found = failure { _ = try difference(hook: hook, from: place) }
    #expect(found?.kind == .data)
    for part in ["theirs", hook, "rows.store"] {
      #expect(found?.message.contains(part) == true, "\(found as Any)")
    }
  }
}
