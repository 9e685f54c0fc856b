// Which normalisation comes last in a model, by what its file states.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite struct LastNormTests {
  @Test(arguments: [
    (["gpt2.attention.layer_norm_epsilon"], false, true),
    (["gpt2.attention.layer_norm_epsilon"], true, true),
    (["gpt2.attention.layer_norm_rms_epsilon"], false, false),
    // Some models have RMSNorms with a bias.
    (["gpt2.attention.layer_norm_rms_epsilon"], true, false),
    (["gpt2.attention.layer_norm_epsilon", "gpt2.attention.layer_norm_rms_epsilon"], false, false),
    (["gpt2.attention.layer_norm_epsilon", "gpt2.attention.layer_norm_rms_epsilon"], true, true),
    ([], false, false), ([], true, true),
    // Another architecture's epsilon.
    (["bloom.attention.layer_norm_epsilon"], false, false),
  ])
  func centres(_ keys: [String], hasBias: Bool, _ expected: Bool) throws {
    var builder = GGUFBuilder()
    builder.add("general.architecture", text: "gpt2")
    for key in keys { builder.add(key, 1e-5) }
    builder.add("output.weight", rows: [[1, 2], [3, 4]], storage: .float32)
    builder.add("output_norm.weight", rows: [[1, 1]], storage: .float32)
    if hasBias { builder.add("output_norm.bias", rows: [[1, 1]], storage: .float32) }
    let scratch = try Scratch()
    let file = try GGUFFile(path: scratch.file("model.gguf", builder.bytes()))
    #expect(file.lastNormCentres == expected)
  }
}
