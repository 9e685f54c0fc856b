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
  /// Reconstructions of rows as the dictionary sees them.
  private(set) var seen: ReconstructionMetrics
  /// The same at the lengths that rows have in the forest, which SAELens measures.
  private(set) var unscaled: ReconstructionMetrics

  /// Number of rows.
  var rows: Int { seen.count }

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
    seen = ReconstructionMetrics(width: shape.width)
    unscaled = seen
    var lastFired = [Int](repeating: -1, count: featureFirings.count)
    for range in rows.chunks {
      var scaling = RowScaling(factors: [])
      let x = try rows.matrix(range, for: run, scaling: &scaling)
      let codes = dictionary.encode(x, threads: threads)
      let decoded = dictionary.decode(codes, threads: threads)
      add(x, codes, decoded, scaling)
      let fired = truth.fired(range)
      for row in 0..<range.count {
        for each in fired[row] {
          lastFired[each.feature] = range.lowerBound + row
          featureFirings[each.feature] += 1
        }
        add(codes[row], shape, dictionary.activation.subThreshold) {
          lastFired[$0] == range.lowerBound + row
        }
      }
      progress(range.upperBound)
    }
  }

  private mutating func add(
    _ x: borrowing Matrix, _ codes: Codes, _ decoded: borrowing Matrix, _ scaling: RowScaling
  ) {
    // Only both levels together are asked for.
    seen.add(
      rows: x.span, codes: codes, reconstruction: decoded.span, topLevel: decoded.span)
    var (own, rebuilt) = (x.elements, decoded.elements)
    for place in own.indices {
      let row = place / x.columns
      own[place] = scaling.restored(own[place], row: row)
      rebuilt[place] = scaling.restored(rebuilt[place], row: row)
    }
    unscaled.add(
      rows: own.span, codes: codes, reconstruction: rebuilt.span, topLevel: rebuilt.span)
  }

  private mutating func add(
    _ row: ArraySlice<Code>, _ shape: DictionaryShape, _ subThreshold: Float,
    fires: (_ feature: Int) -> Bool
  ) {
    for code in row {
      top.add(code.expert, featureFires: fires(top.nearest[code.expert]))
      guard let sublatent = code.activeSublatent(threshold: subThreshold) else { continue }
      let latent = code.expert * shape.sublatents + sublatent
      sub.add(latent, featureFires: fires(sub.nearest[latent]))
    }
    coactivation?.add(row.map { ($0.expert, $0.value) })
  }
}
