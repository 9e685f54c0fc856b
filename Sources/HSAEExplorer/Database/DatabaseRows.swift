// Rows in and out of the database, and what SQLite's errors mean to users.

#if Explorer
import Foundation
import GRDB
import HSAESupport

extension Database {
  typealias Values = KeyValuePairs<String, (any DatabaseValueConvertible)?>

  /// The statement that inserts a row with `values` by column. It takes other values of the same columns too.
  func insertion(of values: Values, into table: String) throws -> Statement {
    let columns = values.map(\.key).joined(separator: ", ")
    let marks = values.map { _ in "?" }.joined(separator: ", ")
    return try cachedStatement(sql: "INSERT INTO \(table) (\(columns)) VALUES (\(marks))")
  }

  func insert(_ values: Values, into table: String) throws {
    try insertion(of: values, into: table).execute(
      arguments: StatementArguments(values.map(\.value)))
  }

  /// The list in `column` of a table that has one row for each latent; nil if it has none for `id`.
  func blob(_ column: String, of table: String, _ id: Int?) throws -> Data? {
    try Data.fetchOne(
      cachedStatement(sql: "SELECT \(column) FROM \(table) WHERE latent = ?"), arguments: [id])
  }
}

extension Row {
  /// The value of `column`; throws if it has another type, as it may in a damaged file.
  func get<Value: DatabaseValueConvertible & StatementColumnConvertible>(
    _ column: String
  ) throws -> Value { try decode(Value.self, forColumn: column) }

  /// The value of column `index`; throws if it has another type.
  func get<Value: DatabaseValueConvertible & StatementColumnConvertible>(
    _ index: Int
  ) throws -> Value { try decode(Value.self, atIndex: index) }
}

extension DatabaseError {
  /// Whether a killed process left a change that this connection may not undo.
  var isOfInterruptedWriting: Bool {
    [.SQLITE_READONLY_ROLLBACK, .SQLITE_READONLY_RECOVERY, .SQLITE_READONLY_CANTINIT]
      .contains(extendedResultCode)
  }
}

/// Runs `body`, which uses the database `path`, and makes failures of its errors.
func withFailures<Value>(
  of path: String, _ body: () throws -> Value
) throws(Failure) -> Value {
  do {
    return try body()
  } catch {
    throw Failure(database: error, path: path)
  }
}

extension Failure {
  /// The failure for `error`, which was thrown while the database `path` was used.
  init(database error: any Error, path: String) {
    guard let error = error as? DatabaseError else {
      // The only other error is a column of another type.
      let failure = error as? Failure ?? BlobReader.damaged
      self = failure == BlobReader.damaged ? .damagedDatabase(path) : failure
      return
    }
    switch error.resultCode.primaryResultCode {
    case .SQLITE_NOTADB: self = .data("\(path): this is not an SQLite database.")
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
