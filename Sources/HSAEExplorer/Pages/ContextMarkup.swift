// Texts and words on pages: running text with tokens shaded by a latent's codes, words of latents, links to latents.

#if Explorer
import Foundation
import HSAEEvaluation
import HSAEHTML
import HSAEModels

/// The text of a token within running text, with visible line breaks and tabs.
func runningText(_ token: String) -> String {
  let bytes = token.utf8
  if let first = bytes.first, first < 0x20 || first == 0x3C || first == 0x5C {
    switch token {
    case "\n", "<0x0A>", "\\n": return "↵"
    case "\t", "<0x09>": return "⇥"
    default: if beginsText(token) { return token + " " }
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

/// Whether a token stands before a text, and is not a part of it.
func beginsText(_ token: String) -> Bool {
  ["<bos>", "<s>", "<|endoftext|>", "<|begin_of_text|>"].contains(token)
}

/// The texts of `tokens` as running text. Byte tokens that together make a character are shown as that character: at the
/// token `centre` if it is one of them, else at the first.
func runningTexts(_ tokens: [String], centre: Int? = nil) -> [String] {
  var texts = tokens.map(runningText)
  guard tokens.contains(where: { byteToken($0) != nil }) else { return texts }
  var start = 0
  while start < tokens.count {
    var bytes: [UInt8] = []
    var end = start
    while end < tokens.count, bytes.count < 4, let byte = byteToken(tokens[end]) {
      bytes.append(byte)
      end += 1
      if let text = String(validating: bytes, as: UTF8.self) {
        let isCentre = centre.map((start..<end).contains) ?? false
        for place in start..<end { texts[place] = "" }
        // A no-break space is a space here, with a sign where it is what the text is about.
        let space = isCentre ? "␣" : " "
        texts[isCentre ? centre ?? start : start] = text == "\u{A0}" ? space : runningText(text)
        start = end - 1
        break
      }
    }
    start += 1
  }
  return texts
}

/// The text that `tokens` were made of, without those that stand before a text and without cut characters.
func sourceText(_ tokens: [String]) -> String {
  var bytes: [UInt8] = []
  for token in tokens where !beginsText(token) {
    if let byte = byteToken(token) {
      bytes.append(byte)
    } else {
      bytes += token.replacing("\u{2581}", with: " ").utf8
    }
  }
  return String(decoding: bytes, as: UTF8.self).replacing("\u{FFFD}", with: "")
}

/// The byte that a token such as `<0xE2>` stands for.
func byteToken(_ token: String) -> UInt8? {
  guard token.utf8.count == 6, token.utf8.first == UInt8(ascii: "<"), token.hasPrefix("<0x"),
    token.hasSuffix(">")
  else { return nil }
  return UInt8(token.dropFirst(3).dropLast(), radix: 16)
}

/// A shade from 0 (none) to 9 for a code of `value`; `maximum` is the latent's largest code.
func shade(_ value: Float, _ maximum: Float) -> Int {
  let share = value / maximum
  guard value > 0, maximum > 0, share.isFinite else { return 0 }
  return Int(min(9, max(1, (share * 9).rounded())))
}

/// A context: the text around a marked token, shaded by the latent's codes.
func contextMarkup(_ context: ContextText, maximum: Float) -> Markup {
  let texts = runningTexts(context.tokens.map(\.text), centre: context.centre)
  // The text before is not shown.
  var tokens: Markup =
    context.document != nil && context.position > context.centre ? "…" : ""
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
    <p class="text" dir="auto" lang="\(context.language ?? "")">\(tokens)</p>\
    \(when(!source.isEmpty, "<span class=\"source\">\(source)</span>"))</li>
    """
}

/// A list of contexts.
func contextList(_ contexts: [ContextText], maximum: Float) -> Markup {
  contexts.isEmpty
    ? "<p class=\"empty\">It is not active for any of these rows.</p>"
    : "<ol class=\"contexts\">\(contexts.map { contextMarkup($0, maximum: maximum) }.joined())</ol>"
}

extension LatentRecord {
  /// Its name, then its other words. Spaces and single bytes are left out, unless there is nothing else.
  var shownWords: [String] {
    let legible = (name + words).filter(isLegible)
    var seen: Set<String> = []
    return legible.isEmpty ? words : legible.filter { seen.insert(wordForm($0)).inserted }
  }
}

/// The label and the strongest words of a latent; the words of `asked` are marked.
func latentWords(_ latent: LatentRecord, limit: Int = 8, asked: AskedWords? = nil) -> Markup {
  func text(_ text: String) -> Markup {
    asked?.isIn(text) ?? false ? "<mark>\(text)</mark>" : "\(text)"
  }
  var shown = Array(latent.shownWords.prefix(limit))
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

extension AskedWords {
  /// Whether one of them is marked in what `latentWords` shows of `latent`.
  func isShown(by latent: LatentRecord) -> Bool {
    (latent.name + latent.words + [latent.label ?? ""]).contains(where: isIn)
  }
}

/// A link to a latent: its number and its words. With `text` its page shows what the latent does there.
func latentLink(
  _ latent: LatentRecord, _ run: RunRecord, limit: Int = 6, asked: AskedWords? = nil,
  text: String? = nil
) -> Markup {
  """
  <a class="latent" href="\(Address.latent(latent, run, text: text))"><span class="number">\(latent.number.name)\
  </span> \(latentWords(latent, limit: limit, asked: asked))</a>
  """
}
#endif
