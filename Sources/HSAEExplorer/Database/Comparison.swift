// Two runs side by side: which top-level latents of one point where one of the other does, and which have
// no like there.

#if Explorer
import Foundation
import GRDB
public import HSAESupport

/// A latent and the one of another run that is most like it.
public struct MatchedLatent: Hashable, Sendable, Codable {
  /// The latent.
  public var latent: LatentRecord
  /// The nearest of the other run.
  public var other: LatentRecord
  /// The cosine of their decoder directions.
  public var cosine: Double
  /// Whether each is the other's nearest.
  public var isMutual: Bool
}

/// How the top-level latents of one run appear in another.
public struct RunComparison: Hashable, Sendable, Codable {
  /// Live latents of the run with a cosine to their nearest in bins of 0.1: 0 ..< 0.1 (and below), …,
  /// 0.9 … 1.
  public var histogram: [Int]
  /// Latents that are each other's nearest.
  public var mutual: Int
  /// The latents that are most alike, by falling cosine.
  public var matched: [MatchedLatent]
  /// The latents least like any of the other run, by rising cosine, of those active in `leastCount` rows: less
  /// often a direction means little.
  public var alone: [MatchedLatent]

  /// The rows a latent of `alone` is active in, at least.
  public static let leastCount = 30
}

extension FeatureDatabase {
  /// How the live top-level latents of `run` appear in `other`, `limit` of each kind listed; nil if the two
  /// were not compared: they are of rows of different width or models, or one is not complete.
  public func comparison(
    of run: RunRecord, with other: RunRecord, limit: Int = 50, offset: Int = 0
  ) throws(Failure) -> RunComparison? {
    try read { db in
      func pairs(_ from: RunRecord, _ to: RunRecord) throws -> [Int: (other: Int, cosine: Double)] {
        let (first, last) = LatentID.range(run: from.id)
        let rows = try Row.fetchCursor(
          db,
          sql: """
            SELECT latent, other, cosine FROM matched WHERE latent BETWEEN ? AND ? AND other_run = ?
            """, arguments: [first, last, to.id])
        var pairs: [Int: (other: Int, cosine: Double)] = [:]
        while let row = try rows.next() { try pairs[row.get(0)] = (row.get(1), row.get(2)) }
        return pairs
      }
      let (first, last) = LatentID.range(run: run.id)
      let counts = try Dictionary(
        Row.fetchAll(
          db, sql: "SELECT id, fired FROM latent WHERE id BETWEEN ? AND ? AND sublatent < 0",
          arguments: [first, last]
        ).map { (try $0.get(0) as Int, try $0.get(1) as Int) }, uniquingKeysWith: { $1 })
      let forward = try pairs(run, other)
      let backward = try pairs(other, run)
      if forward.isEmpty { return nil }
      var histogram = [Int](repeating: 0, count: 10)
      for pair in forward.values { histogram[Int(max(0, min(9, pair.cosine * 10)))] += 1 }
      func isMutual(_ latent: Int, _ pair: (other: Int, cosine: Double)) -> Bool {
        backward[pair.other]?.other == latent
      }
      let ranked = forward.sorted {
        $0.value.cosine != $1.value.cosine
          ? $0.value.cosine > $1.value.cosine : $0.key < $1.key
      }
      func records(_ pairs: some Sequence<(key: Int, value: (other: Int, cosine: Double))>) throws
        -> [MatchedLatent]
      {
        try pairs.compactMap { latent, pair in
          guard let own = try self.records([latent], run, db).first,
            let like = try self.records([pair.other], other, db).first
          else { return nil }
          return MatchedLatent(
            latent: own, other: like, cosine: pair.cosine, isMutual: isMutual(latent, pair))
        }
      }
      return RunComparison(
        histogram: histogram, mutual: forward.count { isMutual($0.key, $0.value) },
        matched: try records(ranked.dropFirst(max(0, offset)).prefix(max(0, limit))),
        alone: try records(
          ranked.reversed().filter { (counts[$0.key] ?? 0) >= RunComparison.leastCount }
            .dropFirst(max(0, offset)).prefix(max(0, limit))))
    }
  }
}
#endif
