// Writes an activation store from rows in memory: shuffled, durable, complete or not there at all.

public import HSAESupport
public import HSAETensors

extension ActivationStore {
  /// Writes a store at `path`, where nothing may be yet; with `replacing`, it replaces a store there.
  ///
  /// Row i of `rows` [n × d, unit rows] goes to position π(i), where `shuffleSeed` chooses the permutation π;
  /// `norms` [n] and `tokens` [n] go with it. `vocabulary` is by token id. `mean` [d] and `whitening` [d × d,
  /// row-major] describe how the rows were made: (x − mean)·whitening, then unit norm.
  ///
  /// Fails with `.cannotCreate` or `.inputOutput` and leaves `path` as it was. A folder that is not a store is
  /// not replaced, unless it is empty.
  public static func create(
    at path: String, attributes: StoreAttributes, rows: borrowing Matrix, norms: [Float],
    tokens: [Int32], vocabulary: [String]? = nil, mean: [Float]? = nil, whitening: [Float]? = nil,
    shuffleSeed: UInt64, replacing: Bool = false
  ) throws(Failure) {
    let (count, width) = (rows.rows, rows.columns)
    precondition(norms.count == count && tokens.count == count, "Norms or tokens do not fit rows.")
    precondition(mean == nil || mean?.count == width, "The mean does not fit the rows.")
    precondition(
      whitening == nil || whitening?.count == width * width, "The whitening does not fit the rows.")
    guard count > 0, width > 0 else {
      throw .data("\(path): a store of \(count) rows of width \(width) would be empty.")
    }
    if replacing { try requireReplaceable(path) }
    let folder = try DurableDirectory(path: path, replacing: replacing)
    let order = {
      let permutation = Permutation(count: count, seed: shuffleSeed)
      return (0..<count).map { permutation.index(at: $0) }
    }()
    let chunkRows = chunkRows(count: count, rowBytes: 2 * width)

    let directions = try ZarrArrayWriter(
      creating: folder.file("directions"), shape: [count, width], chunkRows: chunkRows,
      type: .float16, dimensions: ["row", "dimension"])
    var buffer: [UInt8] = []
    var start = 0
    for (position, index) in order.enumerated() {
      ElementType.float16.encode(rows.row(index), to: &buffer)
      if buffer.count >= 1 << 22 || position == count - 1 {
        try directions.write(buffer, atRow: start)
        buffer.removeAll(keepingCapacity: true)
        start = position + 1
      }
    }
    let partialPath = folder.partialPath
    func writeFloats(_ name: String, _ floats: [Float], shape: [Int]) throws(Failure) {
      var bytes: [UInt8] = []
      ElementType.float32.encode(floats.span, to: &bytes)
      let array = try ZarrArrayWriter(
        creating: Path.join(partialPath, name), shape: shape,
        chunkRows: shape[0] == count ? chunkRows : width,
        type: .float32,
        dimensions: name == "norms" ? ["row"] : Array(["dimension", "output"].prefix(shape.count)))
      try array.write(bytes, atRow: 0)
    }
    try writeFloats("norms", order.map { norms[$0] }, shape: [count])
    let tokenArray = try ZarrArrayWriter(
      creating: folder.file("tokens"), shape: [count], chunkRows: chunkRows, type: .int32,
      dimensions: ["row"])
    for index in order { appendBytes(of: tokens[index], to: &buffer) }
    try tokenArray.write(buffer, atRow: 0)
    if let vocabulary { try Vocabulary.write(vocabulary, to: folder.file("vocabulary")) }
    if let mean { try writeFloats("mean", mean, shape: [width]) }
    if let whitening { try writeFloats("whitening", whitening, shape: [width, width]) }

    var attributes = attributes
    attributes.rowCount = count
    attributes.width = width
    attributes.shuffleSeed = shuffleSeed
    attributes.shuffle = Permutation.name
    attributes.complete = true
    try JSONFile.write(StoreGroup(attributes: attributes), to: folder.file("zarr.json"))
    try folder.commit()
  }

  /// Fails with `.cannotCreate` unless a store may be written at `path`: nothing is there, an empty folder,
  /// or another store, complete or not.
  public static func requireReplaceable(_ path: String) throws(Failure) {
    let path = Path.trimmed(path)
    guard Path.exists(path) else { return }
    guard Path.isDirectory(path) else { throw .isTaken(path) }
    if let names = try? Path.list(path), names.isEmpty { return }
    let group = try? JSONFile.readTree(from: Path.join(path, "zarr.json"))
    guard group?["node_type"]?.string == "group",
      group?["attributes"]?[StoreAttributes.CodingKeys.formatVersion.rawValue] != nil
    else {
      throw Failure(
        .cannotCreate,
        "\(path): this folder is not an activation store, so it is not replaced; choose another --out."
      )
    }
  }

  /// Rows per chunk: a power of two, at most 32 MiB, but more if there would be over 4,096 chunks.
  static func chunkRows(count: Int, rowBytes: Int) -> Int {
    func powerOfTwo(_ number: Int) -> Int {
      1 << (Int.bitWidth - 1 - max(1, number).leadingZeroBitCount)
    }
    let forSize = powerOfTwo((1 << 25) / rowBytes)
    let forCount = count <= 4096 ? 1 : powerOfTwo((count - 1) / 4096) * 2
    return max(forSize, forCount)
  }
}
