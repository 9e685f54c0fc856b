// Texts and words on pages: running text with tokens shaded by a latent's codes, words of latents, links to latents.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels

/// The text of a token within running text, with visible line breaks and tabs.
func runningText(_ token: String) -> String {
  let bytes = token.utf8
  if let first = bytes.first, first < 0x20 || first == 0x3C || first == 0x5C {
    switch token {
    case "\n", "<0x0A>", "\\n": return "↵"
    case "\t", "<0x09>": return "⇥"
    case "<bos>", "<s>", "<|endoftext|>", "<|begin_of_text|>": return token + " "
    default: break
    }
  }
  // The quick way for most tokens: one ▁ (E2 96 81) in front and no line break.
  let space = bytes.starts(with: [0xE2, 0x96, 0x81])
  let rest = space ? token[bytes.index(bytes.startIndex, offsetBy: 3)...] : token[...]
  if !rest.utf8.contains(where: { $0 == 0x96 || $0 == 0x0A }) {
    return space ? " " + rest : token
  }
  return token.replacingOccurrences(of: "▁", with: " ").replacingOccurrences(of: "\n", with: "↵")
}

/// The texts of `tokens` as running text. Byte tokens that together make a character are shown as that character, at
/// the first of them. The token at `centre` is not joined with others.
func runningTexts(_ tokens: [String], centre: Int? = nil) -> [String] {
  var texts = tokens.map(runningText)
  guard tokens.contains(where: { byteToken($0) != nil }) else { return texts }
  var start = 0
  while start < tokens.count {
    var bytes: [UInt8] = []
    var end = start
    while end < tokens.count, end != centre, bytes.count < 4, let byte = byteToken(tokens[end]) {
      bytes.append(byte)
      end += 1
      if let text = String(validating: bytes, as: UTF8.self) {
        // A no-break space is a space here.
        texts[start] = text == "\u{A0}" ? " " : runningText(text)
        for place in start + 1..<max(start + 1, end) { texts[place] = "" }
        start = end - 1
        break
      }
    }
    start += 1
  }
  return texts
}

/// The byte that a token such as `<0xE2>` stands for.
private func byteToken(_ token: String) -> UInt8? {
  guard token.utf8.count == 6, token.utf8.first == UInt8(ascii: "<"), token.hasPrefix("<0x"),
    token.hasSuffix(">")
  else { return nil }
  return UInt8(token.dropFirst(3).dropLast(), radix: 16)
}

/// A shade from 0 (none) to 9 for a code of `value`; `maximum` is the latent's largest code.
func shade(_ value: Float, _ maximum: Float) -> Int {
  guard value > 0, maximum > 0 else { return 0 }
  return min(9, max(1, Int((value / maximum * 9).rounded())))
}

/// A context: the text around a marked token, shaded by the latent's codes.
func contextMarkup(_ context: ContextText, maximum: Float) -> Markup {
  let texts = runningTexts(context.tokens.map(\.text), centre: context.centre)
  var tokens: Markup = ""
  for (index, token) in context.tokens.enumerated() {
    let level = shade(token.value, maximum)
    guard level > 0 || index == context.centre else {
      tokens.append(texts[index])
      continue
    }
    // The space in front of a word is not marked.
    let (space, word) =
      texts[index].utf8.first == 0x20 && texts[index].utf8.count > 1
      ? (" ", String(texts[index].unicodeScalars.dropFirst())) : ("", texts[index])
    let code = code(token.value)
    tokens +=
      index == context.centre
      ? "\(space)<mark class=\"s\(level)\" title=\"\(code)\">\(word)</mark>"
      : "\(space)<span class=\"s\(level)\" title=\"\(code)\">\(word)</span>"
  }
  let source = [context.title, context.language].compactMap(\.self).joined(separator: " · ")
  return """
    <li><span class="code">\(code(context.value))</span>\
    <p class="text" dir="auto">\(tokens)</p>\
    \(when(!source.isEmpty, "<span class=\"source\">\(source)</span>"))</li>
    """
}

/// A list of contexts.
func contextList(_ contexts: [ContextText], maximum: Float) -> Markup {
  contexts.isEmpty
    ? "<p class=\"empty\">It is not active for any of these rows.</p>"
    : "<ol class=\"contexts\">\(contexts.map { contextMarkup($0, maximum: maximum) }.joined())</ol>"
}

/// The label and the strongest words of a latent; the words of `asked` are marked.
func latentWords(_ latent: LatentRecord, limit: Int = 8, asked: AskedWords? = nil) -> Markup {
  func text(_ text: String) -> Markup {
    asked?.isIn(text) ?? false ? "<mark>\(text)</mark>" : "\(text)"
  }
  var shown = Array(latent.words.prefix(limit))
  // The asked word is shown even if it is not among the first.
  if let asked, !shown.contains(where: asked.isIn),
    let found = latent.words.first(where: asked.isIn)
  {
    shown += ["…", found]
  }
  let words = shown.map { "<bdi>\(text($0))</bdi>" as Markup }.joined(" ")
  let label: Markup = latent.label.map { "<b class=\"label\">\(text($0))</b> " } ?? ""
  if words.isEmpty && label.isEmpty { return "<i class=\"empty\">dead</i>" }
  return label + "<span class=\"words\">" + words + "</span>"
}

/// "expert 12" or "sublatent 3 of expert 12".
func latentTitle(_ latent: LatentRecord, _ run: RunRecord) -> String {
  let kind = run.shape.isFlat ? "latent" : "expert"
  return latent.sublatent.map { "sublatent \($0) of \(kind) \(latent.expert)" }
    ?? "\(kind) \(latent.expert)"
}

/// A link to a latent: its number and its words.
func latentLink(
  _ latent: LatentRecord, _ run: RunRecord, limit: Int = 6, asked: AskedWords? = nil
) -> Markup {
  """
  <a class="latent" href="\(Address.latent(latent, run))"><span class="number">\(latent.number.name)\
  </span> \(latentWords(latent, limit: limit, asked: asked))</a>
  """
}
#endif
