// From a store through a short training to a page: what `hsae lookup` and `hsae report` do.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import HSAETraining
import Testing

@testable import HSAEEvaluation
@testable import HSAEReport

@Suite struct TrainedRunTests {
  private static let words = [
    "dog", "puppy", "terrier", "cat", "kitten", "Paris", "London", "Chicago", "red", "blue",
  ]

  private func makeStore(_ path: String, width: Int = 8, seed: UInt64 = 4) throws {
    var generator = SeededGenerator(seed: seed)
    var rows = Matrix(rows: 40, columns: width)
    for row in 0..<40 {
      for column in 0..<width { rows[row, column] = Float.random(in: -1...1, using: &generator) }
    }
    rows.scaleRowsToUnit()
    try ActivationStore.create(
      at: path,
      attributes: StoreAttributes(
        kind: .unembedding, modelName: "tiny", modelSHA256: "", hookPoint: "unembedding"),
      rows: rows, norms: Array(repeating: 1, count: 40), tokens: (0..<40).map { $0 + 2 },
      vocabulary: ["<pad>", "<unused0>"]
        + (0..<40).map { "▁" + Self.words[$0 % 10] + "s" * ($0 / 10) },
      shuffleSeed: 3)
  }

  private func train(_ store: String, to path: String, sublatents: Int) throws {
    let source = try openRows(path: store)
    var options = TrainingOptions()
    (options.experts, options.sublatents, options.subspace) = (8, sublatents, min(sublatents, 2))
    (options.k, options.steps, options.batch, options.seed) = (2, 3, 16, 1)
    let configuration = try TrainingConfiguration(
      options,
      data: DataDescription(
        path: store, fingerprint: source.fingerprint, rows: source.rowCount, width: source.width))
    let trainer = try Trainer.begin(
      at: path, configuration: configuration, source: source, with: TrainingResources(threads: 1))
    _ = try trainer.run { _, _ in }
  }

  @Test func aRunOnAStoreMakesAPage() throws {
    try withTemporaryFolder { folder in
      let store = Path.join(folder, "store")
      try makeStore(store)
      for (name, sublatents) in [("hsae", 4), ("flat", 0)] {
        try train(store, to: Path.join(folder, name), sublatents: sublatents)
      }
      let run = try TrainedRun(path: Path.join(folder, "hsae"), threads: 1)
      #expect(run.step == 3 && run.hasWords && run.title == "The vocabulary of tiny")
      #expect(run.evaluatedOn == "all 40 rows it was trained on")
      let found = run.lookup(["dog", "<unused0>", "nothing"])
      #expect(found[0].isKept && !found[0].experts.isEmpty)
      // The codes looked up are those of the word's own row.
      let row = try #require(run.words.row(ofToken: 2))
      #expect(found[0].experts.map(\.expert) == run.codes[row].map(\.expert))
      #expect(found[1].token == 1 && !found[1].isKept && found[2].token == nil)

      var reports: [RunReport] = []
      for name in ["hsae", "flat"] {
        let run = try TrainedRun(path: Path.join(folder, name), threads: 2)
        reports.append(
          try RunReport(run, name: name, lookupWords: ["dog", "nothing"], seed: 1, threads: 2))
      }
      #expect(reports[0].metrics.last?.step == 3)
      #expect(reports[0].configuration.contains { $0 == ("shape.experts", "8") })
      #expect(reports[0].configuration.contains { $0 == ("data.path", "store") })
      let quality = try #require(reports[0].numbers?.reconstruction)
      #expect(quality.vectors == 40 && quality.full.squaredError > 0)
      #expect(reports[1].sample.isEmpty && !reports[0].sample.isEmpty)
      let page = try makeReport(ReportInput(title: run.title, subtitle: "", runs: reports))
      #expect(page.contains("The vocabulary of tiny") && !page.contains(folder))
      let table = summaryTable(reports)
      #expect(table.split(separator: "\n").count == 4)
      #expect(table.hasSuffix("\nmeasured on all 40 rows it was trained on\n"))
      #expect(RunSummary(reports[1]).neverChosenSublatents == nil)
    }
  }

  /// Rows of another store are not called training rows, even if there are as many.
  @Test func otherRowsAreNotCalledTrainingRows() throws {
    try withTemporaryFolder { folder in
      let (store, other) = (Path.join(folder, "store"), Path.join(folder, "other"))
      try makeStore(store)
      try makeStore(other, seed: 5)
      try train(store, to: Path.join(folder, "run"), sublatents: 0)
      let run = try TrainedRun(path: Path.join(folder, "run"), store: other, threads: 1)
      #expect(!run.isTrainingData && run.availableRows == run.description.data?.rows)
      #expect(run.evaluatedOn == "the 40 rows, not those it was trained on")
    }
  }

  /// A run on one of several tensors finds its rows again, also where the file has moved.
  @Test func theTensorIsRemembered() throws {
    try withTemporaryFolder { folder in
      let (file, run) = (Path.join(folder, "w.safetensors"), Path.join(folder, "run"))
      var writer = try SafetensorsWriter(
        path: file, tensors: [.init("first", shape: [30, 8]), .init("second", shape: [30, 8])])
      for name in ["first", "second"] {
        let numbers = (0..<240).map { Float(($0 * (name == "first" ? 7 : 11)) % 23) - 11 }
        try writer.append(name, numbers)
      }
      _ = try writer.finish()
      let source = try openRows(path: file, tensor: "second")
      var options = TrainingOptions()
      (options.experts, options.sublatents, options.k) = (8, 0, 2)
      (options.steps, options.batch) = (2, 16)
      let data = DataDescription(
        path: file, fingerprint: source.fingerprint, rows: 30, width: 8, tensor: "second")
      let configuration = try TrainingConfiguration(options, data: data)
      let trainer = try Trainer.begin(
        at: run, configuration: configuration, source: source, with: TrainingResources(threads: 1))
      _ = try trainer.run { _, _ in }
      let opened = try TrainedRun(path: run, threads: 1)
      #expect(opened.description.data?.tensor == "second" && opened.availableRows == 30)
      let moved = Path.join(folder, "moved.safetensors")
      try DurableFile.write(fileBytes(file), to: moved)
      Path.removeAll(file)
      #expect(try TrainedRun(path: run, store: moved, threads: 1).availableRows == 30)
    }
  }

  @Test func missingOrChangedInputIsRefused() throws {
    try withTemporaryFolder { folder in
      let store = Path.join(folder, "store")
      try makeStore(store)
      let path = Path.join(folder, "run")
      try train(store, to: path, sublatents: 4)
      #expect(failure { _ = try TrainedRun(path: folder + "/none") }?.kind == .missing)
      #expect(failure { _ = try TrainedRun(path: path, store: folder + "/none") }?.kind == .missing)
      try makeStore(folder + "/wide", width: 9)
      #expect(failure { _ = try TrainedRun(path: path, store: folder + "/wide") }?.kind == .data)
      Path.removeAll(store)
      let gone = failure { _ = try TrainedRun(path: path) }
      #expect(gone?.kind == .missing && gone?.message.contains("--store") == true)
      Path.removeAll(path + "/checkpoints")
      #expect(failure { _ = try TrainedRun(path: path) }?.message.contains("checkpoint") == true)
    }
  }
}

/// `text` repeated; makes distinct tokens out of few words.
private func * (text: String, count: Int) -> String { String(repeating: text, count: count) }
