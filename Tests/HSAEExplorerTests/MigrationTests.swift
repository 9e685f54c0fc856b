// Databases of other versions of hsae: older ones are brought up to date, newer and damaged ones are refused.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct MigrationTests {
  /// The schema with one more migration: a new column and its index.
  private static let next = Schema(
    migrations: Schema.current.migrations + [
      Schema.Migration(name: "flatness") { db in
        try db.execute(sql: "ALTER TABLE latent ADD COLUMN flatness REAL")
        try db.execute(
          sql: "CREATE INDEX latent_flatness ON latent (run, sublatent < 0, flatness)")
        try db.execute(sql: "UPDATE latent SET flatness = mean / maximum WHERE maximum > 0")
      }
    ])

  private func withOldDatabase(_ body: (_ path: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, FeatureDatabase.fileName)
      try OldDatabase.write(path)
      try body(path)
    }
  }

  /// Checks what pages show of the old database.
  private func check(_ database: FeatureDatabase) throws {
    let run = try #require(try database.run(named: "old"))
    #expect(run.isComplete && run.modelName == "tiny" && run.shape.experts == 2)
    var query = LatentQuery()
    (query.order, query.isDescending) = (.maximum, true)
    let list = try database.latents(query, in: run)
    #expect(list.total == 2 && list.latents.map(\.expert) == [1, 0])
    let expected = LatentRecord(
      expert: 0, count: 3, chosen: 3, density: 0.5, maximum: 2, mean: 1, shareOfParent: 1,
      liveSublatents: 1, score: 0.5, words: ["▁dog", "▁puppys"])
    #expect(list.latents[1] == expected && list.latents[0].label == "felines")
    let detail = try #require(try database.detail(of: LatentNumber(expert: 0), in: run))
    #expect(detail.latent == expected && detail.sublatents.map(\.chosen) == [2])
    #expect(detail.strongest.map { $0.tokens.map(\.text) } == [["▁dog", "▁puppy", "s", "▁cat"]])
    #expect(detail.samples[0].count == 1 && detail.nearest.map(\.latent.expert) == [1])
    #expect(detail.promoted?.promoted.map(\.text) == ["▁cat"])
    #expect(try database.search("pup", in: run).map(\.sublatent) == [0, nil])
    #expect(try database.search("feline", in: run).map(\.expert) == [1])
    let hits = try database.contexts(of: [expected], at: "puppy", in: run)
    #expect(hits.values.map(\.latent) == [expected])
    #expect(try database.labels(in: run).map(\.text) == ["felines"])
    #expect(try database.statistics(of: run).live == 2)
  }

  private func version(_ path: String) throws -> Int? {
    try DatabaseQueue(path: path).read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
  }

  @Test func anOlderDatabaseOpens() throws {
    try withOldDatabase { path in
      try check(FeatureDatabase(path: path))
      #expect(try version(path) == Schema.current.version)
      // Its latents have no names. Opening it again changes nothing.
      let names = try DatabaseQueue(path: path).read {
        try String.fetchAll($0, sql: "SELECT DISTINCT name FROM latent")
      }
      #expect(names == [""])
      let bytes = fileBytes(path)
      try check(FeatureDatabase(path: path))
      #expect(fileBytes(path) == bytes)
    }
  }

  @Test func anOlderDatabaseIsBroughtUpToDate() throws {
    try withOldDatabase { path in
      let database = try FeatureDatabase(path: path, schema: Self.next)
      try check(database)
      #expect(try version(path) == Schema.current.version + 1)
      let (names, flatness) = try DatabaseQueue(path: path).read { db in
        try (
          String.fetchAll(db, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid"),
          Double.fetchAll(db, sql: "SELECT flatness FROM latent WHERE flatness ORDER BY id")
        )
      }
      #expect(names == ["tables", "names", "lists", "flatness"] && flatness == [0.5, 1, 0.5])
      let run = try #require(try database.run(named: "old"))
      try database.setLabel("dogs", of: LatentNumber(expert: 0), in: run)
      #expect(try database.search("dogs", in: run).map(\.expert) == [0])
      // Opening it again changes nothing.
      let bytes = fileBytes(path)
      _ = try FeatureDatabase(path: path, schema: Self.next)
      #expect(fileBytes(path) == bytes)
      // A program without that migration refuses it.
      let refusal = failure { _ = try FeatureDatabase(path: path) }
      #expect(refusal?.kind == .data && refusal?.message.contains("newer") == true)
    }
  }

  /// New databases and updated ones have the same tables.
  @Test func newAndUpdatedDatabasesHaveTheSameTables() throws {
    func tables(_ path: String) throws -> [String] {
      try DatabaseQueue(path: path).read { db in
        try String.fetchAll(
          db, sql: "SELECT coalesce(sql, name) FROM sqlite_schema WHERE sql NOT NULL ORDER BY name")
      }
    }
    try withOldDatabase { path in
      let (new, current) = (path + ".new", path + ".current")
      try Self.next.update(new)
      try Schema.current.update(current)
      #expect(try version(current) == Schema.current.version)
      try Self.next.update(current)
      try Self.next.update(path)
      #expect(try tables(path) == tables(new) && tables(current) == tables(new))
    }
  }

  @Test func severalProcessesMayOpenItAtOnce() async throws {
    let folder = FileManager.default.temporaryDirectory.path + "/hsae-\(UUID().uuidString)"
    try Path.createDirectories(folder)
    defer { Path.removeAll(folder) }
    let path = Path.join(folder, FeatureDatabase.fileName)
    try OldDatabase.write(path)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { _ = try FeatureDatabase(path: path, schema: Self.next) } }
      try await group.waitForAll()
    }
    try check(FeatureDatabase(path: path, schema: Self.next))
  }

  @Test func anInterruptedUpdateIsContinued() throws {
    let list = "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)"
    func execute(_ sql: String, _ path: String) throws {
      let queue = try DatabaseQueue(path: path)
      try queue.write { db in try db.execute(sql: sql) }
      try queue.close()
    }
    try withOldDatabase { path in
      try execute(list, path)
      try check(FeatureDatabase(path: path, schema: Self.next))
      // The same in a new database.
      let new = path + ".new"
      try execute(list, new)
      try Schema.current.update(new)
      #expect(try version(new) == Schema.current.version)
    }
  }

  @Test func aDamagedOlderDatabaseIsRefusedAndUnchanged() throws {
    for sql in [
      "DROP TABLE matched", "ALTER TABLE latent ADD COLUMN flatness REAL",
      "PRAGMA user_version = 2",
      "CREATE TRIGGER t AFTER UPDATE ON latent BEGIN DELETE FROM run; END",
      "CREATE VIEW v AS SELECT 1",
      "CREATE TABLE latent_text_other (x)",
    ] {
      try withOldDatabase { path in
        let queue = try DatabaseQueue(path: path)
        try queue.write { db in try db.execute(sql: sql) }
        try queue.close()
        let bytes = fileBytes(path)
        let refusal = failure { _ = try FeatureDatabase(path: path, schema: Self.next) }
        #expect(refusal?.kind == .data && refusal?.message.contains("tables") == true, "\(sql)")
        #expect(fileBytes(path) == bytes)
      }
    }
  }

  /// Root may write everywhere, so it tries a read-only file system; other users a read-only folder.
  @Test func missingWritePermissionIsReported() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, FeatureDatabase.fileName)
      func mount(_ options: String) throws -> Bool {
        guard Path.exists("/bin/mount") else { return false }
        return try RunningCommand("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder])
          .result().code == 0
      }
      let isRoot = getuid() == 0
      if isRoot { guard try mount("size=4m") else { return } }
      defer {
        if isRoot { _ = try? RunningCommand("/bin/umount", ["-l", folder]).result() }
        try? setPermissions(folder, 0o700)
      }
      try OldDatabase.write(path)
      if isRoot {
        #expect(try mount("remount,ro,size=4m"))
      } else {
        try setPermissions(folder, 0o500)
      }
      let refusal = failure { _ = try FeatureDatabase(path: path) }
      #expect(refusal?.kind == .cannotCreate)
      #expect(refusal?.message.contains("older version") == true, "\(refusal?.message ?? "")")
    }
  }
}
#endif

private func setPermissions(_ path: String, _ permissions: Int) throws {
  try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path)
}
