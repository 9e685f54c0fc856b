// The suite `hierarchy` of `hsae evaluate`: whether parents and children are those of meaning. For
// dictionaries of words WordNet is asked, for those of a residual stream the topics of documents.

import HSAEActivations
public import HSAESupport
public import HSAERuns

/// Whether the hierarchy is one of meaning.
public enum HierarchySuite: EvaluationSuite {
  /// The name.
  public static let name = "hierarchy"
  /// What it finds out.
  public static let about = "parents and children against WordNet, or against documents' topics"

  /// What WordNet or documents' topics say of each of `runs`.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    guard let store = input.store else {
      throw .usage(
        "The suite hierarchy needs an activation store: of words (hsae unembed), or of documents with"
          + " topics (hsae collect); name it with --store.")
    }
    return store.attributes.kind == .unembedding
      ? try TaxonomyResults(store: store, input: input).results(runs)
      : try TopicResults(store: store, input: input).results(runs)
  }
}
