// Tells whether a database has changed without opening it, so that caches know when to drop what they keep.

#if Explorer
import HSAESupport

/// Sizes and times of change of an SQLite database's files.
struct FileStamp: Hashable, Sendable {
  /// Empty for no database.
  var parts: [FileStatus?] = []
}

extension FileStamp {
  /// The current stamp of the database `path`.
  init(database path: String) { parts = [path, path + "-wal"].map { FileStatus(at: $0) } }
}
#endif
