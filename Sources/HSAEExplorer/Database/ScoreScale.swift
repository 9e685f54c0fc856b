// What hierarchy scores of a run mean: their parts, and the scores that chance gives.

#if Explorer
import Foundation
import GRDB
import HSAEEvaluation
import HSAEModels
import HSAESupport

/// The factors of a hierarchy score (`HierarchyScore`).
struct ScoreParts: Hashable, Sendable, Codable {
  var cohesion: Float
  var margin: Float
  var gain: Float
  var richness: Float
  var readability: Float

  init(_ score: HierarchyScore) {
    (cohesion, margin) = (Float(score.cohesion), Float(score.margin))
    (gain, richness, readability) = (
      Float(score.gain), Float(score.richness), Float(score.readability)
    )
  }

  /// From a blob of the database.
  init(_ data: Data) throws(Failure) {
    let values = try Blob.floats(data)
    guard values.count == 5 else { throw BlobReader.damaged }
    (cohesion, margin, gain) = (values[0], values[1], values[2])
    (richness, readability) = (values[3], values[4])
  }

  var blob: Data { Blob.floats([cohesion, margin, gain, richness, readability]) }
}

/// What the scores of a run are compared with. It is kept as JSON in the table `meta`.
struct ScoreScale: Hashable, Sendable, Codable {
  /// The number of rows that hierarchies were scored on, the first ones.
  var rows: Int
  /// The highest score with sublatents shuffled between experts; nil if too few experts are scored.
  var shuffledHighest: Double?
  /// The mean of these scores, over experts with enough judged sublatents.
  var shuffledMean: Double?

  init(_ evaluation: DictionaryEvaluation) {
    rows = evaluation.scoredRows
    let shuffled = evaluation.shuffledScores
    (shuffledHighest, shuffledMean) = (shuffled?.highest, shuffled?.mean)
  }

  static func key(run: Int) -> String { "score \(run)" }

  func write(run: Int, _ db: Database) throws {
    try db.execute(
      sql: "INSERT OR REPLACE INTO meta VALUES (?, ?)",
      arguments: [Self.key(run: run), try JSONFile.encode(self)])
  }

  /// The scale of run number `run`; nil if it has no scores, or an older hsae explained it.
  static func read(run: Int, _ db: Database) throws -> ScoreScale? {
    try String.fetchOne(
      db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key(run: run)]
    ).map { text in
      do {
        return try JSONFile.decode(ScoreScale.self, from: Array(text.utf8), source: "meta")
      } catch {
        throw BlobReader.damaged
      }
    }
  }
}

extension FeatureDatabase {
  /// The hierarchical runs that were scored, each with its highest hierarchy score.
  func highestScores() throws(Failure) -> [(run: RunRecord, score: Double)] {
    let runs = try runs().filter { !$0.shape.isFlat }
    return try read { db in
      try runs.compactMap { run in
        try Double.fetchOne(
          db.cachedStatement(
            sql: "SELECT MAX(score) FROM latent WHERE run = ? AND (sublatent < 0) = 1"),
          arguments: [run.id]
        ).map { (run, $0) }
      }
    }
  }
}
#endif
