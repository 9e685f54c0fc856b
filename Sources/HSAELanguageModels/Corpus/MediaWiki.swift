// Extracts articles from a MediaWiki XML dump as plain text. It keeps running text and drops templates
// (unexpanded), tables, references and sections that only list things.

enum MediaWiki {
  /// An article of the main namespace that is not a redirect.
  struct Article: Hashable {
    var title: String
    var text: String
  }

  /// The articles of `dump`, in its order, without those that have no text.
  static func articles(in dump: [UInt8]) -> [Article] {
    var articles: [Article] = []
    var position = 0
    while let page = element("page", of: dump[position...]) {
      position = page.endIndex
      guard element("ns", of: page).map({ Array($0) }) == Array("0".utf8),
        find("<redirect", in: page) == nil, let title = element("title", of: page),
        let markup = element("text", of: page)
      else { continue }
      let text = plainText(unescaped(Array(markup)))
      if !text.isEmpty {
        articles.append(
          Article(title: String(decoding: unescaped(Array(title)), as: UTF8.self), text: text))
      }
    }
    return articles
  }

  /// The plain text of `markup`, a line for each paragraph.
  static func plainText(_ markup: [UInt8]) -> String {
    var bytes = withoutElements(markup)
    bytes = withoutNested(bytes, open: "{{", close: "}}") { _ in [] }
    bytes = withoutNested(bytes, open: "{|", close: "|}") { _ in [] }
    bytes = withoutNested(bytes, open: "[[", close: "]]", replacement: linkText)
    return lines(unescaped(bytes))
  }

  // MARK: Elements

  /// The content of the first element `name`; it ends at the first closing tag of that name.
  private static func element(_ name: String, of bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let open = find("<\(name)", in: bytes),
      let start = bytes[open...].firstIndex(of: UInt8(ascii: ">")),
      let end = find("</\(name)>", in: bytes[(start + 1)...])
    else { return nil }
    return bytes[(start + 1)..<end]
  }

  private static func find(_ text: String, in bytes: ArraySlice<UInt8>) -> Int? {
    let pattern = Array(text.utf8)
    var position = bytes.startIndex
    while let start = bytes[position...].firstIndex(of: pattern[0]) {
      if bytes[start...].starts(with: pattern) { return start }
      position = start + 1
    }
    return nil
  }

  /// Elements whose content is not running text.
  private static let dropped = [
    "ref", "math", "gallery", "timeline", "source", "syntaxhighlight", "code", "pre", "table",
    "score", "imagemap", "references",
  ]

  /// `markup` without comments, without the elements above, and without the tags of other elements.
  private static func withoutElements(_ markup: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    while let open = markup[position...].firstIndex(of: UInt8(ascii: "<")) {
      result += markup[position..<open]
      let rest = markup[open...]
      if rest.starts(with: "<!--".utf8) {
        position = find("-->", in: rest).map { $0 + 3 } ?? markup.count
        continue
      }
      let isTag = rest.dropFirst().first.map { isLetter($0) || $0 == UInt8(ascii: "/") } ?? false
      guard isTag, let close = rest.firstIndex(of: UInt8(ascii: ">")) else {
        result.append(UInt8(ascii: "<"))
        position = open + 1
        continue
      }
      position = close + 1
      let isEmpty = markup[close - 1] == UInt8(ascii: "/")
      let name = String(
        decoding: rest.dropFirst().prefix(while: isLetter), as: UTF8.self
      ).lowercased()
      if !isEmpty, dropped.contains(name), let end = find("</\(name)", in: markup[position...]) {
        position = markup[end...].firstIndex(of: UInt8(ascii: ">")).map { $0 + 1 } ?? markup.count
      } else if name == "br" {
        result.append(UInt8(ascii: " "))
      }
    }
    return result + markup[position...]
  }

  // MARK: Nested marks

  /// Replaces the text between `open` and `close`, innermost first. Marks without a partner stay.
  private static func withoutNested(
    _ bytes: [UInt8], open: String, close: String, replacement: (ArraySlice<UInt8>) -> [UInt8]
  ) -> [UInt8] {
    let (open, close) = (Array(open.utf8), Array(close.utf8))
    var result: [UInt8] = []
    var starts: [Int] = []
    var position = 0
    while position < bytes.count {
      let byte = bytes[position]
      let next = position + 1 < bytes.count ? bytes[position + 1] : 0
      if byte == open[0], next == open[1] {
        starts.append(result.count)
        result += open
        position += 2
      } else if byte == close[0], next == close[1], let start = starts.popLast() {
        let inner = replacement(result[(start + 2)...])
        result.removeSubrange(start...)
        result += inner
        position += 2
      } else {
        result.append(byte)
        position += 1
      }
    }
    return result
  }

  /// The text a link shows, its last part; nothing for pictures, categories and other languages.
  private static func linkText(_ link: ArraySlice<UInt8>) -> [UInt8] {
    let target = link.prefix { $0 != UInt8(ascii: "|") }
    if let colon = target.firstIndex(of: UInt8(ascii: ":")), colon > target.startIndex {
      let space = String(decoding: target[..<colon], as: UTF8.self).lowercased()
      let isLanguage = space.utf8.count <= 3 && space.utf8.allSatisfy(isLetter)
      if isLanguage || ["file", "image", "category", "media"].contains(space) { return [] }
    }
    return Array(link.split(separator: UInt8(ascii: "|")).last ?? [])
  }

  // MARK: Lines

  /// Sections that list things. They are dropped from their heading to the next heading.
  private static let listSections: Set<String> = [
    "see also", "references", "external links", "notes", "further reading", "bibliography",
    "sources", "citations", "footnotes", "works cited", "gallery",
  ]

  /// The running text: without marks of emphasis and lists, addresses, headings, and sections of lists.
  private static func lines(_ bytes: [UInt8]) -> String {
    var result: [String] = []
    var isSkipping = false
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      if line.hasPrefix("=") {
        let title = line.drop { $0 == "=" }.prefix { $0 != "=" }
        isSkipping = listSections.contains(
          Substring(title).trimmingSpaces.lowercased())
        continue
      }
      let isMark = line.hasPrefix("|") || line.hasPrefix("!") || line.hasPrefix("#REDIRECT")
      if isSkipping || isMark || line.hasPrefix("__") { continue }
      var text = String(line.drop { "*#:;".contains($0) }).replacing("'''", with: "")
      text = withoutAddresses(text.replacing("''", with: ""))
      // Clean up where a template stood: "Apollo ( ; )", "a  b", "a ,".
      for (rest, replacement) in [
        ("( ;", "("), ("( ", "("), (" )", ")"), ("()", ""), ("  ", " "), (" ,", ","),
      ] { text = text.replacing(rest, with: replacement) }
      text = String(text[...].trimmingSpaces)
      if text.contains(where: \.isLetter) { result.append(text) }
    }
    return result.joined(separator: "\n")
  }

  /// Replaces external links, "[http://… shown]", by the text they show.
  private static func withoutAddresses(_ text: String) -> String {
    guard text.contains("[http") else { return text }
    var result = ""
    var rest = text[...]
    while let open = rest.firstRange(of: "[http"),
      let close = rest[open.upperBound...].firstIndex(of: "]")
    {
      result += rest[..<open.lowerBound]
      let link = rest[open.upperBound..<close]
      if let space = link.firstIndex(of: " ") { result += link[link.index(after: space)...] }
      rest = rest[rest.index(after: close)...]
    }
    return result + rest
  }

  /// Replaces the entities of XML and the commonest of HTML by their characters.
  private static func unescaped(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    while let open = bytes[position...].firstIndex(of: UInt8(ascii: "&")) {
      result += bytes[position..<open]
      let name = bytes[(open + 1)...].prefix(8).prefix { $0 != UInt8(ascii: ";") }
      if let text = entities[String(decoding: name, as: UTF8.self)], name.endIndex < bytes.count {
        result += Array(text.utf8)
        position = name.endIndex + 1
      } else {
        result.append(UInt8(ascii: "&"))
        position = open + 1
      }
    }
    return result + bytes[position...]
  }

  private static let entities = [
    "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "amp": "&", "nbsp": " ", "ndash": "–",
    "mdash": "—", "minus": "−", "times": "×", "hellip": "…", "thinsp": " ", "prime": "′",
  ]

  private static func isLetter(_ byte: UInt8) -> Bool {
    (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
  }
}

extension Substring {
  fileprivate var trimmingSpaces: Substring {
    var text = drop(while: \.isWhitespace)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }
}
