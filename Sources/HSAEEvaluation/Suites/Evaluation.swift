// A whole evaluation: runs, suites, results. `hsae evaluate --json` prints it, and pages show it.

import HSAEDistribution
public import HSAEModels
public import HSAERuns
public import HSAESupport

/// The results of suites for runs.
public struct Evaluation: Hashable, Sendable, Codable {
  /// One run with its results.
  public struct Run: Hashable, Sendable, Codable {
    /// Its name.
    public var name: String
    /// The sizes of its dictionary.
    public var shape: DictionaryShape
    /// The steps it was trained for.
    public var step: Int
    /// The rows it was trained on, repetitions included.
    public var trainedRows: Int
    /// The results, one for each suite.
    public var results: [SuiteResult]

    /// The result of the suite `name`.
    public func result(_ name: String) -> SuiteResult? { results.first { $0.suite == name } }
  }

  /// The version of this layout.
  public var format = 1
  /// The seed of all draws.
  public var seed: UInt64
  /// The runs, in the order given.
  public var runs: [Run]

  /// The names of the suites, in the order they are shown.
  public var suites: [String] { runs.flatMap { $0.results.map(\.suite) }.uniqued(by: \.self) }

  /// Runs `suites` on `runs`. All ranks of `input` must make this call; all get the same results.
  ///
  /// The evaluation ends at the first suite that fails. If earlier suites have results and `onFailure` is
  /// given, their results are kept and `onFailure` is called; otherwise the failure is thrown.
  public init(
    of runs: [LoadedRun], suites: [any EvaluationSuite.Type], input: EvaluationInput,
    onFailure: ((Failure) -> Void)? = nil
  ) throws(Failure) {
    try input.ranks.agree { () throws(Failure) in try input.check(runs) }
    try input.requireAlike(runs, suites)
    seed = input.options.seed
    self.runs = runs.map {
      Run(
        name: $0.name, shape: $0.shape, step: $0.step,
        trainedRows: $0.step * ($0.description.training?.batch ?? 0), results: [])
    }
    for suite in suites {
      input.say("suite \(suite.name): \(suite.about)")
      let results: [SuiteResult]
      do throws(Failure) { results = try suite.evaluate(runs, input) } catch {
        guard let onFailure, !self.suites.isEmpty else { throw error }
        onFailure(error)
        return
      }
      for (index, result) in results.enumerated() {
        var result = result
        if let flat = Comparison.baseline(of: index, among: runs, results) {
          let comparison = Comparison(result, less: results[flat], name: runs[flat].name)
          if !comparison.numbers.isEmpty { result.comparison = comparison }
        }
        self.runs[index].results.append(result)
      }
    }
  }

  /// The name of the results file in a folder that `hsae evaluate --out` writes.
  public static let fileName = "evaluation.json"

  /// Reads a results file of `hsae evaluate --out`. Fails with `.data` if it is damaged or of another layout
  /// version.
  public static func read(from path: String) throws(Failure) -> Evaluation {
    let evaluation = try JSONFile.read(Evaluation.self, from: path)
    guard evaluation.format == 1 else {
      throw .data(
        "\(path): the evaluation has layout version \(evaluation.format), but this program reads only"
          + " version 1; use a newer hsae.")
    }
    return evaluation
  }

  /// Adds the runs of `other`; for a run with the same name, the suites that are missing here.
  public mutating func merge(_ other: Evaluation) {
    for run in other.runs {
      guard let index = runs.firstIndex(where: { $0.name == run.name }) else {
        runs.append(run)
        continue
      }
      runs[index].results += run.results.filter { runs[index].result($0.suite) == nil }
    }
  }
}
