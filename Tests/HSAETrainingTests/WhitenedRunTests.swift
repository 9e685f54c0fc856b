// Runs on whitened rows: the statistics that the cache keeps, rows that are white already, what the checkpoint holds,
// and runs that cannot share a reading. `TrainerTests` and `RankTrainerTests` resume such runs and divide them.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Synchronization
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct WhitenedRunTests {
  /// Rows whose mean is 0 and whose covariance is I/d up to rounding, in a file.
  private func writeWhiteRows(_ fixture: TrainingFixture) throws {
    var generator = SeededGenerator(seed: 8)
    var rows = Matrix(
      rows: 300, columns: 20,
      elements: (0..<300 * 20).map { _ in Float(generator.nextSymmetric()) })
    // Rounding of single precision is left after one pass.
    for _ in 0..<3 {
      var moments = RowMoments(width: 20)
      moments.add(rows, threads: 1)
      let whitening = try Whitening(
        activations: moments.covariance, mean: moments.mean, ridge: 0, rows: "rows")
      var span = rows.mutableSpan
      whitening.product(threads: 1).apply(to: &span)
    }
    try writeNumpy(rows.elements, width: 20, to: fixture.dataPath)
  }

  /// On white rows a whitened run is a plain one, up to the rounding of W, which is nearly the identity: after one step
  /// weights agree to 1e-6 of their size, after 24 steps to 1e-4.
  @Test(arguments: [WhiteningSettings.Loss.whitened, .original], [(1, 1e-6), (24, 1e-4)])
  func whiteRowsGiveAPlainRun(_ loss: WhiteningSettings.Loss, _ length: (Int, Double)) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try writeWhiteRows(fixture)
      var options = fixture.options
      (options.normalize, options.precision, options.steps) = (
        Normalisation.none, .float32, length.0
      )
      try fixture.train("plain", options: options)
      (options.whiten, options.whitenLoss, options.whitenRidge) = (.activations, loss, 0)
      try fixture.train("white", options: options)
      func weights(_ name: String) throws -> ReferenceParameters {
        ReferenceParameters(
          try RunDirectory(path: fixture.path(name)).dictionary().model.parameters)
      }
      let (plain, white) = (try weights("plain"), try weights("white"))
      for name in plain.names {
        #expect(relativeError(white[name], plain[name]) < length.1, "\(name.rawValue)")
      }
    }
  }

  /// The dictionary of a checkpoint reads original rows: its codes are those of the trained weights on whitened rows.
  @Test func theCheckpointHoldsAFoldedDictionary() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.whiten, options.precision) = (.activations, .float32)
      let trainer = try fixture.train("run", options: options)
      let run = try RunDirectory(path: fixture.path("run"))
      let whitening = try #require(try run.whitening())
      let (model, step) = try run.dictionary()
      #expect(step == 24 && model.parameters.hasBias)
      var rows = try fixture.source().matrix(rows: 0..<300)
      trainer.configuration.normalize.apply(to: &rows)
      var white = rows.copy()
      var span = white.mutableSpan
      whitening.product(threads: 1).apply(to: &span)
      let trained = trainer.backend.withState {
        trainer.configuration.recipe.dictionary(
          $0.parameters.copy(), batchThreshold: 0, subThreshold: nil)
      }
      let (own, expected) = (model.encode(rows, threads: 1), trained.encode(white, threads: 1))
      for row in 0..<300 {
        #expect(own[row].map(\.expert) == expected[row].map(\.expert))
        for (a, b) in zip(own[row], expected[row]) { #expect(abs(a.value - b.value) < 1e-5) }
      }
      // The mean of ‖z‖² over all rows is 1.
      let squares = white.rowNorms().reduce(0) { $0 + $1 * $1 } / 300
      #expect(abs(squares - 1) < 1e-4)
      #expect(
        trainer.dictionary().parameters.encoderSide.elements
          == model.parameters.encoderSide.elements)
    }
  }

  /// A second run takes mean and covariance from the cache; a damaged file is made again.
  @Test func theCacheKeepsTheStatistics() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.whiten, options.steps) = (.activations, 1)
      let notes = Mutex<[String]>([])
      func begin() throws -> Whitening? {
        var resources = TrainingResources(threads: 1)
        resources.whitening.cache = fixture.path("cache")
        resources.whitening.note = { note in notes.withLock { $0.append(note) } }
        return try Trainer.begin(
          at: "", configuration: fixture.configuration(options), source: fixture.source(),
          with: resources
        ).whitening
      }
      let first = try begin()
      #expect(first != nil && notes.withLock { $0.count } == 1)
      #expect(try begin() == first && notes.withLock { $0.count } == 1)
      let file = Path.join(fixture.path("cache"), try Path.list(fixture.path("cache"))[0])
      let known = try RowCovariance(path: file, width: 20)
      var moments = RowMoments(width: 20)
      var rows = try fixture.source().matrix(rows: 0..<300)
      rows.scaleRowsToUnit()
      moments.add(rows, threads: 1)
      #expect(known == RowCovariance(mean: moments.mean, covariance: moments.covariance))
      try DurableFile.write("damaged", to: file)
      #expect(try begin() == first && notes.withLock { $0.count } == 2)
      // Rows that are normalised in another way have other statistics.
      options.normalize = Normalisation.none
      #expect(try begin() != first && notes.withLock { $0.count } == 3)
    }
  }

  @Test func runsWhitenedAlikeShareAReading() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.whiten = .activations
      var original = options
      original.whitenLoss = .original
      var plain = options
      plain.whiten = WhitenOption.none
      let runs = [
        (fixture.path("a"), try fixture.configuration(options)),
        (fixture.path("b"), try fixture.configuration(original)),
      ]
      let group = try TrainingGroup(
        beginning: runs, source: fixture.source(), with: TrainingResources(threads: 2))
      #expect(try group.run { _ in } == .finished)
      try fixture.train("alone", options: original)
      #expect(try fixture.result("b") == fixture.result("alone"))
      let refused = failure {
        _ = try TrainingGroup(
          beginning: [
            (fixture.path("c"), fixture.configuration(options)),
            (fixture.path("d"), fixture.configuration(plain)),
          ], source: fixture.source(), with: TrainingResources(threads: 1))
      }
      #expect(refused?.kind == .usage && refused?.message.contains("--whiten") == true)
    }
  }

  @Test func aRunWithoutItsWhiteningIsNotResumed() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.whiten = .activations
      try fixture.train("run", options: options)
      Path.removeAll(fixture.checkpoint("run", 24))
      let file = RunDirectory.whiteningFile(fixture.path("run"))
      let whole = fileBytes(file)
      var other = whole
      other[whole.count / 2] ^= 1
      for bytes in [Array(whole.dropLast(9)), other] {
        try DurableFile.write(bytes, to: file)
        #expect(failure { try fixture.resume("run") }?.kind == .data)
      }
      Path.removeAll(file)
      let gone = failure { try fixture.resume("run") }
      #expect(gone?.kind == .missing && gone?.message.contains("whitening.safetensors") == true)
      // Before the first checkpoint it is made again, and kept.
      try copyAll(fixture.path("run"), to: fixture.path("new"))
      for step in [7, 14, 21] { Path.removeAll(fixture.checkpoint("new", step)) }
      try fixture.resume("new")
      #expect(try fixture.result("new").files.last == fixture.result("new").files.last)
      #expect(fileBytes(RunDirectory.whiteningFile(fixture.path("new"))) == whole)
      try DurableFile.write(whole, to: file)
      try fixture.resume("run")
    }
  }

  @Test func theUnembeddingIsNeeded() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.whiten = .unembedding
      let refused = failure { try fixture.train("run", options: options) }
      #expect(refused?.kind == .usage && refused?.message.contains("--model") == true)
      #expect(!Path.exists(RunDirectory.configurationFile(fixture.path("run"))))
      var resources = TrainingResources(threads: 1)
      resources.whitening.unembedding = { () throws(Failure) in ([1, 0, 0, 1], "model.gguf") }
      let narrow = failure {
        _ = try Trainer.begin(
          at: fixture.path("run"), configuration: fixture.configuration(options),
          source: fixture.source(), with: resources)
      }
      #expect(narrow?.kind == .data && narrow?.message.contains("model.gguf") == true)
      let identity = (0..<400).map { $0 / 20 == $0 % 20 ? 1.0 : 0 }
      resources.whitening.unembedding = { () throws(Failure) in (identity, "model.gguf") }
      let trainer = try Trainer.begin(
        at: fixture.path("run"), configuration: fixture.configuration(options),
        source: fixture.source(), with: resources)
      #expect(try trainer.run { _, _ in } == .finished)
      #expect(try !RunDirectory(path: fixture.path("run")).dictionary().model.parameters.hasBias)
    }
  }
}
