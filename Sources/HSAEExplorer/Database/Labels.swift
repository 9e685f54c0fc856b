// The user's labels, the only things that are written into a complete database.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

struct LabelRecord: Hashable, Sendable, Codable {
  var expert: Int
  /// The sublatent; nil for the expert itself.
  var sublatent: Int?
  var text: String
  /// When it was written, in seconds since 1970.
  var changed: Int
}

extension FeatureDatabase {
  /// The longest label, in bytes of UTF-8.
  static let longestLabel = 2000

  /// Sets the label of `latent`; an empty or blank one removes it. The label is on the disk when this
  /// returns.
  ///
  /// If `previous` is given and the label is no longer that, another window has changed it, and this fails
  /// with `.data`. It also does if there is no such latent, or the label is too long or not one line of text.
  /// Fails with `.cannotCreate` if the file may not be written.
  func setLabel(
    _ label: String, replacing previous: String? = nil, of latent: LatentNumber, in run: RunRecord
  ) throws(Failure) {
    guard let id = run.id(of: latent) else { throw .data("\(run.name): there is no such latent.") }
    let text = label.trimmingCharacters(in: .whitespacesAndNewlines)
    guard text.utf8.count <= Self.longestLabel else {
      throw .data(
        "A label of \(text.utf8.count) bytes is too long; use at most \(Self.longestLabel).")
    }
    guard !text.unicodeScalars.contains(where: Self.isHidden) else {
      throw .data("A label is one line of text, without line breaks and other hidden characters.")
    }
    let changed: String? = try write { db in
      if let previous {
        let now = try String.fetchOne(
          db, sql: "SELECT text FROM label WHERE latent = ?", arguments: [id])
        if (now ?? "") != previous { return now ?? "" }
      }
      try Self.removeLabel(id, db)
      if text.isEmpty { return nil }
      try db.execute(
        sql: "INSERT INTO label VALUES (?, ?, ?)",
        arguments: [id, text, Int(Date().timeIntervalSince1970)])
      try db.execute(
        sql: "INSERT INTO label_text (rowid, text) VALUES (?, ?)", arguments: [id, text])
      return nil
    }
    if let changed {
      let now = changed.isEmpty ? "been removed" : "become \u{201C}\(changed)\u{201D}"
      throw .data("Meanwhile this label has \(now) elsewhere; open the page again to change it.")
    }
  }

  /// Whether `scalar` is a control character, a line separator, or changes the direction of text.
  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control || scalar.properties.isBidiControl
      || [0x2028, 0x2029].contains(scalar.value)
  }

  /// Removes the label of the latent `id` from the table and the full-text index.
  static func removeLabel(_ id: Int, _ db: Database) throws {
    guard
      let old = try String.fetchOne(
        db, sql: "SELECT text FROM label WHERE latent = ?", arguments: [id])
    else { return }
    try db.execute(
      sql: "INSERT INTO label_text (label_text, rowid, text) VALUES ('delete', ?, ?)",
      arguments: [id, old])
    try db.execute(sql: "DELETE FROM label WHERE latent = ?", arguments: [id])
  }

  /// All labels of `run`, by latent.
  func labels(in run: RunRecord) throws(Failure) -> [LabelRecord] {
    try read { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM label WHERE latent BETWEEN ? AND ? ORDER BY latent",
        arguments: LatentID.range(run: run.id)
      ).map { row in
        let latent = LatentNumber(LatentID.number(try row.get("latent")), in: run.shape)
        return LabelRecord(
          expert: latent.expert, sublatent: latent.sublatent, text: try row.get("text"),
          changed: try row.get("changed"))
      }
    }
  }
}
#endif
