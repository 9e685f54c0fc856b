// Where a file breaks an assumption of llama.cpp that it does not check, llama.cpp aborts the process: two tokens with
// the same text, a number of blocks it has no room for, a tokenizer without tokens for bytes. Here that becomes one
// sentence that names the model, and an exit code.

import CLlama
import HSAESupport
import Synchronization

enum LlamaAbort {
  private static let model = Mutex("")
  private static let isEnding = Atomic(false)

  /// Where llama.cpp would abort from now on, the process ends with a sentence about the model at `path`.
  static func explain(_ path: String) {
    model.withLock { $0 = path }
    // Safe: the callback captures nothing; it copies the text, a C string that lives for the call.
    _ = unsafe ggml_set_abort_callback { text in
      let reason = unsafe text.map { unsafe String(cString: $0) } ?? ""
      LlamaAbort.end(reason)
    }
    // An exception of the tokenizer does not come that way.
    CurrentProcess.explainAbort(
      sentence(path, "ended the program, as the lines above say"), code: Failure.Kind.data.rawValue)
  }

  private static func sentence(_ path: String, _ what: String) -> String {
    "hsae: \(path): llama.cpp \(what): the file is damaged, or it is a kind of model that this version does not know;"
      + " use another file or another model."
  }

  /// Ends the process; `reason` is "/a/folder/llama-vocab.cpp:2544: GGML_ASSERT(…) failed".
  private static func end(_ reason: String) -> Never {
    // All threads of a computation may come here. The first one speaks for all.
    while isEnding.exchange(true, ordering: .relaxed) { pause(.seconds(60)) }
    var parts = reason.split(separator: ": ", maxSplits: 1).map(String.init)
    if let file = parts.first { parts[0] = Path.name(file) }
    let text = sentence(
      model.withLock(\.self), "cannot go on with this model (\(parts.joined(separator: ": ")))")
    try? StandardStream.errors.write(text + "\n")
    CurrentProcess.endAtOnce(Failure.Kind.data.rawValue)
  }
}
