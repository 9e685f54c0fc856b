// A one-dimensional Zarr array of integers, read in place, so that it need not fit in memory.

import HSAESupport

/// The elements of a mapped array of integers, or of floats as their bits.
struct ZarrIntegers<Element: FixedWidthInteger & BitwiseCopyable & Sendable>: Sendable {
  private let array: ZarrArray
  let count: Int

  /// Maps the array in the folder `path`. Its elements must be of `type`, which is as wide as `Element`.
  ///
  /// Fails with `.data` if it does not have `count` elements (unless that is nil) or a chunk has no file.
  /// With `allowsGaps`, chunks without a file are zeros.
  init(
    path: String, type: ZarrType, count: Int? = nil, allowsGaps: Bool = false
  ) throws(Failure) {
    precondition(MemoryLayout<Element>.size == type.size, "Elements of another size.")
    array = try ZarrArray(path: path)
    guard array.layout.type == type, array.layout.shape.count == 1,
      count == nil || array.layout.shape[0] == count,
      array.chunks.allSatisfy({ $0 != nil }) || (allowsGaps && array.layout.fill == 0)
    else {
      let length = count.map { "\($0) " } ?? ""
      throw .data(
        "\(path): this is not a complete list of \(length)\(type.rawValue); the store is damaged.")
    }
    self.count = array.layout.shape[0]
  }

  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "Element \(index) of \(count).")
    let (chunk, place) = index.quotientAndRemainder(dividingBy: array.layout.chunk[0])
    guard let file = array.chunks[chunk] else { return 0 }
    // Safe: a chunk's file has `chunk[0]` elements (checked when it was mapped), and `place` is less.
    return Element(
      littleEndian: unsafe file.bytes.unsafeLoadUnaligned(
        fromByteOffset: place * MemoryLayout<Element>.size, as: Element.self))
  }

  func elements(_ range: Range<Int>) -> [Element] { range.map { self[$0] } }
}

extension ZarrIntegers<UInt8> {
  /// Calls `body` with every element that is not 0 and its index, in order.
  func forEachNonzero(_ body: (_ index: Int, _ element: UInt8) -> Void) {
    let length = array.layout.chunk[0]
    for (number, chunk) in array.chunks.enumerated() {
      guard let chunk else { continue }
      let start = number * length
      let bytes = chunk.bytes.extracting(0..<min(length, count - start))
      // Safe: the indices are the buffer's own.
      unsafe bytes.withUnsafeBytes { buffer in
        for index in buffer.indices where unsafe buffer[index] != 0 {
          unsafe body(start + index, buffer[index])
        }
      }
    }
  }
}
