// The same sentences in several languages, read from a JSON file or from the verses of the catalogue's corpus
// "bible", whose four editions number verses alike.

public import HSAESupport
import HSAETensors

/// Sentences in several languages.
public struct ParallelSentences: Hashable, Sendable {
  /// The languages: "en", "fr", …
  public var languages: [String]
  /// Each sentence in all languages, in the order of `languages`.
  public var sentences: [[String]]
  /// A description, as a clause.
  public var description: String

  /// The given sentences.
  public init(languages: [String], sentences: [[String]], description: String) {
    (self.languages, self.sentences, self.description) = (languages, sentences, description)
  }

  /// Reads sentences from the JSON file at `path`: `[{"en": …, "fr": …}, …]`, all in the same languages.
  ///
  /// Fails with `.data` and the number of the first sentence that does not fit.
  public init(path: String) throws(Failure) {
    guard let list = try JSONFile.readTree(from: path).array, let first = list.first?.object,
      first.count >= 2
    else {
      throw .data(
        "\(path): this file holds no parallel sentences; it needs the form [{\"en\": …, \"fr\": …}, …]"
          + " with two or more languages.")
    }
    let usual = ["en", "fr", "es", "de"]
    languages =
      usual.filter { first[$0] != nil } + first.keys.filter { !usual.contains($0) }.sorted()
    sentences = []
    for (index, sentence) in list.enumerated() {
      let texts = languages.compactMap { sentence[$0]?.string }
      guard texts.count == languages.count, texts.allSatisfy({ !$0.isEmpty }),
        sentence.object?.count == languages.count
      else {
        throw .data(
          "\(path): sentence \(index) (counting from 0) is not a text in each of"
            + " \(languages.joined(separator: ", ")) and nothing else; correct it.")
      }
      sentences.append(texts)
    }
    description = Path.name(path)
  }

  /// Verses of the catalogue's Bible in English, French, Spanish and German that have 20 to 240 characters
  /// in each language. Punctuation at their ends is dropped, so that the last token belongs to a word.
  public static func verses(_ fetcher: ModelFetcher) throws(Failure) -> ParallelSentences {
    guard let corpus = CorpusCatalogue.corpus(named: "bible") else {
      throw Failure(.software, "The catalogue has no corpus \"bible\".")
    }
    let path = try fetcher.fetch(corpus.file)
    return try ParallelSentences(verses: MappedFile(path: path).copy(), path: path)
  }

  /// Reads verses from `lines`, JSON arrays of edition, book, chapter and text, edition after edition.
  init(verses lines: [UInt8], path: String) throws(Failure) {
    let editions = ["4", "l", "v", "e"]
    languages = ["en", "fr", "es", "de"]
    description = "verses of the Bible (corpus bible)"
    // For every edition: its chapters in order, each a list of verses.
    var chapters = [[[String]]](repeating: [], count: editions.count)
    var last = ""
    for line in lines.split(separator: UInt8(ascii: "\n")) {
      let verse = try JSONValue(parsing: Array(line), source: path).array ?? []
      guard verse.count == 4, let edition = verse[0].string.flatMap(editions.firstIndex),
        let book = verse[1].string, let chapter = verse[2].integer, let text = verse[3].string
      else { throw .data("\(path): a line is not a verse; remove this file and run again.") }
      let place = "\(edition) \(book) \(chapter)"
      if place != last { chapters[edition].append([]) }
      last = place
      chapters[edition][chapters[edition].count - 1].append(Self.cleaned(text))
    }
    sentences = []
    for chapter in 0..<(chapters.map(\.count).min() ?? 0) {
      let parts = chapters.map { $0[chapter] }
      // Skip chapters that the editions divide differently: their verses do not correspond.
      guard Set(parts.map(\.count)).count == 1 else { continue }
      for verse in parts[0].indices {
        let texts = parts.map { $0[verse] }
        if texts.allSatisfy({ (20...240).contains($0.count) }) { sentences.append(texts) }
      }
    }
  }

  /// Removes white space, another edition's verse number at the beginning, and punctuation at the end.
  private static func cleaned(_ text: String) -> String {
    var text = Substring(text.map { $0 == "`" ? "'" : $0 })
    text = text.drop { $0.isWhitespace }
    if text.first == "(", let end = text.firstIndex(of: ")"),
      text[..<end].dropFirst().allSatisfy({ $0.isNumber || $0 == ":" })
    {
      text = text[text.index(after: end)...].drop { $0.isWhitespace }
    }
    while let last = text.last, !last.isLetter, !last.isNumber { text.removeLast() }
    return String(text)
  }

  /// `count` sentences drawn with `seed`, or all if there are fewer.
  public func sample(_ count: Int, seed: UInt64) -> ParallelSentences {
    var generator = SeededGenerator(seed: seed).split(0x7061_7261)
    var result = self
    result.sentences = Array(sentences.shuffled(using: &generator).prefix(count))
    return result
  }
}
