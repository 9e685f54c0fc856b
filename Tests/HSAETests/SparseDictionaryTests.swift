// Dictionaries loaded by the library: codes and reconstructions equal the engine's, whatever folder they come from,
// and evaluation agrees with `hsae evaluate`.

import Foundation
import HSAE
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@Suite struct SparseDictionaryTests {
  /// A trained run in `folder`.
  private func trained(
    in folder: String, flat: Bool = false
  ) throws -> (LibraryFixture, String) {
    var fixture = try LibraryFixture(in: folder)
    if flat { (fixture.options.sublatents, fixture.options.subspace) = (0, 0) }
    let run = fixture.path("run")
    let command = try runHSAE(["train", fixture.file, "--out", run] + fixture.arguments)
    try #require(command.code == 0, "\(command.errors)")
    return (fixture, run)
  }

  @Test(arguments: [false, true])
  func codesAreThoseOfTheCommand(flat: Bool) throws {
    try withTemporaryFolder { folder in
      let (fixture, run) = try trained(in: folder, flat: flat)
      let dictionary = try SparseDictionary(path: run)
      #expect(dictionary.shape.isFlat == flat && dictionary.step == 24)
      #expect(dictionary.normalisation == .unit)
      let codes = dictionary.encode(fixture.rows)
      let command = try runHSAE(["encode", run, fixture.file, "--reconstruct"])
      let lines = command.output.split(separator: "\n")
      try #require(lines.count == fixture.rows.count)
      let rebuilt = dictionary.decode(codes)
      for (row, line) in lines.enumerated() where row % 97 == 0 {
        let latents = codes[row].map {
          flat
            ? "[\($0.expert), \($0.value)]"
            : "[\($0.expert), \($0.value), \($0.sublatent), \($0.subValue)]"
        }
        #expect(line.contains("[\(latents.joined(separator: ", "))]"))
        let numbers = rebuilt[row].map { "\($0)" }.joined(separator: ", ")
        #expect(line.contains("\"reconstruction\": [\(numbers)]"))
        #expect(dictionary.encode(fixture.rows[row]) == Array(codes[row]))
      }
      // Codes are a collection of rows, and each code names its latent.
      #expect(Array(codes).map(\.count) == (0..<codes.count).map { codes[$0].count })
      #expect(codes.last == codes[codes.count - 1] && codes.indices == 0..<codes.count)
      for row in codes.prefix(5) {
        for active in row {
          #expect(active.chosenSublatent == (flat ? nil : active.sublatent))
          #expect(
            active.latent.name
              == (flat ? "\(active.expert)" : "\(active.expert).\(active.sublatent)"))
        }
      }
      // A latent's direction is what it adds to a reconstruction.
      var (one, two) = (Codes(), Codes())
      one.append([Code(expert: 3, value: 1, sublatent: flat ? -1 : 2, subValue: 0)])
      #expect(dictionary.decode(one)[0] == dictionary.direction(of: LatentNumber(expert: 3)))
      guard !flat else { return }
      two.append([Code(expert: 3, value: 0, sublatent: 2, subValue: 1)])
      let sub = dictionary.direction(of: LatentNumber(expert: 3, sublatent: 2))
      #expect(zip(dictionary.decode(two)[0], sub).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test func oneCheckpointIsADictionary() throws {
    try withTemporaryFolder { folder in
      let (fixture, run) = try trained(in: folder)
      let older = try SparseDictionary(path: run + "/checkpoints/step-00000021")
      #expect(older.step == 21)
      let newest = try SparseDictionary(path: run + "/checkpoints/step-00000024")
      let whole = try SparseDictionary(path: run)
      #expect(newest.encode(fixture.rows).all == whole.encode(fixture.rows).all)
      #expect(older.encode(fixture.rows).all != whole.encode(fixture.rows).all)
      // Damage is an error for a single checkpoint, and a damaged checkpoint of a run is skipped.
      let file = run + "/checkpoints/step-00000024/hsae_weights.safetensors"
      var bytes = fileBytes(file)
      bytes[bytes.count - 1] ^= 1
      try Data(bytes).write(to: URL(fileURLWithPath: file))
      #expect(throws: HSAE.Failure.self) {
        try SparseDictionary(path: run + "/checkpoints/step-00000024")
      }
      var warnings: [String] = []
      #expect(try SparseDictionary(path: run, warn: { warnings.append($0) }).step == 21)
      #expect(warnings.count == 1)
      #expect(throws: HSAE.Failure.self) { try SparseDictionary(path: folder) }
      #expect(throws: HSAE.Failure.self) { try SparseDictionary(path: folder + "/none") }
    }
  }

  @Test(arguments: [false, true])
  func evaluationAgreesWithTheCommand(flat: Bool) async throws {
    try await withTemporaryFolder { folder in
      let (fixture, run) = try trained(in: folder, flat: flat)
      let dictionary = try SparseDictionary(path: run)
      let summary = dictionary.evaluate(fixture.rows)
      #expect(summary.vectors == fixture.rows.count)
      #expect(try await dictionary.evaluate(on: Pieces(rows: fixture.rows), threads: 1) == summary)
      let file = try RowFile(path: fixture.file)
      #expect(try await dictionary.evaluate(on: file.batches(of: 700)) == summary)
      let command = try runHSAE(["evaluate", run, "--json"])
      try #require(command.code == 0, "\(command.errors)")
      for (key, value) in [
        ("explained_variance", summary.full.explainedVariance), ("mse", summary.full.squaredError),
        ("l0", summary.l0), ("cosine", summary.full.cosine), ("norm_ratio", summary.full.normRatio),
      ] {
        let stated = try number(key, in: command.output)
        let found = try #require(stated, "\(key) is missing")
        #expect(abs(found - value) < 1e-6 * max(1, abs(value)), "\(key)")
      }
    }
  }

  @Test func heldOutRowsAreThoseTheCommandEvaluatesOn() async throws {
    try await withTemporaryFolder { folder in
      let (store, runs) = try collectAndTrain(
        in: folder, documents: 80,
        sizes: ["--experts", "32", "--sublatents", "4", "--subspace", "2", "--k", "4"])
      let training = try RowFile(path: store)
      let file = try RowFile(path: store, heldOut: true)
      #expect(training.hasHeldOut && file.hasHeldOut)
      #expect(file.width == training.width && file.count > 0 && file.count < training.count)
      let dictionary = try SparseDictionary(path: runs[0])
      let summary = try await dictionary.evaluate(on: file.batches(of: 100))
      // The held-out part, given as a store, is held out too, in the library and in the command.
      let part = Path.join(store, "holdout")
      #expect(
        try RowFile(path: part, heldOut: true).rows(0..<file.count) == file.rows(0..<file.count))
      for arguments in [[], ["--store", part]] {
        let command = try runHSAE(["evaluate", runs[0], "--json"] + arguments)
        try #require(command.code == 0, "\(command.errors)")
        let stated = try #require(try number("explained_variance", in: command.output))
        #expect(abs(stated - summary.full.explainedVariance) < 1e-6)
      }
      // A file without held-out rows says so.
      let fixture = try LibraryFixture(in: folder, rows: 10)
      #expect(try !RowFile(path: fixture.file).hasHeldOut)
      #expect {
        try RowFile(path: fixture.file, heldOut: true)
      } throws: { "\($0)".contains("no rows are held out here") }
      Path.removeAll(part)
      #expect {
        try RowFile(path: store, heldOut: true)
      } throws: { "\($0)".contains("(folder holdout) are gone") }
    }
  }

  /// The value of the number `key` in the output of `hsae evaluate --json`.
  private func number(_ key: String, in text: String) throws -> Double? {
    func find(_ value: Any) -> Double? {
      if let object = value as? [String: Any] {
        if object["key"] as? String == key { return object["value"] as? Double }
        for member in object.values { if let found = find(member) { return found } }
      }
      for member in value as? [Any] ?? [] { if let found = find(member) { return found } }
      return nil
    }
    return find(try JSONSerialization.jsonObject(with: Data(text.utf8)))
  }

  @Test func nonFiniteRowsDoNotTrap() throws {
    try withTemporaryFolder { folder in
      let (_, run) = try trained(in: folder)
      let dictionary = try SparseDictionary(path: run)
      for value in [
        Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude, 0, .leastNonzeroMagnitude,
      ] {
        let codes = dictionary.encode(Rows(elements: Array(repeating: value, count: 40), width: 20))
        #expect(codes.count == 2)
        #expect(dictionary.decode(codes).count == 2)
      }
      #expect(dictionary.encode(Rows(width: 20)).count == 0)
      #expect(dictionary.evaluate(Rows(width: 20)).vectors == 0)
    }
  }

  @Test func filesAreReadInOrderAndAgain() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder, rows: 250)
      let file = try RowFile(path: fixture.file)
      #expect(file.count == 250 && file.width == 20)
      #expect(try file.rows(10..<12) == Rows([fixture.rows[10], fixture.rows[11]]))
      let batches = file.batches(of: 100)
      for _ in 0..<2 {
        var all = Rows(width: 20)
        var sizes: [Int] = []
        for try await batch in batches {
          all.append(contentsOf: batch)
          sizes.append(batch.count)
        }
        #expect(all == fixture.rows && sizes == [100, 100, 50])
      }
      // An epoch of the shuffled order has all rows, in another order.
      var iterator = file.shuffledBatches(of: 250, seed: 1).makeAsyncIterator()
      let first = try #require(await iterator.next())
      let second = try #require(await iterator.next())
      #expect(first != second && first != fixture.rows)
      #expect(Set(first) == Set(fixture.rows) && Set(second) == Set(fixture.rows))
      #expect(throws: HSAE.Failure.self) { try RowFile(path: folder) }
      // It can start at any batch, also of a later epoch; earlier batches are not read.
      for start in [0, 1, 3, 7] {
        var all = file.shuffledBatches(of: 100, seed: 1).dropFirst(start).makeAsyncIterator()
        var later = file.shuffledBatches(of: 100, seed: 1, startingAt: start).makeAsyncIterator()
        for _ in 0..<2 { #expect(try await all.next() == later.next()) }
      }
      let bad = try #require(fixture.rows.firstIndex(of: first[17]))
      var elements = fixture.rows.elements
      elements[bad * 20] = .nan
      try writeNumpy(elements, width: 20, to: fixture.path("bad.npy"))
      let damaged = try RowFile(path: fixture.path("bad.npy"))
      var begun = damaged.shuffledBatches(of: 100, seed: 1).makeAsyncIterator()
      await #expect(throws: HSAE.Failure.self) { try await begun.next() }
      var beyond = damaged.shuffledBatches(of: 100, seed: 1, startingAt: 1).makeAsyncIterator()
      #expect(try await beyond.next()?.count == 100)
    }
  }
}
