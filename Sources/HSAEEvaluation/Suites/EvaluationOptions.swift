// What the user chose of an evaluation, besides what is evaluated and on what.

import HSAETensors

/// The options of an evaluation.
public struct EvaluationOptions: Hashable, Sendable {
  /// Seed of all draws: documents, bootstrap samples, shuffles.
  public var seed: UInt64 = 0
  /// Threads; no result depends on it.
  public var threads = processorCount
  /// The most rows to reconstruct.
  public var rowLimit = 1_000_000
  /// The most tokens to read the model's losses on; each dictionary costs a pass through the model.
  public var lossTokens = 10_000
  /// The most sentences of the suite crosslingual.
  public var sentences = 500
  /// Samples of the bootstrap.
  public var resamples = 1_000
  /// The most words of the first-letter task (absorption), training and test words together.
  public var maxWords = 10_000
  /// Solved examples before each of them.
  public var examples = 10
  /// The folder of WordNet's files (hierarchy of words).
  public var wordNet = WordNet.defaultFolder

  /// The defaults.
  public init() {}
}
