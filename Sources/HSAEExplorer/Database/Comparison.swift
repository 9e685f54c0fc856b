// Compares two runs: which top-level latents of one have a similar direction in the other.

#if Explorer
import GRDB
import HSAESupport

/// A latent and the latent of another run with the most similar direction.
struct MatchedLatent: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// The nearest latent of the other run.
  var other: LatentRecord
  /// The cosine of their decoder directions.
  var cosine: Double
  /// Whether each is the other's nearest.
  var isMutual: Bool
}

/// How well another run has the top-level latents of a run.
struct RunComparison: Hashable, Sendable, Codable {
  /// Live latents of the run by the cosine to their nearest latent, in bins of 0.1 from 0 (and below) to 1.
  var histogram: [Int]
  /// Latents that are each other's nearest.
  var mutual: Int
  /// The latents by falling cosine.
  var matched: [MatchedLatent]
  /// The latents by rising cosine. Latents that are active for fewer than `leastCount` rows are left out,
  /// because their directions mean little.
  var alone: [MatchedLatent]

  /// The least number of rows for which a latent of `alone` is active.
  static let leastCount = 30
}

extension FeatureDatabase {
  /// Compares the live top-level latents of `run` with those of `other`; each list has at most `limit`. nil
  /// if the two runs have rows of different widths or models, or one is not complete.
  func comparison(
    of run: RunRecord, with other: RunRecord, limit: Int = 50, offset: Int = 0
  ) throws(Failure) -> RunComparison? {
    try read { db in
      func pairs(_ from: RunRecord, _ to: RunRecord) throws -> [Int: (other: Int, cosine: Double)] {
        let rows = try Row.fetchCursor(
          db,
          sql: """
            SELECT latent, other, cosine FROM matched WHERE latent BETWEEN ? AND ? AND other_run = ?
            """, arguments: LatentID.range(run: from.id) + [to.id])
        var pairs: [Int: (other: Int, cosine: Double)] = [:]
        while let row = try rows.next() { try pairs[row.get(0)] = (row.get(1), row.get(2)) }
        return pairs
      }
      let counts = try Dictionary(
        Row.fetchAll(
          db, sql: "SELECT id, fired FROM latent WHERE id BETWEEN ? AND ? AND sublatent < 0",
          arguments: LatentID.range(run: run.id)
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
