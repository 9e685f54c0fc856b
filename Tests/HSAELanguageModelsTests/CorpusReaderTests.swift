// Tests of reading corpus files, good and hostile: which documents come out, and what is counted.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite struct CorpusReaderTests {
  /// The texts of all documents, and the summary.
  private func read(
    _ paths: [String], _ format: CorpusFormat = CorpusFormat()
  ) throws -> (texts: [String], documents: [Document], summary: CorpusSummary) {
    let reader = try CorpusReader(paths: paths, format: format)
    var documents: [Document] = []
    while let document = try reader.next() { documents.append(document) }
    #expect(try reader.next() == nil)
    #expect(reader.summary.documents == documents.count)
    #expect(reader.summary.bytes == documents.reduce(0) { $0 + $1.text.count })
    return (
      documents.map { String(decoding: $0.text, as: UTF8.self) }, documents, reader.summary
    )
  }

  private static let hostile = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Hostile").path

  private func hostile(_ name: String, maximum: Int? = nil) throws
    -> (texts: [String], documents: [Document], summary: CorpusSummary)
  {
    var format = CorpusFormat()
    if let maximum { format.maximumBytes = maximum }
    return try read([Path.join(Self.hostile, name)], format)
  }

  @Test func linesAreDocuments() throws {
    let scratch = try Scratch()
    let path = try scratch.file("a.txt", Array("one\r\n\n  \ntwo é\nthree".utf8))
    let (texts, documents, summary) = try read([path])
    #expect(texts == ["one", "two é", "three"])
    #expect(documents.allSatisfy { $0.language == nil && $0.title == nil && $0.topic == nil })
    #expect(summary.files == 1 && summary.count(.blank) == 2)
    #expect(summary.lines == ["2 blank lines or documents (first: \(path), line 2)"])
  }

  @Test func countsOfOneAreSingular() throws {
    let scratch = try Scratch()
    let path = try scratch.file("a.jsonl", Array("{\n{}\n\n".utf8))
    let empty = try scratch.file("b.txt", [])
    let words = try read([path, empty]).summary.lines.map { $0.prefix { $0 != "(" } }
    #expect(
      words == [
        "1 empty file ", "1 blank line or document ", "1 line that is not JSON, skipped ",
        "1 JSON value without the text field, skipped ",
      ])
  }

  @Test func filesAreDocuments() throws {
    let scratch = try Scratch()
    var format = CorpusFormat()
    format.unit = .file
    let first = try scratch.file("a.txt", Array("one\ntwo\n".utf8))
    let long = try scratch.file("b.txt", Array(String(repeating: "é", count: 300_000).utf8))
    #expect(try read([first, long], format).texts[0] == "one\ntwo\n")
    // The cut never splits a character, and the rest of the file is not a document.
    for limit in [299_999, 300_000, 599_999] {
      format.maximumBytes = limit
      let (texts, _, summary) = try read([first, long, first], format)
      #expect(texts.count == 3 && texts[2] == "one\ntwo\n")
      #expect(texts[1].utf8.count == limit / 2 * 2 && texts[1].allSatisfy { $0 == "é" })
      #expect(summary.count(.shortened) == 1)
    }
    format.maximumBytes = 600_000
    #expect(try read([long], format).summary.passedOver.isEmpty)
  }

  @Test func jsonLinesCarryTheirMetadata() throws {
    let scratch = try Scratch()
    let text = """
      {"body": "un", "language": "fr", "title": "T", "topic": "x", "n": [1, {"a": null}]}
      {"body": "deux\\n"}
      """
    let path = try scratch.file("a.ndjson", Array(text.utf8))
    var format = CorpusFormat()
    format.field = "body"
    format.unit = .file
    let (_, documents, summary) = try read([path], format)
    #expect(
      documents == [
        Document(text: Array("un".utf8), language: "fr", title: "T", topic: "x"),
        Document(text: Array("deux\n".utf8)),
      ])
    #expect(summary.passedOver.isEmpty)
    #expect(try read([path]).summary.count(.withoutField) == 2)
  }

  /// What Python writes and reads is no reason to drop a document.
  @Test func jsonOfPython() throws {
    let scratch = try Scratch()
    let text = #"""
      {"text": "one", "score": NaN, "bounds": [-Infinity, Infinity, 1e999]}
      {"text": "first", "id": 1, "id": 2, "text": "two"}
      {"text": "three \ud83d", "title": "\udc00"}
      """#
    let (texts, documents, summary) = try read([scratch.file("a.jsonl", Array(text.utf8))])
    #expect(texts == ["one", "two", "three \u{FFFD}"])
    #expect(documents[2].title == "\u{FFFD}" && summary.passedOver.isEmpty)
  }

  @Test func carriageReturnsEndLinesWhereThereAreNoLineFeeds() throws {
    let scratch = try Scratch()
    let texts = ["one", "two é", "three"]
    let old = try scratch.file("a.txt", Array("one\r\rtwo é\rthree".utf8))
    #expect(try read([old]).texts == texts && read([old]).summary.count(.blank) == 1)
    #expect(try read([scratch.file("b.txt", Array("one\rtwo é\rthree\r".utf8))]).texts == texts)
    let lines = #"{"text": "one"}\#r{"text": "two é"}\#r{"text": "three"}"#
    #expect(try read([scratch.file("c.jsonl", Array(lines.utf8))]).texts == texts)
    // With line feeds, a carriage return is part of a line unless it is its end.
    let mixed = try scratch.file("d.txt", Array("one\rtwo\nthree\r\nfour\r".utf8))
    #expect(try read([mixed]).texts == ["one\rtwo", "three", "four"])
    // Longer than the pieces that are read, and a line feed after the part that decides.
    let many = (0..<60_000).map { "line \($0)" }
    let long = try scratch.file("e.txt", Array((many.joined(separator: "\r") + "\nend").utf8))
    #expect(try read([long]).texts == many + ["end"])
    var format = CorpusFormat()
    format.unit = .file
    #expect(try read([old], format).texts == ["one\r\rtwo é\rthree"])
  }

  @Test func foldersAreSortedAndHiddenFilesLeftOut() throws {
    let scratch = try Scratch()
    try Path.createDirectories(scratch.path + "/c/b")
    for (name, text) in [
      ("c/2.txt", "c2"), ("c/1.md", "c1"), ("c/b/x.text", "cbx"), ("c/.hidden.txt", "no"),
      ("c/picture.png", "no"), ("c/3.jsonl", #"{"text": "c3"}"#), ("c/.git.txt", "no"),
    ] { _ = try scratch.file(name, Array(text.utf8)) }
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path + "/c/b/up", withDestinationPath: scratch.path + "/c")
    #expect(try read([scratch.path + "/c"]).texts == ["c1", "c2", "c3", "cbx"])
    #expect(kind { _ = try read([scratch.path + "/c/b/missing"]) } == .missing)
    try Path.createDirectories(scratch.path + "/empty")
    #expect(kind { _ = try read([scratch.path + "/empty"]) } == .data)
    #expect(try read([scratch.path + "/c/picture.png"]).texts == ["no"])
  }

  @Test func compressedFilesReadAlike() throws {
    let scratch = try Scratch()
    // Longer than the pieces that are read, so lines cross their ends.
    let lines = (0..<60_000).map { "line \($0) \(String(repeating: "x", count: $0 % 37))" }
    let plain = try scratch.file("a.txt", Array(lines.joined(separator: "\n").utf8))
    let compressed = scratch.path + "/b.txt.gz"
    let status = try ChildProcess.run(
      ["sh", "-c", "gzip -c \"$0\" > \"$1\"; gzip -c \"$0\" >> \"$1\"", plain, compressed]
    ) { (_: RawSpan) throws(Failure) in }
    #expect(status == 0)
    #expect(try read([plain]).texts == lines)
    // Members without a line end between them.
    let joined = Array(lines.dropLast()) + [lines[59_999] + lines[0]] + lines.dropFirst()
    #expect(try read([compressed]).texts == joined)
  }

  // MARK: Hostile files

  @Test func aLineOf100MegabytesIsSkipped() throws {
    let found = try hostile("100-megabyte-line.txt.gz")
    #expect(found.texts == ["first", "last"])
    #expect(found.summary.count(.tooLong) == 1)
    #expect(found.summary.lines[0].contains("line 2"))
    var format = CorpusFormat()
    format.unit = .file
    let whole = try read([Path.join(Self.hostile, "100-megabyte-line.txt.gz")], format)
    #expect(whole.texts.map(\.utf8.count) == [16 << 20] && whole.summary.count(.shortened) == 1)
  }

  @Test(
    arguments: ["truncated.jsonl.gz", "wrong-checksum.jsonl.gz", "damaged-inside.jsonl.gz"])
  func damagedFilesAreReadUpToTheDamage(_ name: String) throws {
    let found = try hostile(name)
    #expect(found.summary.count(.damagedFile) == 1)
    #expect(found.texts.count > 20 && found.texts.count <= 200)
    // Everything before the damage is right; a block with damage inside may give anything.
    #expect(found.texts.prefix(20) == (0..<20).map { "document \($0)" }[...])
  }

  @Test(
    arguments: [
      ("several-members.txt.gz", ["one", "two", "three"]),
      ("trailing-garbage.txt.gz", ["one", "two"]),
      ("byte-order-mark.txt", ["one", "two"]), ("no-line-end.txt", ["one", "two"]),
      ("not-utf8.txt", ["good", "été"]), ("zero-bytes.txt", []),
      ("many-values.jsonl.gz", ["y"]), ("empty.txt", []), ("blank.txt", []), ("utf16.txt", []),
      ("header-only.txt.gz", []), ("two-bytes.txt.gz", []),
      ("hostile.jsonl", ["good", "b", "\u{FFFD}", "fine", "last\0\n😀"]),
    ] as [(String, [String])])
  func oddFilesGiveTheirValidDocuments(_ name: String, _ texts: [String]) throws {
    #expect(try hostile(name).texts == texts)
  }

  @Test func skippedDocumentsAreCounted() throws {
    func count(_ name: String, _ reason: CorpusSummary.Reason) throws -> Int {
      try hostile(name).summary.count(reason)
    }
    #expect(try count("empty.txt", .emptyFile) == 1)
    #expect(try count("blank.txt", .blank) == 4)
    #expect(try count("not-utf8.txt", .notUTF8) == 3)
    #expect(try count("header-only.txt.gz", .damagedFile) == 1)
    #expect(try count("two-bytes.txt.gz", .damagedFile) == 1)
    #expect(try count("trailing-garbage.txt.gz", .damagedFile) == 0)
    let summary = try hostile("hostile.jsonl").summary
    #expect(summary.count(.notJSON) == 6)
    #expect(summary.count(.withoutField) == 5)
    #expect(summary.count(.list) == 1)
    #expect(summary.count(.blank) == 2)
    #expect(summary.lines.count == 4)
    // A folder with all of them is read to its end.
    let all = try read([Self.hostile])
    #expect(all.summary.files == 17 && all.texts.count > 100)
    // The same with a low limit.
    #expect(try hostile("hostile.jsonl", maximum: 20).summary.count(.tooLong) > 3)
  }
}
