// The numbers of runs as rows and columns of a table, and which value is best.

import HSAEEvaluation
import HSAEModels
import HSAERuns
import HSAESupport

/// A number that every run may have.
struct Measure: Sendable {
  /// What people call it.
  var label: Markup
  /// Which direction is better; nil if neither is.
  var better: Direction?
  /// Whether it depends on how long the rows are that a run sees.
  var isOfLengths = false
  /// The number as text, and as what it is compared by; nil if a run does not have it.
  var value: @Sendable (RunReport) -> (text: String, number: Double)?

  enum Direction: Sendable { case lower, higher }

  /// The cells of this measure for `runs`. The best is marked if it beats the worst by 0.1 %.
  func cells(_ runs: [RunReport]) -> [[String: View]] {
    let values = runs.map(value)
    let numbers = values.compactMap { $0?.number }.filter(\.isFinite)
    var best: Double?
    let isAlike = !isOfLengths || Set(runs.map(\.seesUnitRows)).count < 2
    if isAlike, let better, let low = numbers.min(), let high = numbers.max(), numbers.count > 1,
      high - low > 1e-3 * max(abs(low), abs(high))
    {
      best = better == .lower ? low : high
    }
    return values.map { value in
      [
        "value": value.map { "\($0.text)" } ?? "–",
        "isBest": .flag(best != nil && value?.number == best),
      ]
    }
  }
}

private func number(
  _ digits: Int, _ path: @escaping @Sendable (EvaluationNumbers) -> Double?
) -> @Sendable (RunReport) -> (text: String, number: Double)? {
  { run in
    run.numbers.flatMap(path).map { (readable($0, digits), $0) }
  }
}

/// The number only of runs that have a second level: of others "the top level alone" says nothing.
private func twoLevel(
  _ value: @escaping @Sendable (RunReport) -> (text: String, number: Double)?
) -> @Sendable (RunReport) -> (text: String, number: Double)? {
  { run in run.shape.isFlat ? nil : value(run) }
}

private func count(_ number: Int, of total: Int) -> (text: String, number: Double) {
  let share = total > 0 ? Double(number) / Double(total) : 0
  return ("\(grouped(number)) of \(grouped(total))", share)
}

/// What of a run's speed and length is known from its last records.
struct RunLength {
  var steps: Double?
  var vectors: Double?
  var seconds: Double?
  /// Rows per second over the whole run.
  var rate: Double?

  init(_ metrics: [MetricsRecord]) {
    guard let last = metrics.last else { return }
    (steps, vectors, seconds) = (Double(last.step), Double(last.tokens), last.seconds)
    rate = last.seconds > 0 ? Double(last.tokens) / last.seconds : nil
  }
}

/// All measures, in the order a table shows them.
let measures: [Measure] = [
  Measure(
    label: "squared error ‖x − x̂‖²", better: .lower, isOfLengths: true,
    value: number(4) { $0.reconstruction.full.squaredError }),
  Measure(
    label: "squared error, top level alone", better: .lower, isOfLengths: true,
    value: twoLevel(number(4) { $0.reconstruction.topLevel.squaredError })),
  Measure(
    label: "explained variance", better: .higher, isOfLengths: true,
    value: number(4) { $0.reconstruction.full.explainedVariance }),
  Measure(
    label: "explained variance, top level alone", better: .higher, isOfLengths: true,
    value: twoLevel(number(4) { $0.reconstruction.topLevel.explainedVariance })),
  Measure(
    label: "explained variance, legacy", better: .higher, isOfLengths: true,
    value: number(4) { $0.reconstruction.full.legacyExplainedVariance }),
  Measure(
    label: "cosine of x and x̂", better: .higher,
    value: number(4) { $0.reconstruction.full.cosine }),
  Measure(
    label: "norm ratio ‖x̂‖ / ‖x‖", better: nil,
    value: number(4) { $0.reconstruction.full.normRatio }),
  Measure(label: "L0, active experts", better: nil, value: number(2) { $0.reconstruction.l0 }),
  Measure(label: "dead latents", better: .lower) { run in
    run.numbers.map { count($0.deadExperts, of: run.shape.experts) }
  },
  Measure(label: "sublatents never chosen", better: .lower) { run in
    run.shape.isFlat
      ? nil
      : run.numbers.map {
        count($0.neverChosenSublatents, of: run.shape.experts * run.shape.sublatents)
      }
  },
  Measure(label: "dead sublatents", better: .lower) { run in
    run.shape.isFlat
      ? nil
      : run.numbers.map {
        count($0.deadSublatents, of: run.shape.experts * run.shape.sublatents)
      }
  },
  Measure(label: "experts m × sublatents a", better: nil) { run in
    let shape = run.shape
    let text =
      shape.isFlat
      ? grouped(shape.experts) + ", flat" : "\(grouped(shape.experts)) × \(shape.sublatents)"
    return (text, Double(shape.experts))
  },
  Measure(label: "subspace s, active k", better: nil) { run in
    ("\(run.shape.isFlat ? "–" : "\(run.shape.subspace)"), \(run.shape.activeExperts)", 0)
  },
  Measure(label: "parameters", better: nil) { run in
    (short(Double(run.shape.parameterCount)), Double(run.shape.parameterCount))
  },
  Measure(label: "steps", better: nil) { run in
    RunLength(run.metrics).steps.map { (decimal($0, 0), $0) }
  },
  Measure(label: "vectors trained on", better: nil) { run in
    RunLength(run.metrics).vectors.map { (short($0), $0) }
  },
  Measure(label: "vectors per second", better: .higher) { run in
    RunLength(run.metrics).rate.map { (short($0), $0) }
  },
  Measure(label: "training time", better: .lower) { run in
    RunLength(run.metrics).seconds.map { (duration($0), $0) }
  },
]
