// Computes the numbers of the suite `core` from sums over rows: reconstruction, sparsity, use of latents.
// docs/evaluation.md defines each number.

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
      _ statistic: @escaping (RowQuantities) -> Double
    ) -> EvaluationNumber {
      EvaluationNumber(
        key, label, statistic(RowQuantities(totals)),
        samples: samples.values { statistic(RowQuantities($0)) }, better: better, digits: digits)
    }
    /// One number for both levels together and, if there are two levels, one for the top level alone.
    func pair(
      _ key: String, _ label: String, better: EvaluationNumber.Direction? = nil,
      _ statistic: @escaping (RowQuantities, ReconstructionSums.Level) -> Double
    ) -> [EvaluationNumber] {
      let first = number(key, label, better: better) { statistic($0, .full) }
      guard hasLevels else { return [first] }
      return [
        first,
        number(key + "_top_level", label + ", top level", better: better) {
          statistic($0, .topLevel)
        },
      ]
    }
    var result = pair("explained_variance", "explained variance", better: .higher) {
      $0.seen.explainedVariance($1)
    }
    result += pair(
      "explained_variance_unscaled", "explained variance, unscaled rows", better: .higher
    ) { $0.unscaled.explainedVariance($1) }
    for source in whitenedSources {
      let name = WhitenedSpace.sources[source].rawValue
      result += pair(
        "explained_variance_whitened_\(name)", "explained variance, whitened by \(name)",
        better: .higher
      ) { $0.whitenedVariance(source, $1) }
    }
    result += pair("mse", "squared error ‖x − x̂‖²", better: .lower) {
      $0.seen.squaredError($1)
    }
    result.append(
      number("l0", "L0, active latents", digits: 2) { $0.experts / $0.seen[.rows] })
    if hasLevels {
      result.append(
        number("l0_sublatents", "active sublatents", digits: 2) {
          $0.sublatents / $0.seen[.rows]
        })
    }
    result += [
      number("codes_row", "codes a row, both levels", digits: 2) {
        ($0.experts + $0.sublatentCodes) / $0.seen[.rows]
      },
      number("index_bits", "bits of a row's indices", digits: 1) {
        indexBits(usage.shape, experts: $0.experts, sublatentCodes: $0.sublatentCodes)
          / $0.seen[.rows]
      },
      EvaluationNumber(
        "parameters", "parameters", Double(usage.shape.parameterCount), digits: 0),
    ]
    result += pair("cosine", "cosine of x and x̂", better: .higher) { $0.seen.cosine($1) }
    result += pair("norm_ratio", "norm ratio ‖x̂‖ / ‖x‖") { $0.seen.normRatio($1) }
    result += pair("relative_reconstruction_bias", "relative reconstruction bias") {
      $0.seen.relativeBias($1)
    }
    result += pair("explained_variance_legacy", "explained variance, legacy") {
      $0.seen.legacyExplainedVariance($1)
    }
    result += pair(
      "explained_variance_legacy_unscaled", "explained variance, legacy, unscaled rows"
    ) { $0.unscaled.legacyExplainedVariance($1) }
    let d = Double(width)
    result += [
      number("mse_unscaled", "squared error ‖x − x̂‖², unscaled rows") {
        $0.unscaled.squaredError(.full)
      },
      number(
        "relative_reconstruction_bias_unscaled", "relative reconstruction bias, unscaled rows"
      ) { $0.unscaled.relativeBias(.full) },
      number("explained_variance_saebench", "explained variance, SAEBench 0.6.0") {
        let squares = $0.unscaled[.squares] / $0.unscaled[.rows]
        let mean = squares / d
        return 1 - $0.unscaled.squaredError(.full) / (squares - mean * mean)
      },
      EvaluationNumber(
        "explained_variance_dictionary_learning", "explained variance, dictionary_learning",
        batchVariance),
    ]
    return result + usageNumbers
  }

  /// How latents are used. These are shares of latents, not means over rows, so they have no intervals.
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

  var histograms: [NamedHistogram] {
    var result = [NamedHistogram(title: "Latents active", histogram: usage.expertHistogram)]
    if !usage.shape.isFlat {
      result.append(NamedHistogram(title: "Sublatents chosen", histogram: usage.sublatentHistogram))
    }
    return result
  }
}

extension LatentUsage {
  /// The effective number of sublatents of an expert: exp(entropy) of the sublatents' shares of the expert's
  /// rows. It is the mean over experts, weighted by the rows for which one of their sublatents is active.
  public var effectiveSublatents: Double {
    var (sum, weight) = (0.0, 0.0)
    for expert in 0..<shape.experts {
      let counts = active[expert * shape.sublatents..<(expert + 1) * shape.sublatents]
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

/// The bits that name `experts` active experts, `sublatentCodes` of which have a sublatent's code: log₂ m for each expert,
/// log₂ a for each sublatent, and for each expert the entropy of whether it has one.
func indexBits(_ shape: DictionaryShape, experts: Double, sublatentCodes: Double) -> Double {
  let bits = experts * log2(Double(shape.experts))
  let share = sublatentCodes / max(1, experts)
  guard !shape.isFlat, share > 0 else { return bits }
  let entropy = share < 1 ? -share * log2(share) - (1 - share) * log2(1 - share) : 0
  return bits + sublatentCodes * log2(Double(shape.sublatents)) + experts * entropy
}
