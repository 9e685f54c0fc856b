// Tests forms of words, readable tokens, and the search for tokens.

import Testing

@testable import HSAEEvaluation

@Suite struct WordsTests {
  @Test func formsOfOneWord() {
    for token in ["▁dog", "dog", "Dog", "▁DOG", "▁dogs", "Dogs", " dog "] {
      #expect(wordForm(token) == "dog")
    }
    #expect(wordForm("▁cities") == wordForm("City"))
    #expect(wordForm("boxes") == "box")
    #expect(
      wordForm("glass") == "glass" && wordForm("bus") == "bus" && wordForm("Paris") == "paris")
    #expect(wordForm("gas") == "gas")
    #expect(wordForm("café") != wordForm("cafe"))
    #expect(wordForm("▁") == "▁" && wordForm("") == "")
  }

  @Test func readable() {
    #expect(readableToken("▁dog") == "dog")
    #expect(readableToken("▁▁dog") == " dog")
    #expect(readableToken("a\u{202E}b") == "a⟨U+202E⟩b")
    #expect(readableToken("\u{2028}") == "⟨U+2028⟩")
    #expect(readableToken("\u{0000}x\n") == "⟨U+0000⟩x⟨U+000A⟩")
    #expect(readableToken("\u{0301}a") == "\u{25CC}\u{0301}a")
    #expect(readableToken("<\u{0338}") == "<\u{0338}")
    #expect(readableToken("می\u{200C}شود") == "می\u{200C}شود")
    #expect(readableToken("\u{FEFF}") == "⟨U+FEFF⟩")
    #expect(readableToken("▁▁▁") == "⟨2 × space⟩")
    #expect(readableToken("<0xE2>") == "<0xE2>")
  }

  @Test func piecesAndWholeWords() {
    #expect(continuesWord("ing") && !continuesWord("▁ing"))
    #expect(!continuesWord("北京") && !continuesWord("ไทย") && !continuesWord("…"))
    #expect(isWholeWord("▁dog") && !isWholeWord("dog") && !isWholeWord("▁a") && isWholeWord("北京"))
    #expect(!isWholeWord("▁123") && !isWholeWord("犬"))
  }

  @Test func tableMergesForms() {
    let table = WordTable(
      tokens: [0, 1, 2, 3, 99, -1], vocabulary: ["dogs", "▁dog", "Cat", "▁dog"])
    #expect(table.text(row: 4) == "<token 99>" && table.text(row: 5) == "<token -1>")
    #expect(table.forms[0] == table.forms[1] && table.forms[1] == table.forms[3])
    #expect(table.forms[2] != table.forms[0])
    #expect(table.row(ofToken: 1) == 1 && table.row(ofToken: 77) == nil)
    let rows = (0..<4).map { RankedRow(row: $0, value: 1) }
    #expect(table.distinct(rows).map(\.row) == [0, 2])
    #expect(table.distinct(rows, limit: 1).count == 1)
    #expect(table.mergedText(row: 0) == "▁dogs" && table.mergedText(row: 2) == "Cat")
  }

  @Test func findsTokens() {
    let search = WordSearch(vocabulary: ["Dog", "▁London", "dog", "▁Queen", "QUEEN", "▁cat"])
    #expect(search.find("dog")?.token == 2)
    #expect(search.find("London")?.token == 1)
    #expect(search.find("london") == WordSearch.Match(token: 1, text: "▁London", isExact: false))
    #expect(search.find("▁dog") == nil)
    #expect(search.find("cat")?.isExact == true)
    #expect(search.find("") == nil && search.find(" ") == nil)
    // A variant with a row comes before a token without one.
    #expect(search.find("Queen", isKept: { $0 == 4 })?.token == 4)
    #expect(search.find("Queen", isKept: { _ in false })?.token == 3)
    #expect(search.suggestions(for: "Londn") == ["▁London"])
    #expect(search.suggestions(for: "que") == ["▁Queen"])
    #expect(search.suggestions(for: "zzzzzzzz").isEmpty)
  }

  @Test func distances() {
    func distance(_ a: String, _ b: String) -> Int {
      editDistance(Array(a.utf8), Array(b.utf8), limit: 2)
    }
    #expect(distance("kitten", "sitten") == 1 && distance("abc", "abc") == 0)
    #expect(distance("kitten", "sitting") == 3 && distance("", "ab") == 2)
  }
}
