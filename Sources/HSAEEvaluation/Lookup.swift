// What a dictionary says about one word, as in the paper's Figure 6: its active experts, their
// strongest words, and the chosen sublatent of each. A plain value; `LookupText.swift` renders it.

public import HSAEModels

/// A word among the strongest of an expert or a sublatent.
public struct WeightedWord: Hashable, Sendable, Codable {
  /// The token's text, as the vocabulary has it.
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
  /// Whether the code is at or above the threshold: whether the sublatent says something here.
  public var isRelevant: Bool
  /// Number of words it is relevant for.
  public var count: Int
  /// Its strongest words, by falling c.
  public var words: [WeightedWord]

  /// A chosen sublatent with the given parts.
  public init(
    sublatent: Int, code: Float, isRelevant: Bool, count: Int, words: [WeightedWord]
  ) {
    self.sublatent = sublatent
    self.code = code
    self.isRelevant = isRelevant
    self.count = count
    self.words = words
  }
}

/// An expert active for a word.
public struct ActiveExpert: Hashable, Sendable, Codable {
  /// Index of the expert, 0 ..< m.
  public var expert: Int
  /// Its code z.
  public var strength: Float
  /// Number of words it is active for.
  public var count: Int
  /// Its strongest words, by falling z.
  public var words: [WeightedWord]
  /// The sublatent it has chosen; nil in a flat dictionary.
  public var chosen: ChosenSublatent?

  /// An active expert with the given parts.
  public init(
    expert: Int, strength: Float, count: Int, words: [WeightedWord], chosen: ChosenSublatent?
  ) {
    self.expert = expert
    self.strength = strength
    self.count = count
    self.words = words
    self.chosen = chosen
  }
}

/// What a dictionary says about a word.
public struct WordLookup: Hashable, Sendable, Codable {
  /// The word as it was asked for.
  public var word: String
  /// The token it was found as; nil if the vocabulary does not have it.
  public var token: Int?
  /// That token's text.
  public var text: String?
  /// Whether the token is among the rows the dictionary was trained on.
  public var isKept: Bool
  /// Whether its codes are known: it has a row, or they were computed from the model's own row.
  public var isEncoded: Bool
  /// Words to try instead, if there is no token.
  public var suggestions: [String]
  /// α of the sublatents: codes from here on are relevant.
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

/// Answers look-ups about one dictionary.
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

  /// What the dictionary says about `word`, listing at most `limit` words of each latent.
  ///
  /// `codes` gives the activations of a row of the store, strongest first; `encode` those of a token
  /// that has no row (its raw unembedding row, whitened and scaled as the store's rows were), or nil
  /// if they cannot be had.
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
    let activations = row.map(codes) ?? encode(match.token)
    return WordLookup(
      word: word, token: match.token, text: match.text, isKept: row != nil,
      isEncoded: activations != nil,
      subThreshold: profiles.usage.subThreshold, experts: experts(activations ?? [], limit: limit))
  }

  /// The experts of `activations` with at most `limit` words of each latent.
  public func experts(_ activations: [Code], limit: Int) -> [ActiveExpert] {
    activations.map { activation in
      let usage = profiles.usage
      var chosen: ChosenSublatent?
      if activation.sublatent >= 0, profiles.shape.sublatents > 0 {
        let index = activation.expert * profiles.shape.sublatents + activation.sublatent
        chosen = ChosenSublatent(
          sublatent: activation.sublatent, code: activation.subValue,
          isRelevant: activation.subValue >= usage.subThreshold, count: usage.relevant[index],
          words: strongest(
            profiles.rows(expert: activation.expert, sublatent: activation.sublatent), limit))
      }
      return ActiveExpert(
        expert: activation.expert, strength: activation.value,
        count: usage.experts[activation.expert],
        words: strongest(profiles.rows(expert: activation.expert), limit), chosen: chosen)
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
