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

  /// Rows are multiplied by the gain, and centred where the last normalisation is; then the covariance is that of the
  /// definition.
  @Test(arguments: [true, false])
  func theUnembeddingsCovarianceIsThatOfTheDefinition(_ centres: Bool) throws {
    let rows: [[Float]] = [[1, 2, 0], [3, -4, 1], [0, 5, 2], [7, 1, -3]]
    let gain: [Float] = [2, 0.5, 1]
    var builder = GGUFBuilder()
    builder.add("general.architecture", text: "gpt2")
    builder.add("gpt2.attention.layer_norm\(centres ? "" : "_rms")_epsilon", 1e-5)
    builder.add("output.weight", rows: rows, storage: .float32)
    builder.add("output_norm.weight", rows: [gain], storage: .float32)
    let scratch = try Scratch()
    let file = try GGUFFile(path: scratch.file("model.gguf", builder.bytes()))
    let changed = rows.map { row in
      let scaled = zip(row, gain).map { Double($0 * $1) }
      let mean = centres ? scaled.reduce(0, +) / 3 : 0
      return scaled.map { $0 - mean }
    }
    let found = try file.unembeddingCovariance(threads: 2)
    for place in 0..<9 {
      let columns = [place / 3, place % 3].map { column in changed.map { $0[column] } }
      let means = columns.map { $0.reduce(0, +) / 4 }
      let expected = (0..<4).reduce(0) {
        $0 + (columns[0][$1] - means[0]) * (columns[1][$1] - means[1]) / 4
      }
      #expect(abs(found[place] - expected) < 1e-5)
    }
  }
}
