// Makes the report of a run in a folder: evaluates it and reads its records and configuration.

import HSAEActivations
public import HSAEEvaluation
import HSAEModels
import HSAERuns
public import HSAESupport
import HSAETensors

extension RunReport {
  /// The report of `run`, called `name`: its clearest hierarchies, a random sample drawn with `seed`, and all
  /// experts for the search. `lookupWords` are looked up if its rows are words; a row of a residual stream is an
  /// occurrence of one.
  public init(
    _ run: borrowing TrainedRun, name: String, lookupWords: [String], seed: UInt64 = 0,
    threads: Int
  ) throws(Failure) {
    let (words, codes) = (run.words, run.codes)
    let evaluation = DictionaryEvaluation(
      run.dictionary, rows: run.rows, codes: codes, words: words,
      scoredRows: HierarchyScoring.scoredRows(
        of: run.rows.rows, width: run.rows.columns,
        areTokensOfTexts: run.attributes?.kind == .residualStream), threads: threads)
    let usage = evaluation.usage
    let rowsAreWords = run.hasWords && run.attributes?.kind != .residualStream
    let lookup = Lookup(profiles: evaluation.profiles, words: words, mergesForms: true)
    self.init(
      name: name, shape: evaluation.shape, configuration: try configurationEntries(run),
      metrics: try MetricsLog.read(RunDirectory.metricsFile(run.path)),
      numbers: EvaluationNumbers(
        reconstruction: evaluation.reconstruction, deadExperts: usage.deadExperts,
        neverChosenSublatents: usage.neverChosenSublatents, deadSublatents: usage.deadSublatents,
        expertHistogram: usage.expertHistogram, sublatentHistogram: usage.sublatentHistogram),
      evaluatedOn: run.evaluatedOn,
      isTrainingData: run.description.knowsRows ? run.isTrainingData : nil,
      seesUnitRows: run.seesUnitRows,
      rowKind: rowsAreWords ? .word : run.hasWords ? .token : .row, sampleSeed: seed,
      lookups: (rowsAreWords ? lookupWords : []).map { word in
        lookup.lookup(word, limit: 8, codes: { Array(codes[$0]) })
      })
    isSynthetic = run.isSynthetic
    // The numbers of a forest's rows say nothing.
    guard !isSynthetic else { return }

    func node(_ index: Int, _ count: Int, _ rows: [RankedRow], _ limit: Int) -> TreeNode {
      TreeNode(
        index: index, count: count, words: words.weighted(rows, limit: limit, mergesForms: true))
    }
    func tree(
      _ score: HierarchyScore, expertWords: Int = 14, sublatentWords: Int = 10
    ) -> HierarchyTree {
      let profile = evaluation.profiles[score.expert]
      return HierarchyTree(
        parent: node(profile.expert, profile.count, profile.rows, expertWords),
        children: profile.sublatents.map {
          node($0.index, $0.active, $0.rows, sublatentWords)
        }, score: score)
    }
    // These limits keep a page of 2,048 experts well below 3 MB.
    clearest = evaluation.clearest(200).map { tree($0) }
    shuffledScore = evaluation.shuffledScores?.highest
    if evaluation.scoredRows < run.rows.rows { scoredRows = evaluation.scoredRows }
    sample = evaluation.randomSample(50, seed: seed).map { tree($0) }
    let scores =
      evaluation.hierarchies.isEmpty
      ? (0..<evaluation.shape.experts).map(HierarchyScore.init) : evaluation.hierarchies
    index = scores.filter { usage.experts[$0.expert] > 0 }.map {
      tree($0, expertWords: 10, sublatentWords: 4)
    }
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
