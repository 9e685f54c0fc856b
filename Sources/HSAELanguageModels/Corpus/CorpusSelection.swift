// Which documents of a corpus are taken, and in which order: the paper's selection (Appendix A.1) on
// whatever corpus there is. Values in, values out; reading and writing are `CorpusBuilder`'s.

import HSAETensors

/// A rule that selects documents.
///
/// Of the main language, `mainCount` documents at random among its `longest` longest ones; of all
/// others, `otherCount` documents at random in a mix of languages by weight. The selected documents
/// come in random order. Everything is determined by the seed.
public struct CorpusSelection: Hashable, Sendable {
  /// The language the length rule is for.
  public var mainLanguage = "en"
  /// How many of its longest documents (in bytes of text) are candidates; nil: all.
  public var longest: Int?
  /// How many documents of it to take; nil: all candidates.
  public var mainCount: Int?
  /// How many documents of other languages to take; nil: all of the languages of `mix`.
  public var otherCount: Int?
  /// The weights of other languages; nil: each document is as likely as any other.
  public var mix: [String: Double]?

  /// A rule that takes everything.
  public init() {}

  /// What is known of a document before it is selected.
  public struct Candidate: Hashable, Sendable {
    /// Its language; documents without are of the main language.
    public var language: String?
    /// The bytes of its text.
    public var byteCount: Int

    /// A document in `language` of `byteCount` bytes.
    public init(language: String?, byteCount: Int) {
      self.language = language
      self.byteCount = byteCount
    }
  }

  /// The indices of the documents that are taken, in the order they come in.
  public func indices(of candidates: [Candidate], seed: UInt64) -> [Int] {
    var generator = SeededGenerator(seed: seed)
    var main: [Int] = []
    var others: [String: [Int]] = [:]
    for (index, candidate) in candidates.enumerated() {
      if let language = candidate.language, language != mainLanguage {
        others[language, default: []].append(index)
      } else {
        main.append(index)
      }
    }
    if let longest, longest < main.count {
      // Of equally long documents the first counts as longer.
      main.sort { (candidates[$1].byteCount, $0) < (candidates[$0].byteCount, $1) }
      main.removeSubrange(longest...)
    }
    main.shuffle(using: &generator)
    var taken = Array(main.prefix(mainCount ?? main.count))
    taken += draw(others, using: &generator)
    taken.shuffle(using: &generator)
    return taken
  }

  /// Documents of other languages: a language by weight among those that have some left, then the
  /// next of its documents in random order.
  private func draw(
    _ others: [String: [Int]], using generator: inout SeededGenerator
  ) -> [Int] {
    var queues: [(weight: Double, rest: [Int])] = []
    for (language, indices) in others.sorted(by: { $0.key < $1.key }) {
      let weight = mix.map { $0[language] ?? 0 } ?? Double(indices.count)
      if weight > 0 { queues.append((weight, indices.shuffled(using: &generator))) }
    }
    let available = queues.reduce(0) { $0 + $1.rest.count }
    var taken: [Int] = []
    while taken.count < min(available, otherCount ?? available) {
      var place = Double.random(in: 0..<1, using: &generator) * queues.reduce(0) { $0 + $1.weight }
      var chosen = 0
      while chosen < queues.count - 1, place >= queues[chosen].weight {
        place -= queues[chosen].weight
        chosen += 1
      }
      if let index = queues[chosen].rest.popLast() { taken.append(index) }
      if queues[chosen].rest.isEmpty { queues.remove(at: chosen) }
    }
    return taken
  }
}
