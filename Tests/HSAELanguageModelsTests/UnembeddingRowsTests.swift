// Tests of cleaning, centring and whitening, on small matrices with known answers and on the real models.

import HSAEActivations
import HSAESupport
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct UnembeddingRowsTests {
  static let source = UnembeddingRows.Source(
    path: "test.gguf", architecture: nil, name: "test", tensor: "output.weight", type: "f32",
    rows: 0, width: 0)

  /// Correlated random rows, far from centred.
  static func correlated(_ rows: Int, _ width: Int) -> Matrix {
    var generator = SeededGenerator(seed: 7)
    var matrix = Matrix(rows: rows, columns: width)
    for row in 0..<rows {
      var previous: Float = 0
      for column in 0..<width {
        previous = 0.8 * previous + Float(generator.nextSymmetric()) * Float(column + 1)
        matrix[row, column] = 3 + previous
      }
    }
    return matrix
  }

  @Test func whitenedRowsHaveIdentityCovariance() throws {
    var rows = Self.correlated(5000, 40)
    let raw = rows.copy()
    let transform = try UnembeddingTransform.learn(centring: &rows, source: "test", threads: 2)
    transform.whiten(centred: &rows, threads: 2)
    let covariance = rows.gram(threads: 2)
    for row in 0..<40 {
      for column in 0..<40 {
        let expected = row == column ? 1.0 : 0.0
        #expect(abs(covariance[row * 40 + column] / 5000 - expected) < 1e-3)
      }
    }
    // One row at a time gives the same, scaled to unit norm.
    for index in [0, 17, 4999] {
      let (direction, norm) = transform.apply(raw.row(index))
      for column in 0..<40 {
        #expect(abs(direction[column] * norm - rows[index, column]) < 1e-3)
      }
      #expect(abs(direction.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
    }
  }

  @Test func rowsThatDoNotSpanTheSpaceStayFinite() throws {
    // Width 8, but all rows on one line; then all rows the same.
    var line = Matrix(rows: 50, columns: 8)
    for row in 0..<50 { for column in 0..<8 { line[row, column] = Float(row * (column + 1)) } }
    let transform = try UnembeddingTransform.learn(centring: &line, source: "test", threads: 1)
    transform.whiten(centred: &line, threads: 1)
    #expect(line.elements.allSatisfy { $0.isFinite })
    var same = Matrix(rows: 5, columns: 3, elements: [Float](repeating: 2, count: 15))
    var found: Failure.Kind?
    do throws(Failure) {
      _ = try UnembeddingTransform.learn(centring: &same, source: "test", threads: 1)
    } catch {
      found = error.kind
    }
    #expect(found == .data)
  }

  @Test func cleaningNamesItsReasons() {
    let pieces = [
      "▁dog", "<unused7>", "<bos>", "<table>", "<0x41>", "a\u{FFFD}", "123", "rare", "odd", "犬",
    ]
    let kinds: [Vocabulary.Kind] = [
      .normal, .normal, .control, .userDefined, .byte, .normal, .normal, .normal, .normal, .normal,
    ]
    let vocabulary = Vocabulary(pieces: pieces, kinds: kinds)
    var rule = VocabularyCleaning()
    rule.minimumNorm = 2
    rule.maximumNorm = 4
    let norms: [Float] = [3, 3, 3, 3, 3, 3, 3, 1, 5, 3]
    let (kept, report) = rule.apply(vocabulary, norms: norms)
    #expect(kept == [0, 9])
    #expect(report.kept.count == 2)
    #expect(report.dropped.map(\.reason) == VocabularyCleaning.Reason.allCases.map(\.rawValue))
    #expect(report.dropped.map(\.count) == [1, 1, 1, 1, 1, 1, 1, 1])
    #expect(report.dropped.last?.samples == [.init(token: 8, text: "odd", norm: 5)])
    rule.requiresLetter = false
    #expect(rule.apply(vocabulary, norms: norms).kept == [0, 6, 9])
  }

  @Test func samplesFollowTheSeed() {
    let vocabulary = Vocabulary(
      pieces: (0..<1000).map { "t\($0)x" },
      kinds: [Vocabulary.Kind](repeating: .normal, count: 1000))
    let norms = [Float](repeating: 1, count: 1000)
    var rule = VocabularyCleaning()
    let first = rule.apply(vocabulary, norms: norms).1.kept.samples.map(\.token)
    #expect(first == rule.apply(vocabulary, norms: norms).1.kept.samples.map(\.token))
    #expect(Set(first).count == rule.sampleCount)
    rule.seed = 1
    #expect(first != rule.apply(vocabulary, norms: norms).1.kept.samples.map(\.token))
  }

  @Test func keptTokensDoNotDependOnWhitening() throws {
    let vocabulary = Vocabulary(
      pieces: (0..<300).map { "t\($0)x" }, kinds: [Vocabulary.Kind](repeating: .normal, count: 300))
    var options = UnembeddingRows.Options()
    let whitened = try UnembeddingRows.prepare(
      rows: Self.correlated(300, 12), vocabulary: vocabulary, source: Self.source, options: options)
    options.whiten = false
    let plain = try UnembeddingRows.prepare(
      rows: Self.correlated(300, 12), vocabulary: vocabulary, source: Self.source, options: options)
    #expect(whitened.tokens == plain.tokens)
    #expect(whitened.transform.isWhitening && !plain.transform.isWhitening)
    #expect(whitened.tokens.count < 300)
    // Rows without whitening are only centred and scaled.
    let raw = Self.correlated(300, 12)
    let (direction, norm) = plain.transform.apply(raw.row(Int(plain.tokens[3])))
    #expect(abs(norm - plain.norms[3]) < 1e-3)
    for column in 0..<12 { #expect(abs(direction[column] - plain.directions[3, column]) < 1e-5) }
  }

  @Test func refusesAWindowThatKeepsNothing() throws {
    let vocabulary = Vocabulary(pieces: ["a", "b", "c"], kinds: [.normal, .normal, .normal])
    var options = UnembeddingRows.Options()
    options.cleaning.minimumNorm = 1000
    options.cleaning.maximumNorm = 2000
    var found: Failure?
    do throws(Failure) {
      _ = try UnembeddingRows.prepare(
        rows: Self.correlated(3, 2), vocabulary: vocabulary, source: Self.source, options: options)
    } catch {
      found = error
    }
    #expect(found?.kind == .data)
  }

  @Test(.isCached(.gemma)) func gemmaKeepsWordsAndDropsPlaceholders() throws {
    let path = try #require(TestModel.gemma.path)
    let file = try GGUFFile(path: path)
    let rows = try UnembeddingRows(file: file)
    #expect((190_000...225_000).contains(rows.tokens.count))
    let kept = Set(rows.tokens.map { rows.vocabulary[Int($0)] })
    for word in [
      "dog", "Chicago", "Queen", "python", "red", "London", "violin", "September", "the",
    ] {
      #expect(kept.contains("▁" + word), "▁\(word)")
    }
    #expect(!kept.contains { $0.hasPrefix("<unused") })
    for token in ["<0x41>", "<bos>", "<eos>", "<pad>", "<start_of_turn>"] {
      #expect(!kept.contains(token), "\(token)")
    }
    for index in stride(from: 0, to: rows.tokens.count, by: 20_000) {
      let row = rows.directions.row(index)
      var sum: Float = 0
      for column in row.indices { sum += row[column] * row[column] }
      #expect(abs(sum - 1) < 1e-5)
    }
    // The neighbours of London are its names in other languages.
    let london = try #require(
      rows.tokens.firstIndex { rows.vocabulary[Int($0)] == "▁London" })
    #expect(neighbours(of: london, in: rows, count: 5).contains("▁Londres"))
  }

  @Test(.isCached(.smolLM2)) func smolLM2MakesAStoreThatReadsBack() throws {
    let path = try #require(TestModel.smolLM2.path)
    let scratch = try Scratch()
    let rows = try UnembeddingRows(file: GGUFFile(path: path))
    #expect((40_000...49_000).contains(rows.tokens.count))
    let out = scratch.path + "/store"
    try rows.writeStore(at: out, modelSHA256: "0", shuffleSeed: 3)
    let store = try ActivationStore(path: out)
    #expect(store.rowCount == rows.tokens.count && store.width == 576)
    #expect(store.vocabulary == rows.vocabulary)
    #expect(store.mean == rows.transform.mean)
    #expect(store.whitening == rows.transform.whiteningElements)
    let dog = try #require(rows.tokens.firstIndex { rows.vocabulary[Int($0)] == "▁dog" })
    let row = try #require(store.row(of: rows.tokens[dog]))
    var read = Matrix(rows: 1, columns: 576)
    var target = read.mutableSpan
    try store.read([row].span, into: &target)
    for column in 0..<576 { #expect(abs(read[0, column] - rows.directions[dog, column]) < 1e-3) }
  }

  private func neighbours(of index: Int, in rows: borrowing UnembeddingRows, count: Int) -> [String]
  {
    let query = rows.directions.row(index)
    var best: [(Float, Int)] = []
    for other in 0..<rows.directions.rows where other != index {
      let row = rows.directions.row(other)
      var product: Float = 0
      for column in row.indices { product += row[column] * query[column] }
      if best.count < count || product > best[best.count - 1].0 {
        best.append((product, other))
        best.sort { $0.0 > $1.0 }
        if best.count > count { best.removeLast() }
      }
    }
    return best.map { rows.vocabulary[Int(rows.tokens[$0.1])] }
  }
}

extension Vocabulary {
  fileprivate init(pieces: [String], kinds: [Kind]) {
    self.init(
      pieces: pieces, kinds: kinds, isDecodable: pieces.map { !$0.contains("\u{FFFD}") })
  }
}
