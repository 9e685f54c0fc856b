// The table of metrics, and records on disk.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct MetricsTests {
  @Test func everyPropertyIsAField() {
    let properties = Mirror(reflecting: MetricsRecord()).children.compactMap(\.label)
    #expect(properties.sorted() == MetricsRecord.fields.map(\.key).sorted())
    let tags = MetricsRecord.fields.compactMap(\.tag)
    #expect(Set(tags).count == tags.count)
  }

  /// docs/formats.md lists each field with its tag and its meaning.
  @Test func everyFieldIsDocumented() throws {
    let tree = String(#filePath.split(separator: "/Tests/", omittingEmptySubsequences: false)[0])
    let text = String(
      decoding: try MappedFile(path: Path.join(tree, "docs/formats.md")).copy(), as: UTF8.self)
    for field in MetricsRecord.fields {
      let tag = field.tag.map { "`\($0)`" } ?? "–"
      let row = "| `\(field.key)` | \(tag) | \(field.meaning) |"
      #expect(text.contains("\n\(row)\n"), "docs/formats.md lacks the line \(row)")
    }
  }

  /// Keys and tags are what other programs read; they must not change.
  @Test func keysAndTags() throws {
    var record = MetricsRecord()
    (record.step, record.tokens, record.loss, record.seconds) = (3, 96, 0.5, 2)
    var text = String(decoding: try encoded(record), as: UTF8.self)
    let always = """
      {"auxk":0,"deadLatents":0,"deadSublatents":0,"gradientNorm":0,"l0":0,"l1":0,"learningRate":0,\
      "loss":0.5,"reconstruction":0,"seconds":2,"step":3,"tokens":96,"tokensPerSecond":0,\
      "topReconstruction":0}
      """
    #expect(text == always)
    (record.ortho, record.explainedVariance, record.aboveThreshold) = (1, 0.25, 0.125)
    (record.threshold, record.jumpPenalty) = (0.5, 2)
    (record.subL0, record.subThreshold) = (7.5, 0.125)
    text = String(decoding: try encoded(record), as: UTF8.self)
    #expect(text.hasPrefix(#"{"aboveThreshold":0.125,"auxk":0,"#))
    #expect(text.contains(#","explainedVariance":0.25,"#) && text.contains(#","ortho":1,"#))
    #expect(
      MetricsRecord.fields.compactMap(\.tag).sorted() == [
        "latents/above_threshold", "latents/dead", "latents/dead_sublatents", "latents/l0",
        "latents/sub_l0", "latents/sub_threshold", "latents/threshold", "loss/auxk",
        "loss/jump_penalty", "loss/l1", "loss/orthogonality",
        "loss/reconstruction",
        "loss/top_reconstruction", "loss/total", "quality/explained_variance",
        "training/gradient_norm", "training/learning_rate", "training/rows",
        "training/rows_per_second",
      ])
    #expect(try JSONDecoder().decode(MetricsRecord.self, from: encoded(record)) == record)
  }

  /// A line without a newer metric is read; one that is not a record is refused, unless it was cut off.
  @Test func linesAreRead() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "metrics.jsonl")
      #expect(try MetricsLog.read(path).isEmpty)
      try DurableFile.write("{\"step\":1,\"loss\":2,\"name\":\"x\"}\n{\"step\":2,\"lo", to: path)
      let records = try MetricsLog.read(path)
      #expect(records.map(\.step) == [1] && records[0].loss == 2 && records[0].ortho == nil)
      for line in [
        "{\"loss\":2}", "[]", "{\"step\":1,\"loss\":\"x\"}", "{\"step\":1,\"loss\":NaN}",
      ] {
        try DurableFile.write("\(line)\n{\"step\":2}\n", to: path)
        let refusal = failure { _ = try MetricsLog.read(path) }
        #expect(refusal?.kind == .data && refusal?.message.contains("line 1 ") == true)
      }
    }
  }

  private func encoded(_ record: MetricsRecord) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return try encoder.encode(record)
  }
}
