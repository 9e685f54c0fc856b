// Renders a look-up as text that fits a terminal's width.

extension WordLookup {
  /// The look-up as lines of at most `width` columns: each active expert with its code and words, and under
  /// it the chosen sublatent. `takesModel`: a model can encode tokens that cleaning dropped, and the text says so.
  public func rendered(width: Int = 80, takesModel: Bool = true) -> String {
    let width = max(40, width)
    guard let text, let token else {
      var lines = ["\(readableToken(word)): not a token of this model."]
      if !suggestions.isEmpty {
        lines.append(
          fit("  Did you mean: ", suggestions.map(readableToken), separator: ", ", width: width))
      }
      return lines.map { clipped($0, to: width) }.joined(separator: "\n") + "\n"
    }
    var lines = ["\(readableToken(text))  (token \(token), \(visible(text)))"]
    guard isEncoded else {
      lines.append(
        "  cleaning dropped this token"
          + (takesModel ? "; add --model MODEL to look it up all the same" : ""))
      return lines.map { clipped($0, to: width) }.joined(separator: "\n") + "\n"
    }
    if !isKept { lines.append("  not among the rows the dictionary was trained on") }
    if experts.isEmpty { lines.append("  no active experts") }
    let digits = experts.map { String($0.expert).count }.max() ?? 1
    for entry in experts {
      let head =
        "  expert \(pad(String(entry.expert), digits))  z \(fixed(entry.strength))  "
      lines.append(fit(head, entry.words.map { readableToken($0.text) }, width: width))
      guard let chosen = entry.chosen else { continue }
      let label =
        "    └ sub \(pad(String(chosen.sublatent), digits))   c \(fixed(chosen.code))  "
      let words = chosen.words.map { readableToken($0.text) }
      let remark = chosen.isRelevant ? "" : "not active here" + (words.isEmpty ? "" : ": ")
      lines.append(fit(label + remark, words, width: width))
    }
    return lines.map { clipped($0, to: width) }.joined(separator: "\n") + "\n"
  }
}

/// The token with a leading space shown as ▁ and control characters spelled out.
private func visible(_ token: String) -> String {
  (token.first == "\u{2581}" ? "\u{2581}" : "") + readableToken(token)
}

/// `head` and as many of `items` as fit into `width` columns, but at least one.
private func fit(
  _ head: String, _ items: [String], separator: String = " · ", width: Int
) -> String {
  var line = head
  var used = displayWidth(head)
  for (index, item) in items.enumerated() {
    let piece = index == 0 ? item : separator + item
    let columns = displayWidth(piece)
    if index > 0, used + columns > width { break }
    line += piece
    used += columns
  }
  return line
}

/// `line`, cut to `width` columns with an ellipsis if it is longer.
private func clipped(_ line: String, to width: Int) -> String {
  guard displayWidth(line) > width else { return line }
  var result = ""
  var used = 1
  for character in line {
    used += columns(of: character)
    if used > width { break }
    result.append(character)
  }
  return result + "…"
}

private func pad(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

/// A code with three decimals; codes are far below 1000.
private func fixed(_ value: Float) -> String {
  guard value.isFinite, abs(value) < 1e6 else { return "\(value)" }
  let thousandths = Int((abs(value) * 1000).rounded())
  let fraction = String(thousandths % 1000)
  let sign = value < 0 && thousandths > 0 ? "-" : " "
  return sign + "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count)
    + fraction
}

/// The number of terminal columns of `text`: two for East Asian wide characters and emoji, one for other
/// characters; combining marks add none.
public func displayWidth(_ text: String) -> Int {
  text.reduce(0) { $0 + columns(of: $1) }
}

private func columns(of character: Character) -> Int {
  guard let scalar = character.unicodeScalars.first else { return 0 }
  if scalar.properties.isEmojiPresentation { return 2 }
  switch scalar.value {
  case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
    0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF,
    0x20000...0x3FFFD:
    return 2
  default:
    return 1
  }
}
