// Tests the file of synthetic forests: it holds the forest, and damaged ones are refused.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

extension SyntheticForestTests {
  @Test func fileHoldsTheForest() throws {
    try withTemporaryFolder { folder in try checkFile(folder + "/forest.safetensors") }
  }

  private func checkFile(_ path: String) throws {
    let forest = Self.forest { $0.orthogonalSteps = 2 }
    try forest.write(to: path)
    let opened = try #require(try openRows(path: path) as? SyntheticRows)
    let read = opened.sampler.forest.law
    #expect(read == forest.law)
    #expect(opened.sampler.forest.parents == forest.parents)
    #expect(opened.sampler.forest.probabilities == forest.probabilities)
    #expect(opened.rowCount == 1_000_000)
    let direct = SyntheticRows(forest, name: "")
    #expect(opened.fired(5) == direct.fired(5))
    #expect(try opened.matrix(rows: 3..<9).elements == direct.matrix(rows: 3..<9).elements)
    // Its tensors can still be read as matrices.
    #expect(try openRows(path: path, tensor: "directions").rowCount == 512)
  }

  @Test(arguments: [
    ("parent", "\"parent\" must have the type I32"), ("law", "later version"),
    ("probability", "not between 0.0 and 1.0"), ("order", "which is impossible"),
    ("mixed", "which is impossible"), ("norm", "not a unit vector"),
  ])
  func damagedForestsAreRefused(_ damage: String, _ message: String) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/forest.safetensors"
      try write(Self.forest { ($0.features, $0.roots, $0.depth) = (8, 2, 1) }, damage, to: path)
      let refusal = failure { _ = try openRows(path: path) }
      #expect(refusal?.kind == .data)
      #expect(refusal?.message.contains(message) == true, "\(refusal?.message ?? "")")
    }
  }

  private func write(
    _ forest: consuming SyntheticForest, _ damage: String, to path: String
  ) throws {
    let count = forest.count
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [
        .init("directions", shape: [count, 64]), .init("bias", shape: [64]),
        .init("correlation", shape: [count, 8]), .init("rate", shape: [count]),
        .init("probability", shape: [count]), .init("mean", shape: [count]),
        .init("deviation", shape: [count]),
        .init("parent", shape: [count], type: damage == "parent" ? .float32 : .int32),
        .init("excludes_children", shape: [count], type: .uint8),
      ],
      metadata: [
        "format": "hsae-forest", "version": "1",
        damage == "law" ? "nothing" : "law": JSONFile.encode(forest.law),
      ])
    try writer.append(
      "directions", forest.directions.elements.map { damage == "norm" ? 2 * $0 : $0 })
    try writer.append("bias", forest.bias)
    try writer.append("correlation", forest.correlation.span)
    try writer.append("rate", forest.rates)
    try writer.append(
      "probability", forest.probabilities.map { damage == "probability" ? $0 + 2 : $0 })
    try writer.append("mean", forest.means)
    try writer.append("deviation", forest.deviations)
    var bytes: [UInt8] = []
    for (feature, parent) in forest.parents.enumerated() {
      let other =
        damage == "order" && feature == 3 ? 6 : damage == "mixed" && feature == 3 ? -1 : parent
      appendBytes(of: Int32(other), to: &bytes)
    }
    // Safe: views of bytes.
    try unsafe writer.append("parent", bytes: bytes.span.bytes)
    let flags = [UInt8](repeating: 0, count: count)
    try unsafe writer.append("excludes_children", bytes: flags.span.bytes)
    _ = try writer.finish()
  }
}
