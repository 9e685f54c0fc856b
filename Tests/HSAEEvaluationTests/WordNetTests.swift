// Tests reading WordNet: the small fixture, damaged files, and the real one if it is installed.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct WordNetTests {
  @Test func wordsFindTheirSynsets() throws {
    let net = try WordNetFixture.load()
    func above(_ word: String) -> Set<String> {
      Set(net.ancestors(of: word).map { net.names[Int($0)] })
    }
    #expect(above("corgi") == ["corgi", "dog", "animal", "entity"])
    #expect(above("chicago") == ["chicago", "city", "location", "entity"])
    #expect(above("animal_thing") == ["animal", "entity"])
    #expect(net.senses(of: "nothing").isEmpty && above("nothing").isEmpty)
    let corgi = net.senses(of: "corgi")[0]
    #expect(Set(net.ancestors(ofSynset: corgi).map { net.names[Int($0)] }).count == 3)
  }

  @Test func formsFindTheirLemma() throws {
    let net = try WordNetFixture.load()
    #expect(net.lemma(of: "dogs") == "dog")
    #expect(net.lemma(of: "mice") == "mouse")
    #expect(net.lemma(of: "huskies") == "husky")
    #expect(net.lemma(of: "cherries") == "cherry")
    #expect(net.lemma(of: "geese") == nil)  // An exception whose noun is not there.
    #expect(net.lemma(of: "xyzzy") == nil)
  }

  @Test func damagedFilesAreRefused() throws {
    try withTemporaryFolder { folder in
      let missing = failure { _ = try WordNet(folder: folder) }
      #expect(missing?.kind == .missing && missing?.message.contains("wordnet-base") == true)
      let (data, index) = WordNetFixture.files()
      func fails(_ name: String, _ text: String) throws -> Failure? {
        try WordNetFixture.write(to: folder)
        try DurableFile.write(Array(text.utf8), to: Path.join(folder, name))
        return failure { _ = try WordNet(folder: folder) }
      }
      let lines = data.split(separator: "\n").map(String.init)
      for broken in [
        "nonsense", "00000001 03 n zz x", "00000001 03 n 01 x 0 ffff @",
        "00000001 03 n 99999999999 x 0",
        "00000001 03 n 01 x 0 002 @ 00001740 n 0000",
        "00000001 03 n 01 x 0 -01", lines[3],
      ] {
        let found = try fails("data.noun", data + broken + "\n")
        #expect(found?.kind == .data, "\(broken)")
        #expect(found?.message.contains("data.noun: line \(lines.count + 1)") == true, "\(broken)")
      }
      #expect(try fails("data.noun", lines[2])?.kind == .data)
      #expect(try fails("data.noun", lines[3])?.message.contains("synset") == true)
      #expect(try fails("index.noun", index + "word n 1 0 1 0 00000007\n")?.kind == .data)
      #expect(try fails("noun.exc", "mice\n")?.kind == .data)
    }
  }

  /// A cycle of hypernyms, which WordNet does not have, does not loop forever.
  @Test func aCycleOfHypernymsDoesNotLoop() throws {
    try withTemporaryFolder { folder in
      try WordNetFixture.write(to: folder)
      let data =
        "00000001 03 n 01 egg 0 001 @ 00000002 n 0000 | x\n"
        + "00000002 03 n 01 hen 0 001 @ 00000001 n 0000 | y\n"
      try DurableFile.write(Array(data.utf8), to: Path.join(folder, "data.noun"))
      try DurableFile.write(
        Array("egg n 1 1 @ 1 0 00000001\n".utf8), to: Path.join(folder, "index.noun"))
      let net = try WordNet(folder: folder)
      #expect(net.ancestors(of: "egg").count == 2)
    }
  }

  @Test(.enabled(if: Path.exists(Path.join(WordNet.defaultFolder, "data.noun"))))
  func theRealOneKnowsItsDogs() throws {
    let net = try WordNet()
    #expect(net.synsetCount == 82_115)
    func isKind(_ word: String, of other: String) -> Bool {
      net.ancestors(of: word).contains { net.names[Int($0)] == other }
    }
    for dog in ["corgi", "poodle", "terrier"] {
      #expect(isKind(dog, of: "dog") && isKind(dog, of: "animal") && !isKind(dog, of: "vehicle"))
    }
    #expect(isKind("chicago", of: "city") && isKind("france", of: "country"))
    #expect(net.lemma(of: "churches") == "church" && net.lemma(of: "mice") == "mouse")
    #expect(net.lemma(of: "policemen") == "policeman")
  }
}
