// A one-dimensional Zarr array of integers, read in place: for arrays that need not fit in memory.

import HSAESupport

/// The elements of a mapped array of integers, or of floats as their bits.
struct ZarrIntegers<Element: FixedWidthInteger & BitwiseCopyable & Sendable>: Sendable {
  private let array: ZarrArray
  /// The number of elements.
  let count: Int

  /// Maps the array in the folder `path`, whose elements must be of `type`, which is as wide as
  /// `Element`.
  ///
  /// It must have `count` elements, if that is given, and be whole: `allowsGaps` lets chunks without
  /// file be zeros.
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
        "\(path): this is no whole list of \(length)\(type.rawValue); the store is damaged.")
    }
    self.count = array.layout.shape[0]
  }

  /// Element `index`.
  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "Element \(index) of \(count).")
    let (chunk, place) = index.quotientAndRemainder(dividingBy: array.layout.chunk[0])
    guard let file = array.chunks[chunk] else { return 0 }
    // Safe: a chunk has `chunk[0]` elements, as was checked when it was mapped.
    return Element(
      littleEndian: unsafe file.bytes.unsafeLoadUnaligned(
        fromByteOffset: place * MemoryLayout<Element>.size, as: Element.self))
  }

  /// The elements `range`.
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
      unsafe bytes.withUnsafeBytes { buffer in
        for index in buffer.indices where unsafe buffer[index] != 0 {
          unsafe body(start + index, buffer[index])
        }
      }
    }
  }
}
