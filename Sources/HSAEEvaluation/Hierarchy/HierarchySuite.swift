// The suite `hierarchy` of `hsae evaluate`: do parents and children match a hierarchy of meaning? It judges dictionaries by
// WordNet, those of a residual stream at the nouns of the text, and these also by the topics of documents.

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
    if store.attributes.kind == .unembedding {
      let words = try TaxonomyResults(store: store, input: input)
      if let complaint = words.complaint { throw .data(complaint) }
      return try words.results(runs)
    }
    var (nouns, note) = ([SuiteResult](), String?.none)
    if WordNet.isInstalled(in: input.options.wordNet) {
      let words = try TaxonomyResults(store: store, input: input)
      note = words.complaint
      if note == nil { nouns = try words.results(runs) }
    } else {
      note =
        "WordNet is not in \(input.options.wordNet), so nouns are not judged; HSAE_WORDNET=1 scripts/setup.sh"
        + " installs it."
    }
    // If documents have no topics and nouns cannot be judged either, the missing topics are the failure.
    if !nouns.isEmpty, try !TopicResults.hasTopics(store) { return nouns }
    var results = try TopicResults(store: store, input: input).results(runs)
    for index in results.indices {
      if let note { results[index].notes.append(note) }
      guard nouns.indices.contains(index) else { continue }
      results[index].evaluatedOn += "; WordNet: \(nouns[index].evaluatedOn)"
      results[index].numbers += nouns[index].numbers
      results[index].tables += nouns[index].tables
      results[index].notes += nouns[index].notes
    }
    return results
  }
}
