// A short name for the content of a large file or store: a hash of its sizes and of a sample of its bytes. It
// detects mistakes, not forgery.

import HSAESupport

struct Fingerprint: ~Copyable {
  private var hash = SHA256()

  /// Adds `text` and a mark for its end.
  mutating func add(_ text: String) { hash.update(text + "\n") }

  /// Adds the size of `file`, its first and last 64 KiB, and 64 pieces of 1 KiB spread evenly.
  mutating func add(_ file: MappedFile) {
    add("\(file.count)")
    let bytes = file.bytes
    let edge = 1 << 16
    if bytes.byteCount <= 4 * edge {
      hash.update(bytes)
      return
    }
    hash.update(bytes.extracting(0..<edge))
    for piece in 1...64 {
      let start = (bytes.byteCount - edge) / 64 * piece
      hash.update(bytes.extracting(start..<start + 1024))
    }
    hash.update(bytes.extracting(bytes.byteCount - edge..<bytes.byteCount))
  }

  /// The fingerprint: "sample-sha256:" and 32 hexadecimal digits.
  consuming func finish() -> String { "sample-sha256:" + hash.finish().prefix(32) }
}
