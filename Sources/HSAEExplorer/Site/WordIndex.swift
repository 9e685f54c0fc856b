// The search index of pages that are files: words with their latents, in small scripts that a page loads when it needs
// them. Pages opened from a disk can load scripts only.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels

/// An index of a run's latents by their strongest words, promoted tokens and labels.
struct WordIndex {
  /// The most latents listed for a word.
  static let longestList = 200
  /// The approximate size of a file of words in bytes.
  static let fileSize = 64 << 10
  /// The number of experts in a file of names.
  static let block = 32

  /// A latent of a word; the lowest weight comes first.
  private struct Posting {
    var weight: Int32
    var expert: Int32
    var sublatent: Int32
  }

  private var postings: [String: [Posting]] = [:]
  private var folded: [String: [String]] = [:]
  private var names: [String] = []

  /// The words of `text` as index keys: letters and digits, in lower case, without marks. The script does the same with
  /// what is typed.
  static func words(_ text: String) -> [String] {
    let plain = text.decomposedStringWithCanonicalMapping.unicodeScalars.filter { scalar in
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .spacingMark, .enclosingMark: false
      default: true
      }
    }
    return String(String.UnicodeScalarView(plain)).lowercased().split {
      !$0.isLetter && !$0.isNumber
    }.map(String.init)
  }

  /// Adds a latent.
  mutating func add(_ latent: LatentRecord, promoted: PromotedTexts?) {
    var seen: Set<String> = []
    func add(_ text: String, _ weight: Int, to index: inout WordIndex) {
      let words = index.folded[text] ?? Self.words(text)
      index.folded[text] = words
      for word in words where seen.insert(word).inserted {
        index.postings[word, default: []].append(
          Posting(
            weight: Int32(weight), expert: Int32(latent.expert),
            sublatent: Int32(latent.sublatent ?? -1)))
      }
    }
    if let label = latent.label { add(label, 0, to: &self) }
    for (place, word) in (latent.name + latent.words).enumerated() {
      add(word, 1 + place, to: &self)
    }
    for (place, token) in (promoted?.promoted ?? []).enumerated() {
      add(token.text, 100 + place, to: &self)
    }
    let words = latent.shownWords.prefix(6).joined(separator: " ")
    names.append(
      scriptSafeJSON(latent.number.name) + ":[" + scriptSafeJSON(words)
        + (latent.label.map { "," + scriptSafeJSON($0) } ?? "") + "]")
  }

  /// The names of the latents added since the last call, as a script.
  mutating func takeNames(block: Int) -> String {
    defer { names = [] }
    return "hsaeNames(\(block),{" + names.joined(separator: ",\n") + "})\n"
  }

  /// The files of words, as scripts, and the first word of each.
  func files() -> [(first: String, script: String)] {
    // In the order of JavaScript's comparison.
    let words = postings.keys.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
    var files: [(first: String, script: String)] = []
    var entries: [String] = []
    var first = ""
    var size = 0
    func end() {
      guard !entries.isEmpty else { return }
      files.append(
        (first, "hsaeWords(\(files.count),{" + entries.joined(separator: ",\n") + "})\n"))
      (entries, size) = ([], 0)
    }
    for word in words {
      let list = (postings[word] ?? []).sorted {
        ($0.weight, $0.sublatent < 0 ? 0 : 1, $0.expert, $0.sublatent)
          < ($1.weight, $1.sublatent < 0 ? 0 : 1, $1.expert, $1.sublatent)
      }.prefix(Self.longestList).map { posting in
        posting.sublatent < 0 ? "\(posting.expert)" : "\(posting.expert).\(posting.sublatent)"
      }.joined(separator: " ")
      let entry = scriptSafeJSON(word) + ":" + scriptSafeJSON(list)
      if size + entry.utf8.count > Self.fileSize { end() }
      if entries.isEmpty { first = word }
      entries.append(entry)
      size += entry.utf8.count + 2
    }
    end()
    return files
  }

  /// A script that tells the page which file has which words.
  static func contents(firstWords: [String]) -> String {
    "hsaeContents({block:\(block),longest:\(longestList),first:["
      + firstWords.map(scriptSafeJSON).joined(separator: ",")
      + "]})\n"
  }
}
#endif
