// Reads everything about one latent: contexts, sublatents, related latents, promoted tokens, histogram.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport

/// The tokens that a direction promotes and suppresses.
struct PromotedTexts: Hashable, Sendable, Codable {
  /// A token and its effect (`TokenEffect`).
  struct Token: Hashable, Sendable, Codable {
    var token: Int
    /// Its text, with `▁` for a leading space.
    var text: String
    /// How much it is promoted; negative if suppressed.
    var value: Float
  }

  /// The tokens it promotes most, strongest first.
  var promoted: [Token]
  /// The tokens it suppresses most, strongest first.
  var suppressed: [Token]
}

/// A latent that is related to another.
struct RelatedRecord: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// The cosine of decoder directions, or n_ij / √(n_i n_j), n_ij being the rows in which both are active.
  var value: Float
}

/// The effects of a latent on the logits of all tokens, counted in bins of equal width.
struct EffectHistogram: Hashable, Sendable, Codable {
  /// Where the first bin begins.
  var start: Double
  /// The width of a bin.
  var width: Double
  /// The number of tokens in each bin.
  var counts: [Int]

  init(_ products: ProductHistogram) {
    width = Double(products.width)
    start = width * Double(products.first - ProductHistogram.bins / 2)
    counts = products.counts
  }
}

/// Everything about a latent.
struct LatentDetail: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// For a sublatent, its expert.
  var parent: LatentRecord?
  /// Its sublatents by falling count, dead ones last; for a sublatent, all sublatents of its expert.
  var sublatents: [LatentRecord]
  /// Numbers of codes in bins of equal width between 0 and `latent.maximum`; empty for a dead latent.
  var histogram: [Int]
  /// The strongest contexts, strongest first.
  var strongest: [ContextText]
  /// Samples of each fifth of the codes, the strongest fifth first, each by falling code.
  var samples: [[ContextText]]
  /// Top-level latents that are active together with it.
  var coactive: [RelatedRecord]
  /// Latents of other experts with the most similar directions.
  var nearest: [RelatedRecord]
  /// The tokens that its direction promotes and suppresses; nil if no model was given.
  var promoted: PromotedTexts?
  /// The same for a sublatent's and its expert's directions, each times its mean code where both are active.
  var promotedWithParent: PromotedTexts?
  /// Its effects on the logits of all tokens; nil without a model, or if an older hsae explained the run.
  var effects: EffectHistogram?
  /// The factors of its hierarchy score; nil where there is none.
  var scoreParts: ScoreParts?
  /// The lists it is in, by name.
  var lists: [String] = []
}

extension FeatureDatabase {
  /// Everything about `latent` of `run`; nil if there is no such latent. `contexts` limits the number of
  /// strongest contexts; without `samples`, samples are left out.
  func detail(
    of latent: LatentNumber, in run: RunRecord, contexts limit: Int = .max, samples: Bool = true
  ) throws(Failure) -> LatentDetail? {
    guard let id = run.id(of: latent) else { return nil }
    let reader = try ContextReader(self, run: run)
    return try read { db in
      let (first, last) = run.family(of: latent.expert)
      let family = try Row.fetchAll(
        db.cachedStatement(
          sql: """
            SELECT \(LatentRecord.columns) FROM latent LEFT JOIN label ON label.latent = latent.id
            WHERE latent.id BETWEEN ? AND ? ORDER BY latent.id
            """), arguments: [first, last]
      ).map { try LatentRecord($0, rows: run.rows) }
      // An incomplete run may not have the latent yet.
      guard family.count == last - first + 1 else { return nil }
      let own = family[id - first]
      guard own.number == latent else { throw BlobReader.damaged }
      var detail = LatentDetail(
        latent: own, parent: own.sublatent == nil ? nil : family[0],
        sublatents: family.dropFirst().sorted {
          $0.count != $1.count
            ? $0.count > $1.count : ($0.sublatent ?? 0) < ($1.sublatent ?? 0)
        }, histogram: [], strongest: [], samples: [], coactive: [], nearest: [])
      if let row = try Row.fetchOne(
        db.cachedStatement(
          sql: "SELECT histogram, contexts, coactive FROM evidence WHERE latent = ?"),
        arguments: [id])
      {
        detail.histogram = try Blob.integers(row.get(0) as Data)
        let stored = try Blob.contexts(row.get(1) as Data)
        detail.strongest = try stored.filter { $0.group == 0 }.prefix(limit).map {
          try reader.text(of: $0, db)
        }
        if samples {
          detail.samples = try (1...LatentSummary.quantiles).map { group in
            try stored.filter { $0.group == group }.map { try reader.text(of: $0, db) }
          }
        }
        detail.coactive = try related(Blob.related(row.get(2) as Data), run, db)
      }
      if let data = try db.blob("related", of: "nearest", id) {
        detail.nearest = try related(Blob.related(data), run, db)
      }
      if let data = try db.blob("lists", of: "promoted", id) {
        let lists = try Blob.effects(data).map { reader.texts($0) }
        detail.promoted = lists.first
        if lists.count > 1 { detail.promotedWithParent = lists[1] }
      }
      detail.effects = try db.blob("effects", of: "promoted", id).map {
        EffectHistogram(try Blob.histogram($0))
      }
      detail.scoreParts = try Data.fetchOne(
        db.cachedStatement(sql: "SELECT score_parts FROM latent WHERE id = ?"), arguments: [id]
      ).map(ScoreParts.init)
      detail.lists = try String.fetchAll(
        db.cachedStatement(sql: "SELECT list FROM listed WHERE latent = ? ORDER BY list"),
        arguments: [id])
      return detail
    }
  }

  /// A live top-level latent, another one each time; nil if there is none.
  func randomLatent(of run: RunRecord) throws(Failure) -> LatentRecord? {
    let count = try latents(LatentQuery(limit: 0), in: run).total
    guard count > 0 else { return nil }
    let query = LatentQuery(offset: Int.random(in: 0..<count), limit: 1)
    return try latents(query, in: run).latents.first
  }

  /// The list's record of a latent; nil if there is no such latent.
  func record(of latent: LatentNumber, in run: RunRecord) throws(Failure) -> LatentRecord? {
    guard let id = run.id(of: latent) else { return nil }
    return try read { db in try self.records([id], run, db).first }
  }

  /// How many experts of `run` have a higher hierarchy score than `score`, which is at least 0.
  func rank(ofScore score: Double, in run: RunRecord) throws(Failure) -> Int {
    try read { db in
      try Int.fetchOne(
        db.cachedStatement(
          sql: """
            SELECT COUNT(*) FROM latent WHERE run = ? AND (sublatent < 0) = 1 AND score > ?
            """), arguments: [run.id, score]) ?? 0
    }
  }

  /// The list's records of `latents`; missing ones are left out.
  func records(
    of latents: Set<LatentNumber>, in run: RunRecord
  ) throws(Failure) -> [LatentNumber: LatentRecord] {
    let ids = latents.compactMap(run.id(of:))
    let records = try read { db in try self.records(ids, run, db) }
    return Dictionary(records.map { ($0.number, $0) }, uniquingKeysWith: { $1 })
  }

  /// The `limit` strongest contexts of each of `latents`, in their order, with `window` tokens on each side.
  func strongestContexts(
    of latents: [LatentRecord], in run: RunRecord, limit: Int, window: Int
  ) throws(Failure) -> [[ContextText]] {
    let ids = latents.map { run.id(of: $0.number) }
    let reader = try ContextReader(self, run: run, window: window)
    return try read { db in
      try ids.map { id in
        guard let data = try db.blob("contexts", of: "evidence", id) else { return [] }
        return try Blob.contexts(data).filter { $0.group == 0 }.prefix(limit).map {
          try reader.text(of: $0, db)
        }
      }
    }
  }

  /// The tokens that each of `latents` promotes and suppresses, in their order; nil where they are not known.
  func promoted(by latents: [LatentRecord], in run: RunRecord) throws(Failure) -> [PromotedTexts?] {
    let reader = try ContextReader(self, run: run)
    let ids = latents.map { run.id(of: $0.number) }
    return try read { db in
      try ids.map { id in
        try db.blob("lists", of: "promoted", id).flatMap { data in
          try Blob.effects(data).first.map { reader.texts($0) }
        }
      }
    }
  }

  /// The list's records of the given ids, in that order; missing ones are left out.
  func records(_ ids: [Int], _ run: RunRecord, _ db: Database) throws -> [LatentRecord] {
    let records = try recordsByID(ids, run, db)
    return ids.compactMap { records[$0] }
  }

  private func recordsByID(
    _ ids: [Int], _ run: RunRecord, _ db: Database
  ) throws -> [Int: LatentRecord] {
    var records: [Int: LatentRecord] = [:]
    // One statement for several ids is quicker than one for each; SQLite limits their number.
    for first in stride(from: 0, to: ids.count, by: 32) {
      let some = ids[first..<min(ids.count, first + 32)]
      let marks = some.map { _ in "?" }.joined(separator: ",")
      let rows = try Row.fetchCursor(
        db.cachedStatement(
          sql: """
            SELECT \(LatentRecord.columns), latent.id FROM latent
            LEFT JOIN label ON label.latent = latent.id WHERE latent.id IN (\(marks))
            """), arguments: StatementArguments(some))
      while let row = try rows.next() {
        records[try row.get(LatentRecord.columnCount)] = try LatentRecord(row, rows: run.rows)
      }
    }
    return records
  }

  private func related(
    _ latents: [RelatedLatent], _ run: RunRecord, _ db: Database
  ) throws -> [RelatedRecord] {
    func id(_ latent: RelatedLatent) -> Int {
      LatentID.make(run: run.id, number: latent.number & 0xFFFF_FFFF)
    }
    let records = try recordsByID(latents.map(id), run, db)
    return latents.compactMap { latent in
      records[id(latent)].map { RelatedRecord(latent: $0, value: latent.value) }
    }
  }
}
#endif
