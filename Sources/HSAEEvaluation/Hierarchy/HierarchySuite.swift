// The suite `hierarchy` of `hsae evaluate`: do parents and children match a hierarchy of meaning? It judges dictionaries by
// WordNet. Those of a residual stream are judged at the nouns of their text, and also by the topics of documents.

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
    guard input.text == nil else {
      throw .usage(
        "The suite hierarchy reads topics and nouns from the store; evaluate it without --text.")
    }
    let topics = try TopicResults(store: store, input: input)
    var words: TaxonomyResults?
    var note: String?
    if WordNet.isInstalled(in: input.options.wordNet) {
      let found = try TaxonomyResults(store: store, input: input)
      note = found.complaint
      if note == nil { words = found }
    } else {
      note =
        "Nouns are not judged: WordNet's files are not in \(input.options.wordNet). Install it (apt-get install"
        + " wordnet-base), or name another folder with --wordnet."
    }
    guard topics != nil || words != nil else {
      throw .data(
        "\(store.path): none of its documents states a topic; collect a corpus whose documents do, such"
          + " as wiki-leads. \(note ?? "")")
    }
    let nouns = try words?.results(runs) ?? []
    guard let topics else { return nouns }
    var results = try topics.results(runs)
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
