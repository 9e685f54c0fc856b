// Corpus files against damage: reading ends with documents and counts, never with a crash or a hang.
// HSAE_FUZZ_ITERATIONS sets the number of inputs (default 10,000), HSAE_FUZZ_SEED the first seed.

import Foundation
import Glibc
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAELanguageModels

@Suite(.serialized)
struct CorpusFuzzTests {
  private let iterations: Int
  private let firstSeed: UInt64

  init() {
    let environment = ProcessInfo.processInfo.environment
    iterations = environment["HSAE_FUZZ_ITERATIONS"].flatMap { Int($0) } ?? 10_000
    firstSeed = environment["HSAE_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
  }

  private var peakMemory: Int {
    var usage = rusage()
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// Reads `iterations` damaged copies of the hostile files whose names end in `suffix`.
  private func fuzz(_ suffix: String) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Hostile")
      .path
    var originals: [[UInt8]] = []
    // A short file with a very long line would be most of the work.
    for name in try Path.list(folder)
    where name.hasSuffix(suffix) && !name.hasPrefix("many-values") {
      let bytes = try MappedFile(path: Path.join(folder, name)).copy()
      if bytes.count < 10_000 { originals.append(bytes) }
    }
    try withTemporaryFolder { scratch in
      let path = Path.join(scratch, "a" + suffix)
      let before = peakMemory
      var format = CorpusFormat()
      format.maximumBytes = 1 << 20
      for iteration in 0..<iterations {
        var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
        let bytes = mutated(originals[iteration % originals.count], by: &generator)
        do {
          let file = try Descriptor(updating: path)
          try unsafe file.write(bytes.span.bytes, at: 0)
          try file.truncate(to: bytes.count)
        }
        format.unit = iteration.isMultiple(of: 2) ? .line : .file
        let reader = try CorpusReader(paths: [path], format: format)
        while let document = try reader.next() {
          #expect(String(validating: document.text, as: UTF8.self) != nil)
        }
      }
      // The peak is the process's, so it says something only where no other suite runs beside this one.
      if ProcessInfo.processInfo.environment["HSAE_FUZZ_ITERATIONS"] != nil {
        #expect(peakMemory - before < 512 << 20)
      }
    }
  }

  @Test func text() throws { try fuzz(".txt") }
  @Test func jsonLines() throws { try fuzz(".jsonl") }
  @Test func compressedText() throws { try fuzz(".txt.gz") }
  @Test func compressedJSONLines() throws { try fuzz(".jsonl.gz") }

  /// Dumps are pinned by hash, so no one can damage them; the scanner must hold all the same.
  @Test func wikitext() throws {
    let original = Array(MediaWikiTests.dump.utf8)
    for iteration in 0..<iterations {
      var generator = SeededGenerator(seed: firstSeed &+ UInt64(iteration))
      _ = MediaWiki.articles(in: mutated(original, by: &generator))
    }
  }
}
