// The suite `hierarchy` of `hsae evaluate`: do parents and children match a hierarchy of meaning? It judges
// dictionaries of words by WordNet, and dictionaries of a residual stream by the topics of documents.

import HSAEActivations
public import HSAERuns
public import HSAESupport

/// Whether parents and children match a hierarchy of meaning.
public enum HierarchySuite: EvaluationSuite {
  /// "hierarchy".
  public static let name = "hierarchy"
  /// What it measures.
  public static let about = "parents and children against WordNet, or against documents' topics"

  /// The results of `runs`. Fails with `.usage` without a store.
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
