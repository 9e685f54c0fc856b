// The suite `hierarchy` for dictionaries of words: scores against WordNet, beside those of the same families
// with shuffled children and with random nouns.

import HSAEActivations
import HSAEModels
internal import HSAERuns
import HSAESupport
import HSAETensors

/// Judges runs on the words of one store.
struct TaxonomyResults {
  private let store: ActivationStore
  private let input: EvaluationInput
  private let nouns: NounTable
  private let scoring = TaxonomyScoring()
  /// Number of families in the table.
  private static let shownFamilies = 20
  /// Number of children in a line of the table.
  private static let shownChildren = 6
  /// Latents in a group of a flat dictionary if no hierarchical run is evaluated with it.
  private static let groupSize = 8

  /// Reads WordNet and finds the store's nouns. Fails with `.data` if there are too few.
  init(store: ActivationStore, input: EvaluationInput) throws(Failure) {
    self.store = store
    self.input = input
    let words = WordTable(tokens: store.tokens, vocabulary: store.vocabulary)
    nouns = NounTable(words: words, wordNet: try WordNet(folder: input.options.wordNet))
    guard nouns.count >= 100 else {
      throw .data(
        "\(store.path): only \(nouns.count) of its words are English nouns that WordNet knows, too few"
          + " to judge a hierarchy by.")
    }
  }

  /// The results of `runs`, in their order.
  func results(_ runs: [LoadedRun]) throws(Failure) -> [SuiteResult] {
    // Flat dictionaries come last, because their groups get the size of the other runs' families.
    var results = [SuiteResult?](repeating: nil, count: runs.count)
    var sizes: [Int] = []
    for (index, run) in runs.enumerated() where !run.shape.isFlat {
      input.say("hierarchy: \(run.name)")
      let families = scoring.families(
        codes: try codes(run), nouns: nouns, shape: run.shape,
        subThreshold: run.dictionary.activation.subThreshold)
      sizes += families.filter(scoring.isJudged).map(\.children.count)
      results[index] = result(run, families, of: run.shape.experts, kind: "experts")
    }
    let size =
      sizes.isEmpty
      ? Self.groupSize
      : max(
        scoring.minimumChildren,
        Int((Double(sizes.reduce(0, +)) / Double(sizes.count)).rounded()))
    for (index, run) in runs.enumerated() where run.shape.isFlat {
      input.say("hierarchy: \(run.name), latents in groups of about \(size)")
      let groups = directionClusters(
        of: run.dictionary, size: size, seed: input.options.seed, threads: input.options.threads)
      let families = scoring.families(
        codes: try codes(run), nouns: nouns, latents: run.shape.experts, groups: groups)
      var result = result(run, families, of: families.count, kind: "groups")
      result.notes.insert(
        "This dictionary is flat: its \(counted(run.shape.experts, "latent")) are put into"
          + " \(grouped(families.count)) groups of similar decoder direction, about \(size) latents each"
          + (sizes.isEmpty ? "." : ", like the judged sublatents of an expert in the other runs."),
        at: 0)
      results[index] = result
    }
    return results.compactMap { $0 }
  }

  private func codes(_ run: LoadedRun) throws(Failure) -> Codes {
    var rows = try store.matrix(rows: 0..<store.rowCount)
    run.prepare(&rows, norms: store.restoresLengths ? [] : store.norms[...])
    return run.dictionary.encode(rows, threads: input.options.threads)
  }

  private func result(
    _ run: LoadedRun, _ families: [NounFamily], of parents: Int, kind: String
  ) -> SuiteResult {
    let seed = input.options.seed
    let own = scoring.scores(families, nouns: nouns)
    let judged = families.filter(scoring.isJudged)
    let shuffled = scoring.scores(scoring.shuffled(judged, seed: seed), nouns: nouns)
    let random = scoring.scores(
      scoring.randomised(judged, nouns: nouns, seed: seed), nouns: nouns)
    var result = SuiteResult(
      suite: HierarchySuite.name,
      evaluatedOn: "\(grouped(own.count)) of \(grouped(parents)) \(kind), those with"
        + " \(scoring.minimumChildren) or more children of \(scoring.minimumNouns) or more of the"
        + " \(grouped(nouns.count)) English nouns WordNet knows",
      numbers: [
        mean(own, "taxonomy_score", "score against WordNet", \.score, .higher),
        mean(shuffled, "taxonomy_score_shuffled", "… children shuffled between parents", \.score),
        mean(random, "taxonomy_score_random", "… random nouns, as frequent", \.score),
        mean(own, "taxonomy_coverage", "coverage of parents", \.coverage, .higher),
        mean(own, "taxonomy_specificity", "specificity of parents", \.specificity, .higher),
        mean(own, "taxonomy_separation", "separation of children", \.separation, .higher),
        EvaluationNumber("judged_parents", "parents judged", Double(own.count), digits: 0),
        EvaluationNumber(
          "judged_children", "children of a judged parent",
          Double(judged.reduce(0) { $0 + $1.children.count }) / Double(judged.count), digits: 1),
      ])
    let best = own.sorted { $0.score != $1.score ? $0.score > $1.score : $0.parent < $1.parent }
    result.tables = [
      EvaluationTable(
        title: "The \(Self.shownFamilies) best",
        columns: [
          "parent: its synset (those of children)", "score", "coverage", "specificity",
          "separation",
        ],
        lines: best.prefix(Self.shownFamilies).map { score in
          EvaluationTable.Line(
            line(score), [score.score, score.coverage, score.specificity, score.separation])
        })
    ]
    result.notes.append(
      "WordNet judges English nouns only. The frequency of a word is estimated from its token's number."
    )
    return result
  }

  private func line(_ score: TaxonomyScore) -> String {
    func readable(_ name: String) -> String { name.split(separator: "_").joined(separator: " ") }
    let children = score.children.sorted { $0.separation > $1.separation }.compactMap(\.synset)
    let distinct = children.uniqued(by: \.self)
    return "\(score.parent): \(readable(score.synset ?? "none"))"
      + " (\(distinct.prefix(Self.shownChildren).map(readable).joined(separator: ", ")))"
  }

  /// The mean over parents; its interval resamples them.
  private func mean(
    _ scores: [TaxonomyScore], _ key: String, _ label: String,
    _ value: (TaxonomyScore) -> Double, _ better: EvaluationNumber.Direction? = nil
  ) -> EvaluationNumber {
    var sums = GroupedSums(groups: scores.count, quantities: 1)
    for (index, score) in scores.enumerated() { sums.add([value(score)].span, ofGroup: index) }
    let count = Double(scores.count)
    let statistic = { (sums: [Double]) in sums[0] / count }
    return EvaluationNumber(
      key, label, statistic(sums.totals),
      sums.bootstrap(
        resamples: input.options.resamples, seed: input.options.seed,
        threads: input.options.threads
      ).interval(statistic), better: better)
  }
}
