// What a page is made from: plain values, so that pages can be made and tested without runs.

public import HSAEActivations
public import HSAEEvaluation
public import HSAEModels
public import HSAERuns

/// Everything a page shows.
public struct ReportInput: Sendable {
  /// The page's title.
  public var title: String
  /// One line under the title: model, layer or matrix, number of vectors.
  public var subtitle: String
  /// The runs, the one the page is about first.
  public var runs: [RunReport]
  /// The command that makes this page, shown at its end; nil if unknown.
  public var command: String?
  /// The activations, if the page shows them.
  public var store: StoreSummary?
  /// What suites found out, if the page shows it.
  public var evaluation: Evaluation?

  /// An input with the given parts.
  public init(
    title: String, subtitle: String, runs: [RunReport], command: String? = nil,
    store: StoreSummary? = nil, evaluation: Evaluation? = nil
  ) {
    self.store = store
    self.evaluation = evaluation
    self.title = title
    self.subtitle = subtitle
    self.runs = runs
    self.command = command
  }
}

/// A line of a run's configuration.
public struct ConfigurationEntry: Hashable, Sendable {
  /// The option.
  public var key: String
  /// Its value as text.
  public var value: String

  /// An entry with the given parts.
  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = value
  }
}

/// A latent's words as a tree shows them, forms of one word once, strongest first.
public struct TreeNode: Hashable, Sendable {
  /// Index of the expert, or of the sublatent within it.
  public var index: Int
  /// Number of words it is active (relevant) for.
  public var count: Int
  /// Its strongest words.
  public var words: [WeightedWord]

  /// A node with the given parts.
  public init(index: Int, count: Int, words: [WeightedWord]) {
    self.index = index
    self.count = count
    self.words = words
  }
}

/// An expert with its sublatents.
public struct HierarchyTree: Hashable, Sendable {
  /// The expert.
  public var parent: TreeNode
  /// Its sublatents that are relevant for at least one word, by falling number of words.
  public var children: [TreeNode]
  /// How clear the hierarchy is.
  public var score: HierarchyScore

  /// A tree with the given parts.
  public init(parent: TreeNode, children: [TreeNode], score: HierarchyScore) {
    self.parent = parent
    self.children = children
    self.score = score
  }
}

/// The numbers of a run's evaluation.
public struct EvaluationNumbers: Hashable, Sendable {
  /// How well it reconstructs.
  public var reconstruction: ReconstructionSummary
  /// Experts active for no vector.
  public var deadExperts: Int
  /// Sublatents chosen for no vector.
  public var neverChosenSublatents: Int
  /// Sublatents relevant for no vector.
  public var deadSublatents: Int
  /// Densities of the experts.
  public var expertHistogram: DensityHistogram
  /// Densities of the sublatents.
  public var sublatentHistogram: DensityHistogram

  /// The numbers of `evaluation`.
  public init(_ evaluation: DictionaryEvaluation) {
    self.init(
      reconstruction: evaluation.reconstruction, deadExperts: evaluation.usage.deadExperts,
      neverChosenSublatents: evaluation.usage.neverChosenSublatents,
      deadSublatents: evaluation.usage.deadSublatents,
      expertHistogram: evaluation.usage.expertHistogram,
      sublatentHistogram: evaluation.usage.sublatentHistogram)
  }

  /// Numbers given outright.
  public init(
    reconstruction: ReconstructionSummary, deadExperts: Int, neverChosenSublatents: Int,
    deadSublatents: Int, expertHistogram: DensityHistogram,
    sublatentHistogram: DensityHistogram
  ) {
    self.reconstruction = reconstruction
    self.deadExperts = deadExperts
    self.neverChosenSublatents = neverChosenSublatents
    self.deadSublatents = deadSublatents
    self.expertHistogram = expertHistogram
    self.sublatentHistogram = sublatentHistogram
  }
}

/// What a row of a run's evaluation stands for, as a page calls it.
public enum RowKind: String, Hashable, Sendable {
  /// A word: rows are those of a vocabulary.
  case word
  /// An occurrence of a token in its context.
  case token
  /// Nothing with a name.
  case row
}

/// What a page shows of one run. Whatever is empty or nil is left out of the page.
public struct RunReport: Sendable {
  /// The run's name, as the user knows it.
  public var name: String
  /// The sizes of its dictionary.
  public var shape: DictionaryShape
  /// Its resolved configuration.
  public var configuration: [ConfigurationEntry]
  /// Its training records.
  public var metrics: [MetricsRecord]
  /// Its evaluation.
  public var numbers: EvaluationNumbers?
  /// What it was evaluated on, as a clause: "the 221,937 rows it was trained on".
  public var evaluatedOn: String
  /// Whether these are rows it was trained on; nil where nobody knows, as of an imported run.
  public var isTrainingData: Bool?
  /// Whether the dictionary sees these rows at unit norm, so that its squared error is a share of 1.
  public var seesUnitRows = true
  /// What these rows stand for.
  public var rowKind = RowKind.word
  /// Its clearest hierarchies, clearest first.
  public var clearest: [HierarchyTree]
  /// Hierarchies drawn at random.
  public var sample: [HierarchyTree]
  /// The seed of that draw.
  public var sampleSeed: UInt64
  /// All experts with few words each, for the search.
  public var index: [HierarchyTree]
  /// Look-ups of words.
  public var lookups: [WordLookup]

  /// A report with the given parts.
  public init(
    name: String, shape: DictionaryShape, configuration: [ConfigurationEntry] = [],
    metrics: [MetricsRecord] = [], numbers: EvaluationNumbers? = nil, evaluatedOn: String = "",
    isTrainingData: Bool? = true,
    clearest: [HierarchyTree] = [], sample: [HierarchyTree] = [], sampleSeed: UInt64 = 0,
    index: [HierarchyTree] = [], lookups: [WordLookup] = []
  ) {
    self.name = name
    self.shape = shape
    self.configuration = configuration
    self.metrics = metrics
    self.numbers = numbers
    self.evaluatedOn = evaluatedOn
    self.isTrainingData = isTrainingData
    self.clearest = clearest
    self.sample = sample
    self.sampleSeed = sampleSeed
    self.index = index
    self.lookups = lookups
  }
}
