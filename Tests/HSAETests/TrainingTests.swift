// Training on rows that a program provides: compared with `hsae train`, also after interruptions of every kind.

import HSAE
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct TrainingTests {
  @Test func givesTheBitsOfTheCommandOnTheSameRows() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      let command = try runHSAE(
        ["train", fixture.file, "--out", fixture.path("command"), "--order", "file"]
          + fixture.arguments)
      #expect(command.code == 0, "\(command.errors)")
      for threads in [1, 2] {
        let name = "library\(threads)"
        let training = try Training(
          fixture.options, width: 20, run: fixture.path(name), threads: threads)
        var records: [MetricsRecord] = []
        try await training.run(on: Pieces(rows: fixture.rows)) { records.append($0) }
        #expect(training.isFinished && training.rowsUsed == 24 * 77)
        #expect(records.map(\.step) == [1, 5, 10, 15, 20, 24])
        #expect(try fixture.weights(name) == fixture.weights("command"))
      }
    }
  }

  @Test func shuffledFileGivesTheBitsOfTheCommand() async throws {
    try await withTemporaryFolder { folder in
      // Fewer rows than the steps use: several epochs.
      let fixture = try LibraryFixture(in: folder, rows: 300)
      let command = try runHSAE(
        ["train", fixture.file, "--out", fixture.path("command")] + fixture.arguments)
      #expect(command.code == 0, "\(command.errors)")
      let file = try RowFile(path: fixture.file)
      // Pieces of any size, and pieces of exactly one batch, which are not copied.
      for size in [100, 77] {
        let name = "library\(size)"
        let training = try Training(fixture.options, width: 20, run: fixture.path(name))
        try await training.run(on: file.shuffledBatches(of: size, seed: 5))
        #expect(training.isFinished)
        #expect(try fixture.weights(name) == fixture.weights("command"))
      }
      // Interrupted, and resumed at the next batch.
      do {
        let begun = try Training(fixture.options, width: 20, run: fixture.path("parts"))
        try await begun.run(on: file.shuffledBatches(of: 77, seed: 5).prefix(9))
        #expect(begun.step == 9)
      }
      let rest = try Training(resuming: fixture.path("parts"))
      try await rest.run(on: file.shuffledBatches(of: 77, seed: 5, startingAt: rest.step))
      #expect(try rest.isFinished && fixture.weights("parts") == fixture.weights("command"))
    }
  }

  /// A whitened stream has the bits of the command, whether the whitening is given or comes from the first rows, and
  /// after an interruption.
  @Test(arguments: [WhiteningSettings.Loss.whitened, .original])
  func whitenedStreamsAreThoseOfTheCommand(_ loss: WhiteningSettings.Loss) async throws {
    try await withTemporaryFolder { folder in
      var fixture = try LibraryFixture(in: folder, rows: 24 * 77)
      (fixture.options.whiten, fixture.options.whitenLoss) = (.activations, loss)
      let command = try runHSAE(
        ["train", fixture.file, "--out", fixture.path("command"), "--order", "file"]
          + ["--whiten", "activations", "--whiten-loss", loss.rawValue] + fixture.arguments,
        environment: ["HSAE_CACHE": fixture.path("cache")])
      #expect(command.code == 0, "\(command.errors)")
      let plain = try SparseDictionary(path: fixture.path("command"))
      var moments = RowMoments(width: 20)
      moments.add(plain.normalised(fixture.rows))
      let whitening = try Whitening(
        activations: moments.covariance, mean: moments.mean,
        ridge: WhiteningSettings.defaultRidge, rows: "rows")
      let given = try Training(
        fixture.options, width: 20, run: fixture.path("given"), whitening: whitening, threads: 2)
      try await given.run(on: Pieces(rows: fixture.rows))
      #expect(try fixture.weights("given") == fixture.weights("command"))
      let loaded = try SparseDictionary(path: fixture.path("given"))
      #expect(loaded.encode(fixture.rows).all == given.dictionary().encode(fixture.rows).all)
      // From the first rows, in memory, and saved.
      let memory = try Training(fixture.options, width: 20, threads: 1)
      await #expect(throws: HSAE.Failure.self) { try await memory.save(to: fixture.path("early")) }
      try await memory.run(on: Pieces(rows: fixture.rows))
      try await memory.save(to: fixture.path("saved"))
      #expect(try fixture.weights("saved") == fixture.weights("command"))
      // Interrupted and resumed.
      do {
        let begun = try Training(
          fixture.options, width: 20, run: fixture.path("parts"), whitening: whitening)
        try await begun.run(on: Rows(Array(fixture.rows.prefix(9 * 77))))
        #expect(begun.step == 9)
      }
      let rest = try Training(resuming: fixture.path("parts"))
      try await rest.run(on: Rows(Array(fixture.rows[(9 * 77)...])))
      #expect(try rest.isFinished && fixture.weights("parts") == fixture.weights("command"))
      // A whitening that no option asks for, and one of another width, are refused.
      fixture.options.whiten = WhitenOption.none
      fixture.options.whitenLoss = nil
      #expect(throws: HSAE.Failure.self) {
        try Training(fixture.options, width: 20, whitening: whitening)
      }
    }
  }

  /// A loop until all steps are done would never end on a sequence without rows, so it throws.
  @Test func anEmptyStreamIsRefused() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      let training = try Training(fixture.options, width: 20)
      func refused() async -> HSAE.Failure? {
        await #expect(throws: HSAE.Failure.self) {
          while !training.isFinished { try await training.run(on: Rows(width: 20)) }
        }
      }
      let failure = await refused()
      #expect(failure?.kind == .usage && failure?.message.contains("No rows came") == true)
      // Rows that wait for a full batch count as rows.
      try await training.run(on: Rows(Array(fixture.rows.prefix(50))))
      try await training.run(on: Rows(width: 20))
      #expect(training.step == 0)
      try await training.run(on: Rows(Array(fixture.rows[50..<77])))
      #expect(training.step == 1)
      #expect(await refused()?.message.contains("step 1 of 24") == true)
      // After the last step no rows are needed.
      try await training.run(on: Pieces(rows: fixture.rows))
      try await training.run(on: Rows(width: 20))
      #expect(training.isFinished)
    }
  }

  @Test func goesOnWhereRowsEnded() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder, rows: 500)
      let whole = try Training(fixture.options, width: 20, run: fixture.path("whole"))
      try await whole.run(on: Pieces(rows: fixture.rows, times: 4))
      let parts = try Training(fixture.options, width: 20, run: fixture.path("parts"))
      var calls = 0
      while !parts.isFinished {
        try await parts.run(on: Pieces(rows: fixture.rows))
        calls += 1
      }
      #expect(calls == 4)
      #expect(try fixture.weights("parts") == fixture.weights("whole"))
      // In memory it is the same dictionary.
      let memory = try Training(fixture.options, width: 20)
      try await memory.run(on: Pieces(rows: fixture.rows, times: 4))
      let codes = memory.dictionary().encode(fixture.rows)
      #expect(codes.all == whole.dictionary().encode(fixture.rows).all)
    }
  }

  @Test func resumesWithTheSameBits() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      let whole = try Training(fixture.options, width: 20, run: fixture.path("whole"))
      try await whole.run(on: Pieces(rows: fixture.rows))
      do {
        let broken = try Training(fixture.options, width: 20, run: fixture.path("parts"))
        await #expect(throws: Pieces.Broken.self) {
          try await broken.run(on: Pieces(rows: fixture.rows, failsAfter: 9))
        }
        #expect(broken.step > 0 && !broken.isFinished)
      }
      let training = try Training(resuming: fixture.path("parts"))
      #expect(training.step > 0 && !training.isFinished && training.batch == 77)
      let rest = Array(fixture.rows.elements[(training.rowsUsed * 20)...])
      try await training.run(on: Pieces(rows: Rows(elements: rest, width: 20)))
      #expect(training.isFinished)
      #expect(try fixture.weights("parts") == fixture.weights("whole"))
    }
  }

  @Test func aRunInMemoryCanBeSaved() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      let whole = try Training(fixture.options, width: 20, run: fixture.path("whole"))
      try await whole.run(on: Pieces(rows: fixture.rows))
      let memory = try Training(fixture.options, width: 20)
      try await memory.save(to: fixture.path("fresh"))
      await #expect(throws: Pieces.Broken.self) {
        try await memory.run(on: Pieces(rows: fixture.rows, failsAfter: 9))
      }
      try await memory.save(to: fixture.path("new/half"))
      let saved = try SparseDictionary(path: fixture.path("new/half"))
      #expect(saved.step == memory.step && saved.step > 0)
      #expect(
        saved.encode(fixture.rows).all
          == memory.dictionary().encode(fixture.rows).all)
      #expect(try SparseDictionary(path: fixture.path("fresh")).step == 0)
      // Nothing is overwritten.
      let failure = await #expect(throws: Failure.self) {
        try await memory.save(to: fixture.path("new/half"))
      }
      #expect(failure?.kind == .cannotCreate)
      // A saved training can be resumed, with the same bits.
      for name in ["fresh", "new/half"] {
        let training = try Training(resuming: fixture.path(name))
        let rest = Array(fixture.rows.elements[(training.rowsUsed * 20)...])
        try await training.run(on: Pieces(rows: Rows(elements: rest, width: 20)))
        #expect(try training.isFinished && fixture.weights(name) == fixture.weights("whole"))
      }
    }
  }

  @Test func cancellingLeavesACheckpoint() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      var options = fixture.options
      options.steps = 1_000_000
      let (path, rows, ready) = (fixture.path("run"), fixture.rows, options)
      let task = Task {
        let training = try Training(ready, width: 20, run: path)
        try await training.run(on: Pieces(rows: rows, times: 1_000_000)) { record in
          if record.step >= 20 { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      let dictionary = try SparseDictionary(path: path)
      #expect(dictionary.step >= 20 && dictionary.step < 1000)
    }
  }

  @Test func biasIsTheMedianOfTheFirstRows() async throws {
    try await withTemporaryFolder { folder in
      var fixture = try LibraryFixture(in: folder, rows: 1_900)
      fixture.options.bias = .geometricMedian
      let training = try Training(fixture.options, width: 20)
      try await training.run(on: Pieces(rows: fixture.rows))
      let command = try runHSAE(
        ["train", fixture.file, "--out", fixture.path("command"), "--order", "file"]
          + fixture.arguments)
      #expect(command.code == 0, "\(command.errors)")
      // Nearly the same rows in another order: the same median, except for rounding and 52 rows.
      let own = training.dictionary().evaluate(fixture.rows).full.explainedVariance
      let other = try SparseDictionary(path: fixture.path("command"))
      #expect(abs(own - other.evaluate(fixture.rows).full.explainedVariance) < 0.02)
    }
  }

  @Test func refusesInvalidOptionsAndRows() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      func refusal(_ change: (inout TrainingOptions) -> Void) -> String? {
        var options = fixture.options
        change(&options)
        do throws(HSAE.Failure) {
          _ = try Training(options, width: 20)
          return nil
        } catch { return error.message }
      }
      #expect(refusal { $0.steps = nil }?.contains("--steps must be given") == true)
      #expect(refusal { $0.epochs = 2 }?.contains("--epochs") == true)
      #expect(refusal { $0.order = .shuffled }?.contains("--order") == true)
      #expect(refusal { $0.k = 100 }?.contains("--k 100") == true)
      #expect(refusal { _ in } == nil)
      #expect(throws: HSAE.Failure.self) { try Training(fixture.options, width: 0) }

      let training = try Training(fixture.options, width: 20, run: fixture.path("run"))
      await #expect(throws: HSAE.Failure.self) {
        try await training.run(on: Pieces(rows: Rows(elements: [1, 2, 3], width: 3)))
      }
      var damaged = fixture.rows.elements
      damaged[20 * 80 + 3] = .nan
      let rows = Rows(elements: damaged, width: 20)
      await #expect {
        try await training.run(on: Pieces(rows: rows))
      } throws: { error in
        "\(error)".contains("Row 80 (counting from 0) holds a NaN")
      }
      #expect(training.step == 1)
      // The folder is taken, and only the command can resume a run on a file.
      #expect(throws: HSAE.Failure.self) {
        try Training(fixture.options, width: 20, run: fixture.path("run"))
      }
      let command = try runHSAE(
        ["train", fixture.file, "--out", fixture.path("command")] + fixture.arguments)
      #expect(command.code == 0)
      #expect {
        try Training(resuming: fixture.path("command"))
      } throws: { "\($0)".contains("hsae train --resume") }
    }
  }

  @Test func commandsSayThatRowsWereAStream() async throws {
    try await withTemporaryFolder { folder in
      let fixture = try LibraryFixture(in: folder)
      let run = fixture.path("run")
      do {
        let training = try Training(fixture.options, width: 20, run: run)
        try await training.run(on: Pieces(rows: fixture.rows))
      }
      let info = try runHSAE(["info", run])
      #expect(info.code == 0 && info.output.contains("data: a stream of rows"))
      let resumed = try runHSAE(["train", "--resume", "--out", run])
      #expect(resumed.code == 64 && resumed.errors.contains("only that program"))
      let without = try runHSAE(["evaluate", run])
      #expect(without.code == 64 && without.errors.contains("a program gave it"))
      let evaluated = try runHSAE(["evaluate", run, "--store", fixture.file])
      #expect(evaluated.code == 0, "\(evaluated.errors)")
      let page = try runHSAE(["report", run, "--store", fixture.file, "--out", run + ".html"])
      #expect(page.code == 0, "\(page.errors)")
    }
  }
}
