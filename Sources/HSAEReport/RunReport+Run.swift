// Makes the report of a run in a folder: evaluates it and reads its records and configuration.

import HSAEActivations
public import HSAEEvaluation
import HSAEModels
import HSAERuns
public import HSAESupport
import HSAETensors

extension RunReport {
  /// The report of `run`, called `name`, with a random sample of hierarchies drawn with `seed`.
  /// `lookupWords` are looked up if its rows are words; a row of a residual stream is an occurrence of one.
  public init(
    _ run: borrowing TrainedRun, name: String, lookupWords: [String], seed: UInt64 = 0,
    threads: Int, limits: ReportLimits = ReportLimits(), progress: (Int) -> Void = { _ in }
  ) throws(Failure) {
    let evaluation = DictionaryEvaluation(
      run.dictionary, rows: run.rows, codes: run.codes, words: run.words, threads: threads,
      progress: progress)
    let rowsAreWords = run.hasWords && run.attributes?.kind != .residualStream
    self.init(
      name: name, evaluation: evaluation, words: run.words, codes: run.codes,
      lookupWords: rowsAreWords ? lookupWords : [],
      configuration: try configurationEntries(run), metrics: try MetricsLog.read(RunDirectory.metricsFile(run.path)),
      evaluatedOn: run.evaluatedOn, seed: seed, limits: limits)
    isTrainingData = run.description.knowsRows ? run.isTrainingData : nil
    seesUnitRows = run.seesUnitRows
    rowKind = rowsAreWords ? .word : run.hasWords ? .token : .row
  }
}

/// The run's configuration, an entry for each value: `objective.beta`, `shape.experts`, … Paths are cut to their
/// last part, because a page goes to other people.
private func configurationEntries(
  _ run: borrowing TrainedRun
) throws(Failure) -> [ConfigurationEntry] {
  let text = try JSONFile.encode(run.description)
  let tree = try JSONValue(parsing: Array(text.utf8), source: "the configuration of \(run.path)")
  var entries: [ConfigurationEntry] = []
  func add(_ value: JSONValue, _ key: String) {
    switch value {
    case .object(let members):
      for (name, member) in members.sorted(by: { $0.key < $1.key }) {
        add(member, key.isEmpty ? name : "\(key).\(name)")
      }
    case .string(let text):
      entries.append(ConfigurationEntry(key, text.hasPrefix("/") ? Path.name(text) : text))
    default: entries.append(ConfigurationEntry(key, value.text(indent: nil)))
    }
  }
  add(tree, "")
  return entries.filter { $0.key != "format" && $0.key != "data.fingerprint" }
}
