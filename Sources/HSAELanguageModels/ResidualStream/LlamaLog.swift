// Collects error messages of llama.cpp and ggml, which would otherwise be printed, for our own messages.

import CLlama
import Synchronization

/// Collects error messages of llama.cpp and ggml: one caller at a time, since the process has one log.
enum LlamaLog {
  private static let turn = Mutex(())
  fileprivate static let lines = Mutex<[String]>([])

  /// Returns `body`'s result and the first error message on the way, or "".
  static func collecting<Result>(_ body: () -> Result) -> (Result, String) {
    turn.withLock { _ in
      lines.withLock { $0 = [] }
      // Safe: the callback captures nothing; it copies the text, a C string that lives for the call.
      unsafe llama_log_set(
        { level, text, _ in
          guard level == GGML_LOG_LEVEL_ERROR, let text = unsafe text else { return }
          let line = unsafe String(cString: text)
          LlamaLog.lines.withLock { if $0.count < 16 { $0.append(line) } }
        }, nil)
      let result = body()
      let first = lines.withLock { $0.first ?? "" }
      // "gguf_init_from_reader: key 3 is empty" → "key 3 is empty"
      let words = first.split(separator: ": ", maxSplits: 1).last ?? ""
      return (result, words.filter { $0 != "\n" })
    }
  }
}
