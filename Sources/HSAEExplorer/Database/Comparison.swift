// Compares two runs: which latents of one have a similar direction in the other.

#if Explorer
import GRDB
import HSAEModels
import HSAESupport

/// A latent and the latent of another run with the most similar direction.
struct MatchedLatent: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// The nearest latent of the other run: of both its levels, or of its top level for a sublatent.
  var other: LatentRecord
  /// The cosine of their decoder directions.
  var cosine: Double
  /// Whether each is the other's nearest.
  var isMutual: Bool
}

/// The latents of a run beside the most similar ones of another run.
struct RunComparison: Hashable, Sendable, Codable {
  /// Live top-level latents of the run by the cosine to their nearest latent, in bins of 0.1 from 0 (and below) to 1.
  var histogram: [Int]
  /// The number of top-level latents whose nearest latent has them as its nearest.
  var mutual: Int
  /// The number of top-level latents whose nearest latent is a sublatent.
  var nearSublatents: Int
  /// The top-level latents by falling cosine.
  var matched: [MatchedLatent]
  /// The sublatents by falling cosine to the other's top level.
  var sublatents: [MatchedLatent]
  /// The top-level latents by rising cosine. Latents that are active for fewer than `leastCount` rows are left out,
  /// because their directions mean little.
  var alone: [MatchedLatent]
}

extension FeatureDatabase {
  /// For each of `latents` of `run`, its nearest latent of `other` and the cosine; those that were not compared are missing.
  func nearest(
    of latents: [LatentNumber], _ run: RunRecord, in other: RunRecord
  ) throws(Failure) -> [LatentNumber: (latent: LatentNumber, cosine: Double)] {
    try read { db in
      let statement = try db.cachedStatement(
        sql: "SELECT other, cosine FROM matched WHERE latent = ? AND other_run = ?")
      var nearest: [LatentNumber: (latent: LatentNumber, cosine: Double)] = [:]
      for latent in latents {
        guard let id = run.id(of: latent),
          let row = try Row.fetchOne(statement, arguments: [id, other.id])
        else { continue }
        let found = LatentNumber(LatentID.number(try row.get(0)), in: other.shape)
        nearest[latent] = (found, try row.get(1))
      }
      return nearest
    }
  }

  /// Compares the live latents of `run` with those of `other`; each list has at most `limit`. nil if the two runs have
  /// rows of different widths or models, or one is not complete.
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
          db, sql: "SELECT id, fired FROM latent WHERE id BETWEEN ? AND ?",
          arguments: LatentID.range(run: run.id)
        ).map { (try $0.get(0) as Int, try $0.get(1) as Int) }, uniquingKeysWith: { $1 })
      func isTop(_ id: Int, _ run: RunRecord) -> Bool {
        LatentNumber(LatentID.number(id), in: run.shape).sublatent == nil
      }
      let all = try pairs(run, other)
      let forward = all.filter { isTop($0.key, run) }
      let backward = try pairs(other, run)
      if forward.isEmpty { return nil }
      var histogram = [Int](repeating: 0, count: 10)
      for pair in forward.values { histogram[Int(max(0, min(9, pair.cosine * 10)))] += 1 }
      func isMutual(_ latent: Int, _ pair: (other: Int, cosine: Double)) -> Bool {
        backward[pair.other]?.other == latent
      }
      typealias Pair = (key: Int, value: (other: Int, cosine: Double))
      func ranked(_ pairs: [Int: (other: Int, cosine: Double)]) -> [Pair] {
        pairs.sorted {
          $0.value.cosine != $1.value.cosine
            ? $0.value.cosine > $1.value.cosine : $0.key < $1.key
        }
      }
      let top = ranked(forward)
      func isCommon(_ pair: Pair) -> Bool { (counts[pair.key] ?? 0) >= LatentRecord.leastCount }
      func records(_ pairs: some Sequence<Pair>) throws -> [MatchedLatent] {
        try pairs.compactMap { latent, pair in
          guard let own = try self.records([latent], run, db).first,
            let like = try self.records([pair.other], other, db).first
          else { return nil }
          return MatchedLatent(
            latent: own, other: like, cosine: pair.cosine, isMutual: isMutual(latent, pair))
        }
      }
      func page(_ pairs: [Pair]) throws -> [MatchedLatent] {
        try records(pairs.dropFirst(max(0, offset)).prefix(max(0, limit)))
      }
      return try RunComparison(
        histogram: histogram, mutual: forward.count { isMutual($0.key, $0.value) },
        nearSublatents: forward.count { !isTop($0.value.other, other) }, matched: page(top),
        sublatents: page(ranked(all.filter { !isTop($0.key, run) }).filter(isCommon)),
        alone: page(top.reversed().filter(isCommon)))
    }
  }
}
#endif
