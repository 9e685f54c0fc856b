// Turns an evaluation in memory into the plain values of a page: so many hierarchies, with so many words each.

public import HSAEEvaluation
public import HSAEModels
public import HSAERuns

/// How much of a run goes on a page.
public struct ReportLimits: Hashable, Sendable {
  /// Clearest hierarchies.
  public var clearest = 200
  /// Hierarchies drawn at random.
  public var sample = 50
  /// Words of an expert in a tree.
  public var expertWords = 14
  /// Words of a sublatent in a tree.
  public var sublatentWords = 10
  /// Words of an expert in the search.
  public var indexExpertWords = 10
  /// Words of a sublatent in the search.
  public var indexSublatentWords = 4
  /// Words of each latent in a look-up.
  public var lookupWords = 8

  /// The usual limits. They keep a page of 2,048 experts well below 3 MB.
  public init() {}
}

extension RunReport {
  /// The report of an evaluated run: its clearest hierarchies, a sample drawn with `seed`, all
  /// experts for the search, and look-ups of `lookupWords`.
  ///
  /// `codes` are those of all rows of `words`; `encode` gives the codes of a token that has no row.
  public init(
    name: String, evaluation: DictionaryEvaluation, words: WordTable, codes: Codes,
    lookupWords: [String], configuration: [ConfigurationEntry] = [],
    metrics: [MetricsRecord] = [], evaluatedOn: String, seed: UInt64 = 0,
    limits: ReportLimits = ReportLimits(), encode: (_ token: Int) -> [Code]? = { _ in nil }
  ) {
    let lookup = Lookup(profiles: evaluation.profiles, words: words, mergesForms: true)
    self.init(
      name: name, shape: evaluation.shape, configuration: configuration, metrics: metrics,
      numbers: EvaluationNumbers(evaluation), evaluatedOn: evaluatedOn, sampleSeed: seed,
      lookups: lookupWords.map { word in
        lookup.lookup(
          word, limit: limits.lookupWords, codes: { Array(codes[$0]) }, encode: encode)
      })

    func node(_ index: Int, _ count: Int, _ rows: [RankedRow], _ limit: Int) -> TreeNode {
      TreeNode(
        index: index, count: count,
        words: words.distinct(rows, limit: limit).map {
          WeightedWord(text: words.mergedText(row: $0.row), value: $0.value)
        })
    }
    func tree(
      _ score: HierarchyScore, _ expertWords: Int, _ sublatentWords: Int
    ) -> HierarchyTree {
      let profile = evaluation.profiles[score.expert]
      return HierarchyTree(
        parent: node(profile.expert, profile.count, profile.rows, expertWords),
        children: profile.sublatents.map {
          node($0.index, $0.active, $0.rows, sublatentWords)
        }, score: score)
    }
    clearest = evaluation.clearest(limits.clearest).map {
      tree($0, limits.expertWords, limits.sublatentWords)
    }
    sample = evaluation.randomSample(limits.sample, seed: seed).map {
      tree($0, limits.expertWords, limits.sublatentWords)
    }
    let scores =
      evaluation.hierarchies.isEmpty
      ? (0..<evaluation.shape.experts).map(HierarchyScore.init) : evaluation.hierarchies
    index = scores.filter { evaluation.usage.experts[$0.expert] > 0 }.map {
      tree($0, limits.indexExpertWords, limits.indexSublatentWords)
    }
  }
}

extension EvaluationNumbers {
  /// The numbers of `evaluation`.
  public init(_ evaluation: DictionaryEvaluation) {
    self.init(
      reconstruction: evaluation.reconstruction, deadExperts: evaluation.usage.deadExperts,
      neverChosenSublatents: evaluation.usage.neverChosenSublatents,
      deadSublatents: evaluation.usage.deadSublatents,
      expertHistogram: evaluation.usage.expertHistogram,
      sublatentHistogram: evaluation.usage.sublatentHistogram)
  }
}
