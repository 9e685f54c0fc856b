// Rows that stay in memory while the suite `structure` trains probes on them: a sample of bounded size, and where each
// latent of a dictionary is active in it.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// A sample of the rows of an evaluation, as one dictionary sees them, and the rows in which each of its latents is
/// active.
///
/// After encoding, rows are centred and scaled: their mean is 0, and that of their squared norms is 1. So a probe's
/// penalty means the same for rows of any length.
final class SampledRows: Sendable {
  /// The rows [n × d].
  let rows: Matrix
  /// For each latent, by its number (`LatentNumber.number(in:)`), the rows in which it is active, rising.
  let firings: [[Int32]]

  /// Limit on the rows.
  static let mostRows = 16_384
  /// Neighbours that are taken together.
  private static let pieceRows = 64
  /// A latent is probed if it is active in at least so many rows, and inactive in as many.
  static let leastRows = 20
  /// Limit on the rows of a probe in which its latent is active.
  private static let mostActive = 400
  /// Rows in which the latent is not active, for each in which it is.
  private static let othersForEach = 4
  /// C, the weight of a row's loss beside the penalty ‖w‖²/2. Tree SAE has next to no penalty, but many more rows; few rows
  /// need one.
  private static let strength = 10.0

  /// A sample of `rows`, spread evenly over all of them.
  init(_ run: LoadedRun, _ rows: EvaluationRows, threads: Int) throws(Failure) {
    let pieces = Self.pieces(of: rows.count)
    var sample = Matrix(rows: pieces.reduce(0) { $0 + $1.count }, columns: run.shape.width)
    var place = 0
    for piece in pieces {
      let part = try rows.matrix(piece, for: run)
      for index in 0..<part.rows {
        sample.setRow(place, to: index, of: part)
        place += 1
      }
    }
    var firings = [[Int32]](
      repeating: [], count: run.shape.experts * (1 + run.shape.sublatents))
    for (row, codes) in run.dictionary.encode(sample, threads: threads).enumerated() {
      for (latent, _) in StructureSuite.active(codes, run) { firings[latent].append(Int32(row)) }
    }
    self.firings = firings
    sample.subtract(sample.meanRow().map { Float($0) }, threads: threads)
    let squares = sample.rowNorms().reduce(0.0) { $0 + Double($1) * Double($1) }
    if squares > 0 {
      sample.scale(by: Float((Double(sample.rows) / squares).squareRoot()))
    }
    self.rows = sample
  }

  /// The ranges of the sample among `count` rows: all rows, or pieces at even distances.
  static func pieces(of count: Int) -> [Range<Int>] {
    let total = min(count, mostRows)
    let pieces = pieceCount(total, size: pieceRows)
    return (0..<pieces).map { piece in
      let range = pieceRange(piece, size: pieceRows, count: total)
      let skipped = pieces > 1 ? (count - total) * piece / (pieces - 1) : 0
      return range.lowerBound + skipped..<range.upperBound + skipped
    }
  }

  /// Whether `latent` is active in enough rows, and inactive in enough, for a probe.
  func canProbe(_ latent: Int) -> Bool {
    let active = firings[latent].count
    return active >= Self.leastRows && rows.rows - active >= Self.leastRows
  }

  /// The direction [d] of a logistic regression that tells from a row whether `latent` is active. The rows of both kinds
  /// are drawn by `seed`, and weigh the same together.
  func probe(of latent: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed).split(0x7072_6F62).split(UInt64(latent))
    let active = firings[latent].map { Int($0) }.shuffled(using: &generator)
      .prefix(Self.mostActive)
    let all = Set(firings[latent])
    let others = (0..<rows.rows).filter { !all.contains(Int32($0)) }.shuffled(using: &generator)
      .prefix(Self.othersForEach * active.count)
    let chosen = active + others
    let data = LabelledRows(
      rows.gathered(chosen), rows: 0..<chosen.count,
      labels: chosen.indices.map { $0 < active.count }, isBalanced: true)
    // Only the direction counts, so the minimum need not be exact.
    return LogisticRegression(data, strength: Self.strength, tolerance: 1e-5).weights.map {
      Float($0)
    }
  }
}
