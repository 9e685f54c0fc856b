// Whether a database was changed, without opening it: what is remembered of one holds until then.

#if Explorer
import Glibc

/// What the files of an SQLite database are like: sizes and times of change.
struct FileStamp: Hashable, Sendable {
  private var parts: [Int] = []

  /// The stamp of no database.
  init() {}

  /// The stamp that the database `path` has now.
  init(database path: String) {
    for file in [path, path + "-wal"] {
      var status = stat()
      guard unsafe stat(file, &status) == 0 else {
        parts.append(0)
        continue
      }
      parts += [
        Int(status.st_size), Int(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
      ]
    }
  }
}
#endif
