// Promoted tokens are what a small step along a direction does to the logits of a model, computed here in doubles
// with its whole last normalisation: a LayerNorm or an RMSNorm, with gain and bias.

#if Explorer
import HSAELanguageModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct LastNormTests {
  private static let (width, tokens) = (24, 60)

  /// The last normalisation of a model and its unembedding.
  private struct Head {
    let isLayerNorm: Bool
    var gain, bias: [Double]
    var unembedding: [[Double]]

    init(isLayerNorm: Bool) {
      var generator = SeededGenerator(seed: 12)
      // Rounded to floats, as in files.
      func values() -> [Double] {
        (0..<width).map { _ in Double(Float(Double(generator.nextSymmetric()))) }
      }
      self.isLayerNorm = isLayerNorm
      gain = values().map { Double(Float($0 + 1.5)) }
      bias = values()
      unembedding = (0..<tokens).map { _ in values() }
    }

    /// What the normalisation subtracts: the mean of the numbers, or nothing.
    func centred(_ row: [Double]) -> [Double] {
      let mean = isLayerNorm ? row.reduce(0, +) / Double(row.count) : 0
      return row.map { $0 - mean }
    }

    func scale(_ row: [Double]) -> Double {
      let centred = centred(row)
      return (centred.reduce(0) { $0 + $1 * $1 } / Double(row.count) + 1e-5).squareRoot()
    }

    func logits(_ row: [Double]) -> [Double] {
      let scale = scale(row)
      let normed = zip(centred(row), zip(gain, bias)).map { $0 / scale * $1.0 + $1.1 }
      return unembedding.map { token in zip(token, normed).reduce(0) { $0 + $1.0 * $1.1 } }
    }

    /// The change of each logit along the unit vector `direction`, less the mean of all, at a row where the
    /// step does not change the row's length; per length of the normalised row.
    func effects(_ direction: [Double]) -> [Double] {
      let centred = centred(direction)
      var row = self.centred((0..<width).map { Double(($0 * 7 + 3) % 11) })
      let share =
        zip(row, centred).reduce(0) { $0 + $1.0 * $1.1 }
        / centred.reduce(0) { $0 + $1 * $1 }
      row = zip(row, centred).map { $0 - share * $1 }
      let step = 1e-4
      let sides = [step, -step].map { step in
        logits(zip(row, direction).map { $0 + step * $1 })
      }
      let changes = zip(sides[0], sides[1]).map { ($0 - $1) / (2 * step) * scale(row) }
      let mean = changes.reduce(0, +) / Double(changes.count)
      return changes.map { $0 - mean }
    }

    /// A GGUF file of the head.
    func bytes() -> [UInt8] {
      func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
      }
      func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
      let epsilon = isLayerNorm ? "layer_norm_epsilon" : "layer_norm_rms_epsilon"
      let names = (0..<tokens).map { text("t\($0)") }
      var head = Array("GGUF".utf8) + little(UInt32(3)) + little(UInt64(3)) + little(UInt64(3))
      head += text("general.architecture") + little(UInt32(8)) + text("made")
      head += text("made.attention.\(epsilon)") + little(UInt32(6)) + little(Float(1e-5).bitPattern)
      head += text("tokenizer.ggml.tokens") + little(UInt32(9)) + little(UInt32(8))
      head += little(UInt64(tokens)) + names.flatMap(\.self)
      var data: [UInt8] = []
      for (name, rows) in [
        ("output.weight", unembedding), ("output_norm.weight", [gain]),
        ("output_norm.bias", [bias]),
      ] {
        head += text(name) + little(UInt32(2)) + little(UInt64(width)) + little(UInt64(rows.count))
        head += little(UInt32(0)) + little(UInt64(data.count))
        data += rows.flatMap { $0.flatMap { little(Float($0).bitPattern) } }
        data += [UInt8](repeating: 0, count: (32 - data.count % 32) % 32)
      }
      head += [UInt8](repeating: 0, count: (32 - head.count % 32) % 32)
      return head + data
    }
  }

  @Test(arguments: [true, false])
  func promotedTokensAreThoseOfTheModel(isLayerNorm: Bool) throws {
    let head = Head(isLayerNorm: isLayerNorm)
    try withTemporaryFolder { folder in
      let path = folder + "/model.gguf"
      try DurableFile.write(head.bytes(), to: path)
      let effects = try TokenEffects.unembedding(
        GGUFFile(path: path), width: Self.width, threads: 2)
      var generator = SeededGenerator(seed: 13)
      // Every second direction has a large mean.
      let directions = (0..<8).map { number in
        scaledToUnit(
          (0..<Self.width).map { _ in
            Float(generator.nextSymmetric()) + (number % 2 == 0 ? 2 : 0)
          })
      }
      let found = effects.effects(of: matrix(rows: directions, columns: Self.width), threads: 2)
      for (direction, lists) in zip(directions, found) {
        let expected = head.effects(direction.map { Double($0) })
        let order = expected.indices.sorted { expected[$0] > expected[$1] }
        #expect(lists.promoted.map(\.token) == Array(order.prefix(10)))
        #expect(lists.suppressed.map(\.token) == Array(order.reversed().prefix(10)))
        for effect in lists.promoted + lists.suppressed {
          #expect(abs(Double(effect.value) - expected[effect.token]) < 1e-4)
        }
        // The same from the file, for a direction of any length.
        let stored = try StoredUnembedding(GGUFFile(path: path), block: 17)
        let both = try stored.effects(
          of: [direction.map { 3 * $0 }, [Float](repeating: 0, count: Self.width)], threads: 2)
        #expect(both[1] == nil)
        let again = try #require(both[0])
        #expect(again.promoted.map(\.token) == lists.promoted.map(\.token))
        #expect(again.suppressed.map(\.token) == lists.suppressed.map(\.token))
        for (one, another) in zip(
          again.promoted + again.suppressed, lists.promoted + lists.suppressed)
        {
          #expect(abs(one.value - another.value) < 1e-4)
        }
      }
    }
  }

  /// A run that was explained before directions were centred has other lists.
  @Test func listsOfAnOlderVersionAreNotKept() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      func explain(centres: Bool) throws {
        let (unembedding, tokens) = ExplainFixture.unembedding()
        let explainer = try Explainer(
          ExplainFixture.run(), weights: "w", rows: ExplainedRows(fixture.store), model: "m",
          centres: centres,
          effects: { () throws(Failure) in
            TokenEffects(matrix(rows: unembedding, columns: 16), tokens: tokens, threads: 2)
          }, folder: fixture.features, options: ExplainFixture.options)
        _ = try explainer.explain()
      }
      try explain(centres: false)
      try explain(centres: false)
      let found = failure { try explain(centres: true) }
      #expect(found?.kind == .cannotCreate && found?.message.contains("--replace") == true)
    }
  }
}
#endif
