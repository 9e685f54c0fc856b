// Parses JSON from untrusted bytes: strictly (RFC 8259) or as Python does, with limits that are checked before memory is
// spent, and with errors that name the byte.

/// Limits of a JSON text.
public struct JSONLimits: Sendable {
  /// How deeply arrays and objects may nest.
  public var depth: Int
  /// The most values in all.
  public var values: Int

  /// Limits for ordinary files: 64 levels and 4 million values.
  public init(depth: Int = 64, values: Int = 4_000_000) {
    self.depth = depth
    self.values = values
  }
}

/// Which texts count as JSON.
public enum JSONDialect: Sendable {
  /// Those of RFC 8259. A key must not occur twice in one object.
  case strict
  /// Also what Python's module json reads, and by default writes: `NaN`, `Infinity` and `-Infinity`. A number that is
  /// too large is an infinity, the last of several values of a key counts, and half a surrogate pair that stands alone
  /// becomes U+FFFD.
  case python
}

extension JSONValue {
  /// Parses `bytes`, which must hold one value and white space.
  ///
  /// Fails with `.data` and the byte's offset for anything that is not JSON in UTF-8 of the given dialect, and for a
  /// text beyond `limits`. Messages name `source` and add `offset` to byte offsets.
  public init(
    parsing bytes: [UInt8], source: String, offset: Int = 0, dialect: JSONDialect = .strict,
    limits: JSONLimits = JSONLimits()
  ) throws(Failure) {
    var parser = JSONParser(
      bytes: bytes, source: source, offset: offset, dialect: dialect, limits: limits)
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
  let dialect: JSONDialect
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
    guard depth <= limits.depth else { throw failure("values are nested too deeply") }
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
    case UInt8(ascii: "N") where dialect == .python: return try word("NaN", .number(.nan))
    case UInt8(ascii: "I") where dialect == .python:
      return try word("Infinity", .number(.infinity))
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
      guard members.updateValue(value, forKey: key) == nil || dialect == .python else {
        throw failure("the key \(JSONValue.quoted(shortened(key))) occurs twice", at: start)
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
    if take(UInt8(ascii: "-")), dialect == .python, next == UInt8(ascii: "I") {
      return try word("Infinity", .number(-.infinity))
    }
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
    guard let value = Double(text), value.isFinite || dialect == .python else {
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
      if byte < 0x20 { throw failure("a string contains a control character") }
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
    let code = try hexadecimalCode()
    if code >> 10 == 0x36, let low = try lowSurrogate(),
      let scalar = Unicode.Scalar(0x10000 + (code & 0x3FF) << 10 + low & 0x3FF)
    {
      return Character(scalar)
    }
    if let scalar = Unicode.Scalar(code) { return Character(scalar) }
    guard dialect == .python else { throw failure("half a surrogate pair stands alone") }
    return "\u{FFFD}"
  }

  /// The second half of a surrogate pair, if its escape is next; otherwise nil, and nothing is read.
  mutating func lowSurrogate() throws(Failure) -> UInt32? {
    let start = position
    if take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
      let code = try hexadecimalCode()
      if code >> 10 == 0x37 { return code }
    }
    position = start
    return nil
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
