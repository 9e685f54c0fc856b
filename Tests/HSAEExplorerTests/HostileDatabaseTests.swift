// Files that are not our databases, or were changed or damaged: one sentence, never a crash.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct HostileDatabaseTests {
  @Test func otherFilesAreRefusedWithOneSentence() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 10)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let whole = fileBytes(Path.join(fixture.features, FeatureDatabase.fileName))
      let path = Path.join(folder, "x.sqlite")

      func refusal(_ bytes: [UInt8]) throws -> Failure? {
        try DurableFile.write(bytes, to: path)
        return failure { _ = try FeatureDatabase(path: path) }
      }
      func changed(_ sql: String) throws -> Failure? {
        try DurableFile.write(whole, to: path)
        let queue = try DatabaseQueue(path: path)
        try queue.write { db in try db.execute(sql: sql) }
        try queue.close()
        return failure { _ = try FeatureDatabase(path: path) }
      }
      func expect(
        _ found: Failure?, _ words: String, at location: SourceLocation = #_sourceLocation
      ) {
        #expect(found?.kind == .data, sourceLocation: location)
        let message = found?.message ?? ""
        #expect(message.contains(path) && message.contains(words), sourceLocation: location)
      }
      expect(try refusal([]), "not an SQLite database")
      expect(try refusal(Array("hello, this is text\n".utf8)), "not an SQLite database")
      expect(try refusal([UInt8](repeating: 65, count: 5000)), "not an SQLite database")
      expect(try refusal(Array(whole.prefix(whole.count / 2))), "cut short")
      expect(try refusal(Array(whole.prefix(whole.count - 1))), "cut short")
      expect(try changed("PRAGMA user_version = \(Schema.current.version + 1)"), "newer")
      expect(try changed("PRAGMA application_id = 7"), "not one of hsae's")
      expect(try changed("DROP TABLE matched"), "tables")
      expect(try changed("ALTER TABLE latent ADD COLUMN x"), "tables")
      expect(try changed("CREATE TABLE other (x)"), "tables")
      expect(
        try changed("CREATE TRIGGER t AFTER INSERT ON label BEGIN DELETE FROM run; END"), "tables")
      expect(try changed("CREATE VIEW v AS SELECT * FROM run"), "tables")
      #expect(
        failure { _ = try FeatureDatabase(path: Path.join(folder, "none")) }?.kind == .missing)
      // hsae explain checks the file that it would write to in the same way.
      let own = Path.join(fixture.features, FeatureDatabase.fileName)
      try DurableFile.write(Array("text".utf8), to: own)
      #expect(
        failure { _ = try fixture.explainer(ExplainFixture.run()).explain() }?.kind == .data)
      #expect(fileBytes(own) == Array("text".utf8))
    }
  }

  /// With random bytes changed, every query gives an answer or fails with a sentence.
  @Test func damagedFilesNeverTrap() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 10)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let whole = fileBytes(Path.join(fixture.features, FeatureDatabase.fileName))
      let path = Path.join(folder, "x.sqlite")
      var generator = SeededGenerator(seed: 1)
      let rounds = ProcessInfo.processInfo.environment["HSAE_SOAK"] == nil ? 60 : 2000
      for _ in 0..<rounds {
        var bytes = whole
        for _ in 0..<1 + Int(generator.next() % 40) {
          bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(
            truncatingIfNeeded: generator.next())
        }
        try DurableFile.write(bytes, to: path)
        _ = failure {
          let database = try FeatureDatabase(path: path)
          for run in try database.runs() {
            _ = failure { _ = try database.latents(LatentQuery(), in: run) }
            _ = failure {
              let found = try database.search("dog", in: run)
              _ = try database.contexts(of: found, at: "dog", in: run)
            }
            _ = failure { _ = try database.labels(in: run) }
            _ = failure { _ = try database.statistics(of: run) }
            for token in 0..<258 {
              _ = failure {
                _ = try database.standing(of: Int32(token), explained: 0.5, in: run)
              }
            }
            for expert in 0..<24 {
              _ = failure { _ = try database.detail(of: LatentNumber(expert: expert), in: run) }
            }
          }
        }
      }
    }
  }

  /// Lists of absurd numbers give a page or a sentence.
  @Test func absurdListsNeverTrap() async throws {
    try await ExplainFixture.withExplorer { explorer, fixture in
      let most = "ffffffffffffffff7f"  // 2⁶³ − 1
      let queue = try DatabaseQueue(path: explorer.database.path)
      for sql in [
        "UPDATE promoted SET effects = x'0000803f\(most)0101'",
        "UPDATE promoted SET effects = x'0000803f0003\(most)\(most)\(most)'",
        "UPDATE promoted SET effects = x'0000803fff0103010101'",
        "UPDATE promoted SET effects = x'0000c07f000101'", "UPDATE promoted SET effects = x''",
        "INSERT INTO explained VALUES (1, -1, x'28\(String(repeating: most, count: 40))')",
        "INSERT INTO explained VALUES (1, -1, x'0101')", "UPDATE latent SET score_parts = x'00'",
        "UPDATE latent SET score_parts = x'\(String(repeating: "0000c07f", count: 5))'",
        "UPDATE latent SET score = 1e300", "INSERT INTO meta VALUES ('score 1', '{')",
        "INSERT INTO meta VALUES ('score 1', '{\"rows\":-1,\"shuffledHighest\":1e999}')",
        "INSERT INTO listed VALUES ('', 4294967296, -1), (char(10), 4294967297, 9223372036854775807)",
      ] {
        try await queue.write { db in try db.execute(sql: sql) }
        for target in [
          "/runs/h", "/runs/h/latents", "/runs/h/latents/3", "/runs/h/latents/3.1",
          "/text?runs=h&text=dog", "/api/v1/runs/h/latents/3", "/api/v1/runs/h/statistics",
          "/api/v1/runs/h/labels",
        ] {
          let answer = await explorer.respond(
            to: WebRequest(target: target, headers: ExplorerTests.local))
          #expect([200, 400].contains(answer.status), "\(sql): \(target)")
        }
        try await queue.write { db in
          try db.execute(
            sql: """
              UPDATE promoted SET effects = NULL; DELETE FROM explained; DELETE FROM listed;
              UPDATE latent SET score = 0, score_parts = NULL; DELETE FROM meta WHERE key LIKE 'score %'
              """)
        }
      }
      try queue.close()
    }
  }

  /// A process that was killed while it wrote a label leaves a change that SQLite undoes: when the database is opened, and
  /// while it is open.
  @Test func anInterruptedLabelIsUndone() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 10)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let whole = Path.join(fixture.features, FeatureDatabase.fileName)
      let database = try FeatureDatabase(path: whole)
      let run = try #require(try database.run(named: "h"))
      try database.setLabel("dogs", of: LatentNumber(expert: 3), in: run)
      // What is on the disk in the middle of a change: with so small a cache pages are written before the end.
      let path = Path.join(folder, "killed.sqlite")
      let queue = try DatabaseQueue(path: whole)
      try queue.writeWithoutTransaction { db in
        try db.execute(
          sql: "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE label SET text = 'cats'")
        for place in 0..<200 {
          try db.execute(
            sql: "INSERT INTO meta VALUES (?, ?)",
            arguments: ["key \(place)", String(repeating: "x", count: 2000)])
        }
        for end in ["", "-journal"] {
          try DurableFile.write(fileBytes(whole + end), to: path + end)
        }
        try db.execute(sql: "ROLLBACK")
      }
      try queue.close()
      // SQLite itself refuses to read it without permission to write.
      var readonly = Configuration()
      readonly.readonly = true
      let error = #expect(throws: DatabaseError.self) {
        try DatabaseQueue(path: path, configuration: readonly).read { db in
          _ = try String.fetchAll(db, sql: "SELECT text FROM label")
        }
      }
      #expect(error?.isOfInterruptedWriting == true)
      let killed = ["", "-journal"].map { fileBytes(path + $0) }
      let copy = try FeatureDatabase(path: path)
      #expect(try copy.labels(in: run).map(\.text) == ["dogs"])
      #expect(!Path.exists(path + "-journal"))
      for (end, bytes) in zip(["", "-journal"], killed) {
        // The file itself stays, as it does when another process writes.
        try Fuzz.put(bytes, at: path + end)
      }
      #expect(try copy.labels(in: run).map(\.text) == ["dogs"])
      #expect(!Path.exists(path + "-journal"))
    }
  }

  @Test func aSecondWriterIsRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 10)
      let first = try fixture.explainer(ExplainFixture.run())
      let refusal = failure { _ = try fixture.explainer(ExplainFixture.run()) }
      #expect(refusal?.kind == .cannotCreate && refusal?.message.contains("in use") == true)
      #expect(try first.explain() != nil)
    }
  }
}
#endif
