// This process and others: identity, end, waiting, signals, environment.

import FoundationEssentials
import Glibc

/// This process, and whether others run.
package enum CurrentProcess {
  /// Its number.
  package static var id: Int32 { getpid() }

  /// The path of the file it executes.
  package static let executable = "/proc/self/exe"

  /// Names the numbering of processes that it lives in; a container has its own. Nil if it is unknown.
  package static var numbering: String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
  }

  /// Ends it, after cleaning up as the C library does.
  package static func end(_ code: Int32) -> Never { exit(code) }

  /// Ends it without cleaning up, while other threads are at work.
  package static func endAtOnce(_ code: Int32) -> Never { _exit(code) }

  /// Ignores `signal` from now on.
  package static func ignore(signal number: Int32) { signal(number, SIG_IGN) }

  /// Makes a file that grows beyond a limit (`ulimit -f`) an error of the write instead of the process's end.
  package static func surviveFileSizeLimit() { ignore(signal: SIGXFSZ) }

  /// Where a library would abort this process from now on, it ends with `code` after it has written `sentence` and a
  /// line end to standard error.
  package static func explainAbort(_ sentence: String, code: Int32) {
    let bytes = Array((sentence + "\n").utf8)
    // Safe: the memory has room for all bytes. It is never freed, because the handler may read it at any time.
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
    unsafe memory.initialize(from: bytes, count: bytes.count)
    unsafe abortSentence = (UnsafePointer(memory), bytes.count, code)
    signal(SIGABRT) { _ in
      // Safe: a handler may call write and _exit; the sentence was set before the handler.
      guard let sentence = unsafe CurrentProcess.abortSentence else { _exit(134) }
      _ = unsafe write(STDERR_FILENO, sentence.bytes, sentence.count)
      unsafe _exit(sentence.code)
    }
  }

  // Safe: models are loaded one after another, and the handler only reads it.
  nonisolated(unsafe) private static var abortSentence:
    (bytes: UnsafePointer<UInt8>, count: Int, code: Int32)?

  /// Whether the process `id` runs: it exists and has not ended without its parent noticing.
  package static func isRunning(_ id: Int32) -> Bool {
    guard kill(id, 0) == 0 || errno == EPERM else { return false }
    // "12 (name) Z …"; the name may contain parentheses.
    guard let data = FileManager.default.contents(atPath: "/proc/\(id)/stat"),
      case let text = String(decoding: data, as: UTF8.self), let name = text.lastIndex(of: ")")
    else { return kill(id, 0) == 0 }
    return !text[name...].hasPrefix(") Z") && !text[name...].hasPrefix(") X")
  }
}

/// Sleeps for `duration`, at most an hour; a signal may end the sleep.
package func pause(_ duration: Duration) { usleep(UInt32(duration / .microseconds(1))) }

/// The environment variable `name`, if it is set and not empty.
package func environmentVariable(_ name: String) -> String? {
  // Safe: the string is copied at once; nothing in this process changes the environment.
  guard let value = unsafe getenv(name) else { return nil }
  let text = unsafe String(cString: value)
  return text.isEmpty ? nil : text
}
