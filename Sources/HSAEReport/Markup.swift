// HTML that is known to be safe: the only way text from outside gets into a page. Literals are
// trusted, everything interpolated into them is escaped.
//
// Escaping works on Unicode scalars, not on characters: a combining mark after `<` makes another
// character of it for Swift, but not for a browser.

/// A piece of HTML. `"<b>\(word)</b>"` escapes `word`; an interpolated `Markup` is taken as it is.
package struct Markup: Hashable, Sendable, ExpressibleByStringInterpolation,
  CustomStringConvertible
{
  /// The HTML.
  package private(set) var html: String

  package var description: String { html }
  package var isEmpty: Bool { html.isEmpty }

  package init(stringLiteral value: String) { html = value }

  package init(stringInterpolation: StringInterpolation) {
    html = stringInterpolation.html
  }

  /// Text, escaped.
  package init(text: String) { html = escapeHTML(text) }

  /// Text of this program that already is HTML.
  package init(trusted: String) { html = trusted }

  package struct StringInterpolation: StringInterpolationProtocol {
    var html = ""

    package init(literalCapacity: Int, interpolationCount: Int) {
      html.reserveCapacity(literalCapacity)
    }

    package mutating func appendLiteral(_ literal: String) { html += literal }
    package mutating func appendInterpolation(_ text: String) { html += escapeHTML(text) }
    package mutating func appendInterpolation(_ number: Int) { html += String(number) }
    package mutating func appendInterpolation(_ markup: Markup) { html += markup.html }
  }

  package static func + (left: Markup, right: Markup) -> Markup {
    Markup(trusted: left.html + right.html)
  }

  package static func += (left: inout Markup, right: Markup) { left.html += right.html }

  /// Adds `text`, escaped.
  package mutating func append(_ text: String) { html += escapeHTML(text) }
}

extension Sequence<Markup> {
  /// All pieces one after another.
  package func joined(_ separator: Markup = "") -> Markup {
    Markup(trusted: map(\.html).joined(separator: separator.html))
  }
}

/// `text` with what HTML gives a meaning (in content and in quoted attributes) escaped, and with
/// controls and bidirectional overrides, which no token should smuggle in, replaced by U+FFFD.
package func escapeHTML(_ text: String) -> String {
  if isPlain(text.utf8) { return text }
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result.append(contentsOf: "&amp;".unicodeScalars)
    case "<": result.append(contentsOf: "&lt;".unicodeScalars)
    case ">": result.append(contentsOf: "&gt;".unicodeScalars)
    case "\"": result.append(contentsOf: "&quot;".unicodeScalars)
    case "'": result.append(contentsOf: "&#39;".unicodeScalars)
    case "\t", "\n": result.append(scalar)
    default: result.append(isDisturbing(scalar) ? "\u{FFFD}" : scalar)
    }
  }
  return String(result)
}

/// Whether `text` is ASCII that HTML gives no meaning: most of it, and quick to see.
private func isPlain(_ text: String.UTF8View) -> Bool {
  text.allSatisfy { byte in
    byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "&") && byte != UInt8(ascii: "<")
      && byte != UInt8(ascii: ">") && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "'")
  }
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
