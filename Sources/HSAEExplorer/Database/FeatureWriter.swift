// Writes features.sqlite for `Explainer`, one process at a time. Each part of the work is one transaction,
// which also notes that the part is done, so a run that was killed continues with the first missing part.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

/// A database that a run is being written to.
struct FeatureWriter: ~Copyable {
  let folder: String
  let path: String
  private let queue: DatabaseQueue
  private let lock: FileLock

  /// Opens the database in `folder`, or creates both. Fails with `.cannotCreate` if another process writes
  /// there, and as `Schema.update` does.
  init(folder: String) throws(Failure) {
    try Path.requireParent(of: folder)
    try Path.createDirectories(folder)
    let lock = try FileLock(
      path: Path.join(folder, ".explain.lock"), purpose: "The folder \(folder)")
    let path = Path.join(folder, FeatureDatabase.fileName)
    queue = try Self.open(path)
    (self.folder, self.path) = (folder, path)
    self.lock = lock
  }

  private static func open(_ path: String) throws(Failure) -> DatabaseQueue {
    // A process that was killed before its first transaction leaves an empty file.
    let isNew = (Path.fileSize(path) ?? 0) == 0
    if !isNew { try FeatureDatabase.checkHeader(path) }
    try Schema.current.update(path)
    var configuration = FeatureDatabase.writing
    configuration.prepareDatabase { db in
      try db.execute(sql: "PRAGMA synchronous = NORMAL")
      try db.execute(sql: "PRAGMA cache_size = -65536")
    }
    return try withFailures(of: path) {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      try setJournal("WAL", queue)
      return queue
    }
  }

  private static func setJournal(_ mode: String, _ queue: DatabaseQueue) throws {
    try queue.writeWithoutTransaction { db in
      _ = try String.fetchOne(db, sql: "PRAGMA journal_mode = \(mode)")
    }
  }

  func write<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    try withFailures(of: path) { try queue.write(body) }
  }

  func read<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    try withFailures(of: path) { try queue.read(body) }
  }

  /// Merges SQLite's log into the database file; everything is on the disk when this returns.
  func settle() throws(Failure) {
    do throws(Failure) {
      try withFailures(of: path) { try Self.setJournal("DELETE", queue) }
    } catch {
      // While others read, the log stays beside the file, which is complete too.
      if error.kind != .temporary { throw error }
    }
  }

  /// The folder of the scratch files of run number `run`.
  func scratch(run: Int) -> String { Path.join(folder, ".explain-\(run)") }

  // MARK: Runs

  /// Finds or creates the run `record`, whose `id` is ignored, with the identity `identity`. Returns its
  /// number, and whether it is complete already.
  ///
  /// Fails with `.cannotCreate` if another run has the name and `replace` is not given.
  func begin(
    _ record: RunRecord, identity: RunIdentity, replace: Bool
  ) throws(Failure) -> (run: Int, isComplete: Bool) {
    let text = try JSONFile.encode(identity)
    let (path, folder) = (path, folder)
    return try write { db in
      let row = try Row.fetchOne(
        db, sql: "SELECT id, identity, complete FROM run WHERE name = ?", arguments: [record.name])
      var id: Int?
      if let row {
        let known: String = try row.get("identity")
        if known == text, !replace {
          return try (row.get("id"), row.get("complete"))
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
      let shape = record.shape
      try db.insert(
        [
          "id": id, "name": record.name, "path": record.path, "step": record.step,
          "corpus": record.corpus, "identity": text, "configuration": record.configuration,
          "width": shape.width, "experts": shape.experts, "sublatents": shape.sublatents,
          "subspace": shape.subspace, "k": shape.activeExperts,
          "sub_threshold": record.subThreshold, "rows": record.rows, "window": record.window,
          "has_promoted": record.hasPromotedTokens, "complete": false,
        ], into: "run")
      return (Int(db.lastInsertedRowID), false)
    }
  }

  private static func remove(run: Int, keepsLabels: Bool, _ db: Database) throws {
    let all = LatentID.range(run: run)
    let texts = try Int.fetchCursor(
      db, sql: "SELECT id FROM latent_text_docsize WHERE id BETWEEN ? AND ?", arguments: all)
    while let id = try texts.next() {
      let text = try SearchText(latent: id, db)
      try db.execute(
        sql: """
          INSERT INTO latent_text (latent_text, rowid, words, promoted) VALUES ('delete', ?, ?, ?)
          """, arguments: [id, text.words, text.promoted])
    }
    if !keepsLabels {
      for id in try Int.fetchAll(
        db, sql: "SELECT latent FROM label WHERE latent BETWEEN ? AND ?", arguments: all)
      {
        try FeatureDatabase.removeLabel(id, db)
      }
      try db.execute(sql: "DELETE FROM listed WHERE latent BETWEEN ? AND ?", arguments: all)
    }
    for (table, column) in [
      ("latent", "id"), ("evidence", "latent"), ("nearest", "latent"), ("direction", "latent"),
      ("promoted", "latent"), ("posting", "id"), ("matched", "latent"),
    ] {
      try db.execute(
        sql: "DELETE FROM \(table) WHERE \(column) BETWEEN ? AND ?", arguments: all)
    }
    try db.execute(sql: "DELETE FROM matched WHERE other_run = ?", arguments: [run])
    try db.execute(sql: "DELETE FROM explained WHERE run = ?", arguments: [run])
    try db.execute(sql: "DELETE FROM meta WHERE key = ?", arguments: [ScoreScale.key(run: run)])
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
        sql: "UPDATE meta SET value = (SELECT MIN(complete) FROM run) WHERE key = 'complete'")
    }
    try settle()
    Path.removeAll(scratch(run: run))
  }
}

/// Everything that an explained run depends on: runs with the same identity have the same content.
struct RunIdentity: Codable, Hashable {
  /// SHA-256 of the checkpoint's weights.
  var weights: String
  var rows: String
  /// The number of rows that are read.
  var count: Int
  var contexts: ContextSettings
  /// SHA-256 of the model that promoted tokens come from; nil if there is none.
  var model: String?
  /// Whether directions are centred for promoted tokens, which older versions never did; nil if not.
  var centres: Bool?
}

/// The text of a latent in the full-text index.
struct SearchText {
  var words: String
  var promoted: String

  /// The text of the latent `id`, made from its name, words and promoted tokens in the database.
  init(latent id: Int, _ db: Database) throws {
    let row = try Row.fetchOne(
      db.cachedStatement(
        sql: """
          SELECT latent.name || char(10) || latent.words AS words, promoted.lists, run.corpus FROM latent
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
