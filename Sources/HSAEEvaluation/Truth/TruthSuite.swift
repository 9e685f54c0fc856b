// The suite `truth`: how well dictionaries recover a synthetic forest, whose features and edges are known.

import HSAEActivations
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Recovery of the features and edges of a synthetic forest.
public enum TruthSuite: EvaluationSuite {
  /// "truth".
  public static let name = "truth"
  /// What it measures.
  public static let about = "features and edges of a synthetic forest that are found (hsae synth)"

  /// A latent is live if it is active in this many rows.
  static let leastFirings = 10

  /// The numbers of `runs`. Fails with `.usage` unless the rows are those of a synthetic forest.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let refusal = Failure.usage(
      "The suite truth needs rows whose features are known, and \(input.sourceName) has none; name a synthetic"
        + " forest with --store (hsae synth makes one).")
    guard input.text == nil, input.source is SyntheticRows else { throw refusal }
    let rows = try input.rows(for: runs, suite: name)
    guard let truth = rows.source as? SyntheticRows else { throw refusal }
    return try input.results(of: runs, on: rows) { (run) throws(Failure) in
      var result = try result(of: run, rows, truth, input)
      result.seesUnitRows = run.seesUnitRows(ofStore: false)
      return result
    }
  }

  private static func result(
    of run: LoadedRun, _ rows: EvaluationRows, _ truth: SyntheticRows, _ input: EvaluationInput
  ) throws(Failure) -> SuiteResult {
    let (shape, options) = (run.shape, input.options)
    func match(_ latents: consuming Matrix) -> FeatureMatch {
      FeatureMatch(latents, truth.sampler.forest.directions, threads: options.threads)
    }
    let top = match(run.dictionary.directions(ofSublatents: false))
    let sub = match(run.dictionary.directions(ofSublatents: true))
    let measured = try TruthMeasurement(
      run, on: rows, truth: truth, top: top, sub: sub, threads: options.threads,
      progress: { input.progress($0, rows.count, "rows of \(run.name)") })
    let (seen, unscaled) = (measured.seen.summary, measured.unscaled.summary)
    var numbers = [
      EvaluationNumber(
        "explained_variance", "explained variance", seen.full.explainedVariance, better: .higher),
      EvaluationNumber(
        "explained_variance_unscaled", "explained variance, unscaled rows",
        unscaled.full.explainedVariance, better: .higher),
      EvaluationNumber(
        "codes_row", "codes a row, both levels", seen.codes, digits: 2),
      EvaluationNumber("true_l0", "features that fire in a row", measured.trueL0, digits: 2),
      EvaluationNumber("norm_ratio", "norm ratio ‖x̂‖ / ‖x‖", seen.full.normRatio),
    ]
    numbers += levelNumbers(top, measured.top, measured.featureFirings, "", "", options)
    if !shape.isFlat {
      numbers += levelNumbers(
        sub, measured.sub, measured.featureFirings, "_sublatents", ", sublatents", options)
      let both = match(run.dictionary.allDirections())
      numbers += [
        EvaluationNumber(
          "mcc_both", "mean correlation (MCC), both levels", both.meanCorrelation, better: .higher),
        EvaluationNumber(
          "uniqueness_both", "uniqueness, both levels", both.uniqueness, better: .higher),
      ]
    }
    var result = SuiteResult(
      suite: name, evaluatedOn: rows.description, numbers: numbers)
    let edges = TruthEdges(run, measured, top: top, sub: sub, truth, options)
    result.numbers += edges.numbers
    result.tables = edges.tables
    result.notes = edges.notes
    if top.meanCorrelation.isNaN {
      result.notes.append(
        "The mean correlation is not computed: \(grouped(top.nearest.count)) latents and"
          + " \(grouped(truth.sampler.forest.count)) features make too many pairs to match.")
    }
    return result
  }

  /// The numbers of one level. Intervals are over latents.
  private static func levelNumbers(
    _ match: FeatureMatch, _ measured: FeatureClassification, _ featureFirings: [Int],
    _ suffix: String, _ level: String, _ options: EvaluationOptions
  ) -> [EvaluationNumber] {
    let scores = measured.scores(featureFirings: featureFirings)
    var sums = GroupedSums(groups: scores.count, quantities: 4)
    for (latent, score) in scores.enumerated() {
      sums.add([score.f1, score.precision, score.recall, 1].span, ofGroup: latent)
    }
    let totals = sums.totals
    let samples = sums.bootstrap(
      resamples: options.resamples, seed: options.seed, threads: options.threads)
    func mean(_ key: String, _ label: String, _ index: Int) -> EvaluationNumber {
      EvaluationNumber(
        key + suffix, label + level, totals[3] > 0 ? totals[index] / totals[3] : .nan,
        percentileInterval(samples.values { $0[index] / $0[3] }), better: .higher)
    }
    let live = measured.live(1).count { $0 }
    return [
      EvaluationNumber(
        "mcc" + suffix, "mean correlation (MCC)" + level, match.meanCorrelation, better: .higher),
      mean("f1", "F1 of latents as classifiers", 0),
      mean("precision", "precision of latents as classifiers", 1),
      mean("recall", "recall of latents as classifiers", 2),
      EvaluationNumber(
        "uniqueness" + suffix, "uniqueness" + level, match.uniqueness, better: .higher),
      EvaluationNumber(
        "dead" + suffix, suffix.isEmpty ? "dead latents" : "dead sublatents",
        1 - Double(live) / Double(max(1, measured.firings.count)), better: .lower),
    ]
  }
}

extension SparseAutoencoder {
  /// The directions of both levels, experts first.
  fileprivate func allDirections() -> Matrix {
    let top = directions(ofSublatents: false)
    let sub = directions(ofSublatents: true)
    var result = Matrix(rows: top.rows + sub.rows, columns: shape.width)
    for row in 0..<result.rows {
      if row < top.rows {
        result.setRow(row, to: row, of: top)
      } else {
        result.setRow(row, to: row - top.rows, of: sub)
      }
    }
    return result
  }
}
