// A Zarr array of one dimension, read element by element from mapped memory: what a store knows of
// its rows and its corpus, however long it is.

import HSAESupport

/// Numbers of a one-dimensional array. Chunks without file are zeros.
struct ZarrVector: Sendable {
  private let array: ZarrArray

  /// Number of elements.
  var count: Int { array.layout.shape[0] }

  /// Opens the array in the folder `path`, which must have `count` elements (any number if nil) of
  /// type `type`.
  init(path: String, type: ZarrType, count: Int? = nil) throws(Failure) {
    array = try ZarrArray(path: path)
    let layout = array.layout
    guard layout.shape.count == 1, layout.type == type, count == nil || layout.shape[0] == count,
      layout.fill == 0
    else {
      throw .data(
        "\(path): this is a \(layout.type.rawValue) array of shape \(layout.shape), and one of"
          + " \(count.map { "\($0)" } ?? "any number of") elements of type \(type.rawValue), fill"
          + " value 0, is needed; the store is damaged.")
    }
  }

  /// Element `index` of an array of integers as wide as `Element`.
  func integer<Element: FixedWidthInteger & BitwiseCopyable>(
    _ index: Int, as type: Element.Type
  ) -> Element {
    precondition(index >= 0 && index < count, "Element \(index) of \(count).")
    let size = MemoryLayout<Element>.size
    precondition(size == array.layout.type.size, "Elements of another size.")
    let length = array.layout.chunk[0]
    guard let chunk = array.chunks[index / length] else { return 0 }
    // Safe: a chunk's file has `length` elements, as was checked when it was mapped.
    return unsafe Element(
      littleEndian: chunk.bytes.unsafeLoadUnaligned(
        fromByteOffset: index % length * size, as: Element.self))
  }

  /// Element `index` of an array of float32.
  func float(_ index: Int) -> Float { Float(bitPattern: integer(index, as: UInt32.self)) }

  /// Calls `body` with the index of every byte that is not 0, in order; for arrays of bytes.
  func forEachNonzeroByte(_ body: (Int) -> Void) {
    precondition(array.layout.type.size == 1, "Elements are not bytes.")
    let length = array.layout.chunk[0]
    for (number, chunk) in array.chunks.enumerated() {
      guard let chunk else { continue }
      let start = number * length
      let bytes = chunk.bytes.extracting(0..<min(length, count - start))
      unsafe bytes.withUnsafeBytes { buffer in
        for index in buffer.indices where unsafe buffer[index] != 0 { body(start + index) }
      }
    }
  }
}
