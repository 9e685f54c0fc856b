// HTML that is safe to show. Pages are built from `Markup` literals: the literals are trusted, and all text that
// is interpolated into them is escaped.

/// A piece of HTML. `"<b>\(word)</b>"` escapes `word` and inserts an interpolated `Markup` unchanged.
///
/// Beware of `"\(flag ? "" : "<b>…")"`: Swift takes these literals for text and escapes them. Use ``when(_:_:)``.
/// It is stored as UTF-8, because a page is joined from thousands of pieces and joining strings is slow.
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

  /// HTML made by this program; it is not escaped.
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
    /// Adds nothing for nil.
    package mutating func appendInterpolation(_ markup: Markup?) { utf8 += markup?.utf8 ?? [] }
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
  /// All pieces, one after another.
  package func joined(_ separator: Markup = "") -> Markup {
    var result: Markup = ""
    for (index, piece) in enumerated() {
      if index > 0 { result += separator }
      result += piece
    }
    return result
  }
}

/// `markup` if `condition` holds, else nothing.
package func when(_ condition: Bool, _ markup: @autoclosure () -> Markup) -> Markup {
  condition ? markup() : ""
}

/// A large number with its name, for a `<dl class="figures">`.
package func figure(_ name: Markup, _ value: Markup, _ note: Markup = "") -> Markup {
  """
  <div><dt>\(name)</dt><dd>\(value)</dd>\(when(!note.isEmpty, "<dd class=\"aside\">\(note)</dd>"))</div>
  """
}

/// Adds `text` to `utf8`, escaped for content and for quoted attributes. Controls and bidirectional overrides
/// become U+FFFD. It works on Unicode scalars: for Swift `<` with a combining mark is another character than `<`,
/// but a browser still sees a tag.
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

/// Whether `text` certainly needs no change. True for most text and quick to find out: it looks at bytes, and
/// answers false for every block of Unicode that contains a disturbing scalar.
private func isPlain(_ text: String) -> Bool {
  let bytes = text.utf8.span
  for index in bytes.indices {
    switch bytes[index] {
    case 0..<0x20, 0x22, 0x26, 0x27, 0x3C, 0x3E, 0x7F: return false
    // First bytes of U+0080…, U+0600…, U+F000… and of all beyond U+FFFF: controls and noncharacters are there.
    case 0xC2, 0xD8, 0xEF, 0xF0...0xFF: return false
    // U+2000…2FFF: direction marks and separators are in U+2000…207F.
    case 0xE2 where index + 1 < bytes.count && bytes[index + 1] < 0x82: return false
    default: break
    }
  }
  return true
}

/// A JSON string literal that is also safe inside `<script>`: characters that end a script or a line there
/// become `\uXXXX`.
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

/// Controls, line and paragraph separators, characters that change the direction of text, and noncharacters.
private func isDisturbing(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
    return true
  case 0xFDD0...0xFDEF: return true
  default: return scalar.value & 0xFFFE == 0xFFFE
  }
}
