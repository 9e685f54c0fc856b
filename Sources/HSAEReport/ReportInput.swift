// The input of a page: plain values, so that pages can be made and tested without runs.

public import HSAEActivations
public import HSAEEvaluation
public import HSAEModels
public import HSAERuns

/// All that a page shows.
public struct ReportInput: Sendable {
  /// The page's title.
  public var title: String
  /// One line under the title: model, layer or matrix, number of rows.
  public var subtitle: String
  /// The runs; the first is the one the page is about.
  public var runs: [RunReport]
  /// The command that makes this page, shown at its end; nil if unknown.
  public var command: String?
  /// The activation store, if the page shows it.
  public var store: StoreSummary?
  /// The results of suites, if the page shows them.
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

/// A line of a run's configuration: an option and its value as text.
public typealias ConfigurationEntry = (key: String, value: String)

/// A latent's words as a tree shows them: strongest first, forms of one word once.
public struct TreeNode: Hashable, Sendable {
  /// The index of the expert, or of the sublatent within it.
  public var index: Int
  /// The number of words it is active for.
  public var count: Int
  /// Its strongest words.
  public var words: [WeightedWord]
}

/// An expert with its sublatents.
public struct HierarchyTree: Hashable, Sendable {
  /// The expert.
  public var parent: TreeNode
  /// Its sublatents that are active for at least one word, by falling number of words.
  public var children: [TreeNode]
  /// How clear the hierarchy is.
  public var score: HierarchyScore
}

/// The numbers of a run's evaluation.
public struct EvaluationNumbers: Hashable, Sendable {
  /// How well it reconstructs.
  public var reconstruction: ReconstructionSummary
  /// Experts active for no row.
  public var deadExperts: Int
  /// Sublatents chosen for no row.
  public var neverChosenSublatents: Int
  /// Sublatents active for no row.
  public var deadSublatents: Int
  /// The densities of the experts.
  public var expertHistogram: DensityHistogram
  /// The densities of the sublatents.
  public var sublatentHistogram: DensityHistogram
}

/// The word a page uses for a row of a run's evaluation.
public enum RowKind: String, Hashable, Sendable {
  /// A word: rows are those of a vocabulary.
  case word
  /// An occurrence of a token in its context.
  case token
  /// A row whose meaning is unknown.
  case row
}

/// What a page shows of one run. The page leaves out what is empty or nil.
public struct RunReport: Sendable {
  /// The run's name.
  public var name: String
  /// The sizes of its dictionary.
  public var shape: DictionaryShape
  /// Its resolved configuration.
  public var configuration: [ConfigurationEntry] = []
  /// Its training records.
  public var metrics: [MetricsRecord] = []
  /// Its evaluation.
  public var numbers: EvaluationNumbers?
  /// The rows it was evaluated on, as a clause: "the 221,937 rows it was trained on".
  public var evaluatedOn = ""
  /// Whether it was trained on these rows; nil if that is unknown, as for an imported run.
  public var isTrainingData: Bool? = true
  /// Whether the dictionary sees these rows at unit norm, so that its squared error is a share of 1.
  public var seesUnitRows = true
  /// What these rows stand for.
  public var rowKind = RowKind.word
  /// Whether they are rows of a synthetic forest, which have no words.
  public var isSynthetic = false
  /// Its clearest hierarchies, clearest first.
  public var clearest: [HierarchyTree] = []
  /// The highest score with sublatents shuffled between experts; nil if too few experts are scored.
  public var shuffledScore: Double?
  /// The number of rows that hierarchies were scored on, the first ones; nil for all.
  public var scoredRows: Int?
  /// Hierarchies drawn at random.
  public var sample: [HierarchyTree] = []
  /// The seed of that draw.
  public var sampleSeed: UInt64 = 0
  /// All experts with few words each, for the search.
  public var index: [HierarchyTree] = []
  /// Look-ups of words.
  public var lookups: [WordLookup] = []
}
