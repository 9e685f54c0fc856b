// The one pass over the rows: every row is encoded once, chunk by chunk, and its codes go to scratch files.
// A scratch file is there only if it is complete, so a stopped pass goes on with the first missing one.

import HSAEActivations
import HSAEEvaluation
import HSAEModels
internal import HSAERuns
import HSAESupport
import HSAETensors

/// The codes of all rows that are explained, in scratch files.
struct CodeChunks: Sendable {
  static let chunkRows = 32_768
  private let chunks: [CodeChunk]
  /// For each expert, the number of rows for which it is active.
  let counts: [Int]

  /// Encodes the rows whose files are missing in `folder`, and opens all files.
  ///
  /// `progress` receives the number of rows done, those of files that were there included, and returns whether to go
  /// on; if not, the result is nil.
  static func make(
    _ run: LoadedRun, rows: ExplainedRows, folder: String, chunkRows: Int = chunkRows,
    threads: Int, progress: (_ done: Int) -> Bool
  ) throws(Failure) -> CodeChunks? {
    var chunks: [CodeChunk] = []
    for start in stride(from: 0, to: rows.count, by: chunkRows) {
      let range = start..<min(rows.count, start + chunkRows)
      let path = Path.join(folder, "rows-\(start / chunkRows)")
      if !Path.exists(path) {
        guard progress(start) else { return nil }
        rows.source.prefetch(range)
        var batch = try rows.source.matrix(rows: range)
        run.prepare(&batch)
        let codes = run.dictionary.encode(batch, threads: threads)
        let places = try range.map { (row) throws(Failure) in try rows.place(row) }
        let shares = run.dictionary.explainedShares(of: batch, by: codes, threads: threads)
        try CodeChunk.write(
          codes, places: places, shares: shares.map(\.full), shape: run.shape, to: path)
      }
      let chunk = try CodeChunk(path: path, shape: run.shape)
      guard chunk.rows == range.count else {
        throw .data("\(path): it has the codes of other rows; remove \(folder) and run again.")
      }
      chunks.append(chunk)
    }
    _ = progress(rows.count)
    let counts = (0..<run.shape.experts).map { expert in
      chunks.reduce(0) { $0 + $1.entries(of: expert).count }
    }
    return CodeChunks(chunks: chunks, counts: counts)
  }

  /// The share of each row that is explained, in the order of rows.
  var shares: some Sequence<Double> {
    chunks.lazy.flatMap { chunk in (0..<chunk.rows).lazy.map { chunk.share($0) } }
  }

  /// A code, with its place in the text and its row in the files.
  struct Entry: Sendable {
    var place: Int
    var chunk: Int32
    var row: Int32
    var sublatent: Int32
    var value: Float
    var subValue: Float
  }

  /// All codes of `expert`, in order of place.
  func entries(of expert: Int) -> [Entry] {
    var result: [Entry] = []
    result.reserveCapacity(counts[expert])
    for (number, chunk) in chunks.enumerated() {
      for index in chunk.entries(of: expert) {
        let entry = chunk.entry(index)
        result.append(
          Entry(
            place: chunk.place(Int(entry.row)), chunk: Int32(number), row: Int32(entry.row),
            sublatent: entry.sublatent, value: entry.value, subValue: entry.subValue))
      }
    }
    result.sort { $0.place < $1.place }
    return result
  }

  /// Calls `body` with each expert that is active for the row of `entry`.
  func forEachMember(of entry: Entry, _ body: (Int) -> Void) {
    chunks[Int(entry.chunk)].forEachMember(of: Int(entry.row), body)
  }
}

extension SparseAutoencoder {
  /// The share of each of `rows` that its `codes` explain (`TokenParts`), also by the top level alone if that is wanted.
  func explainedShares(
    of rows: borrowing Matrix, by codes: Codes, wantsTopLevel: Bool = false, threads: Int
  ) -> [(full: Double, topLevel: Double)] {
    let full = decode(codes, threads: threads)
    let top = wantsTopLevel ? decode(codes, topLevelOnly: true, threads: threads) : full.copy()
    let bias = (0..<rows.columns).map { parameters.hasBias ? Double(parameters.bias[0, $0]) : 0 }
    return (0..<codes.count).map { index in
      let x = rows.row(index)
      var sums = ReconstructionSums(
        row: x, reconstruction: full.row(index), topLevel: top.row(index))
      // The share of what the bias alone leaves unexplained.
      sums[.spread] = x.squaredDistance(from: bias)
      return (
        sums.quality(.full).explainedVariance, sums.quality(.topLevel).explainedVariance
      )
    }
  }
}
