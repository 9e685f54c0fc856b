// The schema of features.sqlite: a list of migrations, and the check that a file has the schema they lead to.
// docs/formats.md says what each column means; the two must change together.

#if Explorer
import GRDB
import HSAESupport

/// The schema of the database: the migrations that lead to it, oldest first.
///
/// A database's version (`user_version`) is 1 more than the number of its migrations: version 1 was written
/// before there were migrations, and has the tables of the first one.
struct Schema: Sendable {
  /// A change of the schema. Its name is noted in the database, in GRDB's table `grdb_migrations`.
  struct Migration: Sendable {
    let name: String
    let apply: @Sendable (Database) throws -> Void
  }

  /// The schema that this program reads and writes. To change it, append a migration; never edit an old one.
  static let current = Schema(migrations: [
    Migration(name: "tables", apply: createTables),
    Migration(name: "names") { db in
      try db.execute(sql: "ALTER TABLE latent ADD COLUMN name TEXT NOT NULL DEFAULT ''")
    },
    Migration(name: "lists") { db in
      try db.execute(
        sql: """
          ALTER TABLE promoted ADD COLUMN effects BLOB;
          ALTER TABLE latent ADD COLUMN score_parts BLOB;
          CREATE TABLE explained (
          run INTEGER NOT NULL, token INTEGER NOT NULL, shares BLOB NOT NULL, PRIMARY KEY (run, token)
          ) WITHOUT ROWID;
          CREATE TABLE listed (
          list TEXT NOT NULL, latent INTEGER NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (list, latent)
          ) WITHOUT ROWID;
          CREATE INDEX listed_latent ON listed (latent);
          """)
    },
  ])

  /// "HSAE", where SQLite keeps an application's number.
  static let applicationID = 0x4853_4145

  let migrations: [Migration]
  var version: Int { migrations.count + 1 }

  private var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    for (index, migration) in migrations.enumerated() {
      migrator.registerMigration(migration.name) { db in
        try migration.apply(db)
        try db.execute(sql: "PRAGMA user_version = \(index + 2)")
      }
    }
    return migrator
  }

  /// Creates the database `path` if there is none, and applies the migrations that it lacks.
  ///
  /// Fails with `.data` if the file is another database, damaged or of a later version, and with
  /// `.cannotCreate` if it may not be written.
  func update(_ path: String) throws(Failure) {
    var isNew = true
    do {
      let queue = try DatabaseQueue(path: path, configuration: FeatureDatabase.writing)
      isNew = try queue.read { db in
        // GRDB creates its table before the first migration: a process may have been killed in between.
        try Int.fetchOne(
          db, sql: "SELECT COUNT(*) FROM sqlite_schema WHERE tbl_name <> 'grdb_migrations'") == 0
      }
      if !isNew, try queue.read({ db in try isCurrent(db, path: path) }) { return }
      try queue.writeWithoutTransaction { db in
        // The lock holds until the queue is closed, so two processes never apply the same migration.
        try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")
      }
      try migrator.migrate(queue)
      try queue.close()
    } catch {
      let forbidden: [ResultCode] = [.SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN]
      let code = (error as? DatabaseError)?.resultCode.primaryResultCode
      if !isNew, let code, forbidden.contains(code) { throw Self.readOnly(path) }
      throw Failure(database: error, path: path)
    }
  }

  private static func readOnly(_ path: String) -> Failure {
    Failure(
      .cannotCreate,
      "\(path): an older version of hsae wrote this database, and bringing it up to date needs permission"
        + " to write the file and its folder; change the permissions, or use a copy.")
  }

  /// Whether the database `path` has all migrations.
  ///
  /// Fails with `.data` if it is not one of ours, of a later version, or has other tables than its version
  /// should have. Triggers and views are refused, because SQL in them would run unasked.
  func isCurrent(_ db: Database, path: String) throws -> Bool {
    guard try Int.fetchOne(db, sql: "PRAGMA application_id") == Self.applicationID else {
      throw Failure.data(
        "\(path): this SQLite database is not one of hsae's; give a folder that hsae explain wrote."
      )
    }
    let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    guard version <= self.version else {
      throw Failure.data(
        "\(path): a newer hsae wrote it (schema version \(version), and this hsae knows \(self.version));"
          + " use the newer one.")
    }
    let changed = Failure.data(
      "\(path): its tables are not those of schema version \(version); explain the runs again into a new"
        + " folder.")
    guard version >= 1 else { throw changed }
    let found = try Self.objects(db)
    var expected = try objects(ofVersion: version)
    // GRDB's table is not there in version 1, unless a process was killed while it applied migrations.
    if version == 1, found[Self.list] == nil { expected[Self.list] = nil }
    let names = Set(migrations.prefix(version - 1).map(\.name))
    guard found == expected, try migrator.appliedIdentifiers(db) == names else { throw changed }
    return max(version, 2) == self.version
  }

  /// The tables and indices that a database of `version` should have.
  private func objects(ofVersion version: Int) throws -> [String: String] {
    let queue = try DatabaseQueue()
    try migrator.migrate(queue, upTo: migrations[max(version, 2) - 2].name)
    return try queue.read(Self.objects)
  }

  private static let list = "table grdb_migrations"

  /// The SQL of everything in a database, by type and name. The SQL of GRDB's table and of tables inside
  /// full-text indices is left out, because it depends on the versions of GRDB and SQLite.
  private static func objects(_ db: Database) throws -> [String: String] {
    var objects: [String: String] = [:]
    for row in try Row.fetchAll(db, sql: "SELECT type, name, sql FROM sqlite_schema") {
      let (type, name): (String, String) = try (row.get(0), row.get(1))
      // SQLite's own tables, and its indices of keys.
      if name.hasPrefix("sqlite_"), ["table", "index"].contains(type) { continue }
      objects["\(type) \(name)"] = try row.get(2) as String? ?? ""
    }
    if objects[list] != nil { objects[list] = "" }
    for (index, sql) in objects where sql.hasPrefix("CREATE VIRTUAL TABLE") {
      for part in objects.keys where part.hasPrefix(index + "_") { objects[part] = "" }
    }
    return objects
  }
}

// The first migration, as it always was: older databases have these texts word for word.
extension Schema {
  private static func createTables(in db: Database) throws {
    // Version 1 has the tables already.
    if try Int.fetchOne(db, sql: "PRAGMA user_version") == 1 { return }
    try db.execute(sql: firstTables)
    try db.execute(sql: "INSERT INTO meta VALUES ('complete', '0')")
    try db.execute(sql: "PRAGMA application_id = \(applicationID)")
  }

  private static let firstTables = """
    CREATE TABLE meta (
    key TEXT PRIMARY KEY, value TEXT NOT NULL
    );
    CREATE TABLE corpus (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    model_name TEXT, model_sha256 TEXT, hook_point TEXT, layer INTEGER, tokens INTEGER NOT NULL
    );
    CREATE TABLE token (
    corpus INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (corpus, id)
    ) WITHOUT ROWID;
    CREATE TABLE document (
    corpus INTEGER NOT NULL, first INTEGER NOT NULL, length INTEGER NOT NULL, number INTEGER NOT NULL,
    title TEXT, language TEXT, topic TEXT, PRIMARY KEY (corpus, first)
    ) WITHOUT ROWID;
    CREATE TABLE passage (
    id INTEGER PRIMARY KEY, corpus INTEGER NOT NULL, first INTEGER NOT NULL, tokens BLOB NOT NULL,
    UNIQUE (corpus, first)
    );
    -- Full-text indices keep no text; their row ids are those of what they index.
    CREATE VIRTUAL TABLE passage_text USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
    CREATE TABLE run (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL, step INTEGER NOT NULL,
    corpus INTEGER NOT NULL, identity TEXT NOT NULL, configuration TEXT NOT NULL,
    width INTEGER NOT NULL, experts INTEGER NOT NULL, sublatents INTEGER NOT NULL,
    subspace INTEGER NOT NULL, k INTEGER NOT NULL, sub_threshold REAL NOT NULL,
    rows INTEGER NOT NULL, window INTEGER NOT NULL, has_promoted INTEGER NOT NULL,
    complete INTEGER NOT NULL
    );
    CREATE TABLE progress (
    run INTEGER NOT NULL, stage TEXT NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (run, stage, block)
    ) WITHOUT ROWID;
    CREATE TABLE latent (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, expert INTEGER NOT NULL,
    sublatent INTEGER NOT NULL, fired INTEGER NOT NULL, chosen INTEGER NOT NULL,
    maximum REAL NOT NULL, mean REAL NOT NULL, parent_mean REAL NOT NULL, share REAL NOT NULL,
    live INTEGER NOT NULL, score REAL, words TEXT NOT NULL
    );
    CREATE INDEX latent_fired ON latent (run, sublatent < 0, fired);
    CREATE INDEX latent_maximum ON latent (run, sublatent < 0, maximum);
    CREATE INDEX latent_live ON latent (run, sublatent < 0, live);
    CREATE INDEX latent_score ON latent (run, sublatent < 0, score);
    CREATE TABLE evidence (
    latent INTEGER PRIMARY KEY, histogram BLOB NOT NULL, contexts BLOB NOT NULL,
    coactive BLOB NOT NULL
    );
    CREATE TABLE nearest (
    latent INTEGER PRIMARY KEY, related BLOB NOT NULL
    );
    CREATE TABLE direction (
    latent INTEGER PRIMARY KEY, unit BLOB NOT NULL
    );
    CREATE TABLE promoted (
    latent INTEGER PRIMARY KEY, lists BLOB NOT NULL
    );
    CREATE VIRTUAL TABLE latent_text USING fts5(words, promoted, content='', tokenize='unicode61 remove_diacritics 2');
    CREATE TABLE posting (
    id INTEGER PRIMARY KEY, latents BLOB NOT NULL
    );
    CREATE TABLE matched (
    latent INTEGER NOT NULL, other_run INTEGER NOT NULL, other INTEGER NOT NULL, cosine REAL NOT NULL,
    PRIMARY KEY (latent, other_run)
    ) WITHOUT ROWID;
    CREATE TABLE label (
    latent INTEGER PRIMARY KEY, text TEXT NOT NULL, changed INTEGER NOT NULL
    );
    CREATE VIRTUAL TABLE label_text USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
    """
}
#endif
