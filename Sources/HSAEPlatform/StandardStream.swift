// Standard output and standard error: writing to them, and the terminal they may lead to.

import Glibc

/// Standard output or standard error.
package enum StandardStream: Int32 {
  /// Standard output, for results.
  case output = 1
  /// Standard error, for everything else.
  case errors = 2

  /// Whether it leads to a terminal.
  package var isTerminal: Bool { isatty(rawValue) == 1 }

  /// The columns of its terminal; nil if it leads elsewhere or the terminal does not know.
  package var columns: Int? {
    var size = winsize()
    // Safe: the system writes to the variable during the call.
    guard isTerminal, unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return nil
    }
    return Int(size.ws_col)
  }

  /// Writes all of `text`. Fails with `.inputOutput`.
  ///
  /// If the reader of standard output has gone (a closed pipe), the process ends without a message.
  package func write(_ text: String) throws(Failure) {
    // Safe: a view of integers as bytes.
    let code = unsafe writeAll(Array(text.utf8).span.bytes, to: rawValue)
    if code == 0 { return }
    // The signal of a closed pipe has already ended the process, unless it is ignored.
    if code == EPIPE, self == .output { exit(128 + SIGPIPE) }
    throw .cannotPrint(errno: code)
  }
}
