// Rows that lie one after another in a mapped file. `.npy` and `.safetensors` matrices share this code after their
// headers are read.

import HSAESupport

/// A row-major matrix within a mapped file. `init` checks its extent against the file's size.
struct MappedRows: Sendable {
  let file: MappedFile
  /// The byte at which its first element begins.
  let offset: Int
  let type: ElementType
  let rowCount: Int
  let width: Int

  /// A matrix of `rowCount` × `width` elements of `type` from byte `offset` of `file` on. Fails if
  /// it has no elements or reaches beyond byte `end`.
  init(
    file: MappedFile, offset: Int, end: Int, type: ElementType, rowCount: Int, width: Int
  ) throws(Failure) {
    guard rowCount > 0, width > 0 else {
      throw .data(
        "\(file.path): the matrix is \(rowCount) × \(width), so there is nothing to read.")
    }
    let (elements, tooMany) = rowCount.multipliedReportingOverflow(by: width)
    let (bytes, tooLarge) = elements.multipliedReportingOverflow(by: type.size)
    guard !tooMany, !tooLarge, offset >= 0, offset <= end, end <= file.count,
      bytes <= end - offset
    else {
      throw .data(
        "\(file.path): the header promises \(rowCount) × \(width) elements of type \(type) from"
          + " byte \(offset) on, but the file has \(file.count) bytes; it was cut short.")
    }
    self.file = file
    self.offset = offset
    self.type = type
    self.rowCount = rowCount
    self.width = width
  }

  /// The bytes the matrix takes.
  var byteCount: Int { rowCount * width * type.size }

  /// Reads `rows` into `destination`; the first row that is not finite, or nil.
  func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) -> Int? {
    precondition(destination.count == rows.count * width, "Rows do not fill the destination.")
    let bytes = file.bytes
    let rowBytes = width * type.size
    if type == .float16, let start = unsafe file.start {
      return unsafe readHalfRows(rows, width: width, into: &destination) { row in
        precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
        // Safe: `init` checked that the matrix lies within the file, which stays mapped during the call.
        return unsafe start + (offset + row * rowBytes)
      }
    }
    for index in rows.indices {
      let row = rows[index]
      precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
      let start = offset + row * rowBytes
      var target = destination.part(index * width..<(index + 1) * width)
      let isFinite = type.decode(bytes.extracting(start..<start + rowBytes), into: &target)
      if !isFinite { return row }
    }
    return nil
  }

  /// Asks the system to read `rows` into memory.
  func prefetch(_ rows: Range<Int>) {
    let rowBytes = width * type.size
    file.prefetch(offset + rows.lowerBound * rowBytes..<offset + rows.upperBound * rowBytes)
  }
}
