// Groups runs that differ only in their seed, for the paper's figures: each group is a point of a scaling figure and a
// column of a table.

import HSAEEvaluation
import HSAEModels
import HSAESupport

/// Runs of the same sizes.
struct RunKind {
  /// Experts m.
  let experts: Int
  /// Sublatents a; 0 for a flat dictionary.
  let sublatents: Int
  let runs: [Evaluation.Run]

  /// The name of its line in a figure.
  var series: String { sublatents == 0 ? "SAE" : "H-SAE, \(counted(sublatents, "sublatent"))" }
  /// The head of its column in a table.
  var column: String { "\(sublatents == 0 ? "SAE" : "H-\(sublatents)") \(grouped(experts))" }

  /// The kinds of `runs`, flat ones first, by rising size.
  static func kinds(of runs: [Evaluation.Run]) -> [RunKind] {
    Dictionary(grouping: runs) { [$0.shape.sublatents, $0.shape.experts] }
      .sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { RunKind(experts: $0.key[1], sublatents: $0.key[0], runs: $0.value) }
  }

  /// The number `key` of the suite `suite`: of one run with its bootstrap interval; of several runs their mean
  /// with their range as the interval. Nil if no run has it.
  func number(_ suite: String, _ key: String) -> EvaluationNumber? {
    Self.joined(runs.compactMap { $0.result(suite)?[key] })
  }

  /// The same for the difference from the flat run.
  func difference(_ suite: String, _ key: String) -> EvaluationNumber? {
    Self.joined(
      runs.compactMap { run in
        run.result(suite)?.comparison?.numbers.first { $0.key == key }
      })
  }

  private static func joined(_ numbers: [EvaluationNumber]) -> EvaluationNumber? {
    guard var result = numbers.first else { return nil }
    guard numbers.count > 1 else { return result }
    let values = numbers.map(\.value)
    result.value = values.reduce(0, +) / Double(values.count)
    result.interval = Interval(values.min() ?? .nan, values.max() ?? .nan)
    return result
  }
}
