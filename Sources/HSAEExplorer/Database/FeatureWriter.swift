// The writing side of features.sqlite: one process at a time, in transactions that each leave it whole. What
// is written is `Explainer`'s business; which part of a run's work is done is noted in the transaction
// that wrote it, so a run that was killed goes on with the first part that is not.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

/// A database that a run is being written to.
struct FeatureWriter: ~Copyable {
  /// The folder.
  let folder: String
  /// The database.
  let path: String
  private let queue: DatabaseQueue
  private let lock: FileLock

  /// Opens the database in `folder`, or makes both. Fails with `.cannotCreate` if another process
  /// writes there, and with `.data` if what is there is not one of ours.
  init(folder: String) throws(Failure) {
    guard Path.isDirectory(Path.parent(folder)) else {
      throw Failure(
        .cannotCreate, "\(Path.parent(folder)): there is no such folder to write \(folder) in.")
    }
    try Path.createDirectories(folder)
    let lock = try FileLock(
      path: Path.join(folder, ".explain.lock"), purpose: "The folder \(folder)")
    let path = Path.join(folder, FeatureDatabase.fileName)
    queue = try Self.open(path)
    (self.folder, self.path) = (folder, path)
    self.lock = lock
  }

  private static func open(_ path: String) throws(Failure) -> DatabaseQueue {
    // An empty file is what a process leaves that was killed before its first transaction.
    let isNew = (Path.fileSize(path) ?? 0) == 0
    if !isNew { try FeatureDatabase.checkHeader(path) }
    do {
      var configuration = Configuration()
      configuration.busyMode = .timeout(5)
      configuration.prepareDatabase { db in
        try FeatureDatabase.harden(db)
        try db.execute(sql: "PRAGMA synchronous = NORMAL")
        try db.execute(sql: "PRAGMA cache_size = -65536")
      }
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      let objects = try queue.read { db in
        try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_schema")
      }
      if objects == 0 {
        try queue.write { db in try Schema.create(in: db) }
      } else {
        try queue.read { db in try Schema.check(db, path: path) }
      }
      try setJournal("WAL", queue)
      return queue
    } catch {
      throw Failure(database: error, path: path)
    }
  }

  private static func setJournal(_ mode: String, _ queue: DatabaseQueue) throws {
    try queue.writeWithoutTransaction { db in
      _ = try String.fetchOne(db, sql: "PRAGMA journal_mode = \(mode)")
    }
  }

  /// Runs `body` in a transaction.
  func write<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    do {
      return try queue.write(body)
    } catch {
      throw Failure(database: error, path: path)
    }
  }

  func read<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    do {
      return try queue.read(body)
    } catch {
      throw Failure(database: error, path: path)
    }
  }

  /// Makes the database one plain file: everything is on the disk when this returns.
  func settle() throws(Failure) {
    do {
      // A reader that is there now keeps it as it is, which is whole too.
      try Self.setJournal("DELETE", queue)
    } catch {
      let failure = Failure(database: error, path: path)
      if failure.kind != .temporary { throw failure }
    }
  }

  /// Where scratch files of the run with number `run` lie.
  func scratch(run: Int) -> String { Path.join(folder, ".explain-\(run)") }

  // MARK: Runs

  /// A run that is about to be written: its number, and whether all of it is there already.
  struct Begun {
    var run: Int
    var isComplete: Bool
  }

  /// Finds or makes the run `record` (whose `id` does not count) of identity `identity`.
  ///
  /// Fails with `.cannotCreate` if another run has the name and `replace` is not given.
  func begin(_ record: RunRecord, identity: RunIdentity, replace: Bool) throws(Failure) -> Begun {
    let text = try JSONFile.encode(identity)
    let (path, folder) = (path, folder)
    return try write { db in
      let row = try Row.fetchOne(
        db, sql: "SELECT id, identity, complete FROM run WHERE name = ?", arguments: [record.name])
      var id: Int?
      if let row {
        let known: String = try row.get("identity")
        if known == text, !replace {
          return try Begun(run: row.get("id"), isComplete: row.get("complete"))
        }
        guard replace else {
          throw Failure(
            .cannotCreate,
            "\(path): it has a run called \(record.name), of other weights, rows or options; choose"
              + " another --name, or --replace it.")
        }
        let old = try? JSONFile.decode(
          RunIdentity.self, from: Array(known.utf8), source: path)
        id = try row.get("id")
        try Self.remove(run: row.get("id"), keepsLabels: old?.weights == identity.weights, db)
        Path.removeAll(Path.join(folder, ".explain-\(try row.get("id") as Int)"))
      }
      try db.execute(sql: "UPDATE meta SET value = '0' WHERE key = 'complete'")
      try db.execute(
        sql: """
          INSERT INTO run (id, name, path, step, corpus, identity, configuration, width, experts,
            sublatents, subspace, k, sub_threshold, rows, window, has_promoted, complete)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
          """,
        arguments: [
          id, record.name, record.path, record.step, record.corpus, text, record.configuration,
          record.shape.width, record.shape.experts, record.shape.sublatents, record.shape.subspace,
          record.shape.activeExperts, record.subThreshold, record.rows, record.window,
          record.hasPromotedTokens,
        ])
      return Begun(run: Int(db.lastInsertedRowID), isComplete: false)
    }
  }

  private static func remove(run: Int, keepsLabels: Bool, _ db: Database) throws {
    let (first, last) = LatentID.range(run: run)
    let texts = try Row.fetchCursor(
      db, sql: "SELECT id FROM latent_text_docsize WHERE id BETWEEN ? AND ?",
      arguments: [first, last])
    while let row = try texts.next() {
      let id: Int = try row.get(0)
      let text = try SearchText(latent: id, db)
      try db.execute(
        sql: """
          INSERT INTO latent_text (latent_text, rowid, words, promoted) VALUES ('delete', ?, ?, ?)
          """, arguments: [id, text.words, text.promoted])
    }
    if !keepsLabels {
      for id in try Int.fetchAll(
        db, sql: "SELECT latent FROM label WHERE latent BETWEEN ? AND ?", arguments: [first, last])
      {
        try FeatureDatabase.removeLabel(id, db)
      }
    }
    for (table, column) in [
      ("latent", "id"), ("evidence", "latent"), ("nearest", "latent"), ("direction", "latent"),
      ("promoted", "latent"), ("posting", "id"), ("matched", "latent"),
    ] {
      try db.execute(
        sql: "DELETE FROM \(table) WHERE \(column) BETWEEN ? AND ?", arguments: [first, last])
    }
    try db.execute(sql: "DELETE FROM matched WHERE other_run = ?", arguments: [run])
    try db.execute(sql: "DELETE FROM progress WHERE run = ?", arguments: [run])
    try db.execute(sql: "DELETE FROM run WHERE id = ?", arguments: [run])
  }

  /// Whether part `block` of `stage` is done.
  func isDone(_ run: Int, _ stage: Explainer.Stage, _ block: Int) throws(Failure) -> Bool {
    try read { db in
      try Bool.fetchOne(
        db, sql: "SELECT 1 FROM progress WHERE run = ? AND stage = ? AND block = ?",
        arguments: [run, stage.rawValue, block]) ?? false
    }
  }

  /// Writes part `block` of `stage` with `body` and notes that it is done.
  func write(
    _ run: Int, _ stage: Explainer.Stage, _ block: Int, _ body: (Database) throws -> Void
  ) throws(Failure) {
    try write { db in
      try body(db)
      try db.execute(
        sql: "INSERT INTO progress VALUES (?, ?, ?)", arguments: [run, stage.rawValue, block])
    }
  }

  /// Notes that all of `run` is there.
  func finish(run: Int) throws(Failure) {
    try write { db in
      try db.execute(sql: "UPDATE run SET complete = 1 WHERE id = ?", arguments: [run])
      try db.execute(sql: "DELETE FROM progress WHERE run = ?", arguments: [run])
      try db.execute(
        sql: """
          UPDATE meta SET value = (SELECT MIN(complete) FROM run) WHERE key = 'complete'
          """)
    }
    try settle()
    Path.removeAll(scratch(run: run))
  }
}

/// What decides every number of an explained run: the same identity, the same database.
struct RunIdentity: Codable, Hashable {
  /// SHA-256 of the checkpoint's weights.
  var weights: String
  /// The fingerprint of the rows.
  var rows: String
  /// How many of them are read.
  var count: Int
  /// The contexts.
  var contexts: ContextSettings
  /// SHA-256 of the model whose tokens are promoted; nil if there is none.
  var model: String?
}

/// What the search knows of a latent.
struct SearchText {
  var words: String
  var promoted: String

  /// The text of the latent `id`, from what the database has of it.
  init(latent id: Int, _ db: Database) throws {
    let row = try Row.fetchOne(
      db.cachedStatement(
        sql: """
          SELECT latent.words, promoted.lists, run.corpus FROM latent
          JOIN run ON run.id = latent.run LEFT JOIN promoted ON promoted.latent = latent.id
          WHERE latent.id = ?
          """), arguments: [id])
    words = try row?.get("words") ?? ""
    var texts: [String] = []
    if let row, let lists: Data = try row.get("lists") {
      let statement = try db.cachedStatement(
        sql: "SELECT text FROM token WHERE corpus = ? AND id = ?")
      for effect in try Blob.effects(lists).first?.promoted ?? [] {
        let text = try String.fetchOne(
          statement, arguments: [try row.get("corpus") as Int, effect.token])
        texts.append((text ?? "").replacing("\u{2581}", with: " "))
      }
    }
    promoted = texts.joined(separator: "\n")
  }
}
#endif
