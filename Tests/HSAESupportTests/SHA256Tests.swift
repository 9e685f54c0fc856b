// SHA-256 against the values of FIPS 180-4's examples.

import HSAESupport
import HSAETestSupport
import Testing

struct SHA256Tests {
  @Test func knownAnswers() {
    #expect(
      SHA256.hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      SHA256.hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func piecesAndFilesGiveTheSameHash() throws {
    try withTemporaryFolder { folder in
      let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
      var hash = SHA256()
      hash.update(Array(bytes[..<1000]))
      hash.update(Array(bytes[1000...]))
      let whole = SHA256.hash(bytes)
      #expect(hash.finish() == whole)
      try DurableFile.write(bytes, to: folder + "/file")
      var last = 0
      #expect(try SHA256.hash(file: folder + "/file") { last = $0 } == whole)
      #expect(last == bytes.count)
    }
  }

  @Test func aMissingFileIsMissingAndAFolderIsData() {
    #expect(failure { _ = try SHA256.hash(file: "/nowhere/at/all") }?.kind == .missing)
    #expect(failure { _ = try SHA256.hash(file: "/") }?.kind == .data)
  }
}
