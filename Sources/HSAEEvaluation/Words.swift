// The words of a store's rows: their text, and which of them are forms of one word.

import Foundation

/// The words of rows: row i is token `tokens[i]` of the model's vocabulary.
public struct WordTable: Sendable {
  /// The token of each row.
  public let tokens: [Int32]
  /// The text of every token of the vocabulary, `▁` for a leading space.
  public let vocabulary: [String]
  /// For each row a number that all forms of its word share (`wordForm`).
  public let forms: [Int32]
  private let rowOfToken: [Int32]
  /// For each number in `forms`, whether a row of that word begins with a space.
  private let formHasSpace: [Bool]

  /// The words of rows with these tokens. A token outside the vocabulary has the text `<token 123>`.
  public init(tokens: [Int32], vocabulary: [String]) {
    self.tokens = tokens
    self.vocabulary = vocabulary
    var rowOfToken = [Int32](repeating: -1, count: vocabulary.count)
    var known: [String: Int32] = [:]
    known.reserveCapacity(tokens.count)
    var forms: [Int32] = []
    var formHasSpace: [Bool] = []
    forms.reserveCapacity(tokens.count)
    for (row, token) in tokens.enumerated() {
      let inside = token >= 0 && Int(token) < vocabulary.count
      if inside, rowOfToken[Int(token)] < 0 { rowOfToken[Int(token)] = Int32(row) }
      let form = inside ? wordForm(vocabulary[Int(token)]) : "<token \(token)>"
      let next = Int32(known.count)
      forms.append(known[form, default: next])
      if forms[row] == next {
        known[form] = next
        formHasSpace.append(false)
      }
      if inside, vocabulary[Int(token)].first == "\u{2581}" {
        formHasSpace[Int(forms[row])] = true
      }
    }
    self.forms = forms
    self.rowOfToken = rowOfToken
    self.formHasSpace = formHasSpace
  }

  /// Number of rows.
  public var count: Int { tokens.count }

  /// The text of a row's token in the vocabulary.
  public func text(row: Int) -> String {
    let token = tokens[row]
    return token >= 0 && Int(token) < vocabulary.count
      ? vocabulary[Int(token)] : "<token \(token)>"
  }

  /// The text of a row's token, with a leading `▁` if any form of its word has one.
  public func mergedText(row: Int) -> String {
    let text = text(row: row)
    return formHasSpace[Int(forms[row])] && text.first != "\u{2581}" ? "\u{2581}" + text : text
  }

  /// The row of a token; nil if it has none.
  public func row(ofToken token: Int) -> Int? {
    guard rowOfToken.indices.contains(token), rowOfToken[token] >= 0 else { return nil }
    return Int(rowOfToken[token])
  }

  /// Whether the row's token is likely a whole word (`isWholeWord`).
  public func isWhole(row: Int) -> Bool { isWholeWord(text(row: row)) }

  /// The first of `rows` for each word, at most `limit` of them; forms of one word count once.
  public func distinct(_ rows: [RankedRow], limit: Int = .max) -> [RankedRow] {
    Array(rows.uniqued { forms[$0.row] }.prefix(limit))
  }

  /// The words of `rows` with their codes, at most `limit`; forms of one word count once if `mergesForms`.
  package func weighted(
    _ rows: [RankedRow], limit: Int, mergesForms: Bool
  ) -> [WeightedWord] {
    (mergesForms ? distinct(rows, limit: limit) : Array(rows.prefix(limit))).map {
      WeightedWord(
        text: mergesForms ? mergedText(row: $0.row) : text(row: $0.row), value: $0.value)
    }
  }
}

/// The form that all spellings of a word share: without leading and trailing space (or `▁`), in lower case,
/// and, for words of at least four letters a to z, without an English plural ending.
///
/// `▁dog`, `dog`, `Dog`, `DOG` and `▁dogs` are one word. Accents stay, because they distinguish words.
public func wordForm(_ token: String) -> String {
  var scalars = Array(token.unicodeScalars)
  func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\u{2581}" || scalar.properties.isWhitespace
  }
  while let last = scalars.last, isSpace(last) { scalars.removeLast() }
  let start = scalars.firstIndex { !isSpace($0) } ?? scalars.endIndex
  var text = String.UnicodeScalarView()
  text.append(contentsOf: scalars[start...])
  let word = String(text).lowercased()
  guard word.utf8.count >= 4, word.utf8.allSatisfy({ $0 >= 0x61 && $0 <= 0x7A }) else {
    return word.isEmpty ? token : word
  }
  if word.hasSuffix("ies"), word.utf8.count >= 5 { return word.dropLast(3) + "y" }
  for ending in ["sses", "xes", "zes", "ches", "shes"] where word.hasSuffix(ending) {
    return String(word.dropLast(2))
  }
  for ending in ["ss", "us", "is"] where word.hasSuffix(ending) { return word }
  return word.hasSuffix("s") ? String(word.dropLast()) : word
}

/// Whether a token is likely a whole word. In scripts with spaces, it must begin with `▁` and have at least
/// three letters. In scripts without (Chinese, Japanese, Thai, …) it must have at least two, because a single
/// character is often a piece of a word.
public func isWholeWord(_ token: String) -> Bool {
  let letters = token.unicodeScalars.filter { $0.properties.isAlphabetic }
  guard let first = letters.first else { return false }
  return writesNoSpaces(first)
    ? letters.count >= 2 : token.first == "\u{2581}" && letters.count >= 3
}

/// Whether a letter belongs to a script that does not separate words by spaces.
func writesNoSpaces(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  // Thai, Lao, Tibetan, Burmese; Khmer; Chinese and Japanese, the supplementary planes included.
  case 0x0E00...0x109F, 0x1780...0x17FF, 0x2E80...0xA4CF, 0xF900...0xFAFF, 0xFE30...0xFE4F,
    0xFF66...0xFF9F, 0x1B000...0x1B16F, 0x20000...0x3FFFD:
    return true
  default: return false
  }
}

/// A token as readable text: without a leading `▁`, and with characters spelled out that are invisible or
/// disturb the text around them (controls, bidirectional overrides, lone combining marks).
public func readableToken(_ token: String) -> String {
  var scalars = Substring(token).unicodeScalars
  if scalars.first == "\u{2581}", scalars.count > 1 { scalars.removeFirst() }
  var result = String.UnicodeScalarView()
  var previousIsBase = false
  for scalar in scalars {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .spacingMark:
      // A mark without a base gets the dotted circle that Unicode charts use.
      if !previousIsBase { result.append("\u{25CC}") }
      result.append(scalar)
      previousIsBase = true
    case .format where previousIsBase && (scalar == "\u{200C}" || scalar == "\u{200D}"):
      result.append(scalar)
    case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse,
      .surrogate:
      result.append(contentsOf: "⟨\(codePoint(scalar))⟩".unicodeScalars)
      previousIsBase = false
    default:
      result.append(scalar == "\u{2581}" ? " " : scalar)
      previousIsBase = !scalar.properties.isWhitespace && scalar != "\u{2581}"
    }
  }
  let text = String(result)
  return text.allSatisfy(\.isWhitespace) ? "⟨\(scalars.count) × space⟩" : text
}

/// The text shown for a token: readable, with a `·` in front if it continues a word.
package func displayText(_ token: String) -> String {
  (continuesWord(token) ? "·" : "") + readableToken(token)
}

/// Whether a token continues a word in a script with spaces between words: it has no leading `▁` and begins
/// with a letter, digit or mark.
public func continuesWord(_ token: String) -> Bool {
  guard let first = token.unicodeScalars.first, !writesNoSpaces(first) else { return false }
  switch first.properties.generalCategory {
  case .lowercaseLetter, .uppercaseLetter, .titlecaseLetter, .otherLetter, .modifierLetter,
    .decimalNumber, .nonspacingMark, .spacingMark:
    return true
  default: return false
  }
}

private func codePoint(_ scalar: Unicode.Scalar) -> String {
  let digits = String(scalar.value, radix: 16, uppercase: true)
  return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}
