// The suite `hierarchy` for dictionaries of a residual stream: how pure the topics are of the documents in
// which a latent is active, and how much the choice of a sublatent tells about the topic.

import HSAEActivations
import HSAEModels
internal import HSAERuns
import HSAESupport
import HSAETensors

/// Judges runs on the documents of one store.
struct TopicResults {
  private let store: ActivationStore
  private let input: EvaluationInput
  private let documents: DocumentTopics

  /// Reads the topics of the store's documents; nil if there are none.
  init?(store: ActivationStore, input: EvaluationInput) throws(Failure) {
    self.store = store
    self.input = input
    let corpus = try StoredCorpus(store: store.path)
    let all = 0..<corpus.documentCount
    documents = DocumentTopics(
      topics: all.map(corpus.topic), languages: all.map(corpus.language))
    if documents.count == 0 { return nil }
  }

  /// The results of `runs`, in their order.
  func results(_ runs: [LoadedRun]) throws(Failure) -> [SuiteResult] {
    let rows = try input.rows(for: runs, suite: HierarchySuite.name)
    guard let part = rows.source as? ActivationStore else {
      throw .usage(
        "The suite hierarchy reads topics from the store; evaluate it without --text.")
    }
    var results: [SuiteResult] = []
    for run in runs {
      input.say("hierarchy: \(run.name)")
      var association = TopicAssociation(
        shape: run.shape, subThreshold: run.dictionary.activation.subThreshold)
      let total = rows.chunks.last?.upperBound ?? 0
      for range in rows.chunks {
        let codes = run.dictionary.encode(
          try rows.matrix(range, for: run), threads: input.options.threads)
        association.add(codes, documents: range.map { Int32(part.place($0)?.document ?? -1) })
        input.progress(range.upperBound, total, "rows")
      }
      results.append(result(run, association, rows.description))
    }
    return results
  }

  private func result(
    _ run: LoadedRun, _ association: TopicAssociation, _ evaluatedOn: String
  ) -> SuiteResult {
    let threads = input.options.threads
    let own = association.sums(documents, threads: threads)
    let chance = association.sums(
      documents.shuffled(seed: input.options.seed), threads: threads)
    var result = SuiteResult(
      suite: HierarchySuite.name,
      evaluatedOn: evaluatedOn
        + ", topics within each of \(counted(documents.stratumCount, "language"))",
      numbers: numbers("parent_purity", "topic purity of top-level latents", own, chance) {
        ($0.parentPure, $0.parentDocuments)
      })
    if !run.shape.isFlat {
      result.numbers += numbers("sublatent_purity", "topic purity of sublatents", own, chance) {
        ($0.childPure, $0.childDocuments)
      }
      result.numbers += numbers(
        "topic_information", "information of sublatent and topic", own, chance
      ) { ($0.information, $0.entropy) }
    }
    result.notes.append(
      "For the shuffled numbers, topics are shuffled among the documents of a language. These numbers are"
        + " chance; only the excess over them is meaningful.")
    return result
  }

  /// The ratio of two sums over experts, the same with topics shuffled, and their difference. Intervals
  /// resample experts.
  private func numbers(
    _ key: String, _ label: String, _ own: [TopicSums], _ chance: [TopicSums],
    _ parts: (TopicSums) -> (part: Double, whole: Double)
  ) -> [EvaluationNumber] {
    var sums = GroupedSums(groups: own.count, quantities: 4)
    for expert in own.indices {
      let (own, chance) = (parts(own[expert]), parts(chance[expert]))
      let values = [own.part, own.whole, chance.part, chance.whole]
      sums.add(values.span, ofGroup: expert)
    }
    let samples = sums.bootstrap(
      resamples: input.options.resamples, seed: input.options.seed, threads: input.options.threads)
    func number(
      _ key: String, _ label: String, _ better: EvaluationNumber.Direction?,
      _ statistic: ([Double]) -> Double
    ) -> EvaluationNumber {
      EvaluationNumber(
        key, label, statistic(sums.totals), samples.interval(statistic), better: better)
    }
    return [
      number(key, label, nil) { $0[0] / $0[1] },
      number(key + "_shuffled", "… topics shuffled", nil) { $0[2] / $0[3] },
      number(key + "_excess", "… the difference", .higher) { $0[0] / $0[1] - $0[2] / $0[3] },
    ]
  }
}
