// The tables of features.sqlite, layout 1, and how a file is known to be one of ours. docs/formats.md
// says what each column means; the two must change together.

#if Explorer
import Foundation
import GRDB
import HSAESupport

/// The layout of the database.
enum Schema {
  /// "HSAE", where SQLite keeps an application's number.
  static let applicationID = 0x4853_4145
  /// The layout that this program reads and writes.
  static let version = 1

  /// Every table and index by name.
  static let objects: [(name: String, sql: String)] = [
    table("meta", "key TEXT PRIMARY KEY, value TEXT NOT NULL"),
    table(
      "corpus",
      """
      id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
      model_name TEXT, model_sha256 TEXT, hook_point TEXT, layer INTEGER, tokens INTEGER NOT NULL
      """),
    table(
      "token",
      "corpus INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL,"
        + " PRIMARY KEY (corpus, id)", withoutRowID: true),
    table(
      "document",
      """
      corpus INTEGER NOT NULL, first INTEGER NOT NULL, length INTEGER NOT NULL, number INTEGER NOT NULL,
      title TEXT, language TEXT, topic TEXT, PRIMARY KEY (corpus, first)
      """, withoutRowID: true),
    table(
      "passage",
      """
      id INTEGER PRIMARY KEY, corpus INTEGER NOT NULL, first INTEGER NOT NULL, tokens BLOB NOT NULL,
      UNIQUE (corpus, first)
      """),
    search("passage_text", "text"),
    table(
      "run",
      """
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL, step INTEGER NOT NULL,
      corpus INTEGER NOT NULL, identity TEXT NOT NULL, configuration TEXT NOT NULL,
      width INTEGER NOT NULL, experts INTEGER NOT NULL, sublatents INTEGER NOT NULL,
      subspace INTEGER NOT NULL, k INTEGER NOT NULL, sub_threshold REAL NOT NULL,
      rows INTEGER NOT NULL, window INTEGER NOT NULL, has_promoted INTEGER NOT NULL,
      complete INTEGER NOT NULL
      """),
    table(
      "progress",
      "run INTEGER NOT NULL, stage TEXT NOT NULL, block INTEGER NOT NULL,"
        + " PRIMARY KEY (run, stage, block)", withoutRowID: true),
    table(
      "latent",
      """
      id INTEGER PRIMARY KEY, run INTEGER NOT NULL, expert INTEGER NOT NULL,
      sublatent INTEGER NOT NULL, fired INTEGER NOT NULL, chosen INTEGER NOT NULL,
      maximum REAL NOT NULL, mean REAL NOT NULL, parent_mean REAL NOT NULL, share REAL NOT NULL,
      live INTEGER NOT NULL, score REAL, words TEXT NOT NULL
      """),
    index("latent_fired", "latent (run, sublatent < 0, fired)"),
    index("latent_maximum", "latent (run, sublatent < 0, maximum)"),
    index("latent_live", "latent (run, sublatent < 0, live)"),
    index("latent_score", "latent (run, sublatent < 0, score)"),
    table(
      "evidence",
      """
      latent INTEGER PRIMARY KEY, histogram BLOB NOT NULL, contexts BLOB NOT NULL,
      coactive BLOB NOT NULL
      """),
    table("nearest", "latent INTEGER PRIMARY KEY, related BLOB NOT NULL"),
    table("direction", "latent INTEGER PRIMARY KEY, unit BLOB NOT NULL"),
    table("promoted", "latent INTEGER PRIMARY KEY, lists BLOB NOT NULL"),
    search("latent_text", "words, promoted"),
    table("posting", "id INTEGER PRIMARY KEY, latents BLOB NOT NULL"),
    table(
      "matched",
      """
      latent INTEGER NOT NULL, other_run INTEGER NOT NULL, other INTEGER NOT NULL, cosine REAL NOT NULL,
      PRIMARY KEY (latent, other_run)
      """, withoutRowID: true),
    table(
      "label", "latent INTEGER PRIMARY KEY, text TEXT NOT NULL, changed INTEGER NOT NULL"),
    search("label_text", "text"),
  ]

  private static func table(
    _ name: String, _ columns: String, withoutRowID: Bool = false
  ) -> (String, String) {
    (name, "CREATE TABLE \(name) (\n\(columns)\n)" + (withoutRowID ? " WITHOUT ROWID" : ""))
  }

  private static func index(_ name: String, _ columns: String) -> (String, String) {
    (name, "CREATE INDEX \(name) ON \(columns)")
  }

  /// A full-text index that keeps no text of its own; its row ids are those of what it indexes.
  private static func search(_ name: String, _ columns: String) -> (String, String) {
    (
      name,
      "CREATE VIRTUAL TABLE \(name) USING fts5(\(columns), content='', "
        + "tokenize='unicode61 remove_diacritics 2')"
    )
  }

  /// Makes all tables in an empty database.
  static func create(in db: Database) throws {
    for (_, sql) in objects { try db.execute(sql: sql) }
    try db.execute(sql: "INSERT INTO meta VALUES ('complete', '0')")
    try db.execute(sql: "PRAGMA application_id = \(applicationID)")
    try db.execute(sql: "PRAGMA user_version = \(version)")
  }

  /// Fails with `.data` unless the database `path` is one of ours, of this layout, and nothing else.
  static func check(_ db: Database, path: String) throws {
    let id = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    guard id == applicationID else {
      throw Failure.data(
        "\(path): this SQLite database is not one of hsae's; give a folder that hsae explain wrote."
      )
    }
    guard version <= self.version else {
      throw Failure.data(
        "\(path): its layout is version \(version), and this program knows \(self.version); use a newer"
          + " one.")
    }
    let changed = Failure.data(
      "\(path): its tables are not those of layout \(self.version); explain the runs again into a new"
        + " folder.")
    guard version == self.version else { throw changed }
    let known = Dictionary(uniqueKeysWithValues: objects.map { ($0.name, $0.sql) })
    var seen = 0
    for row in try Row.fetchAll(db, sql: "SELECT type, name, sql FROM sqlite_schema") {
      let (type, name): (String, String) = try (row.get(0), row.get(1))
      let sql: String? = try row.get(2)
      // FTS5's own tables, SQLite's indices of keys.
      let isShadow = known.keys.contains { name.hasPrefix($0 + "_") } && known[name] == nil
      if type == "trigger" || type == "view" { throw changed }
      if name.hasPrefix("sqlite_") || isShadow { continue }
      guard known[name] == sql else { throw changed }
      seen += 1
    }
    guard seen == known.count else { throw changed }
  }
}

extension Row {
  /// The value of `column`, of a row that others may have damaged: one that is not of its type throws.
  func get<Value: DatabaseValueConvertible & StatementColumnConvertible>(
    _ column: String
  ) throws -> Value { try decode(Value.self, forColumn: column) }

  /// The value of column `index`, likewise.
  func get<Value: DatabaseValueConvertible & StatementColumnConvertible>(
    _ index: Int
  ) throws -> Value { try decode(Value.self, atIndex: index) }
}

extension Failure {
  /// What `error`, thrown while the database `path` was used, means.
  init(database error: any Error, path: String) {
    guard let error = error as? DatabaseError else {
      if let failure = error as? Failure {
        self = failure == BlobReader.damaged ? .damagedDatabase(path) : failure
      } else {
        // A column that is not of its type.
        self = .damagedDatabase(path)
      }
      return
    }
    switch error.resultCode.primaryResultCode {
    case .SQLITE_NOTADB: self = .data("\(path): this is no SQLite database.")
    case .SQLITE_CORRUPT, .SQLITE_MISMATCH, .SQLITE_ERROR: self = .damagedDatabase(path)
    case .SQLITE_FULL:
      self = Failure(
        .inputOutput, "\(path): no space is left on this disk; free some and run again.")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      self = Failure(.temporary, "\(path): another process is writing to it; try again later.")
    case .SQLITE_READONLY, .SQLITE_PERM:
      self = Failure(.cannotCreate, "\(path): no permission to write to it.")
    case .SQLITE_CANTOPEN:
      self = .missing("\(path): it cannot be opened; check the path and its permissions.")
    default:
      self = Failure(
        .inputOutput, "\(path): SQLite failed: \(error.message ?? error.resultCode.description).")
    }
  }

  private static func damagedDatabase(_ path: String) -> Failure {
    .data("\(path): it is damaged; explain the runs again into a new folder.")
  }
}
#endif
