// The error type of all modules: one sentence and an exit code. Modules throw it for bad input and for errors
// of the operating system; a programmer's mistake (a shape that does not fit) traps instead.

public import FoundationEssentials

/// A failure a user can act on. `message` is one sentence: what, where, what to do.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The exit code of the process, after BSD's `sysexits.h`.
  public enum Kind: Int32, Sendable {
    /// The command line or a configuration is wrong.
    case usage = 64
    /// The input's content is wrong.
    case data = 65
    /// The input does not exist or cannot be opened.
    case missing = 66
    /// Something the command needs (a processor feature, a tool, a network) is not available.
    case unavailable = 69
    /// A fault of this program.
    case software = 70
    /// An output cannot be created: no such folder, no permission, another process holds it.
    case cannotCreate = 73
    /// Reading or writing failed: no space left, a disk error.
    case inputOutput = 74
    /// It failed now and may succeed later: an interrupted download.
    case temporary = 75
  }

  /// The class of the failure; its raw value is the exit code.
  public let kind: Kind
  /// What went wrong, where, and what to do about it. Nothing adds a full stop.
  public let message: String

  /// A failure of `kind` described by `message`.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// The message.
  public var description: String { message }

  /// The input's content is wrong (exit 65).
  public static func data(_ message: String) -> Failure { Failure(.data, message) }
  /// The input is not there (exit 66).
  public static func missing(_ message: String) -> Failure { Failure(.missing, message) }
  /// The command line or a configuration is wrong (exit 64).
  public static func usage(_ message: String) -> Failure { Failure(.usage, message) }
}

extension Failure: LocalizedError {
  /// The message, for code that shows errors by their `localizedDescription`.
  public var errorDescription: String? { message }
}

extension Failure {
  /// Fails with `.data` if `bytes`, the beginning of the file at `path`, are those of a Git LFS pointer: the few lines
  /// that a clone without Git LFS has in place of a large file.
  public static func refusePointer(_ bytes: [UInt8], path: String) throws(Failure) {
    guard bytes.starts(with: Array("version https://git-lfs.github.com/spec/".utf8)) else { return }
    throw .data(
      "\(path) is a Git LFS pointer, not the file itself; run git lfs pull in its folder, or fetch the file again."
    )
  }
}
