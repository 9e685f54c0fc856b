// The user's options for an evaluation, besides the runs and their data.

import HSAETensors

/// The options of an evaluation.
public struct EvaluationOptions: Hashable, Sendable {
  /// Seed of all draws: documents, bootstrap samples, shuffles.
  public var seed: UInt64 = 0
  /// Number of threads; no result depends on it.
  public var threads = processorCount
  /// Limit on the number of rows.
  public var rowLimit = 1_000_000
  /// Limit on the tokens for the model's losses; each dictionary costs a pass through the model.
  public var lossTokens = 10_000
  /// Limit on the sentences of the suite crosslingual.
  public var sentences = 500
  /// Number of bootstrap samples.
  public var resamples = 1_000
  /// Limit on the words of the first-letter task (absorption), training and test words together.
  public var maxWords = 10_000
  /// Number of solved examples before each word of that task.
  public var examples = 10
  /// Sets of labelled texts for the suite probing: a number of them, "all", or names separated by commas.
  public var probeSets = "16"
  /// Limit on the texts of each of these sets, training and test texts together.
  public var probeTexts = 600
  /// Steps of the dictionary of decoder rows that the suite structure trains (meta-structure); 0: none is trained.
  public var metaSteps = 1_500
  /// The folder of WordNet's files (hierarchy of words).
  public var wordNet = WordNet.defaultFolder

  /// The defaults.
  public init() {}
}
