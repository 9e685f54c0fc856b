// Defines a suite of `hsae evaluate`: it measures one or more runs and returns named numbers.
//
// To add a suite:
// 1. Write a type that conforms to `EvaluationSuite`, in its own folder. Put the computation into a plain
//    function with its own result type, for tests to call; `evaluate` only turns results into `SuiteResult`s.
// 2. Add the type to `EvaluationSuites.all`.
// 3. Add its options, if any, to `EvaluationOptions` and to Sources/hsae/Evaluate.swift.
// 4. Define its numbers in docs/evaluation.md.
// 5. If processes can divide its work, use `SharedWork.swift` and set `isDivided`. The terminal, JSON and
//    pages then show it without further work.

public import HSAERuns
public import HSAESupport

/// A suite of measurements.
///
/// Results depend on the runs, the input and `EvaluationOptions.seed`, not on the number of threads.
public protocol EvaluationSuite {
  /// The name of the suite, such as "core".
  static var name: String { get }
  /// What it measures, in a few words.
  static var about: String { get }
  /// Whether ranks divide its work (`EvaluationInput.ranks`).
  static var isDivided: Bool { get }
  /// Whether it needs rows or a model; false if the dictionaries are enough.
  static var measures: Bool { get }

  /// The results of `runs`, in their order.
  ///
  /// One call gets all runs, so it computes what they share (a model's own losses, captured rows) only once.
  /// Fails with `.usage` and the option's name if the input lacks something;
  /// `EvaluationInput.model(for:suite:)` and similar methods do that.
  static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult]
}

extension EvaluationSuite {
  /// False: one process does all the work.
  public static var isDivided: Bool { false }
  /// True.
  public static var measures: Bool { true }
}

/// The list of suites.
public enum EvaluationSuites {
  /// All of them, in the order they are shown.
  public static var all: [any EvaluationSuite.Type] {
    [
      CoreSuite.self, AbsorptionSuite.self, CrosslingualSuite.self, HierarchySuite.self,
      CostSuite.self, StructureSuite.self, TruthSuite.self, ProbingSuite.self,
    ]
  }

  /// The suites in `names`, a list separated by commas, in the order of `all`. Fails with `.usage` for an
  /// unknown name, or for a suite whose work `processes` processes cannot divide.
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
        "The suite \(alone.name) cannot be divided among \(processes) processes; evaluate it without mpirun, in a"
          + " call of its own.")
    }
    return suites
  }
}
