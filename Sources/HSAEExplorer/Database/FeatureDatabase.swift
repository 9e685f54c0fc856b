// features.sqlite, opened to read: the one way in for pages, the JSON API and exports. What can be asked
// is in the files beside this one; `hsae explain` writes through `FeatureWriter`.

#if Explorer
import Foundation
import GRDB
public import HSAESupport
import Synchronization

/// A database of what was found about the latents of one or several runs.
///
/// Reads may run at once on any threads. Only labels are ever written.
public final class FeatureDatabase: Sendable {
  /// The name of the database in a folder that `hsae explain` writes.
  public static let fileName = "features.sqlite"

  /// The file.
  public let path: String
  private let pool: DatabasePool
  /// The vocabularies of corpora that were asked for.
  private let vocabularies = Mutex<[Int: [String]]>([:])
  /// The runs, as they were when the files had that stamp.
  let knownRuns = Mutex<(stamp: FileStamp, runs: [RunRecord])>((FileStamp(), []))

  let knownLists = Mutex(KnownLists())
  /// Held by whoever makes a list of all latents.
  let listMaking = Mutex(())
  /// The passages that were read.
  let passages = PassageCache()
  /// What the tokens of each corpus are to searches.
  private let words = Mutex<[Int: TokenWords]>([:])

  /// Opens the database in the folder `path`, or the file `path` itself.
  ///
  /// Fails with `.missing` if there is none, and with `.data` if it is not one of ours, damaged or of a
  /// later version. One that is incomplete opens: `RunRecord.isComplete` says so.
  public init(path: String, readers: Int = 4) throws(Failure) {
    let file = Path.isDirectory(path) ? Path.join(path, Self.fileName) : path
    self.path = file
    guard Path.exists(file) else {
      throw .missing("\(file): there is no such database; make one with hsae explain.")
    }
    try Self.checkHeader(file)
    do {
      pool = try DatabasePool(path: file, configuration: Self.configuration(readers: readers))
      try pool.read { db in try Schema.check(db, path: file) }
    } catch {
      throw Failure(database: error, path: file)
    }
  }

  private static func configuration(readers: Int) -> Configuration {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.maximumReaderCount = readers
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { db in
      try harden(db)
      // A page of the explorer reads 200 of the file's; those of texts and of indices are read by all.
      try db.execute(sql: "PRAGMA cache_size = -32768")
    }
    return configuration
  }

  /// Nothing in a file that others may have written can run code of theirs.
  static func harden(_ db: Database) throws {
    try db.execute(sql: "PRAGMA trusted_schema = OFF")
    try db.execute(sql: "PRAGMA cell_size_check = ON")
  }

  /// Fails unless the file begins as SQLite's do and is as long as it says.
  static func checkHeader(_ file: String) throws(Failure) {
    let mapped = try MappedFile(path: file)
    guard mapped.count >= 100 else {
      throw .data("\(file): \(mapped.count) bytes are no SQLite database.")
    }
    let header = mapped.copy(0..<100)
    guard header.starts(with: Array("SQLite format 3\0".utf8)) else {
      throw .data("\(file): this is no SQLite database.")
    }
    func number(_ start: Int, _ count: Int) -> Int {
      header[start..<start + count].reduce(0) { $0 << 8 | Int($1) }
    }
    let pageSize = number(16, 2) == 1 ? 65_536 : number(16, 2)
    // With a journal beside it the last one who wrote was killed, and SQLite will mend what is not there yet.
    let isMended = ["-journal", "-wal"].contains { (Path.fileSize(file + $0) ?? 0) > 0 }
    // The count of pages holds if the file was last written by a program that keeps it.
    if !isMended, number(24, 4) == number(92, 4), mapped.count < number(28, 4) * pageSize {
      throw .data(
        "\(file): it has \(mapped.count) bytes and should have \(number(28, 4) * pageSize); it was cut"
          + " short.")
    }
  }

  /// Reads with one consistent view.
  func read<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    do {
      return try pool.read(body)
    } catch {
      throw Failure(database: error, path: path)
    }
  }

  /// Reads what every page needs, so that the first one does not wait for it.
  public func prepare() throws(Failure) {
    for corpus in Set(try runs().map(\.corpus)) { _ = try vocabulary(of: corpus) }
  }

  /// The text of every token of a corpus, by token id; read once.
  func vocabulary(of corpus: Int) throws(Failure) -> [String] {
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
    vocabularies.withLock { $0[corpus] = texts }
    return texts
  }

  /// What the tokens of a corpus are to searches.
  func tokenWords(of corpus: Int) -> TokenWords {
    words.withLock { words in
      if let known = words[corpus] { return known }
      let new = TokenWords()
      words[corpus] = new
      return new
    }
  }

  /// Changes labels, in one transaction.
  func write<Value>(_ body: (Database) throws -> Value) throws(Failure) -> Value {
    do {
      var configuration = Configuration()
      configuration.busyMode = .timeout(5)
      configuration.prepareDatabase { db in try Self.harden(db) }
      return try DatabaseQueue(path: path, configuration: configuration).write(body)
    } catch {
      throw Failure(database: error, path: path)
    }
  }
}

/// The number of a latent in the whole database: the run's in the upper half, its own in the lower.
enum LatentID {
  static func make(run: Int, number: Int) -> Int { run << 32 | number }
  static func run(_ id: Int) -> Int { id >> 32 }
  static func number(_ id: Int) -> Int { id & 0xFFFF_FFFF }
  /// All latents of a run.
  static func range(run: Int) -> (first: Int, last: Int) { (run << 32, run << 32 | 0xFFFF_FFFF) }
}
#endif
