// Chooses documents of a corpus and their order, after the paper's selection (Appendix A.1). It works on
// lengths and languages only; `CorpusBuilder` reads and writes the texts.

import HSAETensors

/// A rule that selects documents.
///
/// It takes `mainCount` random documents among the `longest` longest of the main language, and `otherCount`
/// random documents of other languages, mixed by weight. The seed determines choice and order.
public struct CorpusSelection: Hashable, Sendable {
  /// The main language, for which `longest` counts.
  public var mainLanguage = "en"
  /// How many of the main language's longest documents (in bytes of text) are candidates; nil: all.
  public var longest: Int?
  /// How many documents of the main language to take; nil: all candidates.
  public var mainCount: Int?
  /// How many documents of other languages to take; nil: all with a positive weight.
  public var otherCount: Int?
  /// Weights of the other languages; nil weights each language by its number of documents.
  public var mix: [String: Double]?

  /// Takes every document.
  public init() {}

  /// A document before the selection.
  public struct Candidate: Hashable, Sendable {
    /// Its language; nil counts as the main language.
    public var language: String?
    /// Bytes of its text.
    public var byteCount: Int
  }

  /// The indices of the chosen documents, in their new order.
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
      // Among equally long documents the first counts as longer.
      main.sort { (candidates[$1].byteCount, $0) < (candidates[$0].byteCount, $1) }
      main.removeSubrange(longest...)
    }
    main.shuffle(using: &generator)
    var taken = Array(main.prefix(mainCount ?? main.count))
    taken += draw(others, using: &generator)
    taken.shuffle(using: &generator)
    return taken
  }

  /// Draws a language by weight among those with documents left, then the next of its shuffled documents.
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
