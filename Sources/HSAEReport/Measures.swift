// The numbers of runs that pages show as tables.

import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAERuns
import HSAESupport

/// A number that every run may have.
struct Measure: Sendable {
  /// Its name for people; docs/evaluation.md defines it.
  var label: Markup
  /// Which direction is better; nil if neither is.
  var better: EvaluationNumber.Direction?
  /// Whether it depends on the lengths of the rows that a run sees.
  var isOfLengths = false
  /// The number as text and as a value to compare; nil if a run does not have it.
  var value: @Sendable (RunReport) -> (text: String, number: Double)?

  func cells(_ runs: [RunReport]) -> [Cell] {
    let isAlike = !isOfLengths || Set(runs.map(\.seesUnitRows)).count < 2
    return HSAEReport.cells(runs.map(value), better: isAlike ? better : nil)
  }
}

private func number(
  _ digits: Int, _ path: @escaping @Sendable (EvaluationNumbers) -> Double?
) -> @Sendable (RunReport) -> (text: String, number: Double)? {
  { run in
    run.numbers.flatMap(path).map { (readable($0, digits), $0) }
  }
}

/// The number of runs that have two levels; a flat run has no "top level alone".
private func twoLevel(
  _ value: @escaping @Sendable (RunReport) -> (text: String, number: Double)?
) -> @Sendable (RunReport) -> (text: String, number: Double)? {
  { run in run.shape.isFlat ? nil : value(run) }
}

/// A measure of how well runs reconstruct.
private func quality(
  _ label: Markup, _ better: EvaluationNumber.Direction?, isOfLengths: Bool = true,
  isOfTopLevel: Bool = false, _ value: @escaping @Sendable (ReconstructionSummary) -> Double
) -> Measure {
  let shown = number(4) { value($0.reconstruction) }
  return Measure(
    label: label, better: better, isOfLengths: isOfLengths,
    value: isOfTopLevel ? twoLevel(shown) : shown)
}

private func count(_ number: Int, of total: Int) -> (text: String, number: Double) {
  let share = total > 0 ? Double(number) / Double(total) : 0
  return ("\(grouped(number)) of \(grouped(total))", share)
}

/// A run's length and speed, as far as its records tell.
struct RunLength {
  var steps: Double?
  var rows: Double?
  var seconds: Double?
  /// Rows per second over the whole run.
  var rate: Double?

  init(_ metrics: [MetricsRecord]) {
    guard let last = metrics.last else { return }
    steps = Double(last.step)
    guard last.tokens > 0, last.seconds > 0 else { return }
    (rows, seconds) = (Double(last.tokens), last.seconds)
    rate = Double(last.tokens) / last.seconds
  }
}

/// All measures, in the order of the table.
let measures: [Measure] = [
  quality("squared error ‖x − x̂‖²", .lower) { $0.full.squaredError },
  quality("squared error, top level alone", .lower, isOfTopLevel: true) {
    $0.topLevel.squaredError
  },
  quality("explained variance", .higher) { $0.full.explainedVariance },
  quality("explained variance, top level alone", .higher, isOfTopLevel: true) {
    $0.topLevel.explainedVariance
  },
  quality("explained variance, legacy", .higher) { $0.full.legacyExplainedVariance },
  quality("cosine of x and x̂", .higher, isOfLengths: false) { $0.full.cosine },
  quality("norm ratio ‖x̂‖ / ‖x‖", nil, isOfLengths: false) { $0.full.normRatio },
  Measure(label: "L0, active experts", better: nil, value: number(2) { $0.reconstruction.l0 }),
  Measure(
    label: "codes a row, both levels", better: nil, value: number(2) { $0.reconstruction.codes }),
  Measure(label: "dead latents", better: .lower) { run in
    run.numbers.map { count($0.deadExperts, of: run.shape.experts) }
  },
  Measure(
    label: "sublatents never chosen", better: .lower,
    value: twoLevel { run in
      run.numbers.map {
        count($0.neverChosenSublatents, of: run.shape.experts * run.shape.sublatents)
      }
    }),
  Measure(
    label: "dead sublatents", better: .lower,
    value: twoLevel { run in
      run.numbers.map { count($0.deadSublatents, of: run.shape.experts * run.shape.sublatents) }
    }),
  Measure(label: "experts m × sublatents a", better: nil) { run in
    let shape = run.shape
    let text =
      shape.isFlat
      ? grouped(shape.experts) + ", flat" : "\(grouped(shape.experts)) × \(shape.sublatents)"
    return (text, Double(shape.experts))
  },
  Measure(label: "subspace s, active k", better: nil) { run in
    // Where thresholds decide, k is no number of the shape.
    let active =
      run.shape.activeExperts < run.shape.experts
      ? grouped(run.shape.activeExperts)
      : run.numbers.map { decimal($0.reconstruction.l0, 1) } ?? "any"
    return ("\(run.shape.isFlat ? "–" : "\(run.shape.subspace)"), \(active)", 0)
  },
  Measure(label: "parameters", better: nil) { run in
    (short(Double(run.shape.parameterCount)), Double(run.shape.parameterCount))
  },
  Measure(label: "steps", better: nil) { run in
    RunLength(run.metrics).steps.map { (decimal($0, 0), $0) }
  },
  Measure(label: "rows trained on", better: nil) { run in
    RunLength(run.metrics).rows.map { (short($0), $0) }
  },
  Measure(label: "rows per second", better: .higher) { run in
    RunLength(run.metrics).rate.map { (short($0), $0) }
  },
  Measure(label: "training time", better: .lower) { run in
    RunLength(run.metrics).seconds.map { (duration($0), $0) }
  },
]

/// A sentence about runs that spend different numbers of codes on a row; nothing if they do not.
func unequalCodesNote(_ runs: [RunReport]) -> Markup {
  Comparison.unequalCodesNote(runs.compactMap { $0.numbers?.reconstruction.codes })
    .map { " \($0)" } ?? ""
}
