// Tests topics: sublatents that follow the topics have all the information, sublatents that ignore them only
// chance.

import Foundation
import HSAEModels
import HSAETensors
import Testing

@testable import HSAEEvaluation

@Suite struct TopicTests {
  private static let shape = DictionaryShape(
    width: 4, experts: 2, sublatents: 4, subspace: 1, activeExperts: 1)
  /// 400 documents in two languages, four topics in each.
  private static let documents = DocumentTopics(
    topics: (0..<400).map { "\($0 % 2 == 0 ? "topic" : "sujet") \($0 / 2 % 4)" },
    languages: (0..<400).map { $0 % 2 == 0 ? "en" : "fr" })

  /// Three rows of each document; `sublatent` returns the chosen sublatent.
  private static func sums(
    _ documents: DocumentTopics, sublatent: (_ document: Int) -> Int
  ) -> TopicSums {
    var association = TopicAssociation(shape: shape, subThreshold: 0.5)
    for document in 0..<400 {
      var codes = Codes()
      for _ in 0..<3 {
        codes.append([
          Code(expert: 0, value: 1, sublatent: sublatent(document), subValue: 1)
        ])
      }
      association.add(codes, documents: Array(repeating: Int32(document), count: 3))
    }
    let sums = association.sums(documents, threads: 2)
    #expect(sums == association.sums(documents, threads: 1))
    #expect(sums[1] == TopicSums())
    return sums[0]
  }

  @Test func sublatentsThatAreTopics() {
    let sums = Self.sums(Self.documents) { $0 / 2 % 4 }
    #expect(abs(sums.information / sums.entropy - 1) < 1e-9)
    #expect(abs(sums.information - 400 * log(4)) < 1e-6)
    #expect(sums.parentPure / sums.parentDocuments == 0.25)
    #expect(sums.childPure == sums.childDocuments && sums.childDocuments == 400)
    // With shuffled topics only chance remains.
    let shuffled = Self.sums(Self.documents.shuffled(seed: 1)) { $0 / 2 % 4 }
    #expect(shuffled.information / shuffled.entropy < 0.05)
    #expect(shuffled.childPure / shuffled.childDocuments < 0.45)
  }

  /// A sublatent that follows the language has no information about topics within it.
  @Test func languagesAreNoTopics() {
    let sums = Self.sums(Self.documents) { $0 % 2 }
    #expect(sums.information == 0)
    #expect(sums.childPure / sums.childDocuments == 0.25)
  }

  @Test func documentsWithoutTopicAreLeftOut() {
    var documents = Self.documents
    for document in 0..<200 { documents.topics[document] = -1 }
    let sums = Self.sums(documents) { $0 / 2 % 4 }
    #expect(documents.count == 200 && sums.parentDocuments == 200)
    #expect(DocumentTopics(topics: [nil, "a"], languages: [nil, nil]).topics == [-1, 0])
  }

  @Test func shufflingStaysWithinLanguages() {
    let shuffled = Self.documents.shuffled(seed: 2)
    for stratum in 0..<2 {
      func topics(_ documents: DocumentTopics) -> [Int32] {
        documents.topics.indices.filter { Int(documents.strata[$0]) == stratum }
          .map { documents.topics[$0] }
      }
      #expect(topics(shuffled).sorted() == topics(Self.documents).sorted())
      #expect(topics(shuffled) != topics(Self.documents))
    }
    #expect(shuffled == Self.documents.shuffled(seed: 2))
  }
}
