// Tests of collecting from the synthetic model: every row lies exactly once at its place with the right
// values, the rules for tokens and documents hold, and the bytes do not depend on how the work was divided.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

/// The relative paths and bytes of all files in a folder.
func contents(_ folder: String) -> [String: [UInt8]] {
  let names = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
  return Dictionary(
    uniqueKeysWithValues: names.filter { !Path.isDirectory(Path.join(folder, $0)) }.map {
      ($0, fileBytes(Path.join(folder, $0)))
    })
}

@Suite struct CollectorTests {
  /// Documents of words, some very short, some long.
  static func documents(_ count: Int, seed: UInt64 = 1) -> [Document] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { index in
      let words = Int(generator.next() % 30)
      let text = (0..<words).map { _ in "w\(generator.next() % 500)" }.joined(separator: " ")
      return Document(
        text: Array(text.utf8), language: index % 3 == 0 ? "fr" : "en", title: "Title \(index)")
    }
  }

  static func settings(_ change: (inout CollectionSettings) -> Void = { _ in })
    -> CollectionSettings
  {
    var settings = CollectionSettings(block: 1)
    settings.contextLength = 64
    settings.holdoutFraction = 0.2
    change(&settings)
    return settings
  }

  static func collector(
    _ path: String, _ settings: CollectionSettings,
    model: any ResidualStreamModel = SyntheticModel(width: 16, contextLength: 64)
  ) throws(Failure) -> Collector {
    try Collector(
      model: model, settings: settings, path: path, corpus: [.init(name: "test", bytes: 1)])
  }

  /// Collects `documents` into a store at `path` and opens it.
  @discardableResult
  static func collect(
    _ path: String, _ documents: [Document], _ settings: CollectionSettings = settings(),
    model: any ResidualStreamModel = SyntheticModel(width: 16, contextLength: 64)
  ) throws -> ActivationStore {
    let collector = try collector(path, settings, model: model)
    _ = try collector.prepare(documents: { DocumentList(documents) }, threads: 2)
    #expect(try collector.run() == .complete)
    return try ActivationStore(path: path)
  }

  /// An array of integers in a store.
  static func integers(_ path: String, _ type: Int) throws -> [Int] {
    // One chunk after another; the last is padded.
    let metadata = try JSONFile.readTree(from: path + "/zarr.json")
    let count = try #require(metadata["shape"]?.integers?.first)
    let bytes = (0..<1000).lazy.map { fileBytes(path + "/c/\($0)") }.prefix { !$0.isEmpty }.joined()
    let all = Array(bytes)
    return (0..<count).map { index in
      (0..<type).reversed().reduce(0) { $0 << 8 | Int(all[index * type + $1]) }
    }
  }

  /// The norms of all rows in a store, flagged ones too.
  static func norms(_ path: String) throws -> [Float] {
    try integers(path + "/norms", 4).map { Float(bitPattern: UInt32($0)) }
  }

  @Test func everyRowIsThereOnceAndRight() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      let store = try Self.collect(path, Self.documents(300))
      let model = SyntheticModel(width: 16, contextLength: 64)
      let corpus = try StoredCorpus(store: path)
      let collection = try #require(store.attributes.collection)
      #expect(store.attributes.kind == .residualStream && store.attributes.layer == 1)
      #expect(store.attributes.hookPoint == "output of block 1, counting from 0")
      #expect(collection.documentCount == corpus.documentCount)
      #expect(collection.documentCount < 300, "documents without a word have no row")
      #expect(store.vocabulary.count == 258)
      var total = 0
      for (part, holdout) in [(path, false), (path + "/holdout", true)] {
        let rows = try ActivationStore(path: part)
        let documents = try Self.integers(part + "/documents", 4)
        let positions = try Self.integers(part + "/positions", 4)
        let flags = try Self.integers(part + "/flags", 1)
        total += rows.rowCount
        #expect(flags.allSatisfy { $0 == 0 })
        #expect(rows.attributes.collection?.part == (holdout ? .holdout : .training))
        #expect(rows.vocabulary.count == 258)
        // Before shuffling, rows are in the order of documents and tokens.
        let permutation = Permutation(count: rows.rowCount, seed: 0)
        let order = (0..<rows.rowCount).map { permutation.position(of: $0) }
        let expected = try (0..<corpus.documentCount)
          .filter { corpus.isHeldOut($0) == holdout }
          .flatMap { document in
            try (1..<corpus.tokens(of: document).count).map { [document, $0] }
          }
        #expect(order.map { [documents[$0], positions[$0]] } == expected)
        let matrix = try rows.matrix(rows: 0..<rows.rowCount)
        let norms = rows.norms
        for row in stride(from: 0, to: rows.rowCount, by: 17) {
          let tokens = try corpus.tokens(of: documents[row])
          #expect(rows.token(row) == tokens[positions[row]])
          var captured = Matrix(rows: tokens.count, columns: 16)
          try model.capture([tokens], afterBlock: 1, into: &captured)
          for column in 0..<16 {
            let value = captured[positions[row], column]
            #expect(abs(matrix[row, column] * norms[row] - value) < 1e-3 * norms[row])
          }
        }
      }
      #expect(total == collection.trainingRows + collection.holdoutRows)
      #expect(collection.holdoutRows > total / 10 && collection.holdoutRows < total / 3)
      #expect(corpus.title(of: 0)?.hasPrefix("Title ") == true)
      #expect(Set((0..<corpus.documentCount).map { corpus.language(of: $0) }) == ["en", "fr"])
      #expect(corpus.topic(of: 0) == nil)
    }
  }

  @Test func theBytesDoNotDependOnHowTheWorkIsCut() throws {
    try withTemporaryFolder { folder in
      let documents = Self.documents(3000)
      let whole = Path.join(folder, "whole")
      try Self.collect(whole, documents)
      // Shards of different numbers, in any order.
      let shards = Path.join(folder, "shards")
      let collector = try Self.collector(shards, Self.settings())
      for (index, shard) in [(3, 3), (1, 2), (2, 3), (1, 3)].enumerated() {
        let prepared = try collector.prepare(documents: { DocumentList(documents) }, threads: 1)
        #expect(prepared.wasThere == (index > 0))
        _ = try collector.run(shard: shard.0, of: shard.1)
      }
      #expect(try ActivationStore(path: shards).attributes.complete)
      #expect(contents(shards) == contents(whole))
      // Stop in the middle of every second unit of some 600 contexts.
      let stopped = Path.join(folder, "stopped")
      let other = try Self.collector(stopped, Self.settings())
      _ = try other.prepare(documents: { DocumentList(documents) }, threads: 3)
      #expect(failure { _ = try ActivationStore(path: stopped) }?.kind == .data)
      var outcome = Collector.Outcome.stopped
      var (rounds, reports) = (0, 0)
      while outcome == .stopped {
        var contexts = 0
        var last = 0
        outcome = try other.run(shouldStop: {
          contexts += 1
          return contexts > 1000
        }) { done, total in
          #expect(last <= done && done <= total)
          (last, reports) = (done, reports + 1)
        }
        rounds += 1
      }
      // Progress is reported within a unit too.
      #expect(outcome == .complete && rounds > 2 && reports > 1000)
      #expect(contents(stopped) == contents(whole))
      #expect(!Path.exists(stopped + "/progress"))
      // Stop while the corpus is tokenised.
      let early = Path.join(folder, "early")
      let prepared = try Self.collector(early, Self.settings()).prepare(
        documents: { DocumentList(documents) }, shouldStop: { true })
      #expect(prepared.isStopped)
      #expect(try Path.list(folder) == ["shards", "stopped", "whole"])
    }
  }

  @Test func rulesOfTokensAndDocuments() throws {
    try withTemporaryFolder { folder in
      let text = Array(String(repeating: "abcdefghij", count: 20).utf8)
      let documents = [Document(text: text), Document(text: []), Document(text: Array("xy".utf8))]
      func positions(_ name: String, _ settings: CollectionSettings) throws -> [[Int]] {
        let path = Path.join(folder, name)
        let store = try Self.collect(path, documents, settings)
        let documents = try Self.integers(path + "/documents", 4)
        let positions = try Self.integers(path + "/positions", 4)
        #expect(store.attributes.rowCount == documents.count)
        return zip(documents, positions).map { [$0, $1] }.sorted { ($0[0], $0[1]) < ($1[0], $1[1]) }
      }
      func rows(_ document: Int, _ positions: some Sequence<Int>) -> [[Int]] {
        positions.map { [document, $0] }
      }
      var settings = Self.settings { $0.holdoutFraction = 0 }
      #expect(try positions("plain", settings) == rows(0, 1..<64) + rows(1, 1..<3))
      #expect(!Path.exists(Path.join(folder, "plain/holdout")))
      settings.minimumPosition = 10
      #expect(try positions("late", settings) == rows(0, 10..<64))
      settings.wholeDocuments = true
      // 200 bytes in contexts of 63, each after a BOS token; the last context has 11.
      let late = (10..<64).map { $0 } + (74..<128) + (138..<192) + (202..<204)
      #expect(try positions("whole", settings) == rows(0, late))
      settings.minimumPosition = 0
      settings.keepsSpecialTokens = true
      // The empty document has no row, even if special tokens are kept.
      #expect(try positions("special", settings) == rows(0, 0..<204) + rows(1, 0..<3))
      settings.rowLimit = 70
      #expect(try positions("limit", settings) == rows(0, 0..<70))
      let store = try ActivationStore(path: Path.join(folder, "special"))
      let collection = try #require(store.attributes.collection)
      // Rows at first positions are fifty times as long as others.
      #expect(collection.flaggedRows == 5)
      let flags = try Self.integers(Path.join(folder, "special/flags"), 1)
      let norms = try Self.norms(Path.join(folder, "special"))
      let median = try #require(collection.medianNorm)
      #expect(norms.sorted()[(norms.count - 1) / 2] == median)
      #expect(zip(flags, norms).allSatisfy { ($0 == 1) == ($1 > 3 * median) })
    }
  }

  /// A model whose rows are not always finite.
  final class Faulty: ResidualStreamModel {
    let inner = SyntheticModel(width: 16, contextLength: 64)
    var description: ModelDescription { inner.description }
    var tokenizer: any Tokenizer { inner.tokenizer }
    var contextLength: Int { 64 }
    var fails = false

    func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
      try inner.effects(of: contexts, splices: splices)
    }

    func capture(
      _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
      shouldStop: (_ done: Int) -> Bool
    ) throws(Failure) -> Bool {
      if fails { throw Failure(.software, "broken") }
      try inner.capture(contexts, afterBlock: block, into: &rows)
      rows[1, 3] = .nan
      rows[2, 0] = .infinity
      return true
    }

    func logits(
      after tokens: [Int32], at position: Int, splice: Splice?
    ) throws(Failure) -> [Float] {
      try inner.logits(after: tokens, at: position, splice: splice)
    }

    func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
      try inner.losses(of: contexts, splice: splice)
    }
  }

  @Test func rowsThatAreNotFiniteAreFlagged() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      let documents = [Document(text: Array("hello world".utf8))]
      let settings = Self.settings { $0.holdoutFraction = 0 }
      let model = Faulty()
      let store = try Self.collect(path, documents, settings, model: model)
      #expect(store.attributes.collection?.flaggedRows == 2)
      let flags = try Self.integers(path + "/flags", 1)
      let positions = try Self.integers(path + "/positions", 4)
      #expect(zip(flags, positions).allSatisfy { ($0 == 2) == ($1 <= 2) })
      #expect(try zip(flags, Self.norms(path)).allSatisfy { ($0 == 2) == ($1 == 0) })
      let second = try Self.collector(Path.join(folder, "other"), settings, model: model)
      _ = try second.prepare(documents: { DocumentList(documents) })
      model.fails = true
      #expect(failure { _ = try second.run() }?.message == "broken")
      model.fails = false
      #expect(try second.run() == .complete)
    }
  }

  /// A store whose corpus was damaged before all rows were collected.
  @Test func tokensThatTheModelLacksAreRefused() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      let collector = try Self.collector(path, Self.settings())
      _ = try collector.prepare(
        documents: { DocumentList(Self.documents(20)) }, threads: 1)
      let tokens = path + "/corpus/tokens/c/0"
      try DurableFile.write(fileBytes(tokens).map { _ in 127 }, to: tokens)
      let found = failure { _ = try collector.run() }
      #expect(found?.kind == .data && found?.message.contains("no token") == true)
    }
  }

  @Test func otherSettingsOrInputsAreRefused() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      let documents = Self.documents(20)
      try Self.collect(path, documents)
      let others: [(CollectionSettings, String)] = [
        (Self.settings { $0.block = 2 }, "--layer (1)"),
        (Self.settings { $0.seed = 5 }, "--seed (0)"),
        (Self.settings { $0.rowLimit = 5 }, "--tokens (all)"),
        (Self.settings { $0.contextLength = 32 }, "--context (64)"),
      ]
      for (settings, word) in others {
        let other = try Self.collector(path, settings)
        let found = failure { _ = try other.prepare(documents: { DocumentList([]) }) }
        #expect(found?.kind == .cannotCreate)
        #expect(found?.message.contains(word) == true)
      }
      let tooDeep = Self.settings { $0.block = 9 }
      #expect(failure { _ = try Self.collector(path, tooDeep) }?.kind == .usage)
      let tooShort = Self.settings { $0.contextLength = 1 }
      #expect(failure { _ = try Self.collector(path, tooShort) }?.kind == .usage)
      let empty = try Self.collector(Path.join(folder, "empty"), Self.settings())
      #expect(failure { _ = try empty.prepare(documents: { DocumentList([]) }) }?.kind == .data)
      #expect(try Path.list(folder) == ["store"])
      // A folder that is not a store.
      try Path.createDirectories(Path.join(folder, "thing"))
      let thing = try Self.collector(Path.join(folder, "thing"), Self.settings())
      #expect(
        failure { _ = try thing.prepare(documents: { DocumentList(documents) }) }?.kind
          == .cannotCreate)
    }
  }
}
