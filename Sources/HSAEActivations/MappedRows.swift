// Rows that lie one after another in a mapped file: the matrices of `.npy` and `.safetensors` files.

public import HSAESupport
import HSAETensors

/// A row-major matrix of floats in a `.npy` or `.safetensors` file, as rows.
public struct MappedRows: RowSource {
  private let file: MappedFile
  /// The byte at which the first element begins.
  private let offset: Int
  private let type: ElementType
  /// Number of rows.
  public let rowCount: Int
  /// Numbers in a row.
  public let width: Int
  /// The tensor's name; nil for a `.npy` file.
  public let tensor: String?
  /// A hash that names the content (see `RowSource`).
  public let fingerprint: String
  /// The path as the user wrote it.
  public let path: String
  /// A description for people.
  public var summary: String {
    let name = tensor.map { "safetensors matrix \"\($0)\"" } ?? "NumPy array"
    return "\(name), \(counted(rowCount, "row")) of width \(width), \(type)"
  }

  /// The matrix of `shape` that begins at byte `offset` of `file`. `path` is that of an index of several files, and `name`
  /// is part of the fingerprint.
  ///
  /// Fails with `.data` unless it has two dimensions and at least one element, all before byte `end`.
  init(
    file: MappedFile, path: String? = nil, offset: Int, end: Int, type: ElementType, shape: [Int],
    tensor: String? = nil, fingerprint name: String
  ) throws(Failure) {
    guard shape.count == 2 else {
      throw .data(
        "\(file.path): \(tensor.map { "tensor \"\($0)\"" } ?? "the array") has \(shape.count)"
          + " dimensions; a matrix [rows, width] with 2 is needed.")
    }
    let (rowCount, width) = (shape[0], shape[1])
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
    (self.file, self.offset, self.type, self.tensor) = (file, offset, type, tensor)
    (self.rowCount, self.width, self.path) = (rowCount, width, path ?? file.path)
    var fingerprint = Fingerprint()
    fingerprint.add(name)
    fingerprint.add(file)
    self.fingerprint = fingerprint.finish()
  }

  /// The byte after the last element.
  var end: Int { offset + rowCount * width * type.size }

  /// Reads the rows with the indices `rows` into `destination` (see `RowSource`).
  public func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    precondition(destination.count == rows.count * width, "Rows do not fill the destination.")
    let bytes = file.bytes
    let rowBytes = width * type.size
    // Safe: `init` checked that the matrix lies within the file, which stays mapped during the call.
    if type == .float16, let start = unsafe file.start {
      let bad = unsafe readHalfRows(rows, width: width, into: &destination) { row in
        precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
        return unsafe start + (offset + row * rowBytes)
      }
      if let bad { throw notFinite(row: bad) }
      return
    }
    for index in rows.indices {
      let row = rows[index]
      precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
      let start = offset + row * rowBytes
      var target = destination.part(index * width..<(index + 1) * width)
      let numbers = bytes.extracting(start..<start + rowBytes)
      if !type.decode(numbers, into: &target) {
        throw notFinite(row: row, type.notFinite(in: numbers))
      }
      if type.vanished(numbers, to: target.span) {
        throw notFinite(row: row, ElementType.tooSmall)
      }
    }
  }

  /// Asks the system to read `rows` into memory (see `RowSource`).
  public func prefetch(_ rows: Range<Int>) {
    let rowBytes = width * type.size
    file.prefetch(offset + rows.lowerBound * rowBytes..<offset + rows.upperBound * rowBytes)
  }
}
