// JSON as a tree, for content from outside: headers of weight files, Zarr metadata, configuration whose keys
// must be checked. `JSONFile.swift` handles values of known types.

/// Any JSON value.
public enum JSONValue: Hashable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number without fraction or exponent that fits in an Int.
  case integer(Int)
  /// Any other number.
  case number(Double)
  /// A string.
  case string(String)
  /// An array.
  case array([JSONValue])
  /// An object; parsing refuses repeated keys.
  case object([String: JSONValue])

  /// The members, if this is an object.
  public var object: [String: JSONValue]? {
    if case .object(let value) = self { value } else { nil }
  }
  /// The elements, if this is an array.
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  /// The text, if this is a string.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The number, if this is an integer.
  public var integer: Int? { if case .integer(let value) = self { value } else { nil } }
  /// The truth value, if this is one.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The number, if this is one of either kind.
  public var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  /// The integers, if this is an array of integers only.
  public var integers: [Int]? {
    guard let array else { return nil }
    let integers = array.compactMap(\.integer)
    return integers.count == array.count ? integers : nil
  }

  /// The member `key`, if this is an object that has it.
  public subscript(key: String) -> JSONValue? { object?[key] }

  /// The value as JSON text with sorted keys.
  ///
  /// It is on one line if `indent` is nil; otherwise each level is indented by two spaces, starting at
  /// `indent` levels. A number that JSON cannot express (NaN, infinities) becomes a string of that name.
  public func text(indent: Int? = 0) -> String {
    let inner = indent.map { $0 + 1 }
    let open = inner.map { "\n" + String(repeating: "  ", count: $0) } ?? ""
    let close = indent.map { "\n" + String(repeating: "  ", count: $0) } ?? ""
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .integer(let value): return "\(value)"
    case .number(let value):
      if value.isNaN { return "\"NaN\"" }
      if value.isInfinite { return value < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
      return "\(value)"
    case .string(let value): return Self.quoted(value)
    case .array(let values):
      if values.isEmpty { return "[]" }
      let isFlat = values.allSatisfy { $0.array == nil && $0.object == nil }
      if isFlat { return "[" + values.map { $0.text(indent: nil) }.joined(separator: ", ") + "]" }
      return "[" + open + values.map { $0.text(indent: inner) }.joined(separator: "," + open)
        + close
        + "]"
    case .object(let members):
      if members.isEmpty { return "{}" }
      let lines = members.sorted { $0.key < $1.key }.map {
        "\(Self.quoted($0.key)): \($0.value.text(indent: inner))"
      }
      return "{" + open + lines.joined(separator: "," + open) + close + "}"
    }
  }

  /// `text` as a JSON string with its quotation marks.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..<"\u{20}", "\u{7F}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension JSONValue: Codable {
  /// Reads any JSON value.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let values = try? container.decode([JSONValue].self) {
      self = .array(values)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  /// Writes the value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let members): try container.encode(members)
    }
  }
}
