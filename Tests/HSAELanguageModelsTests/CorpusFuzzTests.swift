// Fuzz tests of corpus files: reading damaged files ends with documents and counts, never with a crash or a
// hang. `Fuzz` sets the number of inputs.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite(.serialized)
struct CorpusFuzzTests {
  private let inputs = Fuzz()

  /// Reads damaged copies of the hostile files whose names end in `suffix`.
  private func fuzz(_ suffix: String) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Hostile")
      .path
    var originals: [[UInt8]] = []
    // Leave out the file with a very long line; it would take most of the time.
    for name in try Path.list(folder)
    where name.hasSuffix(suffix) && !name.hasPrefix("many-values") {
      let bytes = try MappedFile(path: Path.join(folder, name)).copy()
      if bytes.count < 10_000 { originals.append(bytes) }
    }
    try Fuzz.withFolder { scratch in
      let path = Path.join(scratch, "a" + suffix)
      var format = CorpusFormat()
      format.maximumBytes = 1 << 20
      let growth = try inputs.feed(originals) { iteration, bytes in
        try Fuzz.put(bytes, at: path)
        format.unit = iteration.isMultiple(of: 2) ? .line : .file
        let reader = try CorpusReader(paths: [path], format: format)
        while let document = try reader.next() {
          #expect(String(validating: document.text, as: UTF8.self) != nil)
        }
      }
      #expect(growth < Fuzz.memoryBound)
    }
  }

  @Test func text() throws { try fuzz(".txt") }
  @Test func jsonLines() throws { try fuzz(".jsonl") }
  @Test func compressedText() throws { try fuzz(".txt.gz") }
  @Test func compressedJSONLines() throws { try fuzz(".jsonl.gz") }

  /// Dumps are pinned by hash, so they cannot be damaged; the scanner must survive damage all the same.
  @Test func wikitext() throws {
    let growth = inputs.feed([Array(MediaWikiTests.dump.utf8)]) { _, bytes in
      _ = MediaWiki.articles(in: bytes)
    }
    #expect(growth < Fuzz.memoryBound)
  }
}
