// A Zarr array to read, its chunk files mapped. In a chunk without a file every element has the fill value,
// as the format demands.

import HSAESupport

/// A mapped Zarr array of one or two dimensions.
struct ZarrArray: Sendable {
  let path: String
  let layout: ZarrLayout
  /// The chunks' files, slowest dimension first; nil for a chunk without a file.
  let chunks: [MappedFile?]

  /// Opens the array in the folder `path`; fails with `.data` if the node is a group.
  init(path: String) throws(Failure) {
    try self.init(path: path, layout: ZarrLayout(path: path))
  }

  /// Maps the chunks of the array in the folder `path`, each of which must have its full size.
  init(path: String, layout: ZarrLayout) throws(Failure) {
    self.path = path
    self.layout = layout
    var chunks: [MappedFile?] = []
    for row in 0..<layout.chunks(along: 0) {
      if layout.shape.count == 1 {
        chunks.append(try Self.map(Path.join(path, layout.key([row])), layout))
      } else {
        for column in 0..<layout.chunks(along: 1) {
          chunks.append(try Self.map(Path.join(path, layout.key([row, column])), layout))
        }
      }
    }
    self.chunks = chunks
  }

  private static func map(_ path: String, _ layout: ZarrLayout) throws(Failure) -> MappedFile? {
    let file: MappedFile
    do throws(Failure) {
      file = try MappedFile(path: path)
    } catch {
      if error.kind == .missing, !Path.exists(path) { return nil }
      throw error
    }
    guard file.count == layout.chunkBytes else {
      throw .data(
        "\(path): this chunk has \(file.count) bytes and should have \(layout.chunkBytes); it was cut"
          + " short or is damaged.")
    }
    return file
  }

  /// The largest array, in bytes, that may have missing chunks when it is read into memory.
  private static let maximumFill = 1 << 24

  /// All bytes of the array, row-major, little-endian; for arrays that fit in memory.
  ///
  /// Fails with `.data` if rows are split into chunks.
  func allBytes() throws(Failure) -> [UInt8] {
    guard layout.shape.count == 1 || layout.chunks(along: 1) <= 1,
      layout.shape.count == 1 || layout.chunk[1] == layout.shape[1]
    else {
      throw .data("\(path): the array's rows are split into chunks, which is not supported here.")
    }
    let missing = chunks.count { $0 == nil }
    let count = layout.shape.reduce(layout.type.size, *)
    guard missing == 0 || count <= Self.maximumFill else {
      throw .data(
        "\(path): \(missing) of \(chunks.count) chunks are missing; the store is damaged.")
    }
    guard missing == 0 || layout.fill == 0 else {
      throw .data("\(path): chunks are missing and the fill value is not 0; the store is damaged.")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for chunk in chunks {
      let part = min(layout.chunkBytes, count - bytes.count)
      if let chunk {
        // Safe: the bytes are copied while they are mapped.
        unsafe chunk.bytes.extracting(0..<part).withUnsafeBytes {
          unsafe bytes.append(contentsOf: $0)
        }
      } else {
        bytes.append(contentsOf: repeatElement(0, count: part))
      }
    }
    return bytes
  }

  /// All elements of an array of integers of the given type.
  func integers<Element: FixedWidthInteger>(
    _ type: Element.Type, as zarrType: ZarrType
  ) throws(Failure) -> [Element] {
    try check(zarrType)
    let bytes = try allBytes()
    // Safe: the buffer holds that many elements, and unaligned loads are allowed.
    return unsafe bytes.withUnsafeBytes { buffer in
      (0..<buffer.count / MemoryLayout<Element>.size).map {
        Element(
          littleEndian: unsafe buffer.loadUnaligned(
            fromByteOffset: $0 * MemoryLayout<Element>.size, as: Element.self))
      }
    }
  }

  /// All elements of an array of floats; fails if one is not finite.
  func floats() throws(Failure) -> [Float] {
    guard let type = layout.type.elementType else {
      throw .data("\(path): the numbers are of type \(layout.type.rawValue); floats are needed.")
    }
    let bytes = try allBytes()
    var floats = [Float](repeating: 0, count: bytes.count / type.size)
    var span = floats.mutableSpan
    // Safe: a view of integers as bytes, whose number `decode` checks.
    guard unsafe type.decode(bytes.span.bytes, into: &span) else {
      throw unsafe .data(
        "\(path): the array holds \(type.notFinite(in: bytes.span.bytes)); the store is damaged.")
    }
    return floats
  }

  private func check(_ type: ZarrType) throws(Failure) {
    guard layout.type == type else {
      throw .data(
        "\(path): the numbers are of type \(layout.type.rawValue), and \(type.rawValue) is needed.")
    }
  }
}
