// The last step of a collection: the median norm, the flags of rows, and the attribute "complete". It reads
// the norms a chunk at a time and can be repeated after a crash, with the same bytes.

import HSAESupport

enum StoreCompletion {
  /// Completes the store at `path`, whose rows are all written.
  static func complete(_ path: String) throws(Failure) {
    var attributes = try ResidualStoreWriter.attributes(of: path)
    guard let collection = attributes.collection else {
      throw .data("\(path): this store was not collected.")
    }
    let median = try medianNorm(path)
    let limit = Float(collection.giantNormMultiple) * median
    let holdout = Path.join(path, "holdout")
    if collection.holdoutRows > 0 {
      var attributes = try ResidualStoreWriter.attributes(of: holdout)
      try finish(holdout, &attributes, median: median, limit: limit)
    }
    try finish(path, &attributes, median: median, limit: limit)
  }

  private static func finish(
    _ path: String, _ attributes: inout StoreAttributes, median: Float, limit: Float
  ) throws(Failure) {
    let flagged = try writeFlags(path, attributes, limit: limit)
    attributes.collection?.flaggedRows = flagged
    attributes.collection?.medianNorm = median
    attributes.complete = true
    try JSONFile.write(StoreGroup(attributes: attributes), to: Path.join(path, "zarr.json"))
  }

  /// Calls `body` with the norms of the part at `path`, a chunk at a time.
  private static func forEachChunk(
    _ path: String, _ body: (_ chunk: Int, _ norms: [Float]) throws(Failure) -> Void
  ) throws(Failure) {
    let array = try ZarrArray(path: Path.join(path, "norms"))
    var left = array.layout.shape[0]
    for (index, chunk) in array.chunks.enumerated() {
      guard let chunk else {
        throw .data("\(array.path): chunk \(index) is missing; the store is damaged.")
      }
      var norms = [Float](repeating: 0, count: min(left, array.layout.chunk[0]))
      left -= norms.count
      var span = norms.mutableSpan
      ElementType.float32.decode(chunk.bytes.extracting(0..<span.count * 4), into: &span)
      try body(index, norms)
    }
  }

  /// The lower median of the positive norms of the part at `path`, exactly; 0 if there are none.
  ///
  /// The bits of positive floats are ordered as the floats are. One pass finds the upper half of the median's
  /// bits, a second pass the lower half.
  static func medianNorm(_ path: String) throws(Failure) -> Float {
    var counts = [Int](repeating: 0, count: 1 << 16)
    try forEachChunk(path) { _, norms in
      for norm in norms where norm > 0 { counts[Int(norm.bitPattern >> 16)] += 1 }
    }
    let total = counts.reduce(0, +)
    guard total > 0 else { return 0 }
    var rank = (total - 1) / 2
    func select() -> Int {
      var place = 0
      while rank >= counts[place] {
        rank -= counts[place]
        place += 1
      }
      return place
    }
    let upper = select()
    counts = [Int](repeating: 0, count: 1 << 16)
    try forEachChunk(path) { _, norms in
      for norm in norms where norm > 0 && Int(norm.bitPattern >> 16) == upper {
        counts[Int(norm.bitPattern & 0xFFFF)] += 1
      }
    }
    return Float(bitPattern: UInt32(upper) << 16 | UInt32(select()))
  }

  /// Writes the flags of the part at `path`. Returns how many rows have any.
  private static func writeFlags(
    _ path: String, _ attributes: StoreAttributes, limit: Float
  ) throws(Failure) -> Int {
    let layout = RowArray.flags.layout(rows: attributes.rowCount, width: attributes.width)
    let folder = Path.join(path, RowArray.flags.rawValue)
    var flagged = 0
    try forEachChunk(path) { (chunk, norms) throws(Failure) in
      var flags = norms.map { norm in
        (norm == 0 ? RowFlags.notFinite : norm > limit ? .giantNorm : []).rawValue
      }
      flagged += flags.count { $0 != 0 }
      flags += [UInt8](repeating: 0, count: layout.chunk[0] - flags.count)
      let file = try layout.open(chunk: chunk, in: folder)
      try file.write(flags, at: 0)
      try file.synchronize()
    }
    try synchronizeDirectory(Path.join(folder, "c"))
    try synchronizeDirectory(folder)
    return flagged
  }
}
