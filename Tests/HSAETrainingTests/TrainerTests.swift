// Trains small runs to their end: the loss falls, and threads, interruptions and damaged checkpoints change no
// bit.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct TrainerTests {
  @Test func theLossFalls() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.steps = 300
      options.learningRate = 3e-3
      var seen: [Int] = []
      let trainer = try fixture.train("run", options: options) { step, _ in seen.append(step) }
      #expect(seen == Array(1...300))
      let records = try RunDirectory(path: trainer.path).metrics()
      #expect(records.map(\.step) == [1] + Array(stride(from: 5, through: 300, by: 5)))
      #expect(records.map(\.tokens) == records.map { $0.step * 77 })
      let (first, last) = try (#require(records.first), #require(records.last))
      #expect(last.reconstruction < 0.5 * first.reconstruction)
      #expect(last.loss < first.loss)
      #expect((last.explainedVariance ?? 0) > 0.6)
      #expect(last.l0 > 0 && last.l0 <= 3)
      #expect(last.topReconstruction > last.reconstruction)
      #expect(records.allSatisfy { $0.gradientNorm > 0 && $0.loss.isFinite })
      // The default keeps two checkpoints; the last is the end.
      #expect(try fixture.result("run").checkpoints == [294, 300])
      let (model, step) = try RunDirectory(path: trainer.path).dictionary()
      #expect(step == 300)
      #expect(
        model.parameters.decoderSide.elements
          == trainer.backend.withState { $0.parameters.decoderSide.elements })
    }
  }

  @Test func theBitsDoNotDependOnThreads() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      for precision in [PrecisionOption.float32, .auto] {
        var options = fixture.options
        options.precision = precision
        options.moments = precision == .auto ? .bfloat16 : .float32
        for threads in [1, 3] {
          try fixture.train("\(precision)-\(threads)", options: options, threads: threads)
        }
        let alone = try fixture.result("\(precision)-1")
        #expect(try fixture.result("\(precision)-3") == alone)
      }
      var other = fixture.options
      other.seed = 6
      try fixture.train("other", options: other)
      #expect(try fixture.result("other").files != fixture.result("auto-1").files)
    }
  }

  @Test func momentsInBFloat16TakeHalfTheRoomAndLearnTheSame() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      // Which way a short run goes depends on its rounding, so three seeds are compared on average.
      var losses = [0.0, 0]
      for (index, moments) in [Precision.float32, .bfloat16].enumerated() {
        for seed in UInt64(1)...3 {
          var options = fixture.options
          (options.steps, options.learningRate, options.moments) = (300, 3e-3, moments)
          options.seed = seed
          let name = "\(moments.rawValue)-\(seed)"
          losses[index] += try fixture.train(name, options: options).lastRecord.loss / 3
          let file = try SafetensorsFile(
            path: Path.join(fixture.checkpoint(name, 300), CheckpointName.optimizer))
          let types = Set(file.tensors.filter { $0.name.contains("W_") }.map(\.type))
          #expect(types == [moments == .bfloat16 ? .bfloat16 : .float32])
        }
      }
      #expect(losses[0] != losses[1] && abs(losses[0] - losses[1]) < 0.02 * losses[0], "\(losses)")
    }
  }

  /// Options of runs that are copied at some steps, as if the machine had stopped there, and then resumed.
  static let variants: [(name: String, change: @Sendable (inout TrainingOptions) -> Void)] = [
    ("hierarchical", { _ in }),
    ("keep 1", { $0.keep = 1 }),
    (
      "flat, bias, AuxK",
      {
        $0.sublatents = 0
        $0.subspace = 0
        $0.bias = .geometricMedian
        $0.deadWindow = 77
        $0.precision = .float32
      }
    ),
    (
      "moments in bf16, bias",
      {
        $0.moments = .bfloat16
        $0.bias = .geometricMedian
      }
    ),
    (
      "hierarchical, bias, AuxK, file order",
      {
        $0.bias = .geometricMedian
        $0.auxk = 0.1
        $0.deadWindow = 77
        $0.order = .file
      }
    ),
    ("budget of sublatents", { ($0.kSub, $0.thresholdSub, $0.slopeSub) = (0.8, nil, nil) }),
    ("whitened", { ($0.whiten, $0.precision) = (.activations, .float32) }),
    (
      "whitened, errors of the original rows, bias, AuxK",
      {
        ($0.whiten, $0.whitenLoss) = (.activations, .original)
        ($0.bias, $0.auxk, $0.deadWindow) = (.geometricMedian, 0.1, 77)
      }
    ),
  ]

  @Test(arguments: variants.indices)
  func aStoppedRunGoesOnWithTheSameBits(_ variant: Int) throws {
    try withTemporaryFolder { folder in
      var fixture = try TrainingFixture(in: folder)
      Self.variants[variant].change(&fixture.options)
      let stops = [1, 6, 7, 8, 13, 14, 20, 21, 23]
      try fixture.train("whole") { step, _ in
        // `progress` is called before the step's checkpoint is written, so the copies at 7 and 14 lack it.
        if stops.contains(step) {
          do { try copyAll(fixture.path("whole"), to: fixture.path("at-\(step)")) } catch {
            Issue.record("\(error)")
          }
        }
      }
      let whole = try fixture.result("whole")
      for stop in stops {
        let warnings = try fixture.resume("at-\(stop)", threads: stop % 3 + 1)
        #expect(warnings.isEmpty)
        #expect(try fixture.result("at-\(stop)") == whole, "stopped at \(stop)")
      }
      // A finished run has nothing left to do.
      try fixture.resume("whole")
      #expect(try fixture.result("whole") == whole)
    }
  }

  @Test(arguments: [
    "hsae.json", "hsae_weights.safetensors", "optimizer.safetensors", "trainer_state.json",
  ])
  func aDamagedCheckpointIsPassedOver(_ file: String) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("whole")
      let whole = try fixture.result("whole")
      for (index, damage) in ["flipped", "flipped at the end", "cut", "gone"].enumerated() {
        let name = "copy-\(index)"
        try copyAll(fixture.path("whole"), to: fixture.path(name))
        let path = Path.join(fixture.checkpoint(name, 24), file)
        switch damage {
        case "flipped": try flipByte(40, of: path)
        case "flipped at the end": try flipByte(-4, of: path)
        case "cut": try DurableFile.write(Array(fileBytes(path).dropLast(9)), to: path)
        default: Path.removeAll(path)
        }
        let warnings = try fixture.resume(name)
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("step-00000024") == true, "\(warnings)")
        #expect(try fixture.result(name) == whole, "\(damage)")
      }
      // If every checkpoint is damaged, the run starts again, with a warning for each of them.
      for step in [21, 24] {
        try flipByte(40, of: Path.join(fixture.checkpoint("whole", step), file))
      }
      #expect(try fixture.resume("whole").count == 2)
      #expect(try fixture.result("whole") == whole)
    }
  }

  /// A damaged checkpoint of a later step must not push out the new ones, even if one is kept.
  @Test func damagedLaterCheckpointsMakeRoom() throws {
    try withTemporaryFolder { folder in
      var fixture = try TrainingFixture(in: folder)
      fixture.options.keep = 1
      try fixture.train("whole")
      let whole = try fixture.result("whole")
      try flipByte(40, of: Path.join(fixture.checkpoint("whole", 24), "hsae.json"))
      let trainer = try Trainer(
        resuming: fixture.path("whole"), source: fixture.source(),
        with: TrainingResources(threads: 1))
      #expect(trainer.step == 0)
      var steps: Set<[Int]> = []
      let run = try RunDirectory(path: fixture.path("whole"))
      _ = try trainer.run { _, _ in steps.insert((try? run.checkpointSteps()) ?? []) }
      // The damaged checkpoint stays until a new one is written. Each new one then replaces the one before.
      #expect(steps == [[24], [7], [14], [21]])
      #expect(try fixture.result("whole") == whole)
    }
  }

  @Test func noByteOfTheStateIsChangedUnnoticed() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("run")
      let checkpoint = fixture.checkpoint("run", 24)
      let path = Path.join(checkpoint, "trainer_state.json")
      let (bytes, state) = (fileBytes(path), try Checkpoint.verify(checkpoint))
      var refused = 0
      for index in bytes.indices {
        var changed = bytes
        changed[index] ^= 1 << UInt8(index % 7)
        try DurableFile.write(changed, to: path)
        do throws(Failure) {
          // White space may change into other white space.
          #expect(try Checkpoint.verify(checkpoint) == state, "byte \(index)")
        } catch { refused += 1 }
      }
      #expect(refused > bytes.count * 3 / 4)
    }
  }

  @Test func partialCheckpointsOfAKilledRunAreRemoved() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("run")
      let whole = try fixture.result("run")
      let partial = Path.join(fixture.path("run"), "checkpoints/.step-00000009.partial-999999")
      try Path.createDirectories(partial)
      try DurableFile.write("half", to: Path.join(partial, "hsae.json"))
      // A last record that was cut off.
      let log = Path.join(fixture.path("run"), "metrics.jsonl")
      try DurableFile.write(fileBytes(log) + Array(#"{"auxk":0,"deadLa"#.utf8), to: log)
      try fixture.resume("run")
      #expect(try fixture.result("run") == whole)
    }
  }

  @Test func otherDataIsRefused() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try fixture.train("run")
      let planted = PlantedHierarchy(
        width: 20, parents: 12, children: 3, subspace: 2, active: 2, seed: 2)
      let other = fixture.path("other.npy")
      for count in [300, 301] {
        try writeNumpy(planted.rows(count), width: 20, to: other)
        let refusal = failure {
          _ = try Trainer(
            resuming: fixture.path("run"), source: try openRows(path: other),
            with: TrainingResources(threads: 1))
        }
        #expect(refusal?.kind == .data)
        #expect(refusal?.message.contains(other) == true)
      }
      // The same rows under another name are the same data.
      try copyAll(fixture.dataPath, to: fixture.path("copy.npy"))
      _ = try Trainer(
        resuming: fixture.path("run"), source: try openRows(path: fixture.path("copy.npy")),
        with: TrainingResources(threads: 1))
    }
  }

  @Test func aRunDirectoryHasOneTrainer() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      let first = try fixture.create("run")
      let again = failure { try fixture.train("run") }
      #expect(again?.kind == .cannotCreate)
      let second = failure { try fixture.resume("run") }
      #expect(second?.kind == .cannotCreate)
      #expect(second?.message.contains("in use") == true, "\(second?.message ?? "")")
      _ = try first.run { _, _ in }
    }
  }

  @Test func onlyAnEmptyFolderIsTaken() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      try Path.createDirectories(fixture.path("mine"))
      try DurableFile.write("keep me", to: fixture.path("mine/notes.txt"))
      #expect(failure { _ = try fixture.create("mine") }?.kind == .cannotCreate)
      // No files are left in a folder that is not a run.
      #expect(try Path.list(fixture.path("mine")) == ["notes.txt"])
      try Path.createDirectories(fixture.path("empty"))
      // Files of a run that was killed before it wrote config.json.
      try DurableFile.write("123\n", to: fixture.path("empty/run.lock"))
      try DurableFile.write("{", to: fixture.path("empty/.config.json.partial-999999"))
      try fixture.train("empty")
      #expect(failure { _ = try fixture.create("empty") }?.message.contains("--resume") == true)
      #expect(failure { try fixture.resume("nowhere") }?.kind == .missing)
      #expect(failure { try fixture.resume("mine") }?.kind == .missing)
    }
  }

  @Test func rowsThatAreNotFiniteAreNamed() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var rows = [Float](repeating: 0.5, count: 300 * 20)
      rows[123 * 20 + 4] = -.infinity
      try writeNumpy(rows, width: 20, to: fixture.dataPath)
      for bias in [BiasOption.none, .geometricMedian] {
        var options = fixture.options
        options.bias = bias
        let refusal = failure { try fixture.train("run-\(bias)", options: options) }
        #expect(refusal?.kind == .data)
        #expect(refusal?.message.contains("row 123 ") == true, "\(refusal?.message ?? "")")
      }
      // If the bias needs the rows, the error comes before anything is created.
      #expect(!Path.exists(fixture.path("run-geometricMedian")))
    }
  }

  @Test func aRunThatDivergesSaysSo() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.learningRate = 1e30
      options.warmup = 0
      let refusal = failure { try fixture.train("run", options: options) }
      #expect(refusal?.message.contains("--learning-rate") == true, "\(refusal?.message ?? "")")
    }
  }

  /// Rows that are all equal, all zero, or too few to fill a batch.
  @Test func trainingWorksOnDegenerateRows() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      for (index, rows) in [
        [Float](repeating: 0.25, count: 40), [Float](repeating: 0, count: 40), [1], [-1, 2, -3],
      ].enumerated() {
        let width = rows.count == 40 ? 8 : 1
        try writeNumpy(rows, width: width, to: fixture.dataPath)
        for sublatents in [0, 3] {
          var options = fixture.options
          options.sublatents = sublatents
          options.subspace = sublatents == 0 ? 0 : 1
          options.bias = index == 0 ? .geometricMedian : BiasOption.none
          let trainer = try fixture.train("run-\(index)-\(sublatents)", options: options)
          #expect(trainer.lastRecord.loss.isFinite)
        }
      }
    }
  }
}
