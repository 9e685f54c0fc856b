// The metadata of a Zarr v3 node (`zarr.json`). This project reads and writes uncompressed, little-endian
// arrays on a regular chunk grid; an error names anything else.

import HSAESupport

/// The element types of the arrays that are read or written.
enum ZarrType: String, Sendable {
  case float16, float32, float64, bfloat16
  case int8, int16, int32, int64, uint8, uint16, uint32, uint64

  var size: Int {
    switch self {
    case .int8, .uint8: 1
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  /// The float type to read it as; nil for integers.
  var elementType: ElementType? { ElementType(rawValue: rawValue) }
}

enum ZarrNode {
  case group
  case array(ZarrLayout)

  /// Reads the metadata of the node in the folder `path`. Fails with `.missing` if it has none, and with `.data` if
  /// hsae cannot read it or if it is a group that is not an activation store.
  init(path: String) throws(Failure) {
    let file = Path.join(path, "zarr.json")
    // Attributes that Python wrote may contain NaN.
    let tree = try JSONFile.readTree(
      from: file, dialect: .python, limits: JSONLimits(depth: 64, values: 1_000_000))
    guard let object = tree.object else { throw .data("\(file): this is not a JSON object.") }
    guard object["zarr_format"] == .integer(3) else {
      throw .data("\(file): this is not Zarr format 3; convert the array to that format.")
    }
    switch object["node_type"]?.string {
    case "group":
      guard object["attributes"]?["kind"] != nil else {
        throw .data(
          "\(path): this is a Zarr group, but not an activation store of hsae; give the array in it that has the"
            + " rows.")
      }
      self = .group
    case "array": self = .array(try ZarrLayout(object, file: file))
    default: throw .data("\(file): \"node_type\" is neither \"array\" nor \"group\".")
    }
  }
}

/// Shape, chunks and type of a Zarr array of one or two dimensions.
struct ZarrLayout: Sendable {
  /// One or two dimensions, slowest first.
  var shape: [Int]
  /// The chunk's sides, one for each dimension; all at least 1.
  var chunk: [Int]
  var type: ZarrType
  /// The value of elements in chunks without a file.
  var fill: Double = 0
  /// Separates a chunk's indices in its file's name: "/" or ".". With `hasPrefix`, "c" comes before them.
  var separator = "/"
  var hasPrefix = true
}

extension ZarrLayout {
  /// The layout of the array in the folder `path`; fails with `.data` if the node is a group.
  init(path: String) throws(Failure) {
    guard case .array(let layout) = try ZarrNode(path: path) else {
      throw .data("\(path): this is a Zarr group where an array should be.")
    }
    self = layout
  }

  func chunks(along axis: Int) -> Int { (shape[axis] + chunk[axis] - 1) / chunk[axis] }

  /// The bytes of a chunk's file; a chunk at the edge is as large as the others.
  var chunkBytes: Int { chunk.reduce(type.size, *) }

  /// The name of a chunk's file within the array's folder.
  func key(_ indices: [Int]) -> String {
    ((hasPrefix ? ["c"] : []) + indices.map { "\($0)" }).joined(separator: separator)
  }

  init(_ object: [String: JSONValue], file: String) throws(Failure) {
    let known: Set<String> = [
      "zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding",
      "fill_value", "codecs", "attributes", "dimension_names", "storage_transformers",
    ]
    for (key, value) in object.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
      if value["must_understand"] == .bool(false) { continue }
      throw .data("\(file): the extension \"\(key.prefix(40))\" is not supported.")
    }
    guard let typeName = object["data_type"]?.string, let type = ZarrType(rawValue: typeName) else {
      let name = object["data_type"].map { $0.text(indent: nil).prefix(40) } ?? "missing"
      throw .data("\(file): the data type \(name) is not supported; floats and integers are.")
    }
    self.type = type
    guard let shape = object["shape"]?.integers, let grid = object["chunk_grid"],
      Self.name(grid) == "regular", let chunk = grid["configuration"]?["chunk_shape"]?.integers
    else { throw .data("\(file): a sound \"shape\" and a regular \"chunk_grid\" are needed.") }
    guard (1...2).contains(shape.count), chunk.count == shape.count else {
      throw .data("\(file): the array has \(shape.count) dimensions; 1 or 2 can be read.")
    }
    self.shape = shape
    self.chunk = chunk
    try Self.check(shape, chunk, type, file: file)
    try Self.checkCodecs(object["codecs"], type: type, file: file)
    if let transformers = object["storage_transformers"], transformers != .array([]) {
      throw .data("\(file): storage transformers are not supported; write the array without them.")
    }
    let encoding = object["chunk_key_encoding"]
    switch Self.name(encoding) {
    case "default": hasPrefix = true
    case "v2": hasPrefix = false
    default: throw .data("\(file): this \"chunk_key_encoding\" is not supported; use \"default\".")
    }
    let separator = encoding?["configuration"]?["separator"]?.string ?? (hasPrefix ? "/" : ".")
    guard separator == "/" || separator == "." else {
      throw .data("\(file): the separator of chunk names must be \"/\" or \".\".")
    }
    self.separator = separator
    fill = try Self.fill(object["fill_value"], type, file: file)
  }

  /// The name of an extension object, which may be a plain string.
  private static func name(_ value: JSONValue?) -> String? {
    value?.string ?? value?["name"]?.string
  }

  private static func check(
    _ shape: [Int], _ chunk: [Int], _ type: ZarrType, file: String
  ) throws(Failure) {
    var chunkBytes = type.size
    var bytes = type.size
    var chunks = 1
    for (side, chunkSide) in zip(shape, chunk) {
      guard side >= 0, chunkSide >= 1, side < 1 << 56, chunkSide < 1 << 56 else {
        throw .data("\(file): the shape \(shape) in chunks of \(chunk) is impossible.")
      }
      let (product, first) = chunkBytes.multipliedReportingOverflow(by: chunkSide)
      let (all, second) = bytes.multipliedReportingOverflow(by: side)
      let along = side / chunkSide + (side % chunkSide == 0 ? 0 : 1)
      let (count, third) = chunks.multipliedReportingOverflow(by: along)
      guard !first, !second, !third, product < 1 << 56, all < 1 << 56 else {
        throw .data("\(file): the shape \(shape) in chunks of \(chunk) is too large.")
      }
      (chunkBytes, bytes, chunks) = (product, all, count)
    }
    guard chunks <= maximumChunks else {
      throw .data(
        "\(file): the array has \(chunks) chunks; at most \(maximumChunks) can be read, so write it"
          + " with larger chunks.")
    }
  }

  /// The most chunks an array may have. Each is mapped, and systems allow some 65,000 maps.
  static let maximumChunks = 32_768

  private static func checkCodecs(
    _ value: JSONValue?, type: ZarrType, file: String
  ) throws(Failure) {
    guard let codecs = value?.array, !codecs.isEmpty else {
      throw .data("\(file): \"codecs\" is missing or not a list.")
    }
    for codec in codecs {
      guard let name = name(codec) else { throw .data("\(file): a codec has no name.") }
      guard name == "bytes" else {
        throw .data(
          "\(file): the codec \"\(name.prefix(40))\" is not supported; write the array uncompressed"
            + " and unsharded (codec \"bytes\" alone).")
      }
      let endian = codec["configuration"]?["endian"]?.string
      guard endian == "little" || (endian == nil && type.size == 1) else {
        throw .data("\(file): the numbers are not little-endian; write them in that order.")
      }
    }
    guard codecs.count == 1 else { throw .data("\(file): the codec \"bytes\" occurs twice.") }
  }

  /// The fill value: a number, or for floats a word or the number's bits in hexadecimal.
  private static func fill(
    _ value: JSONValue?, _ type: ZarrType, file: String
  ) throws(Failure) -> Double {
    if let number = value?.number { return number }
    if let text = value?.string, let number = type.elementType?.fill(text) { return number }
    throw .data("\(file): \"fill_value\" is not a number of the type \(type.rawValue).")
  }
}

extension ElementType {
  /// The number that `text` names as a fill value: NaN, Infinity, -Infinity, or its bits, such as 0x7fc00000 for a
  /// float32. Nil if it names none of this type.
  fileprivate func fill(_ text: String) -> Double? {
    switch text {
    case "NaN": return .nan
    case "Infinity": return .infinity
    case "-Infinity": return -.infinity
    default: break
    }
    guard text.hasPrefix("0x"), text.utf8.count == 2 + 2 * size,
      text.dropFirst(2).allSatisfy(\.isHexDigit), let bits = UInt64(text.dropFirst(2), radix: 16)
    else { return nil }
    if self == .float64 { return Double(bitPattern: bits) }
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
    var floats: [Float] = [0]
    var span = floats.mutableSpan
    // Safe: a view of integers as bytes, whose number `decode` checks.
    unsafe decode(bytes.span.bytes, into: &span)
    return Double(floats[0])
  }
}
