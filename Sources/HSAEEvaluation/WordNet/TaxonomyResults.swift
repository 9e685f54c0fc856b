// The suite `hierarchy` against WordNet, for dictionaries of words and for those of a residual stream. Scores stand beside
// those of the same families with shuffled children and with random nouns.

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
  /// The rows that may be nouns, in the order of `nouns.nounOfRow`.
  let rows: [Int]
  private let scoring = TaxonomyScoring()
  /// Rows of a residual stream that are judged, at most.
  private static let mostRows = 100_000
  /// Number of families in the table.
  private static let shownFamilies = 20
  /// Number of children in a line of the table.
  private static let shownChildren = 6
  /// Latents in a group of a flat dictionary if no hierarchical run is evaluated with it.
  private static let groupSize = 8

  /// Reads WordNet and finds the store's nouns: among its words, or among the whole words of its text.
  init(store: ActivationStore, input: EvaluationInput) throws(Failure) {
    self.store = store
    self.input = input
    let wordNet = try WordNet(folder: input.options.wordNet)
    rows =
      store.attributes.kind == .unembedding
      ? Array(0..<store.rowCount)
      : try Self.wholeWords(of: store, wordNet, limit: min(Self.mostRows, input.options.rowLimit))
    let words = WordTable(tokens: rows.map(store.token), vocabulary: store.vocabulary)
    nouns = NounTable(words: words, wordNet: wordNet)
  }

  /// What is wrong if there are too few nouns; nil if there are enough.
  var complaint: String? {
    nouns.count >= 100
      ? nil
      : "\(store.path): only \(nouns.count) of its words are English nouns that WordNet knows, too few to judge"
        + " a hierarchy by; give a store of English text or words."
  }

  /// The rows of `store` whose token is a whole noun of its text: the next token does not continue the word.
  private static func wholeWords(
    of store: ActivationStore, _ wordNet: WordNet, limit: Int
  ) throws(Failure) -> [Int] {
    let corpus = try StoredCorpus(store: store.path)
    let isNoun = store.vocabulary.map { NounTable.english($0).flatMap(wordNet.lemma(of:)) != nil }
    let continues = store.vocabulary.map { $0.first?.isLetter ?? false }
    func has(_ flags: [Bool], _ token: Int32) -> Bool {
      flags.indices.contains(Int(token)) && flags[Int(token)]
    }
    var rows: [Int] = []
    for row in 0..<store.rowCount where has(isNoun, store.token(row)) {
      guard let place = store.place(row) else { continue }
      guard (0..<corpus.documentCount).contains(place.document), place.position >= 0 else {
        throw .data(
          "\(store.path): row \(row) belongs to no token of its corpus; the store is damaged.")
      }
      let document = try corpus.range(of: place.document)
      let next = document.lowerBound + place.position + 1
      if next < document.upperBound, has(continues, corpus.tokens(at: next..<next + 1)[0]) {
        continue
      }
      rows.append(row)
      if rows.count == limit { break }
    }
    return rows
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
    var codes = Codes()
    for start in stride(from: 0, to: rows.count, by: EvaluationRows.chunk) {
      let part = Array(rows[start..<min(rows.count, start + EvaluationRows.chunk)])
      var matrix = Matrix(rows: part.count, columns: store.width)
      try store.gather(part, into: &matrix)
      run.prepare(&matrix, norms: store.restoresLengths ? [] : part.map(store.norm)[...])
      for row in run.dictionary.encode(matrix, threads: input.options.threads) { codes.append(row) }
      input.progress(start + part.count, rows.count, "rows of \(run.name)")
    }
    return codes
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
    if store.attributes.kind != .unembedding {
      result.notes.append(
        "Nouns are \(counted(rows.count, "row")) whose token is a whole noun, none of them held out. A latent's"
          + " nouns are those at which it is active most strongly."
      )
    }
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
    let found = meanOverGroups(scores.map(value), input.options)
    return EvaluationNumber(
      key, label, found.mean, percentileInterval(found.samples), better: better)
  }
}
