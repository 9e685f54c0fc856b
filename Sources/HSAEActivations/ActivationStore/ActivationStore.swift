// Reads an activation store: a Zarr v3 group of shuffled unit rows, their norms and tokens, and, for stores
// of an unembedding matrix, the vocabulary and the transform that made the rows. docs/formats.md describes
// the layout.

public import HSAESupport

/// An activation store, opened to read. Its rows are the `directions`: unit rows, shuffled, or rows of their
/// original lengths (`restoresLengths`). Rows that collection flagged are left out (`giantNorms`); indices
/// count the others.
public final class ActivationStore: RowSource {
  /// The store's attributes.
  public let attributes: StoreAttributes
  /// The path as the user wrote it.
  public let path: String
  /// A hash that names the content (see `RowSource`).
  public let fingerprint: String
  /// Whether rows flagged for their norm are read.
  public let giantNorms: GiantNorms
  /// Whether rows are read at their original lengths, before they were scaled to unit norm.
  public let restoresLengths: Bool
  private let directions: ZarrRows
  private let visible: VisibleRows
  private let storedNorms: ZarrIntegers<UInt32>
  private let storedTokens: ZarrIntegers<Int32>
  private let storedDocuments: ZarrIntegers<Int32>?
  private let storedPositions: ZarrIntegers<Int32>?

  /// The text of every token of the model, by token id, dropped ones included; empty if there is none.
  public let vocabulary: [String]
  /// The mean that was subtracted from the rows [width]; nil if they were not centred.
  public let mean: [Float]?
  /// The symmetric matrix W [width × width, row-major] that multiplied the centred rows, (x − mean)·W; nil if
  /// they were not whitened.
  public let whitening: [Float]?

  private let rowsOfTokens: [Int32: Int]

  /// Number of rows that are read.
  public var rowCount: Int { visible.count }
  /// Number of rows that carry a flag.
  public var flaggedCount: Int { visible.flaggedCount }
  /// Number of rows that are left out because of their flags.
  public var skippedCount: Int { visible.skippedCount }
  /// Whether a chunk is a fair sample of all rows. Stores of an unembedding matrix are too small for that.
  public var isShuffled: Bool { attributes.kind == .residualStream }
  /// Numbers in a row.
  public var width: Int { directions.width }
  /// A description for people.
  public var summary: String {
    "activation store (\(attributes.kind.rawValue) of \(attributes.modelName),"
      + " \(attributes.hookPoint)), \(counted(rowCount, "row")) of width \(width)"
      + (skippedCount > 0 ? ", \(counted(skippedCount, "flagged row")) left out" : "")
  }

  /// Opens the store in the folder `path`.
  ///
  /// Fails with `.missing` if there is none, and with `.data` if it is damaged, of a later version,
  /// or incomplete and not `allowIncomplete`.
  public init(
    path: String, allowIncomplete: Bool = false, giantNorms: GiantNorms = .skip,
    restoresLengths: Bool = false
  ) throws(Failure) {
    self.path = path
    self.restoresLengths = restoresLengths
    self.giantNorms = giantNorms
    let file = Path.join(path, "zarr.json")
    guard Path.isDirectory(path), Path.exists(file) else {
      throw .missing("\(path): there is no activation store here.")
    }
    guard case .group = try ZarrNode(path: path) else {
      throw .data("\(path): this is a Zarr array, not an activation store.")
    }
    let attributes = try JSONFile.read(StoreGroup.self, from: file).attributes
    self.attributes = attributes
    guard attributes.formatVersion == 1 else {
      throw .data(
        "\(path): the store has layout version \(attributes.formatVersion), and this program knows 1;"
          + " use a newer one.")
    }
    guard attributes.complete || allowIncomplete else {
      throw .data("\(path): the store is incomplete; let its collection end, or collect it again.")
    }
    directions = try ZarrRows(path: Path.join(path, "directions"))
    let (rowCount, width) = (directions.rowCount, directions.width)
    guard rowCount == attributes.rowCount, width == attributes.width else {
      throw .data(
        "\(path): \"directions\" is \(rowCount) × \(width), and the attributes say"
          + " \(attributes.rowCount) × \(attributes.width); the store is damaged.")
    }
    func array(_ name: String, shape: [Int]) throws(Failure) -> ZarrArray {
      let array = try ZarrArray(path: Path.join(path, name))
      guard array.layout.shape == shape else {
        throw .data(
          "\(array.path): the array has the shape \(array.layout.shape), and \(shape) is needed; the"
            + " store is damaged.")
      }
      return array
    }
    // Every row of a complete store was written, so a missing chunk was lost later.
    guard directions.isWhole || !attributes.complete else {
      throw .data(
        "\(path)/directions: chunks are missing, though the store is complete; restore them, or collect"
          + " it again.")
    }
    func has(_ name: String) -> Bool { Path.exists(Path.join(path, name)) }
    func rowArray<Element>(
      _ name: String, _ type: ZarrType, as element: Element.Type
    ) throws(Failure) -> ZarrIntegers<Element> {
      try ZarrIntegers(
        path: Path.join(path, name), type: type, count: rowCount,
        allowsGaps: !attributes.complete)
    }
    storedNorms = try rowArray("norms", .float32, as: UInt32.self)
    storedTokens = try rowArray("tokens", .int32, as: Int32.self)
    func places(_ name: String) throws(Failure) -> ZarrIntegers<Int32>? {
      has(name) ? try rowArray(name, .int32, as: Int32.self) : nil
    }
    storedDocuments = try places("documents")
    storedPositions = try places("positions")
    visible =
      has("flags")
      ? VisibleRows(
        flags: try rowArray("flags", .uint8, as: UInt8.self), giantNorms: giantNorms)
      : VisibleRows(count: rowCount)
    guard visible.count > 0 else {
      throw .data("\(path): all \(rowCount) rows are flagged, so there is nothing to read.")
    }
    // The vocabulary of the held-out part is in the store around it.
    let owner = attributes.collection?.part == .holdout && !has("vocabulary") ? path + "/.." : path
    let words = Path.join(owner, "vocabulary")
    vocabulary = Path.exists(words) ? try Vocabulary.read(from: words) : []
    mean = has("mean") ? try array("mean", shape: [width]).floats() : nil
    whitening = has("whitening") ? try array("whitening", shape: [width, width]).floats() : nil

    var rowsOfTokens: [Int32: Int] = [:]
    if attributes.kind == .unembedding {
      rowsOfTokens.reserveCapacity(rowCount)
      for row in 0..<rowCount {
        let token = storedTokens[row]
        guard token >= 0, vocabulary.isEmpty || Int(token) < vocabulary.count,
          rowsOfTokens.updateValue(row, forKey: token) == nil
        else {
          throw .data("\(path): the token \(token) of row \(row) is impossible or occurs twice.")
        }
      }
    }
    self.rowsOfTokens = rowsOfTokens
    var fingerprint = Fingerprint()
    fingerprint.add(try JSONFile.encode(attributes))
    fingerprint.add(directions.fingerprint)
    if visible.skippedCount > 0 { fingerprint.add("without \(visible.skippedCount) rows") }
    self.fingerprint = fingerprint.finish()
  }

  /// Reads the rows with the indices `rows` into `destination` (see `RowSource`).
  public func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    if visible.skippedCount == 0 {
      try directions.read(rows, into: &destination)
    } else {
      var stored: [Int] = []
      stored.reserveCapacity(rows.count)
      for index in rows.indices { stored.append(visible.stored(rows[index])) }
      try directions.read(stored.span, into: &destination)
    }
    guard restoresLengths else { return }
    for (place, row) in rows.indices.enumerated() {
      let norm = norm(rows[row])
      for column in place * width..<(place + 1) * width { destination[column] *= norm }
    }
  }

  /// The chunks of the store, without the rows that are left out.
  public var chunks: [Range<Int>] {
    directions.chunks.map {
      visible.index(from: $0.lowerBound)..<visible.index(from: $0.upperBound)
    }
  }

  /// Asks the system to read `rows` into memory (see `RowSource`).
  public func prefetch(_ rows: Range<Int>) {
    if rows.isEmpty { return }
    directions.prefetch(visible.stored(rows.lowerBound)..<visible.stored(rows.upperBound - 1) + 1)
  }

  /// The token of row `row`.
  public func token(_ row: Int) -> Int32 {
    storedTokens[visible.stored(row)]
  }

  /// The length of row `row` before it was scaled to unit norm.
  public func norm(_ row: Int) -> Float { Float(bitPattern: storedNorms[visible.stored(row)]) }

  /// The tokens of all rows [rowCount].
  public var tokens: [Int32] { (0..<rowCount).map(token) }
  /// The lengths of all rows before they were scaled to unit norm [rowCount].
  public var norms: [Float] { (0..<rowCount).map(norm) }

  /// The document of row `row` and its position there; nil if the store does not record them.
  public func place(_ row: Int) -> (document: Int, position: Int)? {
    guard let storedDocuments, let storedPositions else { return nil }
    let row = visible.stored(row)
    return (Int(storedDocuments[row]), Int(storedPositions[row]))
  }

  /// The text of `token`, with "▁" for a leading space; its number if the store has no vocabulary.
  public func text(ofToken token: Int32) -> String {
    token >= 0 && Int(token) < vocabulary.count ? vocabulary[Int(token)] : "<token \(token)>"
  }

  /// The index of row `row` in the store's arrays, which include the rows that are left out.
  public func storedRow(_ row: Int) -> Int { visible.stored(row) }

  /// The row of `token` in a store of an unembedding matrix; nil if the token was dropped.
  public func row(of token: Int32) -> Int? { rowsOfTokens[token] }

  /// Whether this store has held-out rows, or is its held-out part itself.
  public var hasHeldOutPart: Bool {
    attributes.collection?.part == .holdout || Path.isDirectory(Path.join(path, "holdout"))
      || (attributes.collection?.holdoutRows ?? 0) > 0
  }

  /// The held-out part (see ``heldOutPart()``).
  public func heldOutRows(threads: Int) throws(Failure) -> (any RowSource)? { try heldOutPart() }

  /// The held-out rows of this store, opened with the same settings; nil if it has none. Called on the
  /// held-out part, it returns that part.
  ///
  /// Fails with `.data` if the held-out rows are gone or damaged.
  public func heldOutPart() throws(Failure) -> ActivationStore? {
    if attributes.collection?.part == .holdout { return self }
    let folder = Path.join(path, "holdout")
    guard Path.isDirectory(folder) else {
      let rows = attributes.collection?.holdoutRows ?? 0
      if rows == 0 { return nil }
      throw .data(
        "\(path): its \(counted(rows, "held-out row")) (folder holdout) are gone; restore the folder,"
          + " or collect the store again.")
    }
    return try ActivationStore(
      path: folder, giantNorms: giantNorms, restoresLengths: restoresLengths)
  }
}
