// Whether a database was changed, without opening it: what is remembered of one holds until then.

#if Explorer
import HSAESupport

/// What the files of an SQLite database are like: sizes and times of change.
struct FileStamp: Hashable, Sendable {
  private var parts: [FileStatus?] = []

  /// The stamp of no database.
  init() {}

  /// The stamp that the database `path` has now.
  init(database path: String) {
    parts = [path, path + "-wal"].map { FileStatus(at: $0) }
  }
}
#endif
