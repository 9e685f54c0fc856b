// Parses JSON from untrusted bytes: strictly (RFC 8259), with limits that are checked before memory is spent,
// and with errors that name the byte.

/// Limits of a JSON text.
public struct JSONLimits: Sendable {
  /// How deeply arrays and objects may nest.
  public var depth: Int
  /// The most values in all.
  public var values: Int
  /// Whether the words NaN, Infinity and -Infinity are numbers. Python's module json writes them.
  public var acceptsNonFinite = false

  /// Limits for ordinary files: 64 levels, 4 million values, and only numbers that are finite.
  public init(depth: Int = 64, values: Int = 4_000_000) {
    self.depth = depth
    self.values = values
  }
}

extension JSONValue {
  /// Parses `bytes`, which must hold one value and white space.
  ///
  /// Fails with `.data` and the byte's offset for anything that is not JSON in UTF-8, for a key that occurs
  /// twice in one object, and for a text beyond `limits`. Messages name `source` and add `offset` to byte
  /// offsets.
  public init(
    parsing bytes: [UInt8], source: String, offset: Int = 0, limits: JSONLimits = JSONLimits()
  ) throws(Failure) {
    var parser = JSONParser(
      bytes: bytes, source: source, offset: offset, limits: limits)
    parser.skipSpace()
    self = try parser.value(depth: 0)
    parser.skipSpace()
    if parser.position != bytes.count { throw parser.failure("something follows the JSON value") }
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  let source: String
  let offset: Int
  var limits: JSONLimits
  var position = 0

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  func failure(_ what: String, at place: Int? = nil) -> Failure {
    .data("\(source), byte \(offset + (place ?? position)): \(what); this is not valid JSON here.")
  }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  mutating func value(depth: Int) throws(Failure) -> JSONValue {
    guard depth <= limits.depth else { throw failure("values lie too deep in each other") }
    guard limits.values > 0 else { throw failure("there are too many values") }
    limits.values -= 1
    guard let byte = next else { throw failure("the text ends where a value should begin") }
    switch byte {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "N") where limits.acceptsNonFinite: return try word("NaN", .number(.nan))
    case UInt8(ascii: "I") where limits.acceptsNonFinite:
      return try word("Infinity", .number(.infinity))
    case UInt8(ascii: "-")
    where limits.acceptsNonFinite && bytes[position...].dropFirst().first == UInt8(ascii: "I"):
      return try word("-Infinity", .number(-.infinity))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw failure("no value begins like this")
    }
  }

  mutating func word(_ word: String, _ value: JSONValue) throws(Failure) -> JSONValue {
    guard bytes[position...].starts(with: word.utf8) else {
      throw failure("no value begins like this")
    }
    position += word.utf8.count
    return value
  }

  mutating func array(depth: Int) throws(Failure) -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    while true {
      skipSpace()
      elements.append(try value(depth: depth + 1))
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(elements) }
      guard take(UInt8(ascii: ",")) else { throw failure("a comma or ] is missing") }
    }
  }

  mutating func object(depth: Int) throws(Failure) -> JSONValue {
    position += 1
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    while true {
      skipSpace()
      let start = position
      guard next == UInt8(ascii: "\"") else { throw failure("a key in quotation marks is missing") }
      let key = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw failure("a colon is missing") }
      skipSpace()
      let value = try value(depth: depth + 1)
      guard members.updateValue(value, forKey: key) == nil else {
        throw failure("the key \(JSONValue.quoted(shortened(key))) is there twice", at: start)
      }
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw failure("a comma or } is missing") }
    }
  }

  mutating func digits() -> Int {
    let start = position
    while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    return position - start
  }

  mutating func number() throws(Failure) -> JSONValue {
    let start = position
    _ = take(UInt8(ascii: "-"))
    let first = next
    let count = digits()
    guard count > 0 else { throw failure("a digit is missing") }
    if first == UInt8(ascii: "0"), count > 1 { throw failure("a number begins with 0", at: start) }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard digits() > 0 else { throw failure("a digit is missing") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard digits() > 0 else { throw failure("a digit is missing") }
    }
    guard position - start <= 400 else { throw failure("a number has too many digits", at: start) }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw failure("a number is too large", at: start)
    }
    return .number(value)
  }

  mutating func string() throws(Failure) -> String {
    let start = position
    position += 1
    var text: [UInt8] = []
    var run = position
    while let byte = next {
      if byte == UInt8(ascii: "\"") {
        text += bytes[run..<position]
        position += 1
        guard let string = String(validating: text, as: UTF8.self) else {
          throw failure("a string is not UTF-8", at: start)
        }
        return string
      }
      if byte < 0x20 { throw failure("a control character stands in a string") }
      position += 1
      if byte == UInt8(ascii: "\\") {
        text += bytes[run..<position - 1]
        text += try Array(String(escape()).utf8)
        run = position
      }
    }
    throw failure("a string does not end", at: start)
  }

  mutating func escape() throws(Failure) -> Character {
    guard let byte = next else { throw failure("a string does not end") }
    position += 1
    if let character = Self.escapes[byte] { return character }
    guard byte == UInt8(ascii: "u") else {
      throw failure("no such escape exists", at: position - 1)
    }
    let half = "half a surrogate pair stands alone"
    var code = try hexadecimalCode()
    if code >> 10 == 0x36 {
      guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw failure(half) }
      let low = try hexadecimalCode()
      guard low >> 10 == 0x37 else { throw failure(half) }
      code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
    }
    guard let scalar = Unicode.Scalar(code) else { throw failure(half) }
    return Character(scalar)
  }

  private static let escapes: [UInt8: Character] = [
    0x22: "\"", 0x5C: "\\", 0x2F: "/", 0x62: "\u{8}", 0x66: "\u{C}", 0x6E: "\n", 0x72: "\r",
    0x74: "\t",
  ]

  mutating func hexadecimalCode() throws(Failure) -> UInt32 {
    guard bytes.count - position >= 4 else { throw failure("a string does not end") }
    var code: UInt32 = 0
    for byte in bytes[position..<position + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw failure("four hexadecimal digits are missing")
      }
      code = code << 4 | UInt32(digit)
    }
    position += 4
    return code
  }
}

/// `text`, cut to the length that fits a message.
func shortened(_ text: String, to limit: Int = 60) -> String {
  text.count <= limit ? text : String(text.prefix(limit)) + "…"
}
