// Opens features.sqlite for pages, the JSON API and exports. The queries are in the files beside this one;
// `hsae explain` writes through `FeatureWriter`.

#if Explorer
import GRDB
public import HSAESupport
import Synchronization

/// A database of the explained latents of one or several runs.
///
/// Any threads may read at the same time. Only labels are written.
public final class FeatureDatabase: Sendable {
  /// The name of the database in a folder that `hsae explain` writes.
  public static let fileName = "features.sqlite"

  /// The file.
  public let path: String
  private let pool: DatabasePool
  /// The vocabularies that were read, by corpus.
  private let vocabularies = Mutex<[Int: Vocabulary]>([:])
  /// The runs, read when the files had that stamp.
  let knownRuns = Mutex<(stamp: FileStamp, runs: [RunRecord])>((FileStamp(), []))

  let knownLists = Mutex(KnownLists())
  /// Held while a list of all latents is made.
  let listMaking = Mutex(())
  let passages = PassageCache()

  /// Opens the database in the folder `path`, or the file `path` itself. One that an older version of hsae
  /// wrote is brought up to date first.
  ///
  /// Fails with `.missing` if there is none, with `.data` if it is not one of ours, damaged or of a later
  /// version, and with `.cannotCreate` if it is an older one and may not be written. A database of incomplete
  /// runs opens too (`RunRecord.isComplete`).
  public convenience init(path: String) throws(Failure) {
    try self.init(path: path, schema: .current)
  }

  /// Opens a database that has `schema`, or an older one.
  init(path: String, schema: Schema) throws(Failure) {
    let file = Path.isDirectory(path) ? Path.join(path, Self.fileName) : path
    self.path = file
    guard Path.exists(file) else {
      throw .missing("\(file): there is no such database; make one with hsae explain.")
    }
    try Self.checkHeader(file)
    do {
      let (found, isCurrent) = try Self.repairing(file) {
        let pool = try DatabasePool(path: file, configuration: Self.reading)
        return (pool, try pool.read { db in try schema.isCurrent(db, path: file) })
      }
      if isCurrent {
        pool = found
      } else {
        try found.close()
        try schema.update(file)
        pool = try DatabasePool(path: file, configuration: Self.reading)
      }
    } catch {
      throw Failure(database: error, path: file)
    }
  }

  private static var reading: Configuration {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.maximumReaderCount = 4
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { db in
      try harden(db)
      db.add(function: wordPlace)
      // A page of the explorer reads 200 pages of the file; all requests share those of texts and indices.
      try db.execute(sql: "PRAGMA cache_size = -32768")
    }
    return configuration
  }

  /// How a database is opened to change it.
  static var writing: Configuration {
    var configuration = Configuration()
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { db in try harden(db) }
    return configuration
  }

  /// Keeps code in a file that others may have written from running.
  private static func harden(_ db: Database) throws {
    try db.execute(sql: "PRAGMA trusted_schema = OFF")
    try db.execute(sql: "PRAGMA cell_size_check = ON")
  }

  /// Fails unless the file begins as an SQLite database and has the length that its header says.
  static func checkHeader(_ file: String) throws(Failure) {
    let mapped = try MappedFile(path: file)
    guard mapped.count >= 100 else {
      throw .data("\(file): \(mapped.count) bytes are not an SQLite database.")
    }
    let header = mapped.copy(0..<100)
    guard header.starts(with: Array("SQLite format 3\0".utf8)) else {
      throw .data("\(file): this is not an SQLite database.")
    }
    func number(_ start: Int, _ count: Int) -> Int {
      header[start..<start + count].reduce(0) { $0 << 8 | Int($1) }
    }
    let pageSize = number(16, 2) == 1 ? 65_536 : number(16, 2)
    // With a journal beside the file the last writer was killed, and SQLite will repair the file.
    let isMended = ["-journal", "-wal"].contains { (Path.fileSize(file + $0) ?? 0) > 0 }
    // The header's number of pages is valid only if the two change counters are equal.
    if !isMended, number(24, 4) == number(92, 4), mapped.count < number(28, 4) * pageSize {
      throw .data(
        "\(file): it has \(mapped.count) bytes and should have \(number(28, 4) * pageSize); it was cut"
          + " short.")
    }
  }

  /// Reads with one consistent view.
  func read<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    try withFailures(of: path) { try Self.repairing(path) { try pool.read(body) } }
  }

  /// Calls `body`, which reads the database `path`. If a process was killed while it wrote there, SQLite has to undo what it
  /// wrote, which needs a connection that may write; then `body` is called again.
  private static func repairing<Value>(
    _ path: String, _ body: () throws -> Value
  ) throws -> Value {
    do {
      return try body()
    } catch let error as DatabaseError where error.isOfInterruptedWriting {
      do {
        try DatabaseQueue(path: path, configuration: writing).inDatabase { db in
          // Any reading makes SQLite repair the file.
          _ = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_schema")
        }
      } catch {
        throw Failure(
          .cannotCreate,
          "\(path): a process was killed while it wrote there, and undoing that needs permission to write the"
            + " file and its folder; change the permissions, or use a copy.")
      }
      return try body()
    }
  }

  /// Reads the vocabularies, so that the first page does not wait for them.
  public func prepare() throws(Failure) {
    for corpus in Set(try runs().map(\.corpus)) { _ = try vocabulary(of: corpus) }
  }

  /// The tokens of a corpus; they are read once.
  func vocabulary(of corpus: Int) throws(Failure) -> Vocabulary {
    if let known = vocabularies.withLock({ $0[corpus] }) { return known }
    let texts = try read { db in
      var texts: [String] = []
      let rows = try Row.fetchCursor(
        db, sql: "SELECT id, text FROM token WHERE corpus = ? ORDER BY id", arguments: [corpus])
      while let row = try rows.next() {
        // Ids have no gaps.
        guard try row.get(0) as Int == texts.count else { throw BlobReader.damaged }
        texts.append(try row.get(1))
      }
      return texts
    }
    let vocabulary = Vocabulary(texts)
    vocabularies.withLock { $0[corpus] = vocabulary }
    return vocabulary
  }

  /// Changes labels, in one transaction.
  func write<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    try withFailures(of: path) {
      try DatabaseQueue(path: path, configuration: Self.writing).write(body)
    }
  }
}

/// The id of a latent in the database: the run's number in the upper half, the latent's own in the lower.
enum LatentID {
  static func make(run: Int, number: Int) -> Int { run << 32 | number }
  static func number(_ id: Int) -> Int { id & 0xFFFF_FFFF }
  /// The first and the last id of a run, for BETWEEN.
  static func range(run: Int) -> StatementArguments { [run << 32, run << 32 | 0xFFFF_FFFF] }
}
#endif
