// Finds the rows of a store that are English nouns, and how many of these nouns each synset of WordNet covers.

import HSAETensors

/// The nouns among the words of a store, numbered in order of their lowest tokens. Tokenizers number frequent
/// words first, so this order approximates frequency.
public struct NounTable: Sendable {
  /// The lemmas.
  public let lemmas: [String]
  /// The noun of each row of the store; -1 if the row is not a noun.
  public let nounOfRow: [Int32]
  /// For each noun the synsets of its senses and all their ancestors, in rising order.
  let synsets: [[Int32]]
  /// The share of all nouns that each synset covers.
  let share: [Double]
  /// For each synset that covers a noun, its ancestors without itself.
  let above: [[Int32]]
  /// The first word of each synset.
  public let names: [String]

  /// The nouns among `words`: rows whose token is a space and at least three letters a to z (in any case), and
  /// which WordNet knows as a noun.
  public init(words: WordTable, wordNet: WordNet) {
    var lowestToken: [String: Int32] = [:]
    var lemmaOfRow = [String?](repeating: nil, count: words.count)
    for row in 0..<words.count {
      guard let word = Self.english(words.text(row: row)), let lemma = wordNet.lemma(of: word)
      else { continue }
      lemmaOfRow[row] = lemma
      let token = words.tokens[row]
      lowestToken[lemma] = min(token, lowestToken[lemma] ?? token)
    }
    let order = lowestToken.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
    let numbers = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, Int32($0)) })
    lemmas = order
    nounOfRow = lemmaOfRow.map { lemma in lemma.flatMap { numbers[$0] } ?? -1 }
    synsets = order.map(wordNet.ancestors(of:))
    names = wordNet.names
    var counts = [Int](repeating: 0, count: wordNet.synsetCount)
    for own in synsets { for synset in own { counts[Int(synset)] += 1 } }
    let all = Double(max(1, order.count))
    share = counts.map { Double($0) / all }
    above = counts.indices.map { counts[$0] > 0 ? wordNet.ancestors(ofSynset: Int32($0)) : [] }
  }

  /// Number of nouns.
  public var count: Int { lemmas.count }

  /// The word of a token in lower case, if the token is a whole word of letters a to z.
  static func english(_ token: String) -> String? {
    guard token.first == "\u{2581}" else { return nil }
    let letters = token.dropFirst()
    guard letters.utf8.count >= 3, letters.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) })
    else { return nil }
    return letters.lowercased()
  }

  /// A random noun of similar frequency: one of the 101 whose numbers are nearest to `noun`.
  func alike(_ noun: Int32, using generator: inout SeededGenerator) -> Int32 {
    let low = max(0, Int(noun) - 50)
    return Int32(Int.random(in: low...min(count - 1, Int(noun) + 50), using: &generator))
  }
}
