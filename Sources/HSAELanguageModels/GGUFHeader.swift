// Checks the first 24 bytes of a GGUF file before anything else trusts it: the magic number, the version, and
// whether the announced entries can fit into the file. `GGUFPart` reads the rest.

import HSAESupport

/// The fixed header of a GGUF file: magic number, version, number of tensors, number of metadata entries.
struct GGUFHeader: Hashable {
  static let byteCount = 24

  let version: UInt32
  let tensorCount: Int
  let metadataCount: Int

  /// Reads the header from `bytes`, the first 24 bytes of the file at `path` (fewer if the file is shorter).
  ///
  /// Fails with `.data` if the file is not GGUF, has a version this program cannot read, or announces more
  /// entries than `fileSize` bytes can hold.
  init(bytes: [UInt8], fileSize: Int, path: String) throws(Failure) {
    guard bytes.count >= 4 else {
      throw .data(
        fileSize == 0
          ? "\(path) is empty, not a GGUF model; fetch it again."
          : "\(path) has \(fileSize) bytes, too few for a GGUF model; fetch it again.")
    }
    try Failure.refusePointer(bytes, path: path)
    guard bytes.starts(with: Array("GGUF".utf8)) else {
      throw .data(
        "\(path) is not a GGUF model: it starts with \(hexadecimal(Array(bytes[..<4]))), not with "
          + "47475546 (\"GGUF\"); "
          + (GGUFPart.advice(path) ?? "give the path of a .gguf file") + ".")
    }
    guard bytes.count >= Self.byteCount else {
      throw .data(
        "\(path) is cut short: its header ends at byte \(fileSize) of \(Self.byteCount); "
          + "fetch it again.")
    }
    func unsigned(_ offset: Int, _ count: Int) -> UInt64 {
      bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    version = UInt32(truncatingIfNeeded: unsigned(4, 4))
    guard (2...3).contains(version) else {
      throw .data(
        version & 0xFFFF == 0
          ? "\(path) is a GGUF file with the other byte order, which this machine cannot read."
          : "\(path) is GGUF version \(version), and this program reads 2 and 3; convert it.")
    }
    // The smallest tensor entry takes 24 bytes (name length, dimensions, type, offset), the smallest
    // metadata entry 13 (key length, type, one byte).
    let room = UInt64(fileSize - Self.byteCount)
    for (offset, what, size) in [(8, "tensors", UInt64(24)), (16, "metadata entries", 13)] {
      let count = unsigned(offset, 8)
      guard count <= room / size else {
        throw .data(
          "\(path) announces \(count) \(what) (byte \(offset)), more than its \(fileSize) bytes "
            + "can hold: it is cut short or damaged; fetch it again.")
      }
    }
    tensorCount = Int(unsigned(8, 8))
    metadataCount = Int(unsigned(16, 8))
  }
}
