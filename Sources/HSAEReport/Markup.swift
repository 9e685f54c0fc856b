// HTML that is known to be safe: the only way text from outside gets into a page. Literals are
// trusted, everything interpolated into them is escaped.
//
// Escaping works on Unicode scalars, not on characters: a combining mark after `<` makes another
// character of it for Swift, but not for a browser.

/// A piece of HTML. `"<b>\(word)</b>"` escapes `word`; an interpolated `Markup` is taken as it is.
///
/// It is kept as UTF-8: a page is put together from thousands of pieces, and strings look at what they are
/// joined to.
package struct Markup: Hashable, Sendable, ExpressibleByStringInterpolation,
  CustomStringConvertible
{
  /// The HTML in UTF-8.
  package private(set) var utf8: [UInt8]

  /// The HTML.
  package var html: String { String(decoding: utf8, as: UTF8.self) }
  package var description: String { html }
  package var isEmpty: Bool { utf8.isEmpty }

  package init(stringLiteral value: String) { utf8 = Array(value.utf8) }

  package init(stringInterpolation: StringInterpolation) {
    utf8 = stringInterpolation.utf8
  }

  /// Text, escaped.
  package init(text: String) {
    utf8 = []
    append(text)
  }

  /// Text of this program that already is HTML.
  package init(trusted: String) { utf8 = Array(trusted.utf8) }

  package struct StringInterpolation: StringInterpolationProtocol {
    var utf8: [UInt8] = []

    package init(literalCapacity: Int, interpolationCount: Int) {
      utf8.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    package mutating func appendLiteral(_ literal: String) { utf8 += literal.utf8 }
    package mutating func appendInterpolation(_ text: String) { appendEscaped(text, to: &utf8) }
    package mutating func appendInterpolation(_ number: Int) { utf8 += String(number).utf8 }
    package mutating func appendInterpolation(_ markup: Markup) { utf8 += markup.utf8 }
  }

  package static func + (left: Markup, right: Markup) -> Markup {
    var result = left
    result += right
    return result
  }

  package static func += (left: inout Markup, right: Markup) { left.utf8 += right.utf8 }

  /// Adds `text`, escaped.
  package mutating func append(_ text: String) { appendEscaped(text, to: &utf8) }
}

extension Sequence<Markup> {
  /// All pieces one after another.
  package func joined(_ separator: Markup = "") -> Markup {
    var result: Markup = ""
    for (index, piece) in enumerated() {
      if index > 0 { result += separator }
      result += piece
    }
    return result
  }
}

/// Adds `text` to `utf8` with what HTML gives a meaning (in content and in quoted attributes) escaped, and with
/// controls and bidirectional overrides, which no token should smuggle in, replaced by U+FFFD.
private func appendEscaped(_ text: String, to utf8: inout [UInt8]) {
  if isPlain(text) {
    utf8 += text.utf8
    return
  }
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": utf8 += "&amp;".utf8
    case "<": utf8 += "&lt;".utf8
    case ">": utf8 += "&gt;".utf8
    case "\"": utf8 += "&quot;".utf8
    case "'": utf8 += "&#39;".utf8
    case "\t", "\n": utf8.append(UInt8(scalar.value))
    default: utf8 += String(isDisturbing(scalar) ? "\u{FFFD}" : scalar).utf8
    }
  }
}

/// Whether no scalar of `text` need be looked at: nothing that HTML gives a meaning, and nothing beyond ASCII but
/// letters and signs of blocks that have none of what disturbs. Most text is so, and it is quick to see.
private func isPlain(_ text: String) -> Bool {
  let bytes = text.utf8.span
  for index in bytes.indices {
    switch bytes[index] {
    case 0..<0x20, 0x22, 0x26, 0x27, 0x3C, 0x3E, 0x7F: return false
    // Leads of U+0080…, U+0600…, U+F000… and beyond U+FFFF, where controls and what is no character are.
    case 0xC2, 0xD8, 0xEF, 0xF0...0xFF: return false
    // U+2000…2FFF: marks of direction and separators are in U+2000…207F.
    case 0xE2 where index + 1 < bytes.count && bytes[index + 1] < 0x82: return false
    default: break
    }
  }
  return true
}

/// A JSON string literal that is also safe inside `<script>`: everything outside plain ASCII text
/// that a parser of HTML or of script might take for something else is written as `\uXXXX`.
package func scriptSafeJSON(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "<", ">", "&", "'", "\u{2028}", "\u{2029}": result += unicodeEscape(UInt16(scalar.value))
    default:
      if isDisturbing(scalar) || scalar.value < 0x20 {
        for unit in String(scalar).utf16 { result += unicodeEscape(unit) }
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
  }
  return result + "\""
}

private func unicodeEscape(_ unit: UInt16) -> String {
  let digits = String(unit, radix: 16)
  return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
}

/// Controls, line and paragraph separators, and the characters that turn the direction of text.
private func isDisturbing(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
    return true
  case 0xFDD0...0xFDEF: return true
  default: return scalar.value & 0xFFFE == 0xFFFE
  }
}
