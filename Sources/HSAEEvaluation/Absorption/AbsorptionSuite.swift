// The suite `absorption` of `hsae evaluate`. It gives the first-letter task to the model once and measures each
// run's dictionary on it, by the top level alone and with sublatents.

import HSAEDistribution
import HSAEModels
public import HSAERuns
public import HSAESupport

/// How often the latents of a first letter are inactive because another latent absorbed the letter.
public enum AbsorptionSuite: EvaluationSuite {
  /// "absorption".
  public static let name = "absorption"
  /// What it measures.
  public static let about = "first letters that other latents have absorbed"

  /// The ranks divide the prompts.
  public static let isDivided = true

  /// Absorption in each of `runs`. The model reads the prompts once for all runs.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let ranks = input.ranks
    let model = try input.sharedModel(for: runs, suite: name)
    var settings = FirstLetterSettings(
      block: try ranks.agree { () throws(Failure) in try input.block(suite: name) })
    settings.prefix = try ranks.agree { () throws(Failure) in
      try input.prefix(for: runs, of: model)
    }
    settings.maxWords = input.options.maxWords
    settings.examples = input.options.examples
    settings.seed = input.options.seed
    let task = try FirstLetterTask(model: model, settings: settings, ranks: ranks) {
      input.progress($0, $1, "prompts")
    }
    var results: [SuiteResult] = []
    for run in runs {
      input.say("absorption: \(run.name)")
      results.append(result(of: run, task: task, input: input))
    }
    return results
  }

  private static func result(
    of run: LoadedRun, task: borrowing FirstLetterTask, input: EvaluationInput
  ) -> SuiteResult {
    func measure(hasSublatents: Bool) -> Absorption {
      Absorption(
        of: LatentView(
          run.dictionary, hasSublatents: hasSublatents,
          rowScale: run.modelRowScale(ofStore: input.store != nil)), task: task,
        threads: input.options.threads)
    }
    let top = measure(hasSublatents: false)
    let both = run.shape.isFlat ? nil : measure(hasSublatents: true)
    var result = SuiteResult(
      suite: name,
      evaluatedOn:
        "\(grouped(task.measured.words.count)) of \(grouped(task.test.words.count)) test words whose"
        + " letter the probe recognises, from a vocabulary of \(counted(task.vocabularyWords, "word"))",
      numbers: numbers(top, "", "top level", input)
        + (both.map { numbers($0, "_with_sublatents", "with sublatents", input) } ?? []))
    result.numbers.append(
      EvaluationNumber(
        "usable_letters", "letters the probe tells", Double(top.usable.count), digits: 0))
    result.tables = [table(top, run.shape.isFlat ? "By letter" : "By letter, top level")]
    if let both { result.tables.append(table(both, "By letter, with sublatents")) }
    if !top.isMeaningful {
      result.notes.append(
        "The probe on the model's own rows recognises only \(top.usable.count) of 26 letters with F1 above"
          + " \(FirstLetterTask.requiredF1). SAEBench gives no result below \(Absorption.requiredLetters)"
          + " letters; do not compare these numbers with published ones.")
    }
    result.notes.append(
      "SAEBench considers the measure meaningful from about 1–2 billion model parameters and 16k latents"
        + " on. A dictionary that has learned little scores low."
    )
    result.saeBench = saeBench(top, run)
    return result
  }

  private static func numbers(
    _ found: Absorption, _ suffix: String, _ level: String, _ input: EvaluationInput
  ) -> [EvaluationNumber] {
    let (resamples, seed) = (input.options.resamples, input.options.seed)
    return [
      EvaluationNumber(
        "mean_absorption_fraction" + suffix, "absorption fraction, \(level)",
        found.mean(\.meanFraction).mean,
        samples: found.samples(resamples: resamples, seed: seed) { $0.fractions }, better: .lower),
      EvaluationNumber(
        "mean_full_absorption" + suffix, "full absorption, \(level)", found.mean(\.fullRate).mean,
        samples: found.samples(resamples: resamples, seed: seed) { $0.full.map { $0 ? 1 : 0 } },
        better: .lower),
      EvaluationNumber(
        "mean_split_latents" + suffix, "latents of a letter, \(level)",
        found.mean { Double($0.split.latents.count) }.mean, better: .lower, digits: 2),
      EvaluationNumber(
        "mean_split_f1" + suffix, "F1 of a letter's latents, \(level)",
        found.mean { $0.split.f1.prefix($0.split.latents.count).last ?? 0 }.mean, better: .higher,
        digits: 3),
    ]
  }

  private static func table(_ found: Absorption, _ title: String) -> EvaluationTable {
    EvaluationTable(
      title: title,
      columns: ["letter", "probe F1", "words", "latents", "their F1", "fraction", "full"],
      lines: found.letters.map { letter in
        EvaluationTable.Line(
          letter.letter,
          [
            letter.probeF1, Double(letter.words), Double(letter.split.latents.count),
            letter.split.f1.prefix(letter.split.latents.count).last,
            letter.words > 0 ? letter.meanFraction : nil, letter.words > 0 ? letter.fullRate : nil,
          ])
      })
  }

  /// The result of the top level for SAEBench, which has no sublatents.
  private static func saeBench(_ found: Absorption, _ run: LoadedRun) -> SAEBenchMetrics {
    let fraction = found.mean(\.meanFraction)
    let full = found.mean(\.fullRate)
    let split = found.mean { Double($0.split.latents.count) }
    var metrics = SAEBenchMetrics(
      metrics: [
        "mean": [
          "mean_absorption_fraction_score": fraction.mean,
          "mean_full_absorption_score": full.mean,
          "mean_num_split_features": split.mean,
          "std_dev_absorption_fraction_score": fraction.deviation,
          "std_dev_full_absorption_score": full.deviation,
          "std_dev_num_split_features": split.deviation,
        ]
      ], of: run, topLevelOnly: true)
    metrics.details = found.usable.map { letter in
      [
        "first_letter": .text(letter.letter),
        "mean_absorption_fraction": .number(letter.meanFraction),
        "full_absorption_rate": .number(letter.fullRate),
        "num_full_absorption": .number(Double(letter.full.count { $0 })),
        "num_probe_true_positives": .number(Double(letter.words)),
        "num_split_features": .number(Double(letter.split.latents.count)),
      ]
    }
    return metrics
  }
}
