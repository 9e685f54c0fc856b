// Parts of a residual-stream store that need no model: sets of units, the exact median, rows in several
// chunks, a damaged corpus.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

@Suite struct ResidualStoreTests {
  @Test func setsOfUnits() {
    var units = UnitSet()
    var plain: Set<Int> = []
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<200 {
      let start = Int(generator.next() % 100)
      let range = start..<start + Int(generator.next() % 6)
      units.insert(range)
      plain.formUnion(range)
      #expect(units.isSound)
    }
    #expect(Set(units.ranges.flatMap { $0[0]..<$0[1] }) == plain)
    for first in stride(from: 0, to: 110, by: 7) {
      let range = first..<first + 9
      #expect(units.count(in: range) == plain.intersection(range).count)
      #expect(units.contains(range) == plain.isSuperset(of: range))
    }
    #expect(units.contains(5..<5))
  }

  /// A store of one document with `rows` rows of width `width`, row i being (norm i, 0, …).
  private func write(_ path: String, rows: Int, width: Int, norms: (Int) -> Float) throws {
    var attributes = StoreAttributes(
      kind: .residualStream, modelName: "test", modelSHA256: "", hookPoint: "test")
    attributes.width = width
    attributes.shuffleSeed = 9
    attributes.collection = CollectionAttributes()
    var manifest = try StoreManifest(path: path)
    try manifest.append(
      StoreManifest.Document(
        tokens: (0..<Int32(rows)).map { $0 }, rowCount: rows, isHeldOut: false))
    try manifest.commit(attributes: attributes, vocabulary: ["a"])
    let writer = try ResidualStoreWriter(path: path)
    var row = Matrix(rows: 1, columns: width)
    for index in 0..<rows {
      row[0, 0] = norms(index)
      writer.add(
        index, row.row(0), token: Int32(index), document: 0, position: index, isHeldOut: false)
      // Several sweeps over the chunks.
      if index % 1000 == 999 { try writer.flush() }
    }
    writer.end(unit: 0)
    try writer.flush()
    #expect(try writer.complete(units: 2) == .notYet)
    #expect(try writer.complete(units: 1) == .byThis)
    #expect(try writer.complete(units: 1) == .byAnother)
  }

  @Test func rowsGoToTheirChunks() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      // Chunks of 2²⁵ / 8192 = 4096 rows.
      let (rows, width) = (9000, 4096)
      try write(path, rows: rows, width: width) { Float($0 + 1) }
      #expect(try Path.list(path + "/directions/c").count == 3)
      let store = try ActivationStore(path: path)
      let permutation = Permutation(count: rows, seed: 9)
      let order = (0..<rows).map { permutation.position(of: $0) }
      #expect(order.map { store.token($0) } == (0..<Int32(rows)).map { $0 })
      #expect(order.map { store.norm($0) } == (0..<rows).map { Float($0 + 1) })
      #expect(store.attributes.collection?.medianNorm == 4500)
      for start in [0, 4095, 8990] {
        let matrix = try store.matrix(rows: start..<start + 10)
        #expect((0..<10).allSatisfy { matrix[$0, 0] == 1 && matrix[$0, 1] == 0 })
      }
      // No norm reaches 90,000, ten times the median.
      #expect(store.attributes.collection?.flaggedRows == 0)
    }
  }

  @Test(arguments: [1, 2, 7, 1000]) func theMedianIsExact(_ count: Int) throws {
    try withTemporaryFolder { folder in
      var generator = SeededGenerator(seed: UInt64(count))
      let values = (0..<count).map { _ in Float(1000 * generator.nextUniform()) }
      let path = Path.join(folder, "store")
      try write(path, rows: count, width: 1) { values[$0] }
      let median = try ActivationStore(path: path).attributes.collection?.medianNorm
      #expect(median == values.sorted()[(count - 1) / 2])
    }
  }

  @Test func zerosCountAsFlaggedAndNotInTheMedian() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      try write(path, rows: 10, width: 2) { $0 < 6 ? 0 : $0 == 9 ? 1000 : 5 }
      let collection = try #require(try ActivationStore(path: path).attributes.collection)
      #expect(collection.medianNorm == 5 && collection.flaggedRows == 7)
    }
  }

  @Test func aDamagedCorpusIsRefused() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "store")
      try write(path, rows: 100, width: 2) { Float($0 + 1) }
      #expect(try StoredCorpus(store: path).tokens(of: 0).count == 100)
      try DurableFile.write(
        [UInt8](repeating: 255, count: 16), to: path + "/corpus/offsets/c/0")
      #expect(failure { _ = try StoredCorpus(store: path) }?.kind == .data)
      try DurableFile.write([0], to: path + "/corpus/offsets/c/0")
      #expect(failure { _ = try StoredCorpus(store: path) }?.kind == .data)
      Path.removeAll(path + "/corpus")
      #expect(failure { _ = try StoredCorpus(store: path) }?.kind == .data)
    }
  }
}
