// The suite `core`: how well runs rebuild held-out rows, how their latents are used, and, with a model, how
// reconstructions change its losses.

import Foundation
import HSAEModels
public import HSAERuns
public import HSAESupport

/// Reconstruction, sparsity, use of latents, and the model's losses.
public enum CoreSuite: EvaluationSuite {
  /// "core".
  public static let name = "core"
  /// What it measures.
  public static let about = "reconstruction, sparsity, use of latents, the model's losses"

  /// The ranks divide rows and contexts.
  public static let isDivided = true

  /// The numbers of `runs`.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let options = input.options
    let rows = try input.rows(for: runs, suite: name)
    let losses = input.hasModel ? try SplicedLosses(runs, input, suite: name) : nil
    func seesUnitRows(_ run: LoadedRun) -> Bool {
      run.seesUnitRows(ofStore: !rows.norms.isEmpty)
    }
    let spaces = try WhitenedSpace.all(of: runs, threads: options.threads)
    var results: [SuiteResult] = []
    for (index, run) in runs.enumerated() {
      let measured = try RowMeasurement(
        run, on: rows, whitened: spaces, threads: options.threads, ranks: input.ranks,
        progress: { input.progress($0, $1, "rows of \(run.name)") })
      var numbers = measured.numbers(
        resamples: options.resamples, seed: options.seed, threads: options.threads)
      let spliced = losses?.numbers(
        ofRun: index, resamples: options.resamples, seed: options.seed, threads: options.threads)
      // After explained variance, before the details.
      numbers.insert(contentsOf: spliced ?? [], at: measured.usage.shape.isFlat ? 1 : 2)
      var result = SuiteResult(
        suite: name,
        evaluatedOn: rows.description + (losses.map { "; losses on \($0.description)" } ?? ""),
        numbers: numbers)
      // User text may overlap the training data, and the training rows of some runs are not known.
      result.isHeldOut =
        input.text == nil && run.description.knowsRows ? rows.isHeldOut : nil
      result.seesUnitRows = seesUnitRows(run)
      result.histograms = measured.histograms
      if losses == nil {
        result.notes.append("Without --model the model's losses are not measured.")
      }
      // In training a latent is dead if it was active for none of this many rows.
      if rows.count < Usage.reportingWindow {
        result.notes.append(
          "Dead latents\(runs.allSatisfy(\.shape.isFlat) ? "" : " and sublatents") are those that were active for"
            + " none of the \(counted(rows.count, "row")) measured here; in more rows fewer are dead."
        )
      }
      if run.description.origin?.isUnbounded == true, measured.fullRows > 0,
        run.shape.activeExperts < run.shape.experts
      {
        result.notes.append(
          "In \(counted(measured.fullRows, "row")) more latents may be active than the"
            + " \(grouped(run.shape.activeExperts)) strongest that \(run.name) keeps; import it with a larger"
            + " --max-active.")
      }
      for space in spaces where runs.count > 1 && space.normalize == run.description.normalize {
        result.notes.append(
          "Explained variance whitened by \(space.source.rawValue) uses the whitening of \(space.run)."
        )
      }
      if let note = input.note(on: run, among: runs, isHeldOut: rows.isHeldOut) {
        result.notes.append(note)
      }
      if runs.contains(where: { seesUnitRows($0) != seesUnitRows(run) }) {
        result.notes.append(
          "Some of these runs see rows at unit norm and others at their own lengths: compare them by the"
            + " numbers of unscaled rows.")
      }
      result.saeBench = saeBench(result, run, rows)
      results.append(result)
    }
    Comparison.noteUnequalCosts(of: runs, in: &results)
    return results
  }

  /// The result in SAEBench's terms, as SAEBench measures the exported dictionary: rows have their lengths in
  /// the model, and sublatents count as latents.
  private static func saeBench(
    _ result: SuiteResult, _ run: LoadedRun, _ rows: EvaluationRows
  ) -> SAEBenchMetrics {
    let shape = run.shape
    func value(_ key: String) -> Double { result[key]?.value ?? .nan }
    let (behaviour, performance) = (
      "model_behavior_preservation", "model_performance_preservation"
    )
    let (quality, shrinkage) = ("reconstruction_quality", "shrinkage")
    var metrics: [String: [String: Double]] = [:]
    for (category, name, key) in [
      (behaviour, "kl_div_score", "kl_div_score"),
      (behaviour, "kl_div_with_ablation", "kl_div_zero"), (behaviour, "kl_div_with_sae", "kl_div"),
      (performance, "ce_loss_score", "ce_loss_score"),
      (performance, "ce_loss_with_ablation", "ce_loss_zero"),
      (performance, "ce_loss_with_sae", "ce_loss_spliced"),
      (performance, "ce_loss_without_sae", "ce_loss"),
      (quality, "explained_variance", "explained_variance_unscaled"),
      (quality, "explained_variance_legacy", "explained_variance_legacy_unscaled"),
      (quality, "mse", "mse_unscaled"), (quality, "cossim", "cosine"),
      (shrinkage, "l2_ratio", "norm_ratio"),
      (shrinkage, "relative_reconstruction_bias", "relative_reconstruction_bias_unscaled"),
    ] where result[key] != nil {
      metrics[category, default: [:]][name] = value(key)
    }
    metrics["token_stats"] = ["total_tokens_eval_sparsity_variance": Double(rows.count)]
    metrics["sparsity"] = ["l0": value("codes_row")]
    let dead =
      value("dead_latents")
      + (shape.isFlat ? 0 : Double(shape.sublatents) * value("dead_sublatents"))
    metrics["misc_metrics"] = [
      "frac_alive": 1 - dead / Double(1 + shape.sublatents)
    ]
    return SAEBenchMetrics(metrics: metrics, of: run)
  }
}
