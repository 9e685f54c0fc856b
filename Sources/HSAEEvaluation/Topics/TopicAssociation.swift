// Measures how latents relate to the topics of documents: how pure the topics are of the documents in which a
// latent is active, and how much the choice of a sublatent tells about the topic (docs/evaluation.md,
// "Topics").

import Foundation
public import HSAEModels
import HSAETensors

/// The topics of documents.
public struct DocumentTopics: Hashable, Sendable {
  /// The topic of each document, 0, 1, …; -1 if it has none.
  public var topics: [Int32]
  /// The stratum (language) of each document, 0, 1, …. Topics have other names in other languages, so they are
  /// compared only within a stratum.
  public var strata: [Int32]

  /// The topics and languages of documents by name; nil for a document without one.
  public init(topics: [String?], languages: [String?]) {
    var topicNumbers: [String: Int32] = [:]
    var languageNumbers: [String: Int32] = [:]
    func number(_ name: String, _ numbers: inout [String: Int32]) -> Int32 {
      let number = numbers[name] ?? Int32(numbers.count)
      numbers[name] = number
      return number
    }
    self.topics = topics.map { $0.map { number($0, &topicNumbers) } ?? -1 }
    strata = languages.map { number($0 ?? "", &languageNumbers) }
  }

  /// The number of documents that have a topic.
  public var count: Int { topics.count { $0 >= 0 } }
  /// The number of different topics.
  public var topicCount: Int { Int(topics.max() ?? -1) + 1 }
  /// The number of strata.
  public var stratumCount: Int { Int(strata.max() ?? -1) + 1 }

  /// The same documents with topics shuffled within each stratum.
  public func shuffled(seed: UInt64) -> DocumentTopics {
    var result = self
    var generator = SeededGenerator(seed: seed).split(0x746F_7069)
    var members: [Int32: [Int]] = [:]
    for document in topics.indices where topics[document] >= 0 {
      members[strata[document], default: []].append(document)
    }
    for stratum in members.keys.sorted() {
      let documents = members[stratum] ?? []
      for (document, topic) in zip(
        documents, documents.map { topics[$0] }.shuffled(using: &generator))
      {
        result.topics[document] = topic
      }
    }
    return result
  }
}

/// Sums for one expert; every mean is a ratio of two of them.
public struct TopicSums: Hashable, Sendable, BitwiseCopyable {
  /// Σ over strata of documents · mutual information of sublatent and topic, in nats.
  public var information = 0.0
  /// Σ over strata of documents · mean of the entropies of sublatent and topic, in nats.
  public var entropy = 0.0
  /// Σ over strata of the documents with the expert's most frequent topic, and of all its documents.
  public var parentPure = 0.0, parentDocuments = 0.0
  /// The same for its sublatents.
  public var childPure = 0.0, childDocuments = 0.0
}

/// The documents in which latents are active.
public struct TopicAssociation: Sendable {
  /// Purity ignores a latent with fewer documents in a stratum.
  public static let minimumDocuments = 10

  private let shape: DictionaryShape
  private let subThreshold: Float
  /// For each expert: document · (a + 1) + sublatent, with a for "no active sublatent".
  private var events: [[Int]]

  /// No documents yet.
  public init(shape: DictionaryShape, subThreshold: Float) {
    self.shape = shape
    self.subThreshold = subThreshold
    events = Array(repeating: [], count: shape.experts)
  }

  /// Adds the codes of rows; row i is of document `documents[i]` and is left out if that is -1.
  public mutating func add(_ codes: Codes, documents: [Int32]) {
    precondition(
      codes.count == documents.count, "\(codes.count) rows, \(documents.count) documents.")
    for row in 0..<codes.count where documents[row] >= 0 {
      for code in codes[row] {
        let event =
          Int(documents[row]) * (shape.sublatents + 1)
          + (code.activeSublatent(threshold: subThreshold) ?? shape.sublatents)
        // Neighbouring rows are often of one document, so repetitions are dropped here to save memory.
        if events[code.expert].last != event { events[code.expert].append(event) }
      }
    }
  }

  /// The sums of each expert. A document counts once for each sublatent that is active in it.
  public func sums(_ documents: DocumentTopics, threads: Int) -> [TopicSums] {
    let result = Buffer<TopicSums>(shape.experts)
    parallelFor(shape.experts, threads: threads) { expert, _ in
      // No two experts write the same element.
      result.withMutableSpan(expert..<expert + 1) { target in
        target[0] = sums(of: expert, documents)
      }
    }
    return result.elements
  }

  private func sums(of expert: Int, _ documents: DocumentTopics) -> TopicSums {
    let choices = shape.sublatents + 1
    var result = TopicSums()
    // For each stratum: documents by sublatent and topic, and the expert's documents by topic.
    let topicCount = documents.topicCount
    var joint = [[Int: Int]](repeating: [:], count: documents.stratumCount)
    var parent = [[Int: Int]](repeating: [:], count: documents.stratumCount)
    var lastDocument = -1
    for event in Set(events[expert]).sorted() {
      let (document, choice) = event.quotientAndRemainder(dividingBy: choices)
      guard documents.topics.indices.contains(document), documents.topics[document] >= 0 else {
        continue
      }
      let topic = Int(documents.topics[document])
      let stratum = Int(documents.strata[document])
      joint[stratum][choice * topicCount + topic, default: 0] += 1
      if document != lastDocument { parent[stratum][topic, default: 0] += 1 }
      lastDocument = document
    }
    for stratum in joint.indices {
      var byChoice: [Int: Int] = [:]
      var byTopic: [Int: Int] = [:]
      var largest: [Int: Int] = [:]
      for (key, count) in joint[stratum] {
        let (choice, topic) = key.quotientAndRemainder(dividingBy: topicCount)
        byChoice[choice, default: 0] += count
        byTopic[topic, default: 0] += count
        largest[choice] = max(count, largest[choice] ?? 0)
      }
      // n·H = n·log n − Σ c·log c. `entropy` sorts the counts: a dictionary's order, and so the rounding,
      // varies.
      let all = byTopic.values.reduce(0, +)
      let topics = entropy(byTopic.values, all)
      let chosen = entropy(byChoice.values, all)
      result.information += max(0, topics + chosen - entropy(joint[stratum].values, all))
      result.entropy += (topics + chosen) / 2
      let own = parent[stratum].values.reduce(0, +)
      if own >= Self.minimumDocuments {
        result.parentPure += Double(parent[stratum].values.max() ?? 0)
        result.parentDocuments += Double(own)
      }
      for (choice, count) in byChoice
      where choice < shape.sublatents && count >= Self.minimumDocuments {
        result.childPure += Double(largest[choice] ?? 0)
        result.childDocuments += Double(count)
      }
    }
    return result
  }

  /// n·H of counts that sum to n.
  private func entropy(_ counts: some Collection<Int>, _ all: Int) -> Double {
    func term(_ count: Int) -> Double { count > 1 ? Double(count) * log(Double(count)) : 0 }
    return term(all) - counts.sorted().reduce(0) { $0 + term($1) }
  }
}
