// The protocol through which training and evaluation read rows, and the function that opens a path by its
// content. Each format has its own file.

public import HSAESupport
public import HSAETensors

/// A matrix on disk whose rows can be read in any order, by any thread.
///
/// Rows come as they are stored, as 32-bit floats; the trainer normalises them.
public protocol RowSource: Sendable {
  /// Number of rows.
  var rowCount: Int { get }
  /// Numbers in a row.
  var width: Int { get }
  /// The path as the user wrote it.
  var path: String { get }
  /// A description for people: "activation store, 222189 rows of width 640, float16".
  var summary: String { get }
  /// A hash of the layout and of a sample of the bytes (`Fingerprint`), to notice other data.
  var fingerprint: String { get }

  /// Reads the rows with the indices `rows` into `destination`, one after another.
  ///
  /// `destination` has `rows.count * width` elements. An index outside 0 ..< rowCount traps. Fails with
  /// `.data` and the row's index if a row holds a NaN or an infinity.
  func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure)

  /// Ranges of rows that lie together on disk. Together they are all rows, in order.
  var chunks: [Range<Int>] { get }
  /// Whether rows were shuffled when they were written, so that a chunk's rows are a fair sample.
  var isShuffled: Bool { get }
  /// Asks the system to read `rows` into memory, so that reading them soon does not wait for the disk.
  func prefetch(_ rows: Range<Int>)

  /// Whether it has rows that training does not read, or holds such rows itself.
  var hasHeldOutPart: Bool { get }
  /// The rows that training does not read; nil if there are none. Rows that are computed use `threads` threads.
  func heldOutRows(threads: Int) throws(Failure) -> (any RowSource)?
}

extension RowSource {
  /// Ranges of a power of two of rows, 32 MiB of half-precision numbers or less.
  public var chunks: [Range<Int>] {
    let size = ActivationStore.chunkRows(count: rowCount, rowBytes: 2 * max(1, width))
    return stride(from: 0, to: rowCount, by: size).map { $0..<min(rowCount, $0 + size) }
  }
  /// False: the order of rows is unknown.
  public var isShuffled: Bool { false }
  /// Does nothing.
  public func prefetch(_ rows: Range<Int>) {}
  /// False.
  public var hasHeldOutPart: Bool { false }
  /// Nil.
  public func heldOutRows(threads: Int) throws(Failure) -> (any RowSource)? { nil }

  /// Reads the rows with the indices `rows` into the rows of `matrix` from `start` on.
  public func gather(
    _ rows: Span<Int>, into matrix: inout Matrix, startingAt start: Int = 0
  ) throws(Failure) {
    precondition(
      matrix.columns == width, "Rows of width \(width) in a matrix of \(matrix.columns).")
    precondition(start >= 0 && rows.count <= matrix.rows - start, "The rows do not fit the matrix.")
    var elements = matrix.mutableSpan
    var part = elements.part(start * width..<(start + rows.count) * width)
    try read(rows, into: &part)
  }

  /// Reads the rows with the indices `rows` into the rows of `matrix` from `start` on.
  public func gather(
    _ rows: [Int], into matrix: inout Matrix, startingAt start: Int = 0
  ) throws(Failure) {
    try gather(rows.span, into: &matrix, startingAt: start)
  }

  /// The rows `range` as a matrix.
  public func matrix(rows range: Range<Int>) throws(Failure) -> Matrix {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= rowCount, "Rows \(range) of \(rowCount).")
    var matrix = Matrix(rows: range.count, columns: width)
    try gather(Array(range), into: &matrix)
    return matrix
  }

  /// The failure for row `row`, which holds `what`.
  func notFinite(row: Int, _ what: String = ElementType.notFinite) -> Failure {
    .data(
      "\(path): row \(row) (counting from 0) holds \(what); remove the row or repair what wrote it."
    )
  }
}

/// Opens the activation store at `path`; nil if something else is there. Fails with `.missing` if nothing is.
public func openStore(
  path: String, allowIncomplete: Bool = false
) throws(Failure) -> ActivationStore? {
  guard Path.exists(path) else { throw .missing("\(path): there is no such store.") }
  guard Path.exists(Path.join(path, "zarr.json")) else { return nil }
  return try openRows(path: path, allowIncomplete: allowIncomplete) as? ActivationStore
}

/// Opens the matrix at `path`: a `.npy` file, a `.safetensors` file with one matrix or the index of several files, a
/// synthetic forest, an activation store, or a Zarr v3 array of two dimensions. The content decides, not the name. A
/// folder may also hold one index of `.safetensors` files.
///
/// `tensor` picks the tensor of `.safetensors` files with several. `allowIncomplete` opens stores whose
/// collection has not ended. `giantNorms` decides whether rows flagged for their norm are read, and
/// `restoresLengths` whether a store's unit rows get back their original lengths.
public func openRows(
  path: String, tensor: String? = nil, allowIncomplete: Bool = false,
  giantNorms: GiantNorms = .skip, restoresLengths: Bool = false
) throws(Failure) -> any RowSource {
  if Path.isDirectory(path) {
    let metadata = Path.join(path, "zarr.json")
    guard Path.exists(metadata) else {
      let indices = try Path.list(path).filter { $0.hasSuffix(SafetensorsIndex.suffix) }
      if indices.count == 1 {
        return try MappedRows(
          SafetensorsFile(path: Path.join(path, indices[0]), tensor: tensor), tensor: tensor)
      }
      if [".zarray", ".zgroup"].contains(where: { Path.exists(Path.join(path, $0)) }) {
        throw .data(
          "\(path): this is Zarr version 2, and hsae reads version 3; write it again with zarr_format=3."
        )
      }
      throw .data(
        "\(path): this folder has no zarr.json, so it is not an activation store; give a store, a Zarr"
          + " v3 array, a .npy or a .safetensors file, or the index of several of these.")
    }
    let node = try ZarrNode(path: path)
    switch node {
    case .group:
      return try ActivationStore(
        path: path, allowIncomplete: allowIncomplete, giantNorms: giantNorms,
        restoresLengths: restoresLengths)
    case .array(let layout): return try ZarrRows(path: path, layout: layout)
    }
  }
  let file = try MappedFile(path: path)
  if NumpyHeader.begins(file) { return try MappedRows(numpy: file) }
  if SafetensorsFile.looksLikeSafetensors(file) {
    let opened = try SafetensorsFile(file)
    if tensor == nil, SyntheticForest.isForest(opened) { return try SyntheticRows(opened) }
    return try MappedRows(opened, tensor: tensor)
  }
  if let index = try SafetensorsIndex(file) {
    return try MappedRows(SafetensorsFile(index, tensor: tensor), tensor: tensor)
  }
  throw .data(
    "\(path): this is neither a .npy nor a .safetensors file, nor an activation store; convert it"
      + " to one of these.")
}
