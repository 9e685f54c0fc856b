// A model's vocabulary inside a store: all tokens' texts one after another as bytes, and the offset of each.
// These are two plain arrays that any Zarr library reads, exact to the byte.

import HSAESupport

enum Vocabulary {
  /// Writes `texts`, by token id, as the group `path` with the arrays `bytes` and `offsets`.
  static func write(_ texts: [String], to path: String) throws(Failure) {
    var bytes: [UInt8] = []
    var offsets: [UInt8] = []
    appendBytes(of: Int64(0), to: &offsets)
    for text in texts {
      bytes += Array(text.utf8)
      appendBytes(of: Int64(bytes.count), to: &offsets)
    }
    try ZarrGroup.write(to: path)
    let byteArray = try ZarrArrayWriter(
      creating: Path.join(path, "bytes"), shape: [bytes.count], chunkRows: bytes.count,
      type: .uint8, dimensions: ["byte"])
    try byteArray.write(bytes, atRow: 0)
    let offsetArray = try ZarrArrayWriter(
      creating: Path.join(path, "offsets"), shape: [texts.count + 1], chunkRows: texts.count + 1,
      type: .int64, dimensions: ["token_boundary"])
    try offsetArray.write(offsets, atRow: 0)
  }

  /// Reads the texts that `write` wrote. Bytes that are not UTF-8 are replaced.
  static func read(from path: String) throws(Failure) -> [String] {
    let bytes = try ZarrArray(path: Path.join(path, "bytes")).integers(UInt8.self, as: .uint8)
    let offsets = try ZarrArray(path: Path.join(path, "offsets")).integers(Int64.self, as: .int64)
    guard offsets.first == 0, offsets.last == Int64(bytes.count) else {
      throw .data("\(path): the offsets do not fit the bytes; the store is damaged.")
    }
    var texts: [String] = []
    texts.reserveCapacity(offsets.count - 1)
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      guard start <= end, start >= 0, end <= Int64(bytes.count) else {
        throw .data("\(path): the offsets do not rise; the store is damaged.")
      }
      texts.append(String(decoding: bytes[Int(start)..<Int(end)], as: UTF8.self))
    }
    return texts
  }
}
