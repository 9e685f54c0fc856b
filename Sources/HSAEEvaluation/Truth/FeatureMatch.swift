// Which true feature each latent stands for: cosines of directions, the nearest feature, and the best one-to-one
// matching. Definitions are SAELens's (`sae_lens.synthetic.evals`).

import HSAEModels
import HSAETensors

/// The features that latents stand for.
struct FeatureMatch {
  /// For each latent the feature with the largest |cosine|.
  private(set) var nearest: [Int] = []
  /// That |cosine|.
  private(set) var cosine: [Float] = []
  /// The mean |cosine| of the best one-to-one matching (MCC); NaN if it was not computed.
  private(set) var meanCorrelation = Double.nan

  /// The number of different nearest features over the number of latents.
  var uniqueness: Double {
    nearest.isEmpty ? 0 : Double(Set(nearest).count) / Double(nearest.count)
  }

  /// More cosines than this are not kept for the matching: 512 MiB of them.
  static let mostPairs = 1 << 27

  /// Matches `latents` [L × d] with `features` [n × d]; rows may have any length.
  init(_ latents: consuming Matrix, _ features: borrowing Matrix, threads: Int) {
    var features = features.copy()
    latents.scaleRowsToUnit()
    features.scaleRowsToUnit()
    let (count, wide) = (latents.rows, features.rows)
    guard count > 0, wide > 0 else { return }
    let matches = count <= Self.mostPairs / wide
    // The side with fewer rows chooses.
    var similarities = Matrix(rows: matches ? min(count, wide) : 0, columns: max(count, wide))
    for start in stride(from: 0, to: count, by: Self.chunk) {
      let range = start..<min(count, start + Self.chunk)
      let products = latents.products(range, with: features, threads: threads)
      for place in 0..<range.count {
        let row = products.row(place)
        var best = 0
        for feature in row.indices where abs(row[feature]) > abs(row[best]) { best = feature }
        nearest.append(best)
        cosine.append(abs(row[best]))
        guard matches else { continue }
        for feature in row.indices {
          if count <= wide {
            similarities[start + place, feature] = abs(row[feature])
          } else {
            similarities[feature, start + place] = abs(row[feature])
          }
        }
      }
    }
    guard matches else { return }
    let assigned = bestAssignment(similarities)
    let sum = assigned.enumerated().reduce(0.0) { $0 + Double(similarities[$1.offset, $1.element]) }
    meanCorrelation = sum / Double(assigned.count)
  }

  private static let chunk = 512
}

extension SparseAutoencoder {
  /// The directions of all latents in the space of rows: the decoder rows of the top level [m × d], or those of all
  /// sublatents, D_q·Π↑ [m·a × d].
  func directions(ofSublatents: Bool) -> Matrix {
    let perExpert = ofSublatents ? shape.sublatents : 1
    var result = Matrix(rows: shape.experts * perExpert, columns: shape.width)
    for latent in 0..<result.rows {
      let number = LatentNumber(
        expert: latent / max(1, perExpert), sublatent: ofSublatents ? latent % perExpert : nil)
      let values = contribution(of: number)
      var row = result.mutableRow(latent)
      for column in row.indices { row[column] = values[column] }
    }
    return result
  }
}
