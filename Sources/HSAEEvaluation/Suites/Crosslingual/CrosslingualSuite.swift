// The suite `crosslingual`: are the same latents active for a sentence and its translations? It is the paper's
// figure 5b, with intervals, a baseline, and a variant over all tokens of a sentence.

import HSAEDistribution
import HSAELanguageModels
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Differences of the strongest latents between translations.
public enum CrosslingualSuite: EvaluationSuite {
  /// "crosslingual".
  public static let name = "crosslingual"
  /// What it measures.
  public static let about = "how the strongest latents differ between translations"
  /// The ranks divide the sentences.
  public static let isDivided = true
  /// Number of latents that stand for a sentence.
  static let strongest = 8

  /// The numbers of `runs`.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let model = try input.sharedModel(for: runs, suite: name)
    let (block, sentences) = try input.ranks.agree { () throws(Failure) in
      let all = try input.sentences()
      let sentences = all.sample(input.options.sentences, seed: input.options.seed)
      guard sentences.sentences.count >= 2 else {
        throw .data("\(all.description): at least two sentences are needed; give more.")
      }
      return (try input.block(suite: name), sentences)
    }
    let text = sentences.sentences.flatMap(\.self).joined(separator: "\n")
    try input.ranks.requireAlike(SHA256.hash(text)) { rank, _, _ in
      .data("The sentences of rank \(rank) are not those of rank 0; give all ranks the same.")
    }
    let captured = try CapturedSentences(
      sentences, of: runs, model: model, block: block, input: input)
    // A cyclic shift of a random order, so that no sentence is compared with its own translation.
    let count = sentences.sentences.count
    var generator = SeededGenerator(seed: input.options.seed).split(0x7368_7566)
    let order = (0..<count).shuffled(using: &generator)
    var other = [Int](repeating: 0, count: count)
    for index in 0..<count { other[order[index]] = order[(index + 1) % count] }
    return runs.map { run in
      let latents = captured.latents(run, rowsAreUnit: input.store != nil, input.options.threads)
      let differences = CrosslingualDifferences(latents, other: other)
      var result = SuiteResult(
        suite: name,
        evaluatedOn:
          "\(counted(count, "sentence")) in \(sentences.languages.joined(separator: ", ")):"
          + " \(sentences.description)",
        numbers: differences.numbers(sentences.languages, input.options))
      result.tables = [differences.table(sentences.languages)]
      return result
    }
  }
}

/// The residual stream over all sentences, special tokens left out.
private struct CapturedSentences: ~Copyable {
  /// The model's rows, ordered by language, then sentence.
  private let rows: Matrix
  /// The rows of each sentence, by language.
  private let ranges: [[Range<Int>]]

  /// Captures the rows. Ranks divide the sentences; each gets all rows in the end.
  init(
    _ sentences: ParallelSentences, of runs: [LoadedRun], model: any ResidualStreamModel,
    block: Int, input: EvaluationInput
  ) throws(Failure) {
    let ranks = input.ranks
    let tokenizer = model.tokenizer
    let contexts = try ranks.agree { () throws(Failure) in
      try Self.contexts(
        of: sentences, model: model, prefix: try input.prefix(for: runs, of: model))
    }
    // The first row of each context, then the number of all rows.
    var starts = [0]
    for context in contexts {
      starts.append(starts[starts.count - 1] + context.count { !tokenizer.isSpecial($0) })
    }
    let width = model.description.width
    var rows = Matrix(rows: starts[contexts.count], columns: width)
    let shares = sharesOfWork(contexts.map(\.count), among: ranks.size)
    let own = shares[ranks.rank]
    let total = contexts[own].reduce(0) { $0 + $1.count }
    try ranks.agree { () throws(Failure) in
      try model.captureOrdinary(
        Array(contexts[own]), afterBlock: block, into: &rows, from: starts[own.lowerBound]
      ) { input.progress($0, total, "tokens") }
    }
    ranks.gather(&rows, rows: shares.map { starts[$0.lowerBound]..<starts[$0.upperBound] })
    try ranks.check()
    let count = sentences.sentences.count
    ranges = sentences.languages.indices.map { language in
      (language * count..<(language + 1) * count).map { starts[$0]..<starts[$0 + 1] }
    }
    self.rows = rows
  }

  /// The tokens of all sentences, ordered by language.
  private static func contexts(
    of sentences: ParallelSentences, model: any ResidualStreamModel, prefix: [Int32]
  ) throws(Failure) -> [[Int32]] {
    let tokenizer = model.tokenizer
    let room = model.contextLength - prefix.count
    var contexts: [[Int32]] = []
    for language in sentences.languages.indices {
      for sentence in sentences.sentences {
        let tokens = tokenizer.encode(Array(sentence[language].utf8)[...])
        guard !tokens.isEmpty, tokens.count <= room else {
          throw .data(
            "\(sentences.description): a sentence in \(sentences.languages[language]) has"
              + " \(tokens.count) tokens; 1 to \(room) are possible: \(sentence[language].prefix(40))…"
          )
        }
        contexts.append(prefix + tokens)
      }
    }
    return contexts
  }

  /// The strongest latents of `run` for every sentence, by language.
  func latents(
    _ run: LoadedRun, rowsAreUnit: Bool, _ threads: Int
  ) -> [[StrongestLatents]] {
    var x = rows.copy()
    _ = run.modelRowScale(ofStore: rowsAreUnit).apply(to: &x)
    let codes = run.dictionary.encode(x, threads: threads)
    return ranges.map { language in
      language.map { StrongestLatents(codes, $0, count: CrosslingualSuite.strongest) }
    }
  }
}

extension CrosslingualDifferences {
  /// The numbers, with intervals over sentences; keys and labels of pairs use the names `languages`.
  func numbers(_ languages: [String], _ options: EvaluationOptions) -> [EvaluationNumber] {
    let samples = sums.bootstrap(
      resamples: options.resamples, seed: options.seed, threads: options.threads)
    let totals = sums.totals
    func number(
      _ key: String, _ label: String, better: EvaluationNumber.Direction? = nil,
      _ statistic: @escaping ([Double]) -> Double
    ) -> EvaluationNumber {
      EvaluationNumber(
        key, label, statistic(totals), samples: samples.values(statistic), better: better)
    }
    /// The mean over pairs of a pair's quantity `offset`.
    func mean(_ offset: Int) -> ([Double]) -> Double {
      { sums in
        pairs.indices.reduce(0) { $0 + sums[Self.place($1) + offset] }
          / (Double(pairs.count) * sums[0])
      }
    }
    func ratio(_ offset: Int) -> ([Double]) -> Double {
      { mean(offset)($0) / mean(offset + 1)($0) }
    }
    var result = [
      number("difference", "difference at the last token", better: .lower, mean(0)),
      number("difference_shuffled", "the same, another sentence’s translation", mean(1)),
      number("difference_ratio", "ratio of the two", better: .lower, ratio(0)),
      number("difference_pooled", "difference over all tokens", better: .lower, mean(2)),
      number(
        "difference_pooled_shuffled", "the same, another sentence’s translation, pooled", mean(3)),
      number("difference_pooled_ratio", "ratio of the two, pooled", better: .lower, ratio(2)),
      number("set_size", "latents compared at the last token") { $0[1] / $0[0] },
    ]
    for (index, pair) in pairs.enumerated() {
      let (a, b) = (languages[pair.first], languages[pair.second])
      result.append(
        number("difference_\(a)_\(b)", "difference \(a)–\(b)", better: .lower) {
          $0[Self.place(index)] / $0[0]
        })
    }
    return result
  }

  /// A line for each pair of languages.
  func table(_ languages: [String]) -> EvaluationTable {
    let totals = sums.totals
    return EvaluationTable(
      title: "Differences by pair",
      columns: ["pair", "last token", "shuffled", "pooled", "pooled, shuffled"],
      lines: pairs.enumerated().map { index, pair in
        EvaluationTable.Line(
          "\(languages[pair.first])–\(languages[pair.second])",
          (0..<4).map { totals[Self.place(index) + $0] / totals[0] })
      })
  }
}
