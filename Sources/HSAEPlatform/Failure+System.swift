// Turns errors of the operating system into failures: an exit code and a sentence.

import Glibc

extension Failure {
  /// The failure for `path`, which cannot be written or created after the system error `code` (an `errno`).
  ///
  /// No space, a quota, a file-size limit or a disk error is `.inputOutput` (74). Everything else, such as a
  /// missing folder or a lack of permission, is `.cannotCreate` (73).
  public static func cannotWrite(_ path: String, errno code: Int32) -> Failure {
    if path.isEmpty { return .usage("The path to write to is empty; name a file or a folder.") }
    let (kind, problem): (Kind, String) =
      switch code {
      case ENOSPC: (.inputOutput, "no space is left on this disk; free some and run again")
      case EDQUOT: (.inputOutput, "the disk quota is used up; free some space and run again")
      case EFBIG: (.inputOutput, "the file would be larger than this system allows")
      case EIO: (.inputOutput, "the disk reported an error while writing")
      case ENOENT: (.cannotCreate, "the folder to write it in does not exist; create it first")
      case ENOTDIR: (.cannotCreate, "a part of this path is a file, not a folder")
      case EISDIR: (.cannotCreate, "this is a folder, and a file should be written here")
      case EACCES, EPERM: (.cannotCreate, "no permission to write here")
      case EROFS: (.cannotCreate, "this file system is read-only")
      case EEXIST, ENOTEMPTY:
        (.cannotCreate, "something is already there; remove it or choose another")
      case ENAMETOOLONG: (.cannotCreate, "this name is too long")
      default: (.cannotCreate, "it cannot be written: \(systemErrorText(code))")
      }
    return Failure(kind, "\(path): \(problem).")
  }

  /// The failure for `path`, where something is already.
  package static func isTaken(_ path: String) -> Failure { cannotWrite(path, errno: EEXIST) }

  /// The failure for `path`, a folder where a file should be written.
  package static func isFolder(_ path: String) -> Failure { cannotWrite(path, errno: EISDIR) }

  /// The failure for `path`, whose links lead in circles.
  package static func linksInCircles(_ path: String) -> Failure { cannotWrite(path, errno: ELOOP) }

  /// The failure for `path`, which cannot be written because `folder` is missing or a file.
  package static func noFolder(for path: String, in folder: String) -> Failure {
    cannotWrite(path, errno: Path.exists(folder) ? ENOTDIR : ENOENT)
  }

  /// The failure of standard output that ends writing with the system error `code` (an `errno`).
  public static func cannotPrint(errno code: Int32) -> Failure {
    Failure(
      .inputOutput, "standard output: \(systemErrorText(code)); nothing more was printed.")
  }

  /// The failure for `path`, which cannot be opened or read after the system error `code` (an `errno`).
  ///
  /// A path that does not exist or may not be read is `.missing` (66), a folder instead of a file is `.data`
  /// (65), a disk error is `.inputOutput` (74).
  public static func cannotRead(_ path: String, errno code: Int32) -> Failure {
    let (kind, problem): (Kind, String) =
      switch code {
      case ENOENT: (.missing, "there is no such file")
      case ENOTDIR: (.missing, "a part of this path is a file, not a folder")
      case EACCES, EPERM: (.missing, "no permission to read it")
      case EISDIR: (.data, "this is a folder, and a file is needed here")
      case EIO: (.inputOutput, "the disk reported an error while reading")
      case ELOOP, ENAMETOOLONG: (.missing, systemErrorText(code))
      default: (.inputOutput, "it cannot be read: \(systemErrorText(code))")
      }
    return Failure(kind, "\(path): \(problem).")
  }
}

/// The system's error number for an address that this machine does not have.
package let addressNotAvailable = EADDRNOTAVAIL

/// The system's text for an error number.
package func systemErrorText(_ code: Int32) -> String {
  // Safe: `strerror` returns a string that lives until the next call in this thread.
  guard let text = unsafe strerror(code) else { return "system error \(code)" }
  return unsafe String(cString: text)
}
