// The search that all pages and the API use: by number, label, words, promoted tokens, and by words of the corpus at which
// latents have one of their strongest contexts. `LatentQuery` lists what it finds.

#if Explorer
import Foundation
import GRDB
import HSAEEvaluation
import HSAEModels
import HSAESupport
import Synchronization

/// A latent that was found through a text of the corpus.
struct ContextHit: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// How many of its strongest contexts are at the text.
  var hits: Int
  /// The strongest of them.
  var context: ContextText
}

/// The bounds of a text to search for.
enum SearchQuery {
  /// The most that boxes take, in UTF-16 units, which browsers count.
  static let longest = 200
  private static let mostWords = 10

  /// `text` if it may be searched for. Fails with `.usage` if it is too long, because many words take long to look up.
  static func checked(_ text: String) throws(Failure) -> String {
    guard text.utf16.count <= longest, searchWords(text).count <= mostWords else {
      throw .usage("Search for at most \(mostWords) words and \(longest) characters.")
    }
    return text
  }
}

/// The words that a search for `text` looks for the beginnings of: its words, without an English plural ending where the rest
/// is the word's beginning (*rivers* also finds *river*).
func soughtWords(_ text: String) -> [String] {
  searchWords(text).map { word in
    let form = wordForm(word)
    return word.hasPrefix(form) ? form : word
  }
}

extension FeatureDatabase {
  /// Latents of `run` that match `text`, best first (`LatentQuery.Order.match`).
  func search(
    _ text: String, in run: RunRecord, limit: Int = 20
  ) throws(Failure) -> [LatentRecord] {
    let query = LatentQuery(
      level: .both, order: .match, includesDead: true, text: text, limit: limit)
    return try latents(query, in: run).latents
  }

  /// The largest number of passages that one search reads; each has latents, so they fill a page.
  private static let passageLimit = 192

  /// The ids of latents of `run` that have some of their strongest contexts at words that begin with `words`, in passages
  /// that have all of them, and the places of those contexts.
  func contextHits(of words: [String], in run: RunRecord) throws(Failure) -> [Int: [Int]] {
    guard run.kind == .text, !words.isEmpty else { return [:] }
    let stamp = FileStamp(database: path)
    let key = "\(run.id) \(words.joined(separator: " "))"
    if let known = knownLists.withLock({ $0.stamp == stamp ? $0.contexts[key] : nil }) {
      return known
    }
    let found = try readContextHits(of: words, in: run)
    knownLists.withLock { $0.keep(contexts: found, for: key, stamp) }
    return found
  }

  private func readContextHits(
    of words: [String], in run: RunRecord
  ) throws(Failure) -> [Int: [Int]] {
    let reader = try ContextReader(self, run: run)
    var search = PassageSearch(asked: AskedWords(words), vocabulary: reader.vocabulary)
    return try read { db in
      let passages = try Row.fetchAll(
        db.cachedStatement(
          sql: """
            SELECT passage.id, passage.first, passage.tokens FROM passage_text
            JOIN passage ON passage.id = passage_text.rowid
            WHERE passage_text MATCH ? AND passage.corpus = ? ORDER BY passage_text.rank LIMIT ?
            """), arguments: [searchPattern(words), run.corpus, Self.passageLimit])
      var found: [Int: [Int]] = [:]
      for passage in passages {
        let matching = search.places(in: try Blob.tokens(passage.get(2) as Data))
        guard !matching.isEmpty,
          let data = try Data.fetchOne(
            db.cachedStatement(sql: "SELECT latents FROM posting WHERE id = ?"),
            arguments: [LatentID.make(run: run.id, number: passage.get(0))])
        else { continue }
        let cited = try Blob.integers(data)
        let first: Int = try passage.get(1)
        for index in stride(from: 0, to: cited.count - 1, by: 2)
        where matching.contains(cited[index]) {
          let id = LatentID.make(run: run.id, number: cited[index + 1] & 0xFFFF_FFFF)
          found[id, default: []].append(first &+ cited[index])
        }
      }
      return found
    }
  }

  /// For each of `latents` that has some of its strongest contexts at words of `text`: how many these are, and the strongest
  /// of them.
  func contexts(
    of latents: [LatentRecord], at text: String, in run: RunRecord
  ) throws(Failure) -> [LatentNumber: ContextHit] {
    let found = try contextHits(of: soughtWords(text), in: run)
    let reader = try ContextReader(self, run: run)
    return try read { db in
      var hits: [LatentNumber: ContextHit] = [:]
      for latent in latents {
        guard let id = run.id(of: latent.number), let places = found[id],
          let data = try db.blob("contexts", of: "evidence", id),
          let context = try Blob.contexts(data).first(where: {
            $0.group == 0 && places.contains($0.place)
          })
        else { continue }
        hits[latent.number] = ContextHit(
          latent: latent, hits: places.count, context: try reader.text(of: context, db))
      }
      return hits
    }
  }
}

/// SQL's `word_place(words, sought)`: which of a latent's words, one in a line, is the first that begins with `sought`,
/// counting from 1; the number of words if none begins so.
let wordPlace = DatabaseFunction("word_place", argumentCount: 2, pure: true) { values in
  guard let words = String.fromDatabaseValue(values[0]),
    let sought = String.fromDatabaseValue(values[1])
  else { return nil }
  return place(of: sought, in: words)
}

func place(of sought: String, in words: String) -> Int {
  let lines = words.utf8.split(separator: 0x0A)
  let asked = AskedWords([sought])
  let found = lines.firstIndex { line in
    let word = line.starts(with: [0xE2, 0x96, 0x81]) ? line.dropFirst(3) : line
    // The quick way for most words: ASCII letters after a leading ▁.
    let isPlain = word.allSatisfy { (0x41...0x5A).contains($0 & 0xDF) }
    return isPlain
      ? word.lazy.map { $0 | 0x20 }.starts(with: sought.utf8)
      : asked.isIn(String(Substring(line)))
  }
  return 1 + (found ?? max(0, lines.count - 1))
}

/// The words of a search, to find them in texts.
struct AskedWords {
  private let asked: [[UInt8]]

  init(_ words: [String]) { asked = words.map { Array($0.utf8) } }

  /// Whether a word of `text` begins with one of them.
  func isIn(_ text: String) -> Bool {
    searchWords(text).contains { word in asked.contains { word.utf8.starts(with: $0) } }
  }

  /// Whether a word that begins with `part` may begin with one of them.
  func canBegin(_ part: [UInt8]) -> Bool {
    asked.contains { part.starts(with: $0) || $0.starts(with: part) }
  }
}

/// Finds the tokens of passages that belong to words which begin with those of a search.
private struct PassageSearch {
  struct Role {
    /// Whether such a word may begin in the token.
    var isPossible: Bool
    var continuesWord: Bool
  }

  let asked: AskedWords
  let vocabulary: Vocabulary
  /// Kept, because passages have most tokens in common.
  var roles: [Int32: Role] = [:]

  /// The indices of the tokens of `passage` that belong to such a word.
  mutating func places(in passage: [Int32]) -> Set<Int> {
    var matching: Set<Int> = []
    var start = 0
    while start < passage.count {
      var isPossible = role(of: passage[start]).isPossible
      var end = start + 1
      while end < passage.count {
        let role = role(of: passage[end])
        guard role.continuesWord else { break }
        isPossible = role.isPossible || isPossible
        end += 1
      }
      if isPossible {
        let text = passage[start..<end].map { vocabulary.text(of: Int($0)) }.joined()
        if asked.isIn(text) { matching.formUnion(start..<end) }
      }
      start = end
    }
    return matching
  }

  /// A word may continue in the next token, and a token may end one word and begin another.
  private mutating func role(of token: Int32) -> Role {
    if let known = roles[token] { return known }
    let word = vocabulary.word(of: token)
    let isPossible = word.pieces.contains(where: asked.canBegin)
    let role = Role(isPossible: isPossible, continuesWord: word.continuesWord)
    roles[token] = role
    return role
  }
}

/// The tokens of a corpus.
final class Vocabulary: Sendable {
  struct Word {
    /// The words, or parts of words, in it.
    var pieces: [[UInt8]]
    var continuesWord: Bool
  }

  private let texts: [String]
  private let known = Mutex<[Int32: Word]>([:])

  /// The vocabulary of the tokens `texts`, by id.
  init(_ texts: [String]) { self.texts = texts }

  func text(of token: Int) -> String {
    texts.indices.contains(token) ? texts[token] : "<token \(token)>"
  }

  /// The words in a token, computed once.
  func word(of token: Int32) -> Word {
    known.withLock { known in
      if let word = known[token] { return word }
      let text = text(of: Int(token))
      let word = Word(
        pieces: searchWords(text).map { Array($0.utf8) },
        continuesWord: HSAEEvaluation.continuesWord(text))
      known[token] = word
      return word
    }
  }
}

/// The full-text query for texts with all of `words`, or with words that begin with them. `words` have
/// letters and digits only, so nothing in them has a meaning in a query.
func searchPattern(_ words: [String], areWhole: Bool = false) -> String {
  words.map { "\"\($0)\"" + (areWhole ? "" : "*") }.joined(separator: " ")
}

/// The words of `text` as the full-text index has them: letters and digits, without case and accents.
func searchWords(_ text: String) -> [String] {
  // Folding is slow, and most tokens do not need it: they are ASCII after a leading ▁.
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
