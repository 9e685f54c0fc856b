// Operations on paths. Paths are strings as the user typed them, so that messages name them that way.

import FoundationEssentials
import Glibc

// Safe, for all system calls of this file: the system reads paths, and writes a status, only during the call.
/// Operations on file paths.
public enum Path {
  /// `path` without slashes at its end; "/" stays as it is.
  public static func trimmed(_ path: String) -> String {
    var result = Substring(path)
    while result.count > 1, result.last == "/" { result.removeLast() }
    return String(result)
  }

  /// The folder that holds `path`; "." for a bare name.
  public static func parent(_ path: String) -> String {
    let path = trimmed(path)
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : trimmed(String(path[..<slash]))
  }

  /// The last component of `path`.
  public static func name(_ path: String) -> String {
    let path = trimmed(path)
    guard let slash = path.lastIndex(of: "/") else { return path }
    return String(path[path.index(after: slash)...])
  }

  /// `name` inside the folder `path`.
  public static func join(_ path: String, _ name: String) -> String {
    path.hasSuffix("/") ? path + name : path + "/" + name
  }

  /// Whether anything (file, folder, dangling link) is at `path`.
  public static func exists(_ path: String) -> Bool {
    FileStatus(at: path, followingLinks: false) != nil
  }

  /// Whether `path` is a folder or a link to one.
  public static func isDirectory(_ path: String) -> Bool { FileStatus(at: path)?.kind == .folder }

  /// Fails with `.cannotCreate` if the folder that `path` is to be written in is missing.
  public static func requireParent(of path: String) throws(Failure) {
    let parent = parent(path)
    guard isDirectory(parent) else {
      throw Failure(.cannotCreate, "\(parent): there is no such folder to write \(path) in.")
    }
  }

  /// Whether this user may make files in the folder `path`.
  public static func isWritable(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }

  /// Whether this user may run the program at `path`.
  static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

  /// The target of the symbolic link at `path`; nil if no link is there.
  package static func linkDestination(_ path: String) -> String? {
    guard FileStatus(at: path, followingLinks: false)?.kind == .link else { return nil }
    return try? FileManager.default.destinationOfSymbolicLink(atPath: path)
  }

  /// The size of the file at `path` in bytes; nil if it cannot be looked at.
  public static func fileSize(_ path: String) -> Int? { FileStatus(at: path)?.size }

  /// `path` from the root, without links; `path` itself if nothing is there.
  package static func absolute(_ path: String) -> String {
    // Safe: `realpath` returns memory of its own, which is copied and freed here.
    guard let resolved = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Bytes this user may still write to the disk of the folder `path`; nil if that is unknown.
  package static func freeSpace(_ path: String) -> Double? {
    var status = statvfs()
    guard unsafe statvfs(path, &status) == 0 else { return nil }
    return Double(status.f_bavail) * Double(status.f_frsize)
  }

  /// The names in the folder `path`, sorted.
  public static func list(_ path: String) throws(Failure) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw Failure.cannotRead(path, errno: isDirectory(path) ? EACCES : ENOENT)
    }
  }

  /// Makes the folder `path`; nothing may be there yet. Messages name `shown`.
  package static func createDirectory(_ path: String, for shown: String) throws(Failure) {
    guard unsafe mkdir(path, 0o777) == 0 else { throw Failure.cannotWrite(shown, errno: errno) }
  }

  /// Makes the folder `path` and those above it, where they are missing.
  public static func createDirectories(_ path: String) throws(Failure) {
    if isDirectory(path) { return }
    let above = parent(path)
    if above != path, !isDirectory(above) { try createDirectories(above) }
    if unsafe mkdir(path, 0o777) != 0 {
      let code = errno
      if code == EEXIST, isDirectory(path) { return }
      throw Failure.cannotWrite(path, errno: code)
    }
  }

  /// Gives the file or folder `old` the name `new`. A file replaces a file there, and a folder an empty
  /// folder. Messages name `shown`, or `new` if it is nil.
  package static func rename(
    _ old: String, to new: String, for shown: String? = nil
  ) throws(Failure) {
    guard renameEntry(old, new) == 0 else { throw Failure.cannotWrite(shown ?? new, errno: errno) }
  }

  /// Removes the folder at `path` if it is empty.
  package static func removeEmptyDirectory(_ path: String) { _ = unsafe rmdir(path) }

  /// Removes the file or folder at `path` with all it holds, as far as possible.
  public static func removeAll(_ path: String) {
    try? FileManager.default.removeItem(atPath: path)
  }
}

/// The system call `rename`, under a name that no method hides.
private func renameEntry(_ old: String, _ new: String) -> Int32 { unsafe rename(old, new) }

/// What the file system knows about a file or folder.
package struct FileStatus: Hashable, Sendable {
  /// What a path can lead to.
  package enum Kind: Sendable {
    /// An ordinary file.
    case file
    /// A folder.
    case folder
    /// A symbolic link.
    case link
    /// A pipe with a name.
    case pipe
    /// A device, a socket.
    case other
  }

  /// What it is.
  package let kind: Kind
  /// Its size in bytes.
  package let size: Int
  /// Its number in its file system.
  package let inode: UInt64
  /// When its content was changed last: seconds since 1970.
  package let seconds: Int
  /// The nanoseconds after `seconds`.
  package let nanoseconds: Int

  /// The status of what is at `path`, or of what a link there leads to; nil if nothing is.
  package init?(at path: String, followingLinks: Bool = true) {
    var status = stat()
    guard unsafe (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 else {
      return nil
    }
    self.init(status)
  }

  /// The status of the open file `number`; nil with `errno` set if that fails.
  init?(of number: Int32) {
    var status = stat()
    guard unsafe fstat(number, &status) == 0 else { return nil }
    self.init(status)
  }

  private init(_ status: stat) {
    kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .folder
      case S_IFLNK: .link
      case S_IFIFO: .pipe
      default: .other
      }
    size = Int(status.st_size)
    inode = UInt64(status.st_ino)
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }
}
