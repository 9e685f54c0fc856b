// Lists of latents: filtered, sorted, a page at a time.

#if Explorer
import Foundation
import GRDB
import HSAEModels
public import HSAESupport

/// A latent or sublatent in a list.
public struct LatentRecord: Hashable, Sendable, Codable {
  /// Its expert.
  public var expert: Int
  /// The sublatent; nil for the expert itself.
  public var sublatent: Int?
  /// Rows in which it is active; of a sublatent, in which it is chosen with a code at or above the
  /// threshold.
  public var count: Int
  /// Rows in which a sublatent is chosen, relevant or not.
  public var chosen: Int
  /// `count` over all rows.
  public var density: Double
  /// Its largest code.
  public var maximum: Float
  /// Its mean code where it is active.
  public var mean: Double
  /// Of a sublatent: `count` over the rows in which its parent is active; 1 for an expert.
  public var shareOfParent: Double
  /// Sublatents that are active at all; 0 for a sublatent.
  public var liveSublatents: Int
  /// How clear its hierarchy is (docs/evaluation.md); nil where it was not measured.
  public var score: Double?
  /// Words at which it is strongest.
  public var words: [String]
  /// The user's label.
  public var label: String?
}

/// What to list.
public struct LatentQuery: Hashable, Sendable {
  /// Which latents.
  public enum Level: Hashable, Sendable {
    /// Those of the top level.
    case top
    /// All sublatents.
    case sublatents
    /// The sublatents of one expert.
    case sublatentsOf(Int)
  }

  /// What to sort by.
  public enum Order: String, Hashable, Sendable, CaseIterable, Codable {
    /// The latents' numbers.
    case number
    /// How often they are active.
    case density
    /// Their largest code.
    case maximum
    /// The number of live sublatents.
    case live
    /// The hierarchy score.
    case score

    fileprivate var column: String {
      switch self {
      case .number: "latent.id"
      case .density: "fired"
      case .maximum: "maximum"
      case .live: "live"
      case .score: "score"
      }
    }
  }

  /// Which latents.
  public var level = Level.top
  /// What to sort by.
  public var order = Order.number
  /// Largest first.
  public var isDescending = false
  /// The least density.
  public var minimumDensity = 0.0
  /// The largest density.
  public var maximumDensity = 1.0
  /// The least number of live sublatents.
  public var minimumLive = 0
  /// The least hierarchy score; nil also lists those without one.
  public var minimumScore: Double?
  /// Whether dead latents are listed.
  public var includesDead = false
  /// Only latents whose words, promoted tokens or label have words that begin with these; nil: all.
  public var text: String?
  /// Only latents with a label.
  public var isLabelled = false
  /// Latents to pass over.
  public var offset = 0
  /// Latents to list, at most.
  public var limit = 50

  /// All top-level latents that fire, by number.
  public init() {}
}

/// A part of a list.
public struct LatentPage: Hashable, Sendable, Codable {
  /// The latents.
  public var latents: [LatentRecord]
  /// How many there are in all.
  public var total: Int
}

extension LatentRecord {
  static let columns = """
    latent.expert, latent.sublatent, latent.fired, latent.chosen, latent.maximum, latent.mean,
    latent.share, latent.live, latent.score, latent.words, label.text AS label
    """

  init(_ row: Row, rows: Int) throws {
    let sublatent: Int = try row.get("sublatent")
    let words: String = try row.get("words")
    try self.init(
      expert: row.get("expert"), sublatent: sublatent < 0 ? nil : sublatent,
      count: row.get("fired"),
      chosen: row.get("chosen"),
      density: rows > 0 ? Double(row.get("fired") as Int) / Double(rows) : 0,
      maximum: row.get("maximum"), mean: row.get("mean"), shareOfParent: row.get("share"),
      liveSublatents: row.get("live"), score: row.get("score"),
      words: words.split(separator: "\n").map(String.init), label: row.get("label"))
  }
}

extension FeatureDatabase {
  /// The latents of `run` that `query` asks for.
  public func latents(_ query: LatentQuery, in run: RunRecord) throws(Failure) -> LatentPage {
    // Where ids say which latents are asked for, SQLite shall go by them; else by the indices that are
    // sorted as lists are. A plus keeps a condition from choosing an index.
    let goesByID =
      if case .sublatentsOf = query.level { true } else { query.text != nil }
    let plus = goesByID ? "+" : ""
    var conditions = ["\(plus)latent.run = ?"]
    var arguments: [(any DatabaseValueConvertible)?] = [run.id]
    func add(_ condition: String, _ values: any DatabaseValueConvertible...) {
      conditions.append(condition)
      arguments += values.map(Optional.some)
    }
    switch query.level {
    case .top: add("\(plus)(latent.sublatent < 0) = 1")
    case .sublatents: add("\(plus)(latent.sublatent < 0) = 0")
    case .sublatentsOf(let expert):
      let (first, last) = run.family(of: expert)
      add("latent.id > ? AND latent.id <= ?", first, last)
    }
    func rows(_ density: Double) -> Double { min(max(density, 0), 1) * Double(run.rows) }
    if !query.includesDead { add("\(plus)latent.fired > 0") }
    if query.minimumDensity > 0 { add("latent.fired >= ?", rows(query.minimumDensity)) }
    if query.maximumDensity < 1 { add("latent.fired <= ?", rows(query.maximumDensity)) }
    if query.minimumLive > 0 { add("latent.live >= ?", query.minimumLive) }
    if let score = query.minimumScore { add("latent.score >= ?", score) }
    if query.isLabelled { add("label.text IS NOT NULL") }
    if let text = query.text {
      guard let pattern = FTS5Pattern(matchingAllPrefixesIn: text) else {
        return LatentPage(latents: [], total: 0)
      }
      let (first, last) = LatentID.range(run: run.id)
      add(
        """
        latent.id IN (SELECT rowid FROM latent_text WHERE latent_text MATCH ? AND rowid BETWEEN ? AND ?
        UNION SELECT rowid FROM label_text WHERE label_text MATCH ? AND rowid BETWEEN ? AND ?)
        """, pattern, first, last, pattern, first, last)
    }
    let source =
      "FROM latent LEFT JOIN label ON label.latent = latent.id WHERE "
      + conditions.joined(separator: " AND ")
    let direction = query.isDescending ? "DESC" : "ASC"
    let (constraints, counted) = (StatementArguments(arguments), max(0, query.limit))
    return try read { db in
      let total = try Int.fetchOne(db, sql: "SELECT COUNT(*) \(source)", arguments: constraints)
      let found = try Row.fetchAll(
        db,
        sql: """
          SELECT \(LatentRecord.columns) \(source)
          ORDER BY \(plus)\(query.order.column) \(direction), latent.id LIMIT ? OFFSET ?
          """, arguments: constraints + [counted, max(0, query.offset)])
      return LatentPage(
        latents: try found.map { try LatentRecord($0, rows: run.rows) }, total: total ?? 0)
    }
  }
}

extension RunRecord {
  /// The id of an expert, and that of its last sublatent.
  func family(of expert: Int) -> (first: Int, last: Int) {
    let own = LatentNumber(expert: expert).number(in: shape)
    return (
      LatentID.make(run: id, number: own), LatentID.make(run: id, number: own + shape.sublatents)
    )
  }

  /// The id of a latent; nil if there is no such latent.
  func id(of latent: LatentNumber) -> Int? {
    guard (0..<shape.experts).contains(latent.expert),
      latent.sublatent.map((0..<shape.sublatents).contains) ?? true
    else { return nil }
    return LatentID.make(run: id, number: latent.number(in: shape))
  }
}
#endif
