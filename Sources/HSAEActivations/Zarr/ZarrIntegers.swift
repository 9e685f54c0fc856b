// A one-dimensional Zarr array of integers, read in place: for arrays that need not fit in memory.

import HSAESupport

/// The elements of a mapped array of integers.
struct ZarrIntegers<Element: FixedWidthInteger & BitwiseCopyable & Sendable>: Sendable {
  private let array: ZarrArray
  /// The number of elements.
  let count: Int

  /// Maps the array in the folder `path`, whose elements must be of `type` and which must be whole.
  init(path: String, type: ZarrType) throws(Failure) {
    array = try ZarrArray(path: path)
    guard array.layout.type == type, array.layout.shape.count == 1,
      array.chunks.allSatisfy({ $0 != nil })
    else {
      throw .data("\(path): this is no whole list of \(type.rawValue); the store is damaged.")
    }
    count = array.layout.shape[0]
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
