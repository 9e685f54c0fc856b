// Writes the corpus into the database: documents, their tokens in passages, the vocabulary, the full-text
// index. Runs on the same rows share one corpus.

#if Explorer
import GRDB
import HSAEActivations
import HSAESupport

extension Explainer {
  /// The number of the rows' corpus, which is written if it is missing.
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
      try db.insert(
        [
          "fingerprint": fingerprint, "kind": rows.kind.rawValue,
          "name": Path.name(rows.source.path), "model_name": attributes?.modelName,
          "model_sha256": attributes?.modelSHA256, "hook_point": attributes?.hookPoint,
          "layer": attributes?.layer,
          "tokens": rows.corpus?.tokenCount ?? rows.source.rowCount,
        ], into: "corpus")
      let id = Int(db.lastInsertedRowID)
      if let bos = attributes?.collection?.bos, bos != .auto {
        try db.execute(
          sql: "INSERT OR REPLACE INTO meta VALUES ('bos ' || ?, ?)",
          arguments: [id, bos.rawValue])
      }
      let token = try db.cachedStatement(sql: "INSERT INTO token VALUES (?, ?, ?)")
      for (number, text) in rows.vocabulary.enumerated() {
        try token.execute(arguments: [id, number, text])
      }
      if let corpus = rows.corpus { try Self.write(corpus, of: rows, id: id, db) }
      return id
    }
  }

  /// Writes the documents that `rows` come from: those held out, or the others.
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
  /// The text at `places` for the full-text index: a word that continues after them is included in full,
  /// special tokens such as `<bos>` are left out.
  func searchText(at places: Range<Int>) -> String {
    var texts = places.map { text(at: $0) }
    if let last = places.last, let end = texts.last {
      // The last word, with its part after `places`.
      let word = word(at: last)
      texts[texts.count - 1] = end + (word.hasSuffix(end) ? "" : " " + word)
    }
    return texts.map { $0.hasPrefix("<") && $0.hasSuffix(">") ? " " : $0 }.joined()
      .replacing("\u{2581}", with: " ")
  }
}
#endif
