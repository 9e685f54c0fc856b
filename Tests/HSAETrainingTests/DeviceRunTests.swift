// Runs on a device: one that fails in the middle of a step, and losses beside those of the CPU engine.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin))) struct DeviceRunTests {
  /// A step whose arguments are gone fails, as on a device that was unplugged.
  @Test func aDeviceThatFailsLeavesTheLastCheckpointWhole() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      options.precision = .float32
      let resources = TrainingResources(threads: 1, tested: .pjrt)
      let trainer = try Trainer.begin(
        at: fixture.path("run"), configuration: fixture.configuration(options),
        source: fixture.source(), with: resources)
      let backend = try #require(trainer.backend as? PJRTBackend)
      try trainer.openLog()
      for _ in 0..<3 { try trainer.advance(waited: 0) }
      try trainer.checkpointIfDue(isLast: true)
      let place = backend.place
      try trainer.advance(waited: 0)
      // The memory of the arrays of step 3 belongs to those of step 4.
      backend.place = place
      let failure = #expect(throws: Failure.self) { try trainer.advance(waited: 0) }
      #expect(failure?.kind == .unavailable)
      #expect(failure?.message.contains("step 5 failed: The device cannot run the step") == true)
      #expect(failure?.message.hasSuffix("(the last checkpoint is step 3).") == true)
      let later = #expect(throws: Failure.self) { try trainer.advance(waited: 0) }
      #expect(later?.message.contains("the state of training went with it") == true)
      #expect(throws: Failure.self) { try trainer.checkpointIfDue(isLast: true) }
      #expect(try RunDirectory(path: fixture.path("run")).checkpointSteps() == [3])
    }
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      let failure = #expect(throws: Failure.self) {
        try Trainer.begin(
          at: fixture.path("run"), configuration: fixture.configuration(),
          source: fixture.source(), with: TrainingResources(threads: 1, backend: .pjrt))
      }
      #expect(failure?.message.contains("hsae fetch plugin cpu") == true)
      #expect(!Path.exists(fixture.path("run")))
    }
  }

  @Test(arguments: [PrecisionOption.float32, .bfloat16])
  func lossesAreThoseOfTheEngine(_ precision: PrecisionOption) throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.steps, options.checkpointEvery) = (200, 0)
      options.precision = .float32
      try fixture.train("cpu", options: options)
      options.precision = precision
      let trainer = try Trainer.begin(
        at: fixture.path("device"), configuration: fixture.configuration(options),
        source: fixture.source(), with: TrainingResources(threads: 1, tested: .pjrt))
      #expect(try trainer.run { _, _ in } == .finished)
      let (own, other) = (try fixture.result("device").records, try fixture.result("cpu").records)
      #expect(own.count == other.count && own.count > 20)
      for (a, b) in zip(own, other) {
        // In bf16 the device chooses latents by rounded products, and these rows are few and short.
        let tolerance = precision == .float32 ? 0.005 : 0.03
        #expect(abs(a.loss - b.loss) < tolerance * b.loss, "step \(a.step): \(a.loss), \(b.loss)")
        if precision == .float32 {
          #expect(a.deadLatents == b.deadLatents && abs(a.l0 - b.l0) < 0.05)
        }
      }
    }
  }
}
