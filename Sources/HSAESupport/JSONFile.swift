// Reads and writes JSON files of the project's own types. Written files are sorted, indented and durable;
// errors of reading name the file and the key.

import FoundationEssentials

/// Reading and writing values as JSON files.
public enum JSONFile {
  /// `value` as JSON text with sorted keys, indented by two spaces, and a final line end.
  public static func encode(_ value: some Encodable) throws(Failure) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    } catch {
      throw Failure(.software, "A value cannot be written as JSON: \(error).")
    }
  }

  /// Writes `value` to a durable file at `path`.
  public static func write(_ value: some Encodable, to path: String) throws(Failure) {
    try DurableFile.write(encode(value), to: path)
  }

  /// The value of type `type` in the file at `path`.
  ///
  /// With `knownKeys`, fails for any other key of the top-level object and suggests the nearest known one.
  public static func read<Value: Decodable>(
    _ type: Value.Type, from path: String, knownKeys: [String]? = nil
  ) throws(Failure) -> Value {
    try decode(type, from: bytes(of: path), source: path, knownKeys: knownKeys)
  }

  /// Decodes a value of type `type` from `bytes`; `source` names them in messages.
  public static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8], source: String, knownKeys: [String]? = nil
  ) throws(Failure) -> Value {
    // Our parser finds repeated keys, which Foundation's accepts.
    let tree = try JSONValue(parsing: bytes, source: source)
    if let knownKeys { try rejectUnknownKeys(of: tree, known: knownKeys, source: source) }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch let error as DecodingError {
      throw .data("\(source): \(sentence(for: error))")
    } catch {
      throw .data("\(source): this is not the JSON that is expected here: \(error).")
    }
  }

  /// The JSON tree in the file at `path`.
  public static func readTree(
    from path: String, dialect: JSONDialect = .strict, limits: JSONLimits = JSONLimits()
  ) throws(Failure) -> JSONValue {
    try JSONValue(parsing: bytes(of: path), source: path, dialect: dialect, limits: limits)
  }

  static let maximumSize = 256 << 20

  private static func bytes(of path: String) throws(Failure) -> [UInt8] {
    let file = try Descriptor(reading: path)
    let count = try file.size()
    guard count <= maximumSize else {
      throw .data("\(path): \(count) bytes are too many for a JSON file of this kind.")
    }
    // Reading a small file is quicker than mapping it, and it may be shortened meanwhile.
    let bytes = try file.bytes(count, at: 0)
    try Failure.refusePointer(bytes, path: path)
    return bytes
  }

  /// Fails if the object `tree` has a key that is not among `known`; `source` names the file.
  public static func rejectUnknownKeys(
    of tree: JSONValue, known: [String], source: String
  ) throws(Failure) {
    guard let object = tree.object else {
      throw .data("\(source): a JSON object ({…}) is expected here.")
    }
    guard let unknown = object.keys.filter({ !known.contains($0) }).min() else { return }
    let hint =
      nearest(to: unknown, among: known).map { "did you mean \"\($0)\"?" }
      ?? "remove it or correct its name."
    throw .data("\(source): there is no option \"\(shortened(unknown))\"; \(hint)")
  }

  /// The name among `known` that is most like `name`. At most a third of its characters may differ (or one,
  /// in short names); nil if all differ more.
  public static func nearest(to name: String, among known: [String]) -> String? {
    let name = Array(name.lowercased().prefix(100))
    let limit = max(1, name.count / 3)
    let scored = known.map { (distance(name, Array($0.lowercased())), $0) }
    guard let best = scored.min(by: { $0.0 < $1.0 }), best.0 <= limit else { return nil }
    return best.1
  }

  /// The number of characters to insert, remove or replace to turn `first` into `second`.
  private static func distance(_ first: [Character], _ second: [Character]) -> Int {
    var row = Array(0...second.count)
    for (i, character) in first.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, other) in second.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(above + 1, row[j] + 1, diagonal + (character == other ? 0 : 1))
        diagonal = above
      }
    }
    return row[second.count]
  }

  private static func sentence(for error: DecodingError) -> String {
    func place(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      let keys = context.codingPath + (last.map { [$0] } ?? [])
      let path = keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
      return path.isEmpty ? "the top level" : "\"\(shortened(path))\""
    }
    switch error {
    case .keyNotFound(let key, let context):
      return "\(place(context, key)) is missing; add it."
    case .typeMismatch(let type, let context):
      return "\(place(context)) is not of the type it should be (\(type)); correct it."
    case .valueNotFound(let type, let context):
      return "\(place(context)) is null and should be of type \(type); correct it."
    case .dataCorrupted(let context):
      return "\(place(context)) has a value that is not allowed: \(context.debugDescription)"
    @unknown default:
      return "this is not the JSON that is expected here: \(error)."
    }
  }
}
