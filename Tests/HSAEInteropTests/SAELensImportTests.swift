// Tests the import of SAELens's and sparsify's folders: the imported dictionary computes the same, and
// unsupported settings are rejected by name.

import Foundation
import HSAEActivations
import HSAEInterop
import HSAEModels
import HSAERuns
public import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

struct SAELensImportTests {
  /// Every kind of SAE with every supported setting.
  static var sources: [SourceSAE] {
    var result: [SourceSAE] = []
    for unit in [true, false] {
      for subtracts in [true, false] {
        for scaling in [SourceSAE.Scaling.none, .constantNorm, .factor(0.37)] {
          var standard = SourceSAE(seed: 1, unitDecoder: unit)
          (standard.subtracts, standard.scaling) = (subtracts, scaling)
          var jump = SourceSAE.jumpReLU(seed: 2, unitDecoder: unit)
          (jump.subtracts, jump.scaling) = (subtracts, scaling)
          var topK = SourceSAE(seed: 3, unitDecoder: unit)
          (topK.subtracts, topK.scaling, topK.k, topK.rescaled) = (subtracts, scaling, 5, !unit)
          result += [standard, jump, topK]
        }
      }
    }
    return result
  }

  @Test(arguments: 0..<36)
  func computesTheSame(_ index: Int) throws {
    let source = Self.sources[index]
    try withTemporaryFolder { folder in
      let path = folder + "/sae"
      try source.writeSAELens(to: path)
      let imported = try DictionaryImport(path: path)
      source.expectEqual(imported)
      #expect(imported.origin.model == "made-up")
      #expect(imported.origin.hook == "blocks.3.hook_resid_post")
      #expect(imported.origin.isUnbounded == (source.k == nil))
      // The run gives the same, and so does its export.
      try imported.write(to: folder + "/run")
      let run = try RunDirectory(path: folder + "/run")
      let dictionary = try run.dictionary().model
      #expect(dictionary.thresholds == imported.dictionary.thresholds)
      let gate = run.checkpoint(step: 0) + "/gate.safetensors"
      let codeScale = try? SafetensorsFile(path: gate).floats("code_scale")
      #expect((codeScale ?? []) == imported.codeScale)
      #expect(run.description.origin == imported.origin)
      if case .factor = source.scaling { return }
      let export = try SAELensExport(run, attributes: nil)
      #expect(export.architecture.rawValue == imported.origin.architecture)
      try export.write(to: folder + "/back")
      let back = try DictionaryImport(path: folder + "/back")
      expectAlike(back, imported)
      #expect(back.codeScale.isEmpty)
      // For a dictionary without sublatents, the top level is everything.
      try SAELensExport(run, attributes: nil, topLevelOnly: true).write(to: folder + "/top")
      let top = try DictionaryImport(path: folder + "/top")
      expectAlike(top, imported)
      #expect(top.codeScale.isEmpty)
    }
  }

  /// What the files say about the rows is kept, and exported again.
  @Test func theFilesSayHowRowsWereMade() throws {
    try withTemporaryFolder { folder in
      func imported(_ name: String, _ changes: [String: JSONValue?]) throws -> DictionaryImport {
        let path = folder + "/" + name
        try SourceSAE(seed: 4, unitDecoder: true).writeSAELens(to: path, changes)
        return try DictionaryImport(path: path)
      }
      let kwargs: JSONValue = .object(["center_writing_weights": .bool(true)])
      let metadata: [String: JSONValue] = [
        "prepend_bos": .bool(false), "context_size": .integer(128),
        "model_from_pretrained_kwargs": kwargs, "hook_name": "blocks.3.hook_resid_post",
      ]
      let new = try imported("new", ["metadata": .object(metadata)])
      #expect(new.origin.prependsBOS == false)
      try new.write(to: folder + "/run")
      let run = try RunDirectory(path: folder + "/run")
      #expect(run.description.origin == new.origin)
      try SAELensExport(run, attributes: nil).write(to: folder + "/back")
      let back = try JSONFile.readTree(from: folder + "/back/cfg.json")["metadata"]
      #expect(back?["prepend_bos"] == .bool(false) && back?["context_size"] == .integer(128))
      #expect(back?["model_from_pretrained_kwargs"] == kwargs)
      // Before version 6 these keys were not in "metadata", and SAELens's default was true.
      let old = try imported("old", ["metadata": nil, "prepend_bos": .bool(false)])
      #expect(old.origin.prependsBOS == false)
      #expect(try imported("older", ["metadata": nil]).origin.prependsBOS == true)
      #expect(try imported("silent", [:]).origin.prependsBOS == nil)
      #expect(
        try JSONFile.readTree(from: folder + "/back/cfg.json")["reshape_activations"] == "none")
      // SAELens flattens heads if the configuration says so, before version 6 also if the hook point does, and
      // refuses it for hook points of other rows.
      let isFlattened: [(String, [String: JSONValue?], JSONValue)] = [
        (
          "said",
          [
            "reshape_activations": "hook_z",
            "metadata": .object(["hook_name": "blocks.3.attn.hook_z"]),
          ], "hook_z"
        ),
        (
          "inferred",
          [
            "reshape_activations": nil, "metadata": nil, "hook_name": "blocks.3.attn.hook_z",
          ], "hook_z"
        ),
        (
          "new", ["metadata": .object(["hook_name": "blocks.3.attn.hook_z"])], "none"
        ),
        (
          "other",
          [
            "reshape_activations": "hook_z",
            "metadata": .object(["hook_name": "blocks.3.hook_resid_post"]),
          ], "none"
        ),
      ]
      for (name, changes, expected) in isFlattened {
        try imported("heads-" + name, changes).write(to: folder + "/heads-run-" + name)
        try SAELensExport(RunDirectory(path: folder + "/heads-run-" + name), attributes: nil)
          .write(to: folder + "/heads-back-" + name)
        let heads = try JSONFile.readTree(from: folder + "/heads-back-\(name)/cfg.json")
        #expect(heads["reshape_activations"] == expected, "\(name)")
        #expect(heads["metadata"]?["reshape_activations"] == nil)
      }
    }
  }

  /// Before version 6.48 SAELens saved the logarithm of the threshold during training. Positions that training left out
  /// are noted.
  @Test func logarithmsOfThresholds() throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE(seed: 22, unitDecoder: false)
      source.threshold = (0..<source.latents).map { 0.1 + 0.05 * Double($0) }
      try source.writeSAELens(to: folder + "/end")
      let end = try DictionaryImport(path: folder + "/end")
      try source.writeSAELens(
        to: folder + "/training", ["seqpos_slice": .array([.integer(1), .null])])
      let tensors = source.saelensTensors.map { tensor in
        tensor.name == "threshold"
          ? ("log_threshold", tensor.shape, tensor.values.map { log($0) }) : tensor
      }
      try SourceSAE.write(tensors, to: folder + "/training/sae_weights.safetensors")
      let training = try DictionaryImport(path: folder + "/training")
      #expect(training.origin.notes.contains { $0.contains("seqpos_slice") })
      let ours = try #require(training.dictionary.thresholds?.threshold)
      let theirs = try #require(end.dictionary.thresholds?.threshold)
      #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) <= 1e-6 * $1 })
    }
  }

  /// A batchtopk SAE saved in training is imported as the jumprelu that it becomes for inference.
  @Test(arguments: [false, true])
  func theThresholdOfTraining(_ rescaled: Bool) throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE(seed: 21, unitDecoder: false)
      source.threshold = source.decoderNorms.map { 0.6 / (rescaled ? $0 : 1) }
      try source.writeSAELens(to: folder + "/end")
      let end = try DictionaryImport(path: folder + "/end")
      source.threshold = nil
      try source.writeSAELens(
        to: folder + "/training",
        ["architecture": "matryoshka_batchtopk", "rescale_acts_by_decoder_norm": .bool(rescaled)])
      let path = folder + "/training/sae_weights.safetensors"
      #expect(
        failure { _ = try DictionaryImport(path: folder + "/training") }?.message.contains(
          "save_inference_model") == true)
      try SourceSAE.write(source.saelensTensors + [("topk_threshold", [], [0.6])], to: path)
      let training = try DictionaryImport(path: folder + "/training")
      #expect(training.origin.isUnbounded && training.origin.architecture == "matryoshka_batchtopk")
      expectAlike(training, end)
      // With rescaling the source's codes already include the norms of decoder rows.
      #expect(training.codeScale == (rescaled ? [] : end.codeScale))
    }
  }

  /// The top level of a dictionary with thresholds.
  @Test func anExportOfTheTopLevelHasItsCodes() throws {
    try withTemporaryFolder { folder in
      let run = try SourceSAE.hierarchicalRun(folder)
      let whole = try run.dictionary().model
      let export = try SAELensExport(run, attributes: nil, topLevelOnly: true)
      #expect(whole.activation.threshold > 0 && export.architecture == .hsae)
      #expect(export.latentCount == whole.shape.experts)
      try export.write(to: folder + "/top")
      let top = try DictionaryImport(path: folder + "/top").dictionary
      #expect(top.shape.isFlat && top.shape.experts == whole.shape.experts)
      let rows = Matrix(
        rows: 40, columns: 10, elements: (0..<400).map { Float(($0 * 37) % 41) / 41 - 0.5 })
      let (expected, found) = (whole.encode(rows, threads: 1), top.encode(rows, threads: 1))
      for row in 0..<40 {
        #expect(found[row].map(\.expert) == expected[row].map(\.expert))
        for (one, other) in zip(found[row], expected[row]) {
          #expect(abs(one.value - other.value) < 1e-5)
        }
      }
    }
  }

  /// Expects the same codes from two imports of one dictionary.
  private func expectAlike(_ one: DictionaryImport, _ other: DictionaryImport) {
    #expect(one.normalize == other.normalize && one.dictionary.shape == other.dictionary.shape)
    let (a, b) = (one.dictionary.thresholds, other.dictionary.thresholds)
    for (x, y) in [(a?.encoderBias, b?.encoderBias), (a?.threshold, b?.threshold)] {
      #expect(x?.count == y?.count)
      for (first, second) in zip(x ?? [], y ?? []) {
        #expect(abs(max(0, first) - max(0, second)) < 1e-5 || abs(first - second) < 1e-5)
      }
    }
    for row in 0..<one.dictionary.parameters.encoderSide.rows {
      for column in 0..<one.dictionary.shape.width {
        #expect(
          abs(
            one.dictionary.parameters.encoderSide[row, column]
              - other.dictionary.parameters.encoderSide[row, column]) < 1e-5)
      }
    }
  }

  @Test func olderConfigurations() throws {
    try withTemporaryFolder { folder in
      var topK = SourceSAE(seed: 4, unitDecoder: true)
      topK.k = 6
      let old: [String: JSONValue?] = [
        "architecture": "standard", "metadata": nil, "k": nil, "rescale_acts_by_decoder_norm": nil,
        "activation_fn_str": "topk", "normalize_activations": .bool(false),
        "activation_fn_kwargs": .object(["k": .integer(6)]), "hook_point": "blocks.7.hook_mlp_out",
        "reshape_activations": nil, "apply_b_dec_to_input": nil, "model_name": "gpt2-small",
      ].mapValues { (value: JSONValue?) in value }
      try topK.writeSAELens(to: folder + "/topk", old)
      let imported = try DictionaryImport(path: folder + "/topk")
      topK.expectEqual(imported)
      #expect(imported.origin.architecture == "topk")
      #expect(imported.origin.hook == "blocks.7.hook_mlp_out")
      #expect(imported.origin.model == "gpt2-small")
      let standard = SourceSAE(seed: 5, unitDecoder: false)
      try standard.writeSAELens(
        to: folder + "/standard", ["architecture": nil, "metadata": nil, "activation_fn": "relu"])
      standard.expectEqual(try DictionaryImport(path: folder + "/standard"))
    }
  }

  @Test func onlyTheStrongestActiveLatentsAreKept() throws {
    try withTemporaryFolder { folder in
      let source = SourceSAE(seed: 6, unitDecoder: true)
      try source.writeSAELens(to: folder + "/sae")
      var options = ImportOptions()
      options.maxActive = 4
      let imported = try DictionaryImport(path: folder + "/sae", options: options)
      #expect(imported.dictionary.shape.activeExperts == 4)
      var bounded = source
      bounded.k = 4
      bounded.expectEqual(imported)
      // A command that prints codes warns that some are missing.
      try imported.write(to: folder + "/run")
      let rows = source.rows(20, seed: 5).flatMap { $0.map { Float($0) } }
      try writeNumpy(rows, width: source.width, to: folder + "/rows.npy")
      let encoded = try runHSAE(["encode", folder + "/run", folder + "/rows.npy"])
      #expect(encoded.code == 0)
      #expect(encoded.errors.contains("20 rows may have more active latents than the 4 strongest"))
    }
  }

  @Test func zeroDecoderRowsAreDead() throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE.jumpReLU(seed: 7)
      for column in 0..<source.width { source.decoder[3 * source.width + column] = 0 }
      try source.writeSAELens(to: folder + "/sae")
      let imported = try DictionaryImport(path: folder + "/sae")
      source.expectEqual(imported)
      #expect(
        imported.origin.notes.contains { $0.contains("1 latent with a decoder row of zeros") })
      // With TopK such a latent can take the place of another among the k largest.
      var topK = SourceSAE(seed: 7, unitDecoder: false)
      topK.k = 5
      for column in 0..<topK.width { topK.decoder[3 * topK.width + column] = 0 }
      try topK.writeSAELens(to: folder + "/topk")
      let selected = try DictionaryImport(path: folder + "/topk")
      topK.expectEqual(selected)
      #expect(
        selected.origin.notes.contains { $0.contains("1 latent with a decoder row of zeros") })
    }
  }

  @Test func sparsifyComputesTheSame() throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE(seed: 8, unitDecoder: true)
      source.k = 5
      // Norms after a division by norm + ε.
      source.decoder = source.decoder.map { Double(Float($0 * 0.9999)) }
      try source.writeSparsify(to: folder + "/layers.10")
      let imported = try DictionaryImport(path: folder + "/layers.10")
      source.expectEqual(imported)
      #expect(
        imported.origin.hook == "blocks.10.hook_resid_post" && imported.origin.layout == "sparsify")
    }
  }

  @Test func unsupportedSettingsAreRefusedByName() throws {
    try withTemporaryFolder { folder in
      let jump = SourceSAE.jumpReLU(seed: 9)
      var topK = SourceSAE(seed: 9, unitDecoder: false)
      topK.k = 5
      func refusal(
        _ source: SourceSAE, _ changes: [String: JSONValue?], _ options: ImportOptions = .init()
      ) throws -> Failure? {
        Path.removeAll(folder + "/sae")
        try source.writeSAELens(to: folder + "/sae", changes)
        return failure { _ = try DictionaryImport(path: folder + "/sae", options: options) }
      }
      for (changes, word) in [
        (["architecture": "gated"], "gated"), (["architecture": "transcoder"], "transcoder"),
        (["architecture": "batchtopk"], "save_inference_model"),
        (["activation_fn": "tanh-relu"], "tanh-relu"),
        (["normalize_activations": "batch_norm"], "batch_norm"),
        (["normalize_activations": "covariance_whitening"], "covariance_whitening"),
        (["normalize_activations": "expected_average_only_in"], "activation_scaler.json"),
        (["reshape_activations": "hook_q"], "hook_q"), (["d_in": .integer(0)], "d_in"),
        (["d_sae": .integer(41)], "W_enc"), (["d_sae": "many"], "d_sae"),
        (["apply_b_dec_to_input": "yes"], "apply_b_dec_to_input"), (["d_in": nil], "d_in"),
      ] as [([String: JSONValue?], String)] {
        let found = try refusal(jump, changes)
        #expect(
          found?.kind == .data && found?.message.contains(word) == true, "\(word): \(found as Any)")
      }
      #expect(try refusal(topK, ["k": .integer(99)])?.message.contains("99") == true)
      var options = ImportOptions()
      options.k = 3
      #expect(try refusal(jump, [:], options)?.kind == .usage)
      options = ImportOptions()
      options.maxActive = 3
      topK = SourceSAE(seed: 9, unitDecoder: true)
      topK.k = 5
      #expect(try refusal(topK, [:], options)?.kind == .usage)

      for changes in [
        ["transcode": .bool(true)], ["skip_connection": .bool(true)], ["activation": "groupmax"],
        ["signed": .bool(true)], ["batch_topk": .bool(true)], ["coalesce_topk": "concat"],
        ["n_targets": .integer(3)],
      ] as [[String: JSONValue]] {
        Path.removeAll(folder + "/sparsify")
        try topK.writeSparsify(to: folder + "/sparsify", changes)
        let found = failure { _ = try DictionaryImport(path: folder + "/sparsify") }
        let key = try #require(changes.keys.first)
        #expect(
          found?.kind == .data && found?.message.contains("is not supported") == true
            && found?.message.contains(key) == true)
      }
      #expect(failure { _ = try DictionaryImport(path: folder + "/none") }?.kind == .missing)
      Path.removeAll(folder + "/sparsify")
      Path.removeAll(folder + "/sae")
      #expect(
        failure { _ = try DictionaryImport(path: folder) }?.message.contains("SAELens") == true)
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral {
  /// The text.
  public init(stringLiteral value: String) { self = .string(value) }
}
