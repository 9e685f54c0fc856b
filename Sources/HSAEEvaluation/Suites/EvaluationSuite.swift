// What a suite of `hsae evaluate` is: a question put to one or more runs, answered in named numbers.
//
// To add a suite: (1) write a type that conforms to `EvaluationSuite`, in a folder of its own; what it
// computes should be a plain function with a result of its own, which tests call, and `evaluate` a thin
// layer that turns the result into `SuiteResult`s. (2) Add the type to `EvaluationSuites.all`. (3) If it
// has options, add them to `EvaluationOptions` and to Sources/hsae/Evaluate.swift. (4) Define its numbers
// in docs/evaluation.md. (5) If its work can be divided among processes, divide it (`SharedWork.swift`) and
// say so in `isDivided`. The terminal, JSON and the page then show it without further work.

public import HSAESupport
public import HSAERuns

/// A question put to runs.
///
/// Results follow from the runs, the input and `EvaluationOptions.seed`; not from the number of threads.
public protocol EvaluationSuite {
  /// The name it is asked for by: "core".
  static var name: String { get }
  /// What it finds out, in a few words.
  static var about: String { get }
  /// Whether processes that were started together divide its work (`EvaluationInput.ranks`).
  static var isDivided: Bool { get }
  /// Whether it looks at rows or a model, and not at the dictionaries alone.
  static var measures: Bool { get }

  /// The answers of `runs`, in their order.
  ///
  /// All runs come in one call, so that what is the same for them (a model's own losses, captured
  /// vectors) is computed once. Fails with `.usage` and the option's name if something the suite needs
  /// was not given (`EvaluationInput.model(for:)` and the like do so by themselves).
  static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult]
}

extension EvaluationSuite {
  /// One process does it all.
  public static var isDivided: Bool { false }
  /// As a rule.
  public static var measures: Bool { true }
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

  /// The suites called `names`, a list separated by commas, in the order of `all`, for `processes` that were
  /// started together.
  public static func named(
    _ names: String, processes: Int = 1
  ) throws(Failure) -> [any EvaluationSuite.Type] {
    let asked = names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let known = all.map { $0.name }
    for name in asked where !known.contains(name) {
      let hint = JSONFile.nearest(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
      throw .usage(
        "--suite: there is no suite \"\(name)\"\(hint.isEmpty ? "; there are" : hint + " There are")"
          + " \(known.joined(separator: ", ")).")
    }
    let suites = all.filter { asked.contains($0.name) }
    if processes > 1, let alone = suites.first(where: { !$0.isDivided }) {
      throw .usage(
        "The suite \(alone.name) is the work of one process, and \(processes) were started together; run it"
          + " without mpirun, and the others without it.")
    }
    return suites
  }
}
