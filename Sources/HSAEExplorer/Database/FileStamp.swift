// Tells whether a database has changed without opening it, so that caches know when to drop what they keep.

#if Explorer
import Glibc

/// Sizes and times of change of an SQLite database's files.
struct FileStamp: Hashable, Sendable {
  private var parts: [Int] = []

  /// The stamp of no database.
  init() {}

  /// The current stamp of the database `path`.
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
