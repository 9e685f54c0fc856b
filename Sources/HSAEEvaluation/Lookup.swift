// Looks up a word in a dictionary, as in the paper's Figure 6: the active experts, their strongest words, and
// the sublatent that each has chosen. `LookupText.swift` renders the result.

public import HSAEModels

/// A word among the strongest of an expert or a sublatent.
public struct WeightedWord: Hashable, Sendable, Codable {
  /// The token's text in the vocabulary.
  public var text: String
  /// The code: z of an expert or c of a sublatent.
  public var value: Float
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
  public var suggestions: [String] = []
  /// The sublatents' threshold α: they are active from this code on.
  public var subThreshold: Float = 0
  /// The active experts, strongest first.
  public var experts: [ActiveExpert] = []
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

  /// Looks up `word`, with at most `limit` words for each latent.
  ///
  /// `codes` returns the codes of a row of the store, strongest first. `encode` returns the codes of a token
  /// without a row (from its unembedding row, whitened and scaled like the store's rows), or nil if they are
  /// not available.
  public func lookup(
    _ word: String, limit: Int = 10, codes: (_ row: Int) -> [Code],
    encode: (_ token: Int) -> [Code]? = { _ in nil }
  ) -> WordLookup {
    func isKept(_ token: Int) -> Bool { words.row(ofToken: token) != nil }
    guard let match = search.find(word, isKept: isKept) else {
      return WordLookup(
        word: word, isKept: false, isEncoded: false,
        suggestions: search.suggestions(for: word, isKept: isKept),
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
          isRelevant: code.activeSublatent(threshold: usage.subThreshold) != nil,
          count: usage.active[index],
          words: words.weighted(
            profiles.rows(expert: code.expert, sublatent: code.sublatent), limit: limit,
            mergesForms: mergesForms))
      }
      return ActiveExpert(
        expert: code.expert, strength: code.value,
        count: usage.experts[code.expert],
        words: words.weighted(
          profiles.rows(expert: code.expert), limit: limit, mergesForms: mergesForms),
        chosen: chosen)
    }
  }
}
