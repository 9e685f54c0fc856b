// Writes the rows of one part of a residual-stream store to their shuffled places. Rows wait in memory and
// are written in the order of their places, so that the disk is written in sweeps. Writing a row again writes
// the same bytes.

import HSAESupport
import HSAETensors

/// Collects rows in memory and writes row i at π(i).
final class ShuffledRowsWriter {
  private let path: String
  private let width: Int
  private let permutation: Permutation
  private let layouts: [RowArray: ZarrLayout]

  /// The places of the rows in memory, and their bytes in each array.
  private var places: [Int] = []
  private var bytes: [RowArray: [UInt8]] = [:]

  init(path: String, rows: Int, width: Int, seed: UInt64) {
    self.path = path
    self.width = width
    permutation = Permutation(count: rows, seed: seed)
    layouts = Dictionary(
      uniqueKeysWithValues: RowArray.allCases.map { ($0, $0.layout(rows: rows, width: width)) })
  }

  var byteCount: Int { places.count * (2 * width + 24) }

  /// Adds row `index`: the values `row` [width] at `position` of `document`.
  ///
  /// A row that is not finite or is zero becomes a direction and a norm of zero.
  func add(
    _ index: Int, _ row: Span<Float>, token: Int32, document: Int32, position: Int32
  ) {
    let norm = Float(euclideanNorm(row))
    let isSound = norm.isFinite && norm > 0
    let scale = isSound ? 1 / Double(norm) : 0
    places.append(permutation.position(of: index))
    Self.encode(row, scale: scale, isSound, into: &bytes[.directions, default: []])
    appendBytes(of: (isSound ? norm : 0).bitPattern, to: &bytes[.norms, default: []])
    appendBytes(of: token, to: &bytes[.tokens, default: []])
    appendBytes(of: document, to: &bytes[.documents, default: []])
    appendBytes(of: position, to: &bytes[.positions, default: []])
  }

  private static func encode(
    _ row: Span<Float>, scale: Double, _ isSound: Bool, into bytes: inout [UInt8]
  ) {
    for column in row.indices {
      appendBytes(
        of: float16Bits(isSound ? Float(Double(row[column]) * scale) : 0), to: &bytes)
    }
  }

  /// Writes all rows in memory and returns when they have reached the disk.
  func flush() throws(Failure) {
    if places.isEmpty { return }
    let order = places.indices.sorted { places[$0] < places[$1] }
    for (array, bytes) in bytes {
      if let layout = layouts[array] { try write(bytes, order, array, layout) }
    }
    places.removeAll(keepingCapacity: true)
    for array in RowArray.allCases { bytes[array]?.removeAll(keepingCapacity: true) }
  }

  private func write(
    _ bytes: [UInt8], _ order: [Int], _ array: RowArray, _ layout: ZarrLayout
  ) throws(Failure) {
    let rowBytes = layout.shape.dropFirst().reduce(layout.type.size, *)
    let chunkRows = layout.chunk[0]
    var next = 0
    var run: [UInt8] = []
    while next < order.count {
      let chunk = places[order[next]] / chunkRows
      let file = try layout.open(
        chunk: chunk, in: Path.join(path, array.rawValue), durably: true)
      while next < order.count, places[order[next]] / chunkRows == chunk {
        // Rows that are neighbours in the file are written together.
        let first = places[order[next]]
        run.removeAll(keepingCapacity: true)
        repeat {
          let start = order[next] * rowBytes
          run += bytes[start..<start + rowBytes]
          next += 1
        } while next < order.count && places[order[next]] == places[order[next - 1]] + 1
          && places[order[next]] / chunkRows == chunk
        try file.write(run, at: first % chunkRows * rowBytes)
      }
      try file.synchronize()
    }
  }
}
