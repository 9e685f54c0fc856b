// Rows of a synthetic forest as a row source: nothing is stored, a row is computed from its number when it is read.

public import HSAESupport
import HSAETensors

/// The rows of a forest. There are as many held-out rows as training rows, and none is both.
public struct SyntheticRows: RowSource {
  /// Draws the rows.
  public let sampler: SyntheticSampler
  /// The path of the forest's file.
  public let path: String
  /// A hash of the forest (see `RowSource`).
  public let fingerprint: String
  /// The number of the first row.
  private let first: Int
  /// Number of rows.
  public let rowCount: Int
  /// The threads that compute many rows at once; training reads its rows beside its own threads.
  private let threads: Int

  /// Numbers in a row.
  public var width: Int { sampler.forest.width }
  /// True: rows are independent.
  public var isShuffled: Bool { true }
  /// Whether these are the rows for evaluation.
  public var isHeldOut: Bool { first > 0 }
  /// A description for people.
  public var summary: String {
    let law = sampler.forest.law
    return
      "synthetic forest of \(counted(law.features, "feature")) in \(counted(law.roots, "tree")),"
      + " \(counted(rowCount, isHeldOut ? "held-out row" : "row")) of width \(width), computed when they are read"
      + " (seed \(law.seed))"
  }

  /// The training rows of the forest in the file at `path`.
  public init(path: String) throws(Failure) { try self.init(SafetensorsFile(path: path)) }

  init(_ file: SafetensorsFile) throws(Failure) {
    let forest = try SyntheticForest(file)
    var fingerprint = Fingerprint()
    fingerprint.add("forest")
    for path in file.paths { fingerprint.add(try MappedFile(path: path)) }
    self.init(
      SyntheticSampler(forest), path: file.path, fingerprint: fingerprint.finish(), first: 0)
  }

  /// The training rows of `forest`, which has no file.
  public init(_ forest: consuming SyntheticForest, name: String) {
    self.init(SyntheticSampler(forest), path: name, fingerprint: "", first: 0)
  }

  private init(
    _ sampler: SyntheticSampler, path: String, fingerprint: String, first: Int, threads: Int = 1
  ) {
    (self.sampler, self.path, self.fingerprint) = (sampler, path, fingerprint)
    (self.first, self.threads) = (first, threads)
    rowCount = sampler.forest.law.rows
  }

  /// The rows for evaluation; `threads` threads compute them.
  public func heldOut(threads: Int = processorCount) -> SyntheticRows {
    SyntheticRows(sampler, path: path, fingerprint: fingerprint, first: 1 << 48, threads: threads)
  }

  /// True: a forest never runs out of rows.
  public var hasHeldOutPart: Bool { true }
  /// The rows for evaluation (see ``heldOut(threads:)``).
  public func heldOutRows(threads: Int) -> (any RowSource)? { heldOut(threads: threads) }

  /// The same rows, which `threads` threads compute.
  public func computed(threads: Int) -> SyntheticRows {
    SyntheticRows(sampler, path: path, fingerprint: fingerprint, first: first, threads: threads)
  }

  /// Pieces of 65,536 rows.
  public var chunks: [Range<Int>] {
    stride(from: 0, to: rowCount, by: 1 << 16).map { $0..<min(rowCount, $0 + 1 << 16) }
  }

  /// The features that fire in row `row`.
  public func fired(_ row: Int) -> [FiredFeature] { sampler.fired(row: first + row) }

  /// Computes the rows with the indices `rows` (see `RowSource`).
  public func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    precondition(destination.count == rows.count * width, "Rows do not fill the destination.")
    let numbers = rows.indices.map { place in
      precondition(rows[place] >= 0 && rows[place] < rowCount, "Row \(rows[place]) of \(rowCount).")
      return first + rows[place]
    }
    let width = width
    let pieces = pieceCount(numbers.count, size: Self.pieceRows)
    unsafe destination.withUnsafeMutableBufferPointer { target in
      // Safe: each piece writes its own rows, and the loop ends before the closure does.
      nonisolated(unsafe) let target = unsafe target
      parallelFor(pieces, threads: threads) { piece, _ in
        var scratch = SyntheticSampler.Scratch()
        for place in pieceRange(piece, size: Self.pieceRows, count: numbers.count) {
          var row = unsafe target.extracting(place * width..<(place + 1) * width).mutableSpan
          sampler.write(numbers[place], into: &row, &scratch)
        }
      }
    }
  }

  private static let pieceRows = 64
}

extension SyntheticRows {
  /// The features that fire in each of `rows`.
  public func fired(_ rows: Range<Int>) -> [[FiredFeature]] {
    var result = [[FiredFeature]](repeating: [], count: rows.count)
    unsafe result.withUnsafeMutableBufferPointer { target in
      // Safe: each piece writes its own elements, and the loop ends before the closure does.
      nonisolated(unsafe) let target = unsafe target
      parallelFor(pieceCount(rows.count, size: 64), threads: threads) { piece, _ in
        var scratch = SyntheticSampler.Scratch()
        for place in pieceRange(piece, size: 64, count: rows.count) {
          sampler.draw(first + rows.lowerBound + place, into: &scratch)
          unsafe target[place] = scratch.fired
        }
      }
    }
    return result
  }
}

extension SyntheticRows {
  /// Writes the rows `range` to `path` as a NumPy file of 32-bit floats, and beside it which features fire in them
  /// (docs/formats.md). Returns the path of that second file. `progress` is called with the number of rows done. Memory
  /// holds what fires in all rows, about 300 bytes a row. `shouldStop` is called before each 8,192 rows; if it returns true,
  /// the result is nil and nothing is left behind.
  public func write(
    _ range: Range<Int>, to path: String, shouldStop: () -> Bool = { false },
    progress: (Int) -> Void = { _ in }
  ) throws(Failure) -> String? {
    var numbers = try DurableFile(path: path)
    guard try writeNumbers(range, to: &numbers, shouldStop, progress) else { return nil }
    let fired = Self.firedPath(beside: path)
    guard try writeFired(range, to: fired, shouldStop) else { return nil }
    try numbers.commit()
    return fired
  }

  /// The file that says which features fire in the rows at `path`.
  public static func firedPath(beside path: String) -> String {
    (path.hasSuffix(".npy") ? String(path.dropLast(4)) : path) + ".fired.safetensors"
  }

  private func parts(of range: Range<Int>) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: 8192).map {
      $0..<min(range.upperBound, $0 + 8192)
    }
  }

  /// Writes the numbers; false if `shouldStop` ended the work.
  private func writeNumbers(
    _ range: Range<Int>, to file: inout DurableFile, _ shouldStop: () -> Bool,
    _ progress: (Int) -> Void
  ) throws(Failure) -> Bool {
    try file.write(NumpyHeader.bytes(float32: [range.count, width]))
    var bytes: [UInt8] = []
    for part in parts(of: range) {
      if shouldStop() { return false }
      bytes.removeAll(keepingCapacity: true)
      let rows = try matrix(rows: part)
      ElementType.float32.encode(rows.span, to: &bytes)
      try file.write(bytes)
      progress(part.upperBound - range.lowerBound)
    }
    return true
  }

  /// Writes what fires; false if `shouldStop` ended the work.
  private func writeFired(
    _ range: Range<Int>, to path: String, _ shouldStop: () -> Bool
  ) throws(Failure) -> Bool {
    var (offsets, features, magnitudes) = ([UInt8](), [UInt8](), [Float]())
    appendBytes(of: Int64(0), to: &offsets)
    for part in parts(of: range) {
      if shouldStop() { return false }
      for row in fired(part) {
        for each in row.sorted(by: { $0.feature < $1.feature }) {
          appendBytes(of: Int32(each.feature), to: &features)
          magnitudes.append(each.magnitude)
        }
        appendBytes(of: Int64(magnitudes.count), to: &offsets)
      }
    }
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [
        .init("offsets", shape: [range.count + 1], type: .int64),
        .init("features", shape: [magnitudes.count], type: .int32),
        .init("magnitudes", shape: [magnitudes.count]),
      ],
      metadata: [
        "format": "hsae-fired", "forest": Path.name(self.path), "forest_fingerprint": fingerprint,
        "part": isHeldOut ? "holdout" : "training", "first": "\(range.lowerBound)",
      ])
    // Safe: views of bytes.
    try unsafe writer.append("offsets", bytes: offsets.span.bytes)
    try unsafe writer.append("features", bytes: features.span.bytes)
    try writer.append("magnitudes", magnitudes)
    _ = try writer.finish()
    return true
  }
}
