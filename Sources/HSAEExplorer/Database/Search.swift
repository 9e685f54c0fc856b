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
    guard let pattern = FTS5Pattern(matchingAllPrefixesIn: text) else { return [] }
    let (first, last) = LatentID.range(run: run.id)
    return try read { db in
      // Labels first: they are what the user calls it.
      let ids = try ["label_text", "latent_text"].flatMap { table in
        try Int.fetchAll(
          db,
          sql: """
            SELECT rowid FROM \(table) WHERE \(table) MATCH ? AND rowid BETWEEN ? AND ?
            ORDER BY rank LIMIT ?
            """, arguments: [pattern, first, last, max(0, limit)])
      }
      var seen: Set<Int> = []
      return try records(ids.filter { seen.insert($0).inserted }, run, db).prefix(max(0, limit))
        .map(\.self)
    }
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
    let vocabulary = try vocabulary(of: run.corpus)
    let asked = searchWords(text)
    return try read { db in
      let reader = ContextReader(run: run, vocabulary: vocabulary)
      let passages = try Row.fetchAll(
        db,
        sql: """
          SELECT passage.id, passage.first, passage.tokens FROM passage_text
          JOIN passage ON passage.id = passage_text.rowid
          WHERE passage_text MATCH ? AND passage.corpus = ? ORDER BY passage_text.rank LIMIT ?
          """, arguments: [pattern, run.corpus, Self.passageLimit])
      var found: [Int: [Int]] = [:]
      for passage in passages {
        let texts = try Blob.tokens(passage.get(2) as Data).map(reader.text(ofToken:))
        let matching = tokens(of: texts, in: asked)
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
            db, sql: "SELECT contexts FROM evidence WHERE latent = ?", arguments: [id]),
          let context = try Blob.contexts(data).first(where: {
            $0.group == 0 && places.contains($0.place)
          })
        else { return nil }
        return ContextHit(
          latent: latent, hits: places.count, context: try reader.text(of: context, db))
      }
    }
  }

  /// Which of `texts` belong to a word that begins with one of `asked`.
  private func tokens(of texts: [String], in asked: [String]) -> Set<Int> {
    var matching: Set<Int> = []
    var start = 0
    while start < texts.count {
      var end = start + 1
      while end < texts.count, continuesWord(texts[end]) { end += 1 }
      let words = searchWords(texts[start..<end].joined())
      if words.contains(where: { word in asked.contains { word.hasPrefix($0) } }) {
        matching.formUnion(start..<end)
      }
      start = end
    }
    return matching
  }

  /// Words as the full-text index sees them: letters and digits, without case and accents.
  private func searchWords(_ text: String) -> [String] {
    text.folding(options: [.caseInsensitive, .diacriticInsensitive], locale: nil)
      .split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }
}
#endif
