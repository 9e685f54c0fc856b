// Compares steps of an engine that is divided among ranks with those of one engine: the same losses, weights and
// choices for any number of ranks, and the same bits from run to run and for any number of threads.

import HSAEDistribution
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAEModels
@testable import HSAERuns

/// The results of some steps, for the whole dictionary.
private struct Steps {
  var losses: [Double] = []
  var norms: [Double] = []
  var weights: [ParameterName: [Double]] = [:]
  var usage: [Usage] = []
}

extension EngineCase {
  /// The cases that several ranks can train.
  static var divisible: [EngineCase] {
    all.filter {
      $0.shape.experts > 1 && $0.selection == .topK && $0.objective.prefixes == nil
        && !$0.vectors.contains(.encoderBias)
    }
  }

  /// This case's engine on the ranks of `ranks`.
  fileprivate func engine(_ ranks: Ranks, threads: Int, precision: Precision) -> TrainingEngine {
    let share = RankShare(shape: shape, batch: batch, ranks: ranks)
    let whole = parameters()
    var own = Parameters(shape: share.ownShape, vectors: vectors)
    func copy(_ source: Span<Float>, _ perExpert: Int, _ target: inout MutableSpan<Float>) {
      for index in target.indices {
        target[index] = source[share.experts.lowerBound * perExpert + index]
      }
    }
    let side = shape.rowsPerExpert * shape.width
    let sub = shape.sublatents * shape.subspace
    var span = own.encoderSide.mutableSpan
    copy(whole.encoderSide.span, side, &span)
    span = own.decoderSide.mutableSpan
    copy(whole.decoderSide.span, side, &span)
    span = own.subEncoder.mutableSpan
    copy(whole.subEncoder.span, sub, &span)
    span = own.subDecoder.mutableSpan
    copy(whole.subDecoder.span, sub, &span)
    own.bias.assign(from: whole.bias)
    let state = TrainingState(
      parameters: own, seed: seed, firstExpert: share.experts.lowerBound)
    return TrainingEngine(state, recipe: recipe(precision), share: share, threads: threads)
  }

  /// `count` steps on `world` ranks in groups of `group`.
  fileprivate func steps(
    _ count: Int, world: Int, group: Int, precision: Precision = .float32, threads: Int = 1
  ) throws -> Steps {
    let parts = try withRanks(world) { communicator -> Steps in
      let ranks = try Ranks(communicator, dictionaryRanks: group)
      let engine = engine(ranks, threads: threads, precision: precision)
      var steps = Steps()
      for number in 1...count {
        let rows = rows(UInt64(number))
        let own = engine.share.rows
        engine.fill(Array(rows[own.lowerBound * shape.width..<own.upperBound * shape.width]))
        let report = engine.step(
          StepSettings(number: number, learningRate: 1e-3, deadWindow: batch))
        steps.losses.append(report.loss)
        steps.norms.append(report.gradientNorm)
      }
      let weights = ReferenceParameters(engine.state.parameters)
      for name in weights.names { steps.weights[name] = weights[name] }
      steps.usage = [engine.state.usage]
      return steps
    }
    var whole = parts[0]
    for name in whole.weights.keys where name != .bias {
      whole.weights[name] = parts[..<group].flatMap { $0.weights[name] ?? [] }
    }
    whole.usage = parts[..<group].flatMap(\.usage)
    for part in parts {
      #expect(part.losses == whole.losses && part.norms == whole.norms)
      if vectors.contains(.inputBias) { #expect(part.weights[.bias] == whole.weights[.bias]) }
    }
    return whole
  }
}

@Suite struct RankEngineTests {
  static let worlds = [(2, 2), (3, 3), (4, 4), (2, 1), (4, 2)]

  @Test(arguments: EngineCase.divisible, worlds)
  func anyNumberOfRanksTakesTheSameSteps(
    _ example: EngineCase, _ ranks: (world: Int, group: Int)
  ) throws {
    for precision in Precision.supported {
      let one = try example.steps(6, world: 1, group: 1, precision: precision)
      let many = try example.steps(6, world: ranks.world, group: ranks.group, precision: precision)
      for (a, b) in zip(one.losses, many.losses) { #expect(abs(a - b) < 1e-5 * a, "\(a) \(b)") }
      for (a, b) in zip(one.norms, many.norms) { #expect(abs(a - b) < 1e-4 * a, "\(a) \(b)") }
      for (name, values) in one.weights {
        let error = relativeError(many.weights[name] ?? [], values)
        #expect(error < 1e-4, "\(name.rawValue): \(error) in \(precision)")
      }
      let usage = many.usage
      #expect(usage.flatMap(\.latentLastActive) == one.usage[0].latentLastActive)
      #expect(usage.flatMap(\.sublatentLastActive) == one.usage[0].sublatentLastActive)
      #expect(usage[0].rows == one.usage[0].rows)
      for (a, b) in zip(usage.flatMap(\.latentRate), one.usage[0].latentRate) {
        #expect(abs(a - b) <= 1e-5 * b)
      }
    }
  }

  @Test(arguments: [(3, 3), (4, 2)])
  func bitsDependNeitherOnTheRunNorOnThreads(_ ranks: (world: Int, group: Int)) throws {
    for precision in Precision.supported {
      let example = EngineCase.all[2]
      let runs = try [1, 1, 3].map {
        try example.steps(
          4, world: ranks.world, group: ranks.group, precision: precision, threads: $0)
      }
      for run in runs.dropFirst() {
        #expect(run.losses == runs[0].losses && run.weights == runs[0].weights)
      }
    }
  }
}
