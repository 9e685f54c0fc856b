// The corpus in the database: documents, their tokens in passages, the vocabulary, the text index. Runs on
// the same rows share it.

#if Explorer
import Foundation
import GRDB
import HSAEActivations
import HSAESupport

extension Explainer {
  /// The number of the corpus of the rows; it is written if it is not there yet.
  func writeCorpus() throws(Failure) -> Int {
    let rows = rows
    let fingerprint = rows.source.fingerprint
    let attributes = rows.store?.attributes
    return try writer.write { db in
      if let id = try Int.fetchOne(
        db, sql: "SELECT id FROM corpus WHERE fingerprint = ?", arguments: [fingerprint])
      {
        return id
      }
      try db.execute(
        sql: """
          INSERT INTO corpus (fingerprint, kind, name, model_name, model_sha256, hook_point, layer,
            tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          fingerprint, rows.kind.rawValue, Path.name(rows.source.path), attributes?.modelName,
          attributes?.modelSHA256, attributes?.hookPoint, attributes?.layer,
          rows.corpus?.tokenCount ?? rows.source.rowCount,
        ])
      let id = Int(db.lastInsertedRowID)
      let token = try db.cachedStatement(sql: "INSERT INTO token VALUES (?, ?, ?)")
      for (number, text) in rows.vocabulary.enumerated() {
        try token.execute(arguments: [id, number, text])
      }
      if let corpus = rows.corpus { try Self.write(corpus, of: rows, id: id, db) }
      return id
    }
  }

  /// Writes the documents of the part that `rows` are of.
  private static func write(
    _ corpus: StoredCorpus, of rows: ExplainedRows, id: Int, _ db: Database
  ) throws {
    let isHoldout = rows.store?.attributes.collection?.part == .holdout
    let document = try db.cachedStatement(
      sql: "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?)")
    let passage = try db.cachedStatement(
      sql: "INSERT INTO passage (corpus, first, tokens) VALUES (?, ?, ?)")
    let text = try db.cachedStatement(
      sql: "INSERT INTO passage_text (rowid, text) VALUES (?, ?)")
    for number in 0..<corpus.documentCount where corpus.isHeldOut(number) == isHoldout {
      let range = try corpus.range(of: number)
      if range.isEmpty { continue }
      try document.execute(arguments: [
        id, range.lowerBound, range.count, number, corpus.title(of: number),
        corpus.language(of: number), corpus.topic(of: number),
      ])
      for first in stride(from: range.lowerBound, to: range.upperBound, by: Passage.length) {
        let places = first..<min(range.upperBound, first + Passage.length)
        try passage.execute(arguments: [id, first, Blob.tokens(corpus.tokens(at: places))])
        try text.execute(arguments: [db.lastInsertedRowID, rows.searchText(at: places)])
      }
    }
  }
}

extension ExplainedRows {
  /// The text at `places` as the index should see it: words that go on behind them are whole, tokens that
  /// are no text (`<bos>`) are left out.
  func searchText(at places: Range<Int>) -> String {
    var texts = places.map { text(at: $0) }
    if let last = places.last, let end = texts.last {
      // The last word, with what follows of it.
      let word = word(at: last)
      texts[texts.count - 1] = end + (word.hasSuffix(end) ? "" : " " + word)
    }
    return texts.map { $0.hasPrefix("<") && $0.hasSuffix(">") ? " " : $0 }.joined()
      .replacing("\u{2581}", with: " ")
  }
}
#endif
