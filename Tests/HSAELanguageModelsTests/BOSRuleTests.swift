// Contexts begin with BOS if the model's file says so, always, or never. The store records it.

import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite struct BOSRuleTests {
  private static let texts = ["abcdefghij", "klm", "xyzuvw"]

  private func settings(_ rule: BOSRule) -> CollectionSettings {
    CollectorTests.settings {
      ($0.contextLength, $0.holdoutFraction, $0.wholeDocuments) = (5, 0, true)
      $0.bos = rule
    }
  }

  /// Collects `texts` in contexts of 5 tokens, special tokens without rows.
  private func collect(
    _ path: String, _ rule: BOSRule, declared: Bool
  ) throws -> ActivationStore {
    try CollectorTests.collect(
      path, Self.texts.map { Document(text: Array($0.utf8)) }, settings(rule),
      model: SyntheticModel(width: 16, contextLength: 5, declaresBOS: declared))
  }

  @Test(arguments: BOSRule.allCases, [true, false])
  func contextsBegin(_ rule: BOSRule, declared: Bool) throws {
    let begins = rule == .always || rule == .auto && declared
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      let store = try collect(path, rule, declared: declared)
      let corpus = try StoredCorpus(store: path)
      // The synthetic model's tokens are bytes, and 256 is BOS.
      for (number, text) in Self.texts.enumerated() {
        let bytes = text.utf8.map { Int32($0) }
        let room = begins ? 4 : 5
        let expected = stride(from: 0, to: bytes.count, by: room).flatMap { start in
          (begins ? [256] : []) + bytes[start..<min(start + room, bytes.count)]
        }
        #expect(try corpus.tokens(of: number) == expected)
      }
      #expect(store.attributes.rowCount == Self.texts.joined().count, "BOS has no row")
      #expect(store.attributes.collection?.bos == rule)
      #expect(store.attributes.collection?.beginsWithBOS == begins)
      #expect(try store.beginsWithBOS() == begins)
      #expect(try StoreSummary(store).beginsWithBOS == begins)
    }
  }

  /// A store of an older version has neither attribute: it was collected as its model's file says.
  @Test(arguments: [true, false])
  func olderStores(_ declared: Bool) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      _ = try collect(path, .auto, declared: declared)
      let file = path + "/zarr.json"
      let lines = String(decoding: fileBytes(file), as: UTF8.self).split(separator: "\n")
      let kept = lines.filter { !$0.contains("\"bos\"") && !$0.contains("begins_with_bos") }
      #expect(lines.count - kept.count == 2)
      try DurableFile.write(kept.joined(separator: "\n"), to: file)
      let store = try ActivationStore(path: path)
      #expect(store.attributes.collection?.bos == nil)
      #expect(try store.beginsWithBOS() == declared)
      // The same command finds nothing left to do; another choice is another store.
      func found(_ rule: BOSRule) throws -> Collector.Preparation {
        let settings = settings(rule)
        let model = SyntheticModel(width: 16, contextLength: 5, declaresBOS: declared)
        return try CollectorTests.collector(path, settings, model: model)
          .prepare(documents: { DocumentList([]) })
      }
      #expect(try found(.auto).isComplete)
      let other = failure { _ = try found(.never) }
      #expect(other?.kind == .cannotCreate)
      #expect(other?.message.contains("--bos (auto)") == true, "\(other as Any)")
    }
  }

  @Test func alwaysNeedsAModelWithBOS() {
    let found = failure {
      _ = try CollectorTests.collector(
        "nowhere", CollectorTests.settings { $0.bos = .always }, model: Bare())
    }
    #expect(found?.kind == .usage && found?.message.contains("--bos always") == true)
  }

  /// A model without BOS.
  private final class Bare: ResidualStreamModel {
    struct Pieces: Tokenizer {
      let pieces = ["a"]
      let prefix: [Int32] = []
      let bos: Int32? = nil
      func encode(_ text: ArraySlice<UInt8>) -> [Int32] { text.map { _ in 0 } }
      func isSpecial(_ token: Int32) -> Bool { false }
    }

    let inner = SyntheticModel(width: 16, contextLength: 64)
    var description: ModelDescription { inner.description }
    let tokenizer: any Tokenizer = Pieces()
    var contextLength: Int { 64 }

    func capture(
      _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
      shouldStop: (_ done: Int) -> Bool
    ) throws(Failure) -> Bool {
      try inner.capture(contexts, afterBlock: block, into: &rows, shouldStop: shouldStop)
    }

    func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
      try inner.losses(of: contexts, splice: splice)
    }

    func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
      try inner.effects(of: contexts, splices: splices)
    }

    func logits(
      after tokens: [Int32], at position: Int, splice: Splice?
    ) throws(Failure) -> [Float] {
      try inner.logits(after: tokens, at: position, splice: splice)
    }
  }
}
