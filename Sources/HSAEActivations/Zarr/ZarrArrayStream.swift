// Writes a Zarr array of one dimension by appending elements, when its length is known only at the end. The
// metadata are written last.

import HSAESupport

/// A one-dimensional Zarr array that grows. The owner of the folder makes it durable.
final class ZarrArrayStream {
  static let chunkLength = 1 << 20

  private let path: String
  private let type: ZarrType
  private let dimension: String
  private var buffer: [UInt8] = []
  private(set) var count = 0
  private var writtenChunks = 0

  init(creating path: String, type: ZarrType, dimension: String) throws(Failure) {
    (self.path, self.type, self.dimension) = (path, type, dimension)
    try Path.createDirectories(Path.join(path, "c"))
  }

  /// Appends `value`, which must be as wide as the array's type.
  func append(_ value: some FixedWidthInteger) throws(Failure) {
    appendBytes(of: value, to: &buffer)
    try added(1)
  }

  /// Appends all of `bytes` to an array of bytes.
  func append(bytes: some Collection<UInt8>) throws(Failure) {
    buffer.append(contentsOf: bytes)
    try added(bytes.count)
  }

  private func added(_ elements: Int) throws(Failure) {
    count += elements
    let chunkBytes = Self.chunkLength * type.size
    while buffer.count >= chunkBytes {
      try write(Array(buffer[..<chunkBytes]))
      buffer.removeFirst(chunkBytes)
    }
  }

  private func write(_ chunk: [UInt8]) throws(Failure) {
    let file = try Descriptor(updating: Path.join(path, "c/\(writtenChunks)"))
    try file.write(chunk, at: 0)
    writtenChunks += 1
  }

  /// Writes what is left, and the metadata.
  func finish() throws(Failure) {
    let length = writtenChunks == 0 ? max(1, count) : Self.chunkLength
    if !buffer.isEmpty {
      try write(buffer + [UInt8](repeating: 0, count: length * type.size - buffer.count))
    }
    try ZarrLayout(shape: [count], chunk: [length], type: type)
      .writeMetadata(to: path, dimensions: [dimension])
  }
}

/// A list of texts that grows, in the layout of `Vocabulary`.
final class TextListStream {
  private let path: String
  private let bytes, offsets: ZarrArrayStream
  /// Whether any text so far is not empty.
  private(set) var hasText = false

  init(creating path: String) throws(Failure) {
    self.path = path
    bytes = try ZarrArrayStream(
      creating: Path.join(path, "bytes"), type: .uint8, dimension: "byte")
    offsets = try ZarrArrayStream(
      creating: Path.join(path, "offsets"), type: .int64, dimension: "text_boundary")
    try offsets.append(Int64(0))
  }

  func append(_ text: String) throws(Failure) {
    hasText = hasText || !text.isEmpty
    try bytes.append(bytes: text.utf8)
    try offsets.append(Int64(bytes.count))
  }

  /// Writes what is left; a list without any text is removed.
  func finish() throws(Failure) {
    guard hasText else {
      Path.removeAll(path)
      return
    }
    try ZarrGroup.write(to: path)
    try bytes.finish()
    try offsets.finish()
  }
}

enum ZarrGroup {
  /// Makes the folder `path` a group without attributes.
  static func write(to path: String) throws(Failure) {
    try Path.createDirectories(path)
    let group = JSONValue.object([
      "zarr_format": .integer(3), "node_type": .string("group"), "attributes": .object([:]),
    ])
    try DurableFile.write(group.text() + "\n", to: Path.join(path, "zarr.json"))
  }
}
