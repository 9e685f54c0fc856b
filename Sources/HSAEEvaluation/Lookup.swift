// Looks up a word in a dictionary, as in the paper's Figure 6: the active experts, their strongest words, and
// the sublatent that each has chosen. `LookupText.swift` renders the result.

public import HSAEModels

/// A word among the strongest of an expert or a sublatent.
public struct WeightedWord: Hashable, Sendable, Codable {
  /// The token's text in the vocabulary.
  public var text: String
  /// The code: z of an expert or c of a sublatent.
  public var value: Float

  /// A word with its code.
  public init(text: String, value: Float) {
    self.text = text
    self.value = value
  }
}

/// The sublatent an active expert has chosen for a word.
public struct ChosenSublatent: Hashable, Sendable, Codable {
  /// Index within the expert, 0 ..< a.
  public var sublatent: Int
  /// Its code c.
  public var code: Float
  /// Whether it is active: whether the code is at or above the threshold.
  public var isRelevant: Bool
  /// Number of words for which it is active.
  public var count: Int
  /// Its strongest words, by falling c.
  public var words: [WeightedWord]
}

/// An expert active for a word.
public struct ActiveExpert: Hashable, Sendable, Codable {
  /// Index of the expert, 0 ..< m.
  public var expert: Int
  /// Its code z.
  public var strength: Float
  /// Number of words for which it is active.
  public var count: Int
  /// Its strongest words, by falling z.
  public var words: [WeightedWord]
  /// The sublatent it has chosen; nil in a flat dictionary.
  public var chosen: ChosenSublatent?
}

/// The result of looking up a word.
public struct WordLookup: Hashable, Sendable, Codable {
  /// The word that was looked up.
  public var word: String
  /// Its token; nil if the vocabulary does not have one.
  public var token: Int?
  /// That token's text.
  public var text: String?
  /// Whether the token is among the rows the dictionary was trained on.
  public var isKept: Bool
  /// Whether its codes are known: from its row, or computed from the model's own row.
  public var isEncoded: Bool
  /// Similar words, if there is no token.
  public var suggestions: [String]
  /// The sublatents' threshold α: they are active from this code on.
  public var subThreshold: Float
  /// The active experts, strongest first.
  public var experts: [ActiveExpert]

  /// A look-up with the given parts.
  public init(
    word: String, token: Int?, text: String?, isKept: Bool, isEncoded: Bool? = nil,
    suggestions: [String] = [],
    subThreshold: Float = 0, experts: [ActiveExpert] = []
  ) {
    self.word = word
    self.token = token
    self.text = text
    self.isKept = isKept
    self.isEncoded = isEncoded ?? isKept
    self.suggestions = suggestions
    self.subThreshold = subThreshold
    self.experts = experts
  }
}

/// Looks up words in one dictionary.
public struct Lookup: Sendable {
  /// The words of experts and sublatents.
  public let profiles: ExpertProfiles
  /// The words of the rows.
  public let words: WordTable
  /// Whether forms of one word (case, space, plural) are listed once.
  public let mergesForms: Bool
  private let search: WordSearch

  /// Look-ups in `profiles` of `words`.
  public init(profiles: ExpertProfiles, words: WordTable, mergesForms: Bool = false) {
    self.profiles = profiles
    self.words = words
    self.mergesForms = mergesForms
    search = WordSearch(vocabulary: words.vocabulary)
  }

  /// The token of a word, preferring tokens that have a row.
  public func find(_ word: String) -> WordSearch.Match? {
    search.find(word) { words.row(ofToken: $0) != nil }
  }

  /// Looks up `word`, with at most `limit` words for each latent.
  ///
  /// `codes` returns the codes of a row of the store, strongest first. `encode` returns the codes of a token
  /// without a row (from its unembedding row, whitened and scaled like the store's rows), or nil if they are
  /// not available.
  public func lookup(
    _ word: String, limit: Int = 10, codes: (_ row: Int) -> [Code],
    encode: (_ token: Int) -> [Code]? = { _ in nil }
  ) -> WordLookup {
    guard let match = find(word) else {
      return WordLookup(
        word: word, token: nil, text: nil, isKept: false,
        suggestions: search.suggestions(for: word) { words.row(ofToken: $0) != nil },
        subThreshold: profiles.usage.subThreshold)
    }
    let row = words.row(ofToken: match.token)
    let found = row.map(codes) ?? encode(match.token)
    return WordLookup(
      word: word, token: match.token, text: match.text, isKept: row != nil,
      isEncoded: found != nil,
      subThreshold: profiles.usage.subThreshold, experts: experts(found ?? [], limit: limit))
  }

  /// The experts of `codes`, with at most `limit` words for each latent.
  public func experts(_ codes: [Code], limit: Int) -> [ActiveExpert] {
    codes.map { code in
      let usage = profiles.usage
      var chosen: ChosenSublatent?
      if code.sublatent >= 0, profiles.shape.sublatents > 0 {
        let index = code.expert * profiles.shape.sublatents + code.sublatent
        chosen = ChosenSublatent(
          sublatent: code.sublatent, code: code.subValue,
          isRelevant: code.subValue >= usage.subThreshold, count: usage.active[index],
          words: strongest(
            profiles.rows(expert: code.expert, sublatent: code.sublatent), limit))
      }
      return ActiveExpert(
        expert: code.expert, strength: code.value,
        count: usage.experts[code.expert],
        words: strongest(profiles.rows(expert: code.expert), limit), chosen: chosen)
    }
  }

  private func strongest(_ rows: [RankedRow], _ limit: Int) -> [WeightedWord] {
    guard mergesForms else {
      return rows.prefix(limit).map {
        WeightedWord(text: words.text(row: $0.row), value: $0.value)
      }
    }
    return words.distinct(rows, limit: limit).map {
      WeightedWord(text: words.mergedText(row: $0.row), value: $0.value)
    }
  }
}
