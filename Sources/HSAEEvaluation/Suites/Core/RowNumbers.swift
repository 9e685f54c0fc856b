// From sums over rows to the numbers of the suite core: reconstruction, sparsity, use of latents.
// docs/evaluation.md defines each.

import Foundation
import HSAEModels

extension RowMeasurement {
  /// The numbers, with intervals over documents.
  public func numbers(resamples: Int, seed: UInt64, threads: Int) -> [EvaluationNumber] {
    let samples = sums.bootstrap(resamples: resamples, seed: seed, threads: threads)
    let totals = sums.totals
    let hasLevels = !usage.shape.isFlat
    func number(
      _ key: String, _ label: String, better: EvaluationNumber.Direction? = nil, digits: Int = 4,
      _ statistic: @escaping (RowTotals) -> Double
    ) -> EvaluationNumber {
      EvaluationNumber(
        key, label, statistic(RowTotals(totals)),
        samples: samples.values { statistic(RowTotals($0)) }, better: better, digits: digits)
    }
    /// One number for both levels together, and where there are two, one for the top level alone.
    func pair(
      _ key: String, _ label: String, better: EvaluationNumber.Direction? = nil,
      _ full: @escaping (RowTotals) -> Double, _ top: @escaping (RowTotals) -> Double
    ) -> [EvaluationNumber] {
      let first = number(key, label, better: better, full)
      guard hasLevels else { return [first] }
      return [
        first, number(key + "_top_level", label + ", top level", better: better, top),
      ]
    }
    var result = pair(
      "explained_variance", "explained variance", better: .higher,
      { 1 - $0[.error] / $0[.spread] }, { 1 - $0[.topError] / $0[.spread] })
    result += pair(
      "explained_variance_unscaled", "explained variance, unscaled rows",
      better: .higher, { 1 - $0[.ownError] / $0[.ownSpread] },
      { 1 - $0[.ownTopError] / $0[.ownSpread] })
    result += pair(
      "mse", "squared error ‖x − x̂‖²", better: .lower,
      { $0[.error] / $0[.rows] }, { $0[.topError] / $0[.rows] })
    result.append(
      number("l0", "L0, active latents", digits: 2) { $0[.active] / $0[.rows] })
    if hasLevels {
      result.append(
        number("l0_sublatents", "relevant sublatents", digits: 2) {
          $0[.relevant] / $0[.rows]
        })
    }
    result += pair(
      "cosine", "cosine of x and x̂", better: .higher,
      { $0[.cosine] / $0[.nonzero] }, { $0[.topCosine] / $0[.nonzero] })
    result += pair(
      "norm_ratio", "norm ratio ‖x̂‖ / ‖x‖",
      { $0[.ratio] / $0[.nonzero] }, { $0[.topRatio] / $0[.nonzero] })
    result += pair(
      "relative_reconstruction_bias", "relative reconstruction bias",
      { $0[.rebuilt] / $0[.dot] }, { $0[.topRebuilt] / $0[.topDot] })
    result += pair(
      "explained_variance_legacy", "explained variance, legacy",
      { $0[.legacy] / $0[.legacyRows] }, { $0[.topLegacy] / $0[.legacyRows] })
    result += pair(
      "explained_variance_legacy_unscaled", "explained variance, legacy, unscaled rows",
      { $0[.ownLegacy] / $0[.ownLegacyRows] }, { $0[.ownTopLegacy] / $0[.ownLegacyRows] })
    result += [
      number("mse_unscaled", "squared error ‖x − x̂‖², unscaled rows") {
        $0[.ownError] / $0[.rows]
      },
      number(
        "relative_reconstruction_bias_unscaled", "relative reconstruction bias, unscaled rows"
      ) { $0[.ownRebuilt] / $0[.ownDot] },
    ]
    let d = Double(width)
    result.append(
      number("explained_variance_saebench", "explained variance, SAEBench 0.6.0") {
        let squares = $0[.ownSquares] / $0[.rows]
        let mean = squares / d
        return 1 - $0[.ownError] / $0[.rows] / (squares - mean * mean)
      })
    result.append(
      EvaluationNumber(
        "explained_variance_dictionary_learning", "explained variance, dictionary_learning",
        batchVariance.full))
    return result + usageNumbers
  }

  /// How latents are used; shares of latents, not means over rows, so without intervals.
  private var usageNumbers: [EvaluationNumber] {
    let shape = usage.shape
    func share(_ count: Int, of total: Int) -> Double { Double(count) / Double(max(1, total)) }
    let dense = usage.expertDensity.count { $0 > 0.1 }
    var result = [
      EvaluationNumber(
        "dead_latents", "dead latents", share(usage.deadExperts, of: shape.experts),
        better: .lower),
      EvaluationNumber(
        "dense_latents", "dense latents, density above 0.1", share(dense, of: shape.experts),
        better: .lower),
    ]
    guard !shape.isFlat else { return result }
    let sublatents = shape.experts * shape.sublatents
    result += [
      EvaluationNumber(
        "dead_sublatents", "dead sublatents", share(usage.deadSublatents, of: sublatents),
        better: .lower),
      EvaluationNumber(
        "never_chosen_sublatents", "sublatents never chosen",
        share(usage.neverChosenSublatents, of: sublatents), better: .lower),
      EvaluationNumber(
        "effective_sublatents", "effective sublatents of an expert", usage.effectiveSublatents,
        better: .higher, digits: 2),
    ]
    return result
  }

  /// Densities as figures.
  var histograms: [NamedHistogram] {
    var result = [NamedHistogram(title: "Latents", histogram: usage.expertHistogram)]
    if !usage.shape.isFlat {
      result.append(NamedHistogram(title: "Sublatents", histogram: usage.sublatentHistogram))
    }
    return result
  }
}

extension LatentUsage {
  /// The mean, over experts with relevant sublatents and by how often they have one, of exp(entropy) of
  /// their sublatents' shares: how many sublatents an expert in fact uses.
  public var effectiveSublatents: Double {
    var (sum, weight) = (0.0, 0.0)
    for expert in 0..<shape.experts {
      let counts = relevant[expert * shape.sublatents..<(expert + 1) * shape.sublatents]
      let total = Double(counts.reduce(0, +))
      guard total > 0 else { continue }
      let entropy = counts.reduce(0.0) { sum, count in
        let share = Double(count) / total
        return count > 0 ? sum - share * log(share) : sum
      }
      sum += total * exp(entropy)
      weight += total
    }
    return weight > 0 ? sum / weight : 0
  }
}

/// Sums over rows, by name.
struct RowTotals {
  private let sums: [Double]
  init(_ sums: [Double]) { self.sums = sums }
  subscript(_ quantity: RowQuantity) -> Double { sums[quantity.rawValue] }
}
