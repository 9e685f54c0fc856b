// Search: latents by the words they are active at, the tokens they promote and their labels; and by any
// text of the corpus, through the contexts that were kept.

#if Explorer
import Foundation
import GRDB
import HSAEEvaluation
public import HSAESupport

/// A latent that was found by a text of the corpus.
public struct ContextHit: Hashable, Sendable, Codable {
  /// The latent.
  public var latent: LatentRecord
  /// How many of its strongest contexts are at the text.
  public var hits: Int
  /// The strongest of them.
  public var context: ContextText
}

extension FeatureDatabase {
  /// Latents of `run` whose words, promoted tokens or labels have words that begin with those of `text`,
  /// best first.
  public func search(
    words text: String, in run: RunRecord, limit: Int = 20
  ) throws(Failure) -> [LatentRecord] {
    var query = LatentQuery()
    (query.level, query.order, query.includesDead) = (.both, .match, true)
    (query.text, query.limit) = (text, limit)
    return try latents(query, in: run).latents
  }

  /// The most passages that are looked at for one search.
  private static let passageLimit = 100

  /// Latents of `run` that have some of their strongest contexts at `text`: at words of it, in passages
  /// that have all of them. Those with most such contexts first.
  public func search(
    contexts text: String, in run: RunRecord, limit: Int = 20
  ) throws(Failure) -> [ContextHit] {
    guard run.kind == .text, let pattern = FTS5Pattern(matchingAllPrefixesIn: text) else {
      return []
    }
    let reader = try ContextReader(self, run: run)
    var words = AskedWords(searchWords(text))
    return try read { db in
      let passages = try Row.fetchAll(
        db,
        sql: """
          SELECT passage.id, passage.first, passage.tokens FROM passage_text
          JOIN passage ON passage.id = passage_text.rowid
          WHERE passage_text MATCH ? AND passage.corpus = ? ORDER BY passage_text.rank LIMIT ?
          """, arguments: [pattern, run.corpus, Self.passageLimit])
      var found: [Int: [Int]] = [:]
      for passage in passages {
        let texts = try Blob.tokens(passage.get(2) as Data).map { reader.text(ofToken: Int($0)) }
        let matching = words.tokens(of: texts)
        guard !matching.isEmpty,
          let data = try Data.fetchOne(
            db.cachedStatement(sql: "SELECT latents FROM posting WHERE id = ?"),
            arguments: [LatentID.make(run: run.id, number: passage.get(0))])
        else { continue }
        let cited = try Blob.integers(data)
        let first: Int = try passage.get(1)
        for index in stride(from: 0, to: cited.count - 1, by: 2)
        where matching.contains(cited[index]) {
          found[cited[index + 1], default: []].append(first &+ cited[index])
        }
      }
      let ranked = found.sorted {
        $0.value.count != $1.value.count ? $0.value.count > $1.value.count : $0.key < $1.key
      }
      return try ranked.prefix(max(0, limit)).compactMap { number, places in
        let id = LatentID.make(run: run.id, number: number & 0xFFFF_FFFF)
        guard let latent = try records([id], run, db).first,
          let data = try Data.fetchOne(
            db.cachedStatement(sql: "SELECT contexts FROM evidence WHERE latent = ?"),
            arguments: [id]),
          let context = try Blob.contexts(data).first(where: {
            $0.group == 0 && places.contains($0.place)
          })
        else { return nil }
        return ContextHit(
          latent: latent, hits: places.count, context: try reader.text(of: context, db))
      }
    }
  }
}

/// The words of a search, and which tokens can belong to words that begin with them.
private struct AskedWords {
  private let asked: [String]
  /// Whether a token can be where such a word begins; passages have most tokens in common.
  private var canBegin: [String: Bool] = [:]

  init(_ asked: [String]) { self.asked = asked }

  /// Which of `texts` belong to a word that begins with an asked one.
  mutating func tokens(of texts: [String]) -> Set<Int> {
    var matching: Set<Int> = []
    var start = 0
    while start < texts.count {
      var isPossible = isPossible(texts[start])
      var end = start + 1
      while end < texts.count, continuesWord(texts[end]) {
        isPossible = self.isPossible(texts[end]) || isPossible
        end += 1
      }
      if isPossible {
        let words = searchWords(texts[start..<end].joined())
        if words.contains(where: { word in asked.contains { word.hasPrefix($0) } }) {
          matching.formUnion(start..<end)
        }
      }
      start = end
    }
    return matching
  }

  /// A word may go on in the next token, and a token may end one word and begin another.
  private mutating func isPossible(_ token: String) -> Bool {
    if let known = canBegin[token] { return known }
    let result = searchWords(token).contains { piece in
      asked.contains { piece.hasPrefix($0) || $0.hasPrefix(piece) }
    }
    canBegin[token] = result
    return result
  }
}

/// Words as the full-text index sees them: letters and digits, without case and accents.
private func searchWords(_ text: String) -> [String] {
  // Folding is slow, and most tokens need none: ASCII, with ▁ for a space in front.
  let plain = text.hasPrefix("▁") ? String(text.dropFirst()) : text
  if plain.utf8.allSatisfy({ $0 < 0x80 }) {
    return plain.lowercased().utf8.split { !isLetterOrDigit($0) }.map { String(Substring($0)) }
  }
  return plain.folding(options: [.caseInsensitive, .diacriticInsensitive], locale: nil)
    .split { !$0.isLetter && !$0.isNumber }.map(String.init)
}

/// Whether an ASCII byte in lower case is a letter or a digit.
private func isLetterOrDigit(_ byte: UInt8) -> Bool {
  (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
#endif
