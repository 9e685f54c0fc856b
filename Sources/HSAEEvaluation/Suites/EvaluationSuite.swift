// What a suite of `hsae evaluate` is: a question put to one or more runs, answered in named numbers.
//
// To add a suite: (1) write a type that conforms to `EvaluationSuite`, in a folder of its own; what it
// computes should be a plain function with a result of its own, which tests call, and `evaluate` a thin
// layer that turns the result into `SuiteResult`s. (2) Add the type to `EvaluationSuites.all`. (3) If it
// has options, add them to `EvaluationOptions` and to Sources/hsae/Evaluate.swift. (4) Define its numbers
// in docs/evaluation.md. The terminal, JSON and the page then show it without further work.

public import HSAESupport

/// A question put to runs.
///
/// Results follow from the runs, the input and `EvaluationOptions.seed`; not from the number of threads.
public protocol EvaluationSuite {
  /// The name it is asked for by: "core".
  static var name: String { get }
  /// What it finds out, in a few words.
  static var about: String { get }

  /// The answers of `runs`, in their order.
  ///
  /// All runs come in one call, so that what is the same for them (a model's own losses, captured
  /// vectors) is computed once. Fails with `.usage` and the option's name if something the suite needs
  /// was not given (`EvaluationInput.model(for:)` and the like do so by themselves).
  static func evaluate(
    _ runs: [EvaluatedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult]
}

/// The suites there are.
public enum EvaluationSuites {
  /// All of them, in the order they are shown.
  public static var all: [any EvaluationSuite.Type] {
    [
      CoreSuite.self, AbsorptionSuite.self, CrosslingualSuite.self, HierarchySuite.self,
      CostSuite.self,
    ]
  }

  /// The suites called `names`, a list separated by commas, in the order of `all`.
  public static func named(_ names: String) throws(Failure) -> [any EvaluationSuite.Type] {
    let asked = names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let known = all.map { $0.name }
    for name in asked where !known.contains(name) {
      let hint = JSONFile.nearest(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
      throw .usage(
        "--suite: there is no suite \"\(name)\"\(hint.isEmpty ? "; there are" : hint + " There are")"
          + " \(known.joined(separator: ", ")).")
    }
    return all.filter { asked.contains($0.name) }
  }
}
