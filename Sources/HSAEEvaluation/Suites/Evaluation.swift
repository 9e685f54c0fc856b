// An evaluation as a whole: runs, suites, results. What `hsae evaluate --json` prints and a page's
// section is made from.

import HSAEDistribution
public import HSAEModels
public import HSAESupport
public import HSAERuns

/// What suites found out about runs.
public struct Evaluation: Hashable, Sendable, Codable {
  /// One run with what every suite says of it.
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
  /// The runs, in the order they were named.
  public var runs: [Run]

  /// The names of the suites, in the order they are shown.
  public var suites: [String] {
    var names: [String] = []
    for result in runs.flatMap(\.results) where !names.contains(result.suite) {
      names.append(result.suite)
    }
    return names
  }

  /// Runs `suites` on `runs`.
  ///
  /// Where `input` has several ranks, all of them make this call, and all get the same.
  ///
  /// A suite that fails ends the evaluation. Where suites before it have results and `onFailure` is
  /// given, that is told instead, and the results are kept.
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
        if let flat = Comparison.baseline(of: index, among: runs) {
          let comparison = Comparison(result, less: results[flat], name: runs[flat].name)
          if !comparison.numbers.isEmpty { result.comparison = comparison }
        }
        self.runs[index].results.append(result)
      }
    }
  }

  /// The file of results in the folder that `hsae evaluate --out` wrote.
  public static let fileName = "evaluation.json"

  /// The evaluation in the file at `path`, as `hsae evaluate --out` wrote it.
  public static func read(from path: String) throws(Failure) -> Evaluation {
    let evaluation = try JSONFile.read(Evaluation.self, from: path)
    guard evaluation.format == 1 else {
      throw .data(
        "\(path): the evaluation has layout version \(evaluation.format), and this program knows 1; use"
          + " a newer one.")
    }
    return evaluation
  }

  /// Adds the runs of `other`; of a run with the same name, the suites that are missing here.
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
