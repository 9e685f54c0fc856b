// Finds the token of a typed word, or suggests similar tokens.

/// Finds words in a vocabulary.
public struct WordSearch: Sendable {
  private let vocabulary: [String]
  private let tokens: [String: Int]

  /// A token that stands for a word.
  public struct Match: Hashable, Sendable {
    /// Index of the token.
    public var token: Int
    /// The token's text in the vocabulary.
    public var text: String
    /// Whether the token has the word in the typed case, with or without a leading space.
    public var isExact: Bool
  }

  /// A search in `vocabulary`, the text of every token; the first of equal texts counts.
  public init(vocabulary: [String]) {
    self.vocabulary = vocabulary
    var tokens: [String: Int] = [:]
    tokens.reserveCapacity(vocabulary.count)
    for (token, text) in vocabulary.enumerated() where tokens[text] == nil { tokens[text] = token }
    self.tokens = tokens
  }

  /// The token of `word`: `▁word`, else `word`, else a variant in another case. For a word typed with a leading
  /// space (or `▁`), only tokens with a space match. Tokens that `isKept` come before all others.
  public func find(_ word: String, isKept: (Int) -> Bool = { _ in true }) -> Match? {
    let spaced = word.first == " " || word.first == "\u{2581}"
    let bare = spaced ? String(word.dropFirst()) : word
    guard !bare.isEmpty else { return nil }
    let variants = [
      bare, bare.lowercased(), bare.prefix(1).uppercased() + bare.dropFirst().lowercased(),
      bare.uppercased(),
    ]
    var fallback: Match?
    for (index, variant) in variants.enumerated() {
      for text in spaced ? ["\u{2581}" + variant] : ["\u{2581}" + variant, variant] {
        guard let token = tokens[text] else { continue }
        let match = Match(token: token, text: text, isExact: index == 0)
        if isKept(token) { return match }
        if fallback == nil { fallback = match }
      }
    }
    return fallback
  }

  /// Tokens at most two edits from `word`, nearest first, then tokens that begin with it. Forms of one word
  /// count once. Only tokens that `isKept` are suggested.
  public func suggestions(
    for word: String, limit: Int = 5, isKept: (Int) -> Bool = { _ in true }
  ) -> [String] {
    let target = Array(wordForm(word).utf8.prefix(64))
    guard !target.isEmpty, limit > 0 else { return [] }
    var found: [(distance: Int, token: Int)] = []
    for (token, text) in vocabulary.enumerated() {
      let length = text.utf8.count
      // A leading ▁ is three bytes that the form does not have.
      guard length <= target.count + 5, length + 2 >= target.count, isKept(token) else { continue }
      let form = Array(wordForm(text).utf8)
      let distance = editDistance(target, form, limit: 2)
      if distance <= 2 && distance < target.count {
        found.append((distance, token))
      } else if target.count >= 3, form.starts(with: target) {
        found.append((3, token))
      }
    }
    found.sort { $0.distance != $1.distance ? $0.distance < $1.distance : $0.token < $1.token }
    return Array(found.map { vocabulary[$0.token] }.uniqued(by: wordForm).prefix(limit))
  }
}

/// The number of insertions, deletions and replacements between two byte strings, or `limit` + 1 if it exceeds
/// `limit`.
func editDistance(_ a: [UInt8], _ b: [UInt8], limit: Int) -> Int {
  if abs(a.count - b.count) > limit { return limit + 1 }
  var previous = Array(0...b.count)
  var current = previous
  for (row, byte) in a.enumerated() {
    current[0] = row + 1
    var smallest = current[0]
    for (column, other) in b.enumerated() {
      current[column + 1] = min(
        previous[column] + (byte == other ? 0 : 1), previous[column + 1] + 1, current[column] + 1)
      smallest = min(smallest, current[column + 1])
    }
    if smallest > limit { return limit + 1 }
    swap(&previous, &current)
  }
  return min(previous[b.count], limit + 1)
}
