// The user's labels and lists of latents, the only things that are written into a complete database.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

/// A latent with a label or in lists.
struct LabelRecord: Hashable, Sendable, Codable {
  var expert: Int
  /// The sublatent; nil for the expert itself.
  var sublatent: Int?
  /// The label; empty if it has none.
  var text: String
  /// When the label was written, or the latent was put into a list, whatever came last, in seconds since 1970.
  var changed: Int
  /// The lists it is in, by name.
  var lists: [String]
}

/// A list of latents.
struct ListRecord: Hashable, Sendable, Codable {
  var name: String
  /// The number of latents in it.
  var count: Int
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
    let text = try Self.line(label, "A label", longest: Self.longestLabel)
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

  /// `text` without spaces around it. Fails with `.data`, naming it as `what`, if it is too long or not one line of text.
  private static func line(
    _ text: String, _ what: String, longest: Int
  ) throws(Failure) -> String {
    let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard text.utf8.count <= longest else {
      throw .data("\(what) of \(text.utf8.count) bytes is too long; use at most \(longest).")
    }
    guard !text.unicodeScalars.contains(where: isHidden) else {
      throw .data("\(what) is one line of text, without line breaks and other hidden characters.")
    }
    return text
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

  /// All latents of `run` with a label or in a list, by latent.
  func labels(in run: RunRecord) throws(Failure) -> [LabelRecord] {
    try read { db in
      var records: [Int: LabelRecord] = [:]
      func note(_ id: Int, _ changed: Int, _ body: (inout LabelRecord) -> Void) {
        let latent = LatentNumber(LatentID.number(id), in: run.shape)
        var record =
          records[id]
          ?? LabelRecord(
            expert: latent.expert, sublatent: latent.sublatent, text: "", changed: 0, lists: [])
        record.changed = max(record.changed, changed)
        body(&record)
        records[id] = record
      }
      let all = LatentID.range(run: run.id)
      for row in try Row.fetchAll(
        db, sql: "SELECT latent, text, changed FROM label WHERE latent BETWEEN ? AND ?",
        arguments: all)
      {
        let text: String = try row.get(1)
        try note(row.get(0), row.get(2)) { $0.text = text }
      }
      for row in try Row.fetchAll(
        db,
        sql: "SELECT latent, list, added FROM listed WHERE latent BETWEEN ? AND ? ORDER BY list",
        arguments: all)
      {
        let list: String = try row.get(1)
        try note(row.get(0), row.get(2)) { $0.lists.append(list) }
      }
      return records.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  // MARK: Lists

  /// The list that pages suggest.
  static let usualList = "bookmarks"
  /// The longest name of a list, in bytes of UTF-8.
  static let longestListName = 800

  /// Puts `latent` into the list called `name`, or takes it out. A list without latents is gone. This is on the disk when it
  /// returns.
  ///
  /// Fails with `.data` if there is no such latent, or the name is empty, too long or not one line of text.
  func setListed(
    _ isListed: Bool, in name: String, _ latent: LatentNumber, of run: RunRecord
  ) throws(Failure) {
    guard let id = run.id(of: latent) else { throw .data("\(run.name): there is no such latent.") }
    let checked =
      isListed ? try Self.line(name, "The name of a list", longest: Self.longestListName) : name
    guard !checked.isEmpty else { throw .data("Name a list, such as \(Self.usualList).") }
    try write { db in
      if isListed {
        try db.execute(
          sql: "INSERT OR IGNORE INTO listed VALUES (?, ?, ?)",
          arguments: [checked, id, Int(Date().timeIntervalSince1970)])
      } else {
        try db.execute(
          sql: "DELETE FROM listed WHERE list = ? AND latent = ?", arguments: [name, id])
      }
    }
  }

  /// The lists that have latents of `run`, by name.
  func lists(in run: RunRecord) throws(Failure) -> [ListRecord] {
    try read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT list, COUNT(*) FROM listed WHERE latent BETWEEN ? AND ? GROUP BY list ORDER BY list
          """, arguments: LatentID.range(run: run.id)
      ).map { ListRecord(name: try $0.get(0), count: try $0.get(1)) }
    }
  }
}
#endif
