// Finds the latents that together stand for a letter: the ranking probe's strongest, as long as one more
// improves the prediction.

import HSAETensors

/// The latents among which a letter is split, and how well the first k of them predict it.
public struct SplitLatents: Hashable, Sendable, Codable {
  /// The latents, by falling weight in the ranking probe.
  public var latents: [Int]
  /// F1 on the test words for each tried k = 1, 2, ….
  public var f1: [Double]

  /// Limit of k.
  public static let limit = 10
  /// A further latent must raise F1 by more than this.
  public static let requiredGain = 0.03
  /// The largest derivative of the mean loss at which a regression on a few latents counts as solved.
  static let tolerance = 1e-10

  /// The split latents of `letter`. k grows while F1 on the test words rises by more than `requiredGain`; F1 is
  /// that of a logistic regression on the k latents with the largest weights.
  public init(
    letter: Int, ranking: RankingProbe, training: SparseRows, trainingLabels: [Int],
    test: SparseRows, testLabels: [Int]
  ) {
    let candidates = ranking.largest(Self.limit, output: letter)
    let trainingFeatures = training.features(candidates)
    let testFeatures = test.features(candidates)
    latents = []
    f1 = []
    var best = -100.0
    for k in 1...Self.limit where k <= candidates.count {
      let regression = LogisticRegression(
        LabelledRows(
          trainingFeatures, rows: 0..<training.rows.count, columns: k,
          labels: trainingLabels.map { $0 == letter }, isBalanced: true),
        strength: 1, tolerance: Self.tolerance)
      var outcomes: [(predicted: Bool, actual: Bool)] = []
      for row in 0..<testFeatures.rows {
        outcomes.append((regression.logit(testFeatures.row(row)) > 0, testLabels[row] == letter))
      }
      let score = f1Score(outcomes)
      f1.append(score)
      guard score > best + Self.requiredGain else { break }
      best = score
      latents = Array(candidates.prefix(k))
    }
  }
}
