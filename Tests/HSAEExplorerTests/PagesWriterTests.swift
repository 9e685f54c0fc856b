// Pages as files: every link works, words lead to latents, other people's folders are not touched, and an
// interruption leaves nothing incomplete.

#if Explorer
import Foundation
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct PagesWriterTests {
  private func html(_ folder: String) throws -> [String] {
    let all = try FileManager.default.subpathsOfDirectory(atPath: folder)
    return all.filter { $0.hasSuffix(".html") }
  }

  private func text(_ path: String) -> String { String(decoding: fileBytes(path), as: UTF8.self) }

  /// The values of `attribute` in `html`.
  private func values(_ attribute: String, _ html: String) -> [String] {
    html.components(separatedBy: " \(attribute)=\"").dropFirst().map {
      String($0.prefix { $0 != "\"" })
    }
  }

  @Test func everyLinkLeadsSomewhere() async throws {
    try await ExplainFixture.withExplorer { explorer, fixture in
      let folder = Path.join(fixture.folder, "pages")
      let database = explorer.database
      let summary = try #require(try PagesWriter(database: database).write(to: folder))
      let pages = try html(folder)
      let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter {
        !Path.isDirectory(Path.join(folder, $0))
      }
      #expect(summary.files == files.count && summary.runs.count == 2)
      #expect(
        summary.bytes
          == files.reduce(0) { $0 + (Path.fileSize(Path.join(folder, $1)) ?? 0) })
      let runs = try database.runs()
      let live = try runs.map { try database.statistics(of: $0).live }
      // A page for each live expert, an overview and a list for each run, two comparisons, the first page.
      #expect(pages.count == live.reduce(0, +) + 4 + 2 + 1)
      let base = URL(fileURLWithPath: folder, isDirectory: true)
      for page in pages {
        let html = text(Path.join(folder, page))
        #expect(!html.contains("=\"/"), "\(page)")
        #expect(!html.contains("<i>plain") && !html.contains("<b>bold"), "\(page)")
        for attribute in ["href", "src", "action"] {
          for value in values(attribute, html) where value != "data:," && value != "#main" {
            let target = try #require(
              URL(string: value, relativeTo: base.appendingPathComponent(page)), "\(value)")
            let path = target.standardizedFileURL.path
            #expect(path.hasPrefix(base.path) && Path.exists(path), "\(page): \(value)")
            if let fragment = target.fragment {
              #expect(text(path).contains("id=\"\(fragment)\""), "\(page): \(value)")
            }
          }
        }
        for word in ["labelling", "/steer", "text?runs"] {
          #expect(!html.contains(word), "\(page)")
        }
      }
    }
  }

  @Test func wordsLeadToLatents() async throws {
    try await ExplainFixture.withExplorer { explorer, fixture in
      let database = explorer.database
      let run = try #require(try database.run(named: "h"))
      try database.setLabel("Ünïque label", of: LatentNumber(expert: 3, sublatent: 1), in: run)
      let folder = Path.join(fixture.folder, "pages")
      _ = try PagesWriter(database: database).write(to: folder)
      let search = Path.join(folder, "runs/h/search")
      let words = text(Path.join(search, "words-0.js"))
      #expect(words.hasPrefix("hsaeWords(0,{") && words.hasSuffix("})\n"))
      let record = try #require(
        try database.record(of: LatentNumber(expert: 3, sublatent: 1), in: run))
      // A dead latent is not in the index, even with a label.
      #expect(words.contains("\"unique\":\"3.1\"") == (record.count > 0))
      #expect(
        text(Path.join(search, "contents.js")).hasPrefix(
          "hsaeContents({block:32,longest:200,first:[\""))
      let names = text(Path.join(search, "names-0.js"))
      #expect(names.hasPrefix("hsaeNames(0,{") && !names.contains("<b>"))
    }
  }

  @Test func wordsAreFolded() {
    #expect(
      WordIndex.words("\u{2581}Café-au-lait 3×Ω ﬁn") == ["cafe", "au", "lait", "3", "ω", "ﬁn"])
    #expect(WordIndex.words("<0xE2>") == ["0xe2"] && WordIndex.words("…").isEmpty)
  }

  @Test func largeIndicesAreParted() {
    var index = WordIndex()
    for expert in 0..<6000 {
      var record = LatentRecord(
        expert: expert, count: 1, chosen: 1, density: 0, maximum: 1, mean: 1, shareOfParent: 1,
        liveSublatents: 0, words: ["word\(expert)", "common"])
      record.label = expert == 7 ? "common" : nil
      index.add(record, promoted: nil)
    }
    let files = index.files()
    #expect(files.count > 1 && files.map(\.first) == files.map(\.first).sorted())
    #expect(files.allSatisfy { $0.script.utf8.count < WordIndex.fileSize + 5000 })
    let all = files.map(\.script).joined()
    #expect(all.contains("\"word5999\":\"5999\"") && all.contains("\"common\":\"7 0 1 2"))
    #expect(!all.contains(" 5999\""), "the longest lists are cut")
  }

  @Test func anInterruptedWriteLeavesNoPages() async throws {
    try await ExplainFixture.withExplorer { explorer, fixture in
      let folder = Path.join(fixture.folder, "pages")
      let writer = try PagesWriter(database: explorer.database)
      #expect(try writer.write(to: folder) { done, _ in done < 24 } == nil)
      #expect(!Path.exists(folder))
      #expect(try Path.list(fixture.folder).allSatisfy { !$0.contains("partial") })
      _ = try writer.write(to: folder)
      let before = try FileManager.default.subpathsOfDirectory(atPath: folder)
      try DurableFile.write("", to: Path.join(folder, "stray.html"))
      // After an interruption the old pages stay; a complete write replaces them.
      #expect(try writer.write(to: folder) { done, _ in done < 24 } == nil)
      #expect(Path.exists(Path.join(folder, "stray.html")))
      _ = try writer.write(to: folder)
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder) == before)
      let other = Path.join(fixture.folder, "other")
      try Path.createDirectories(other)
      try DurableFile.write("mine", to: Path.join(other, "index.html"))
      #expect(failure { _ = try writer.write(to: other) }?.kind == .cannotCreate)
      #expect(text(Path.join(other, "index.html")) == "mine")
      #expect(
        failure { _ = try writer.write(to: Path.join(fixture.folder, "no/pages")) }?.kind
          == .cannotCreate)
    }
  }

  @Test func foldersOfRunsAreDifferent() throws {
    let names = ["a/b", "a b", "A-B", "../..", ""]
    let runs = names.enumerated().map { index, name in
      RunRecord(
        id: index, name: name, path: "", step: 0, shape: ExplainFixture.shape, subThreshold: 0,
        rows: 0, window: 0, hasPromotedTokens: false, isComplete: true, corpus: 0, kind: .text,
        storeName: "", configuration: "")
    }
    let files = PageFiles(runs: runs)
    #expect(
      runs.map(files.folder) == ["runs/a-b", "runs/a-b-2", "runs/A-B-3", "runs/-----", "runs/run"])
  }
}
#endif
