// Writes a Zarr array of one or two dimensions, uncompressed, in chunks of rows. Rows may come in any order.
// The owner of the folder makes it durable.

import HSAESupport

struct ZarrArrayWriter: Sendable {
  let path: String
  let layout: ZarrLayout
  private let rowBytes: Int

  /// Creates the array of `shape` in the folder `path`, in chunks of `chunkRows` rows.
  init(
    creating path: String, shape: [Int], chunkRows: Int, type: ZarrType, dimensions: [String]
  ) throws(Failure) {
    let rows = max(1, min(chunkRows, shape[0]))
    layout = ZarrLayout(
      shape: shape, chunk: [rows] + shape.dropFirst().map { max(1, $0) }, type: type)
    self.path = path
    rowBytes = shape.dropFirst().reduce(type.size, *)
    try layout.writeMetadata(to: path, dimensions: dimensions)
  }

  /// Writes `bytes`, whole rows, at row `start` and those after it.
  func write(_ bytes: [UInt8], atRow start: Int) throws(Failure) {
    if rowBytes == 0 { return }
    let count = bytes.count / rowBytes
    precondition(
      start >= 0 && count * rowBytes == bytes.count && count <= layout.shape[0] - start,
      "These are not whole rows of the array.")
    var row = start
    while row < start + count {
      let chunk = row / layout.chunk[0]
      let end = min(start + count, (chunk + 1) * layout.chunk[0])
      let part = (row - start) * rowBytes..<(end - start) * rowBytes
      let file = try layout.open(chunk: chunk, in: path)
      // Safe: a view of integers as bytes, within the array.
      try unsafe file.write(
        bytes.span.bytes.extracting(part), at: row % layout.chunk[0] * rowBytes)
      row = end
    }
  }
}

extension ZarrLayout {
  /// Opens the file of chunk `chunk`, counted along the rows, of the array in the folder `path`; it gets its
  /// full size. With `durably`, the name of a new file reaches the disk.
  func open(chunk: Int, in path: String, durably: Bool = false) throws(Failure) -> Descriptor {
    let name = Path.join(path, key(shape.count == 1 ? [chunk] : [chunk, 0]))
    let folder = Path.parent(name)
    let isNew = durably && !Path.exists(name)
    try Path.createDirectories(folder)
    let file = try Descriptor(updating: name)
    if try file.size() != chunkBytes { try file.truncate(to: chunkBytes) }
    if isNew {
      try synchronizeDirectory(folder)
      try synchronizeDirectory(Path.parent(folder))
    }
    return file
  }

  /// Makes the folder `path` with the metadata of an array of this layout.
  func writeMetadata(to path: String, dimensions: [String]) throws(Failure) {
    try Path.createDirectories(path)
    let metadata = JSONValue.object([
      "zarr_format": .integer(3), "node_type": .string("array"),
      "shape": .array(shape.map { .integer($0) }), "data_type": .string(type.rawValue),
      "chunk_grid": .object([
        "name": .string("regular"),
        "configuration": .object(["chunk_shape": .array(chunk.map { .integer($0) })]),
      ]),
      "chunk_key_encoding": .object([
        "name": .string("default"), "configuration": .object(["separator": .string("/")]),
      ]),
      "fill_value": type.elementType == nil ? .integer(0) : .number(0),
      "codecs": .array([
        .object([
          "name": .string("bytes"), "configuration": .object(["endian": .string("little")]),
        ])
      ]),
      "attributes": .object([:]),
      "dimension_names": .array(dimensions.map { .string($0) }),
    ])
    try DurableFile.write(metadata.text() + "\n", to: Path.join(path, "zarr.json"))
  }
}
