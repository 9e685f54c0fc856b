// Numbers about a run: live latents, how often they are active, and how many sublatents experts use.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

/// Numbers about all latents of a run.
struct RunStatistics: Hashable, Sendable, Codable {
  /// Live top-level latents.
  var live: Int
  var liveSublatents: Int
  /// Top-level latents with a hierarchy score above 0.
  var scored: Int
  /// The highest hierarchy score; nil if none was measured.
  var highestScore: Double?
  /// What the scores are compared with; nil if none was measured, or an older hsae explained the run.
  var scoreScale: ScoreScale?
  /// Live top-level latents by density, in bins of a third of a power of ten, from 10^`densityStart` on.
  var densities: [Int]
  /// The power of ten at which the first bin begins.
  var densityStart: Double
  /// Live top-level latents by their number of live sublatents, from 0 to all.
  var sublatents: [Int]
}

extension FeatureDatabase {
  func statistics(of run: RunRecord) throws(Failure) -> RunStatistics {
    try read { db in
      let all = LatentID.range(run: run.id)
      let liveSublatents = try Int.fetchOne(
        db,
        sql: """
          SELECT COUNT(*) FROM latent WHERE id BETWEEN ? AND ? AND sublatent >= 0 AND fired > 0
          """, arguments: all)
      var result = RunStatistics(
        live: 0, liveSublatents: liveSublatents ?? 0, scored: 0, densities: [], densityStart: 0,
        sublatents: [Int](repeating: 0, count: run.shape.sublatents + 1))
      result.scoreScale = try ScoreScale.read(run: run.id, db)
      var bins: [Int: Int] = [:]
      let rows = try Row.fetchCursor(
        db,
        sql: """
          SELECT fired, live, score FROM latent
          WHERE id BETWEEN ? AND ? AND sublatent < 0 AND fired > 0
          """, arguments: all)
      while let row = try rows.next() {
        let (fired, live): (Int, Int) = (try row.get(0), try row.get(1))
        result.live += 1
        if let score = try row.get(2) as Double? {
          if score > 0 { result.scored += 1 }
          result.highestScore = max(result.highestScore ?? 0, score)
        }
        if result.sublatents.indices.contains(live) { result.sublatents[live] += 1 }
        let place = log10(Double(max(1, fired)) / Double(max(1, run.rows))) * 3
        bins[Int(place.rounded(.down)), default: 0] += 1
      }
      if let least = bins.keys.min(), let greatest = bins.keys.max() {
        result.densityStart = Double(least) / 3
        result.densities = (least...greatest).map { bins[$0] ?? 0 }
      }
      return result
    }
  }
}
#endif
