// The few operations on paths that writing files needs. Paths are strings, as the user wrote them,
// so that a message names what the user typed.

import FoundationEssentials
import Glibc

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
    var status = stat()
    return unsafe lstat(path, &status) == 0
  }

  /// Whether `path` is a folder or a link to one.
  public static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether this user may make files in the folder `path`.
  public static func isWritable(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }

  /// What the symbolic link at `path` says; nil if no link is there.
  static func linkDestination(_ path: String) -> String? {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
    return try? FileManager.default.destinationOfSymbolicLink(atPath: path)
  }

  /// The size of the file at `path` in bytes; nil if it cannot be looked at.
  public static func fileSize(_ path: String) -> Int? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    return Int(status.st_size)
  }

  /// The names in the folder `path`, sorted.
  public static func list(_ path: String) throws(Failure) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw Failure.cannotRead(path, errno: isDirectory(path) ? EACCES : ENOENT)
    }
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

  /// Removes the file or folder at `path` with all it holds, as far as possible.
  public static func removeAll(_ path: String) {
    try? FileManager.default.removeItem(atPath: path)
  }
}
