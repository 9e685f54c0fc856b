// Reading an activation store: a Zarr v3 group of shuffled unit rows, their norms and tokens, and,
// for stores of an unembedding matrix, the vocabulary and the transform that made the rows. Writing
// is in `ActivationStore+Create.swift`; the layout is described in docs/architecture.md.

public import HSAESupport

/// An activation store, opened to read. Its rows are the `directions`: unit rows, shuffled.
public final class ActivationStore: RowSource {
  /// What the store says about itself.
  public let attributes: StoreAttributes
  /// The path as the user wrote it.
  public let path: String
  /// Names the content (see `RowSource`).
  public let fingerprint: String
  private let directions: ZarrRows

  /// The length of each row before it was scaled to unit norm [rowCount].
  public let norms: [Float]
  /// The token of each row [rowCount].
  public let tokens: [Int32]
  /// The text of every token of the model, by token id, dropped ones included; empty if the store
  /// has none.
  public let vocabulary: [String]
  /// What was subtracted from the rows [width], if they were centred.
  public let mean: [Float]?
  /// The symmetric matrix W [width × width, row-major] by which the centred rows were multiplied,
  /// (x − mean)·W, if they were whitened.
  public let whitening: [Float]?

  private let rowsOfTokens: [Int32: Int]

  /// Number of rows.
  public var rowCount: Int { directions.rowCount }
  /// Numbers in a row.
  public var width: Int { directions.width }
  /// What it is, for people.
  public var summary: String {
    "activation store (\(attributes.kind.rawValue) of \(attributes.modelName),"
      + " \(attributes.hookPoint)), \(rowCount) rows of width \(width)"
  }

  /// Opens the store in the folder `path`.
  ///
  /// Fails with `.missing` if there is none, and with `.data` if it is damaged, of a later version,
  /// or incomplete and not `allowIncomplete`.
  public init(path: String, allowIncomplete: Bool = false) throws(Failure) {
    self.path = path
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
    func has(_ name: String) -> Bool { Path.exists(Path.join(path, name)) }
    norms = try array("norms", shape: [rowCount]).floats()
    tokens = try array("tokens", shape: [rowCount]).integers(Int32.self, as: .int32)
    vocabulary = has("vocabulary") ? try Vocabulary.read(from: Path.join(path, "vocabulary")) : []
    mean = has("mean") ? try array("mean", shape: [width]).floats() : nil
    whitening = has("whitening") ? try array("whitening", shape: [width, width]).floats() : nil

    var rowsOfTokens: [Int32: Int] = [:]
    if attributes.kind == .unembedding {
      rowsOfTokens.reserveCapacity(rowCount)
      for (row, token) in tokens.enumerated() {
        guard token >= 0, vocabulary.isEmpty || Int(token) < vocabulary.count,
          rowsOfTokens.updateValue(row, forKey: token) == nil
        else {
          throw .data("\(path): the token \(token) of row \(row) is impossible or there twice.")
        }
      }
    }
    self.rowsOfTokens = rowsOfTokens
    var fingerprint = Fingerprint()
    fingerprint.add(try JSONFile.encode(attributes))
    fingerprint.add(directions.fingerprint)
    self.fingerprint = fingerprint.finish()
  }

  /// Reads the rows with the indices `rows` into `destination` (see `RowSource`).
  public func read(_ rows: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    try directions.read(rows, into: &destination)
  }

  /// The row of `token` in a store of an unembedding matrix; nil if the token was dropped.
  public func row(of token: Int32) -> Int? { rowsOfTokens[token] }
}
