// One pass of a dictionary over rows of a synthetic forest: reconstruction, and how often each latent and the feature
// nearest to it fire, apart and together.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// How well the latents of one level tell whether their nearest feature fires.
struct FeatureClassification {
  /// The rows in which each latent is active.
  private(set) var firings: [Int]
  /// The rows in which both are.
  private(set) var hits: [Int]
  /// The nearest feature of each latent.
  let nearest: [Int]

  init(nearest: [Int]) {
    self.nearest = nearest
    (firings, hits) = (nearest.map { _ in 0 }, nearest.map { _ in 0 })
  }

  mutating func add(_ latent: Int, featureFires: Bool) {
    firings[latent] += 1
    if featureFires { hits[latent] += 1 }
  }

  /// Precision, recall and F1 of each latent, 0 where undefined; `featureFirings` are the rows of each feature.
  func scores(featureFirings: [Int]) -> [(precision: Double, recall: Double, f1: Double)] {
    firings.indices.map { latent in
      let (hit, fired) = (Double(hits[latent]), firings[latent])
      let wanted = featureFirings[nearest[latent]]
      let precision = fired > 0 ? hit / Double(fired) : 0
      let recall = wanted > 0 ? hit / Double(wanted) : 0
      let sum = precision + recall
      return (precision, recall, sum > 0 ? 2 * precision * recall / sum : 0)
    }
  }

  /// The latents active in at least `rows` rows.
  func live(_ rows: Int) -> [Bool] { firings.map { $0 >= rows } }
}

/// The sums of a pass.
struct TruthMeasurement {
  /// The latents of the top level.
  private(set) var top: FeatureClassification
  /// The sublatents, numbered expert · a + sublatent; without any in a flat dictionary.
  private(set) var sub: FeatureClassification
  /// Pairs of top-level latents; nil if there are too many latents.
  private(set) var coactivation: CoactivationCounts?
  /// The rows in which each feature fires.
  private(set) var featureFirings: [Int]
  /// The sum of the codes of rows, both levels.
  private(set) var codes = 0
  /// Number of rows.
  private(set) var rows = 0
  /// Rows and reconstructions as the dictionary sees them.
  private(set) var seen: ReconstructionTotals
  /// The same at the lengths that rows have in the forest, which SAELens measures.
  private(set) var unscaled: ReconstructionTotals

  /// Number of features that fire in a row, on average.
  var trueL0: Double { Double(featureFirings.reduce(0, +)) / Double(max(1, rows)) }

  /// Measures `run` on `rows`, whose source is `truth`. `progress` is called with the number of rows done.
  init(
    _ run: LoadedRun, on rows: EvaluationRows, truth: SyntheticRows, top: FeatureMatch,
    sub: FeatureMatch, threads: Int, progress: (Int) -> Void
  ) throws(Failure) {
    let dictionary = run.dictionary
    let shape = dictionary.shape
    self.top = FeatureClassification(nearest: top.nearest)
    self.sub = FeatureClassification(nearest: sub.nearest)
    coactivation =
      shape.experts <= CoactivationCounts.mostLatents ? .init(latents: shape.experts) : nil
    featureFirings = Array(repeating: 0, count: truth.sampler.forest.count)
    seen = ReconstructionTotals(width: shape.width)
    unscaled = seen
    var lastFired = [Int](repeating: -1, count: featureFirings.count)
    for range in rows.chunks {
      var scaling = RowScaling(factors: [])
      let x = try rows.matrix(range, for: run, scaling: &scaling)
      let codes = dictionary.encode(x, threads: threads)
      let decoded = dictionary.decode(codes, threads: threads)
      let fired = truth.fired(range)
      for row in 0..<range.count {
        for each in fired[row] {
          lastFired[each.feature] = range.lowerBound + row
          featureFirings[each.feature] += 1
        }
        seen.add(x.row(row), decoded.row(row), { $0 })
        unscaled.add(x.row(row), decoded.row(row), { scaling.restored($0, row: row) })
        add(codes[row], shape, dictionary.activation.subThreshold) {
          lastFired[$0] == range.lowerBound + row
        }
      }
      self.rows += range.count
      progress(self.rows)
    }
  }

  private mutating func add(
    _ row: ArraySlice<Code>, _ shape: DictionaryShape, _ subThreshold: Float,
    fires: (_ feature: Int) -> Bool
  ) {
    codes += row.count + row.count(where: \.hasSublatentCode)
    for code in row {
      top.add(code.expert, featureFires: fires(top.nearest[code.expert]))
      guard let sublatent = code.activeSublatent(threshold: subThreshold) else { continue }
      let latent = code.expert * shape.sublatents + sublatent
      sub.add(latent, featureFires: fires(sub.nearest[latent]))
    }
    coactivation?.add(row.map { ($0.expert, $0.value) })
  }
}

/// Sums over rows and their reconstructions.
struct ReconstructionTotals {
  private var rows = 0
  private var residual = 0.0
  private var squares = 0.0
  private var sum: [Double]
  private var shrinkage = (sum: 0.0, rows: 0)

  init(width: Int) { sum = Array(repeating: 0, count: width) }

  /// 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖².
  var explainedVariance: Double {
    let mean = sum.reduce(0) { $0 + $1 * $1 } / Double(max(1, rows))
    let spread = squares - mean
    return spread > 0 ? 1 - residual / spread : .nan
  }

  /// The mean of ‖x̂‖ / ‖x‖ over rows that are not zero.
  var normRatio: Double { shrinkage.rows > 0 ? shrinkage.sum / Double(shrinkage.rows) : .nan }

  /// Adds a row and its reconstruction, each number of which `restored` brings to the scale that is measured in.
  mutating func add(_ x: Span<Float>, _ reconstruction: Span<Float>, _ restored: (Float) -> Float) {
    var (own, other, difference) = (0.0, 0.0, 0.0)
    for column in x.indices {
      let (value, rebuilt) = (
        Double(restored(x[column])), Double(restored(reconstruction[column]))
      )
      sum[column] += value
      own += value * value
      other += rebuilt * rebuilt
      difference += (value - rebuilt) * (value - rebuilt)
    }
    rows += 1
    squares += own
    residual += difference
    guard own > 1e-12 else { return }
    shrinkage = (shrinkage.sum + (other / own).squareRoot(), shrinkage.rows + 1)
  }
}
