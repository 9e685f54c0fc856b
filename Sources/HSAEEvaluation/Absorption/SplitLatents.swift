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

  /// The split latents of `letter`. k grows while F1 on the test words rises by more than `requiredGain`; F1 is
  /// that of a logistic regression on the k latents with the largest weights.
  public init(
    letter: Int, ranking: RankingProbe, training: SparseRows, trainingLabels: [Int],
    test: SparseRows, testLabels: [Int]
  ) {
    let candidates = ranking.largest(Self.limit, output: letter)
    let trainingFeatures = Self.features(of: candidates, in: training)
    let testFeatures = Self.features(of: candidates, in: test)
    latents = []
    f1 = []
    var best = -100.0
    for k in 1...Self.limit where k <= candidates.count {
      let regression = LogisticRegression(
        features: trainingFeatures.map { Array($0.prefix(k)) },
        labels: trainingLabels.map { $0 == letter })
      let score = f1Score(
        testFeatures.indices.lazy.map {
          (
            predicted: regression.score(Array(testFeatures[$0].prefix(k))) > 0,
            actual: testLabels[$0] == letter
          )
        })
      f1.append(score)
      guard score > best + Self.requiredGain else { break }
      best = score
      latents = Array(candidates.prefix(k))
    }
  }

  /// The codes of `latents` in each row.
  private static func features(of latents: [Int], in rows: SparseRows) -> [[Double]] {
    let places = Dictionary(uniqueKeysWithValues: latents.enumerated().map { ($1, $0) })
    return rows.rows.map { row in
      var result = [Double](repeating: 0, count: latents.count)
      for code in row {
        if let place = places[code.latent] { result[place] = Double(code.value) }
      }
      return result
    }
  }
}
