// Tests of making parallel sentences from the verses of four editions.

import Testing

@testable import HSAELanguageModels

@Suite struct ParallelSentencesTests {
  @Test func versesThatCorrespond() throws {
    let long = "and it was so, and it was long enough"
    var lines: [String] = []
    for (edition, book) in [("4", "Genesis"), ("l", "Genèse"), ("v", "Génesis"), ("e", "1Mose")] {
      lines.append(#"["\#(edition)", "\#(book)", 1, " (1:1) \#(edition) \#(long)!\" "]"#)
      lines.append(#"["\#(edition)", "\#(book)", 1, "short"]"#)
      lines.append(#"["\#(edition)", "\#(book)", 2, "\#(edition) second `\#(long)`"]"#)
      if edition == "v" { lines.append(#"["v", "Génesis", 2, "\#(long)"]"#) }
      lines.append(#"["\#(edition)", "Exodus \#(edition)", 2, "\#(edition) third \#(long)"]"#)
    }
    let text = lines.joined(separator: "\n") + "\n"
    let sentences = try ParallelSentences(verses: Array(text.utf8), path: "bible.jsonl")
    #expect(sentences.languages == ["en", "fr", "es", "de"])
    // The Spanish edition divides the second chapter differently.
    #expect(
      sentences.sentences == [
        ["4", "l", "v", "e"].map { "\($0) \(long)" },
        ["4", "l", "v", "e"].map { "\($0) third \(long)" },
      ])
  }
}
