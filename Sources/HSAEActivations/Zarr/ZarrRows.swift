// The rows of a Zarr array of two dimensions, in chunks of any shape. Stores use it too.

public import HSAESupport
import HSAETensors

/// A two-dimensional Zarr v3 array of floats, as rows.
public struct ZarrRows: RowSource {
  private let array: ZarrArray
  private let type: ElementType
  private let chunkColumns: Int
  /// The number in chunks without a file.
  private let fill: Float
  /// Whether every chunk has a file.
  let isWhole: Bool
  /// A hash that names the content (see `RowSource`).
  public let fingerprint: String

  /// Number of rows.
  public var rowCount: Int { array.layout.shape[0] }
  /// Numbers in a row.
  public var width: Int { array.layout.shape[1] }
  /// The path as the user wrote it.
  public var path: String { array.path }
  /// A description for people.
  public var summary: String {
    "Zarr array, \(counted(rowCount, "row")) of width \(width), \(type)"
  }

  /// Opens the array in the folder `path`. Fails with `.data` unless it is a matrix of float16,
  /// bfloat16, float32 or float64, uncompressed.
  public init(path: String) throws(Failure) {
    try self.init(path: path, layout: ZarrLayout(path: path))
  }

  init(path: String, layout: ZarrLayout) throws(Failure) {
    guard layout.shape.count == 2, layout.shape[0] > 0, layout.shape[1] > 0 else {
      throw .data(
        "\(path): the array has the shape \(layout.shape); a matrix [rows, width] is needed.")
    }
    guard let type = layout.type.elementType else {
      throw .data("\(path): the numbers are of type \(layout.type.rawValue); floats are needed.")
    }
    self.type = type
    fill = type.rounded(layout.fill)
    array = try ZarrArray(path: path, layout: layout)
    chunkColumns = layout.chunks(along: 1)
    isWhole = array.chunks.allSatisfy { $0 != nil }
    var fingerprint = Fingerprint()
    fingerprint.add("zarr \(layout.type) \(layout.shape) \(layout.chunk)")
    let step = max(1, array.chunks.count / 64)
    for index in stride(from: 0, to: array.chunks.count, by: step) {
      if let chunk = array.chunks[index] {
        fingerprint.add(chunk)
      } else {
        fingerprint.add("fill")
      }
    }
    self.fingerprint = fingerprint.finish()
  }

  /// Reads the rows with the indices `rows` into `destination` (see `RowSource`).
  public func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    let width = width
    let (chunkRows, chunkWidth) = (array.layout.chunk[0], array.layout.chunk[1])
    precondition(destination.count == rows.count * width, "Rows do not fill the destination.")
    // Safe: a chunk's file has chunkRows · chunkWidth elements (checked when it was mapped) and stays mapped.
    // With one chunk for all columns, chunkWidth is at least the width.
    if type == .float16, chunkColumns == 1, isWhole {
      let row = unsafe readHalfRows(rows, width: width, into: &destination) { row in
        precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
        guard let start = unsafe array.chunks[row / chunkRows]?.start else {
          preconditionFailure("A chunk has no bytes.")
        }
        return unsafe start + row % chunkRows * chunkWidth * 2
      }
      if let row { throw notFinite(row: row) }
      return
    }
    for index in rows.indices {
      let row = rows[index]
      precondition(row >= 0 && row < rowCount, "Row \(row) of \(rowCount).")
      let first = row / chunkRows * chunkColumns
      let rowInChunk = row % chunkRows
      var hasVanished = false
      for column in 0..<chunkColumns {
        let from = column * chunkWidth
        let count = min(chunkWidth, width - from)
        var target = destination.part(index * width + from..<index * width + from + count)
        guard let chunk = array.chunks[first + column] else {
          guard fill.isFinite else {
            throw notFinite(
              row: row, "the fill value \(array.layout.fill), because a chunk has no file")
          }
          target.update(repeating: fill)
          continue
        }
        let start = rowInChunk * chunkWidth * type.size
        let bytes = chunk.bytes.extracting(start..<start + count * type.size)
        if !type.decode(bytes, into: &target) {
          throw notFinite(row: row, type.notFinite(in: bytes))
        }
        hasVanished = hasVanished || type.vanished(bytes, to: target.span)
      }
      let whole = index * width..<(index + 1) * width
      if hasVanished, whole.allSatisfy({ destination[$0] == 0 }) {
        throw notFinite(row: row, ElementType.tooSmall)
      }
    }
  }

  /// The array's own chunks, along its rows.
  public var chunks: [Range<Int>] {
    stride(from: 0, to: rowCount, by: array.layout.chunk[0]).map {
      $0..<min(rowCount, $0 + array.layout.chunk[0])
    }
  }

  /// Asks the system to read `rows` into memory (see `RowSource`).
  public func prefetch(_ rows: Range<Int>) {
    let (chunkRows, rowBytes) = (array.layout.chunk[0], array.layout.chunk[1] * type.size)
    for chunk in rows.lowerBound / chunkRows...max(rows.lowerBound, rows.upperBound - 1) / chunkRows
    {
      let part = rows.clamped(to: chunk * chunkRows..<(chunk + 1) * chunkRows)
      for column in 0..<chunkColumns {
        array.chunks[chunk * chunkColumns + column]?.prefetch(
          (part.lowerBound - chunk * chunkRows) * rowBytes..<(part.upperBound - chunk * chunkRows)
            * rowBytes)
      }
    }
  }
}
