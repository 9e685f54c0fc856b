// Folders that are complete or not there at all: they are built beside their final name, brought to the disk
// file by file, then renamed.

/// A folder that takes its name only when everything in it is complete.
///
/// Write files into `partialPath` in any way, then call `commit()`. Without it (an error, a crash) the final
/// name is untouched and the partial folder is removed, at the latest when the next folder of that name is
/// begun.
public struct DurableDirectory: ~Copyable {
  /// The folder's final path.
  public let path: String
  /// The path of its files until `commit()`: `.NAME.partial-PID` beside `path`.
  public let partialPath: String
  private let replaces: Bool
  private let descriptor: Descriptor
  private var isCommitted = false

  /// Begins the folder for `path`; the folder above it must exist.
  ///
  /// Fails if something is at `path` already. With `replacing`, a folder may be there: `commit()` moves it
  /// aside, renames the new one, and removes the old one.
  public init(path: String, replacing: Bool = false) throws(Failure) {
    let path = Path.trimmed(path)
    if Path.exists(path), !(replacing && Path.isDirectory(path)) {
      throw .isTaken(path)
    }
    try PartialName.removeStale(for: path)
    let partialPath = PartialName.make(for: path)
    try Path.createDirectory(partialPath, for: path)
    do throws(Failure) {
      descriptor = try Descriptor(.folder, partialPath, for: path)
    } catch {
      Path.removeEmptyDirectory(partialPath)
      throw error
    }
    self.path = path
    self.partialPath = partialPath
    self.replaces = replacing
    // The lock, held until the folder is closed, tells other processes that this partial folder is in use.
    _ = descriptor.tryLock()
  }

  deinit { if !isCommitted { Path.removeAll(partialPath) } }

  /// The present path of the file `name` in this folder.
  public func file(_ name: String) -> String { Path.join(partialPath, name) }

  /// Brings everything in the folder to the disk and gives it its name.
  public consuming func commit() throws(Failure) {
    try Self.synchronizeAll(in: partialPath)
    let old = replaces && Path.exists(path) ? PartialName.make(for: path) + ".old" : nil
    if let old { try Path.rename(path, to: old) }
    // Renaming cannot replace a folder that is not empty.
    try Path.rename(partialPath, to: path)
    isCommitted = true
    try synchronizeDirectory(Path.parent(path))
    if let old { Path.removeAll(old) }
  }

  /// Brings all files and folders below `path` to the disk.
  static func synchronizeAll(in path: String) throws(Failure) {
    for name in try Path.list(path) {
      let entry = Path.join(path, name)
      switch FileStatus(at: entry, followingLinks: false)?.kind {
      case .folder: try synchronizeAll(in: entry)
      case .file, nil: try Descriptor(.entry, entry).synchronize()
      default: break
      }
    }
    try synchronizeDirectory(path)
  }
}
