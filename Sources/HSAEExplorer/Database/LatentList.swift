// Lists of latents: filtered, sorted, a page at a time.

#if Explorer
import Foundation
import GRDB
import HSAEModels
public import HSAESupport
import Synchronization

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
    /// Both.
    case both
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
    /// How well they match `text`: labels first, then by words and promoted tokens; without a text as `score`.
    case match

    fileprivate var column: String {
      switch self {
      case .number: "latent.id"
      case .density: "fired"
      case .maximum: "maximum"
      case .live: "live"
      case .score, .match: "score"
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
public struct LatentListPart: Hashable, Sendable, Codable {
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

  /// How many these are.
  static let columnCount = 11

  /// `row` has `columns`, and none before them. They are asked for by number: a page has dozens of latents,
  /// and names are compared letter by letter.
  init(_ row: Row, rows: Int) throws {
    let (sublatent, fired): (Int, Int) = try (row.get(1), row.get(2))
    let words: String = try row.get(9)
    try self.init(
      expert: row.get(0), sublatent: sublatent < 0 ? nil : sublatent, count: fired,
      chosen: row.get(3), density: rows > 0 ? Double(fired) / Double(rows) : 0,
      maximum: row.get(4), mean: row.get(5), shareOfParent: row.get(6),
      liveSublatents: row.get(7), score: row.get(8),
      words: words.utf8.split(separator: UInt8(ascii: "\n")).map { String(Substring($0)) },
      label: row.get(10))
  }
}

/// Lists of latents that were asked for, as they were when the files had that stamp.
struct KnownLists {
  var stamp = FileStamp()
  /// Ids by what was asked.
  var lists: [String: [Int]] = [:]
  /// Ids in all of them.
  var count = 0
}

extension FeatureDatabase {
  /// The latents of `run` that `query` asks for.
  public func latents(_ query: LatentQuery, in run: RunRecord) throws(Failure) -> LatentListPart {
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
    case .both: break
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
    var order = "\(plus)\(query.order.column) \(query.isDescending ? "DESC" : "ASC"), latent.id"
    var hits = ""
    var orderArguments: [(any DatabaseValueConvertible)?] = []
    if let text = query.text {
      let words = searchWords(text)
      guard !words.isEmpty else { return LatentListPart(latents: [], total: 0) }
      // Labels first: they are what the user calls it. Then words as they were asked for, then those that begin so,
      // then promoted tokens; of each first those at whose strongest words the asked one is found, and of these what
      // is active most often.
      let (range, place) = run.ids(of: query.level)
      let part = "rowid BETWEEN ? AND ? AND \(place)"
      hits = """
        JOIN (SELECT hit, min(place) AS place FROM (
        SELECT rowid AS hit, 3 AS place FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 2 FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 1 FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 0 FROM label_text WHERE label_text MATCH ? AND \(part)
        ) GROUP BY hit) ON hit = latent.id
        """
      let begun = searchPattern(words)
      let asked = [
        begun, "words : (\(begun))", "words : (\(searchPattern(words, areWhole: true)))", begun,
      ]
      let bounds: [(any DatabaseValueConvertible)?] = [range.lowerBound, range.upperBound]
      arguments = asked.flatMap { [$0] + bounds } + arguments
      if query.order == .match {
        let place = "instr(lower(replace(latent.words, '▁', '')), ?)"
        order = """
          place, coalesce(nullif(\(place), 0), nullif(\(place), 0), 1e9), latent.fired DESC, latent.id
          """
        // With its accents, or without.
        orderArguments = [text.lowercased().split(separator: " ").first.map(String.init), words[0]]
      }
    }
    let sql = """
      SELECT latent.id FROM latent \(hits) LEFT JOIN label ON label.latent = latent.id
      WHERE \(conditions.joined(separator: " AND ")) ORDER BY \(order)
      """
    let ids = try ids(sql, arguments + orderArguments, areAll: query.text == nil)
    let start = min(max(0, query.offset), ids.count)
    let shown = ids[start...].prefix(max(0, query.limit))
    return try read { db in
      LatentListPart(latents: try records(Array(shown), run, db), total: ids.count)
    }
  }

  /// What `sql` gives, a whole list: sorting it takes a tenth of a second for 16,384 latents, so it is kept for
  /// the pages after the first, until the database changes. Lists of all latents are made one at a time: there are
  /// few, and many who open the explorer at once want the same.
  private func ids(
    _ sql: String, _ arguments: [(any DatabaseValueConvertible)?], areAll: Bool
  ) throws(Failure) -> [Int] {
    let stamp = FileStamp(database: path)
    let key = sql + arguments.map { "\u{0}\($0?.databaseValue.description ?? "")" }.joined()
    func known() -> [Int]? { knownLists.withLock { $0.stamp == stamp ? $0.lists[key] : nil } }
    func made() throws(Failure) -> [Int] {
      let ids = try read { db in
        try Int.fetchAll(db.cachedStatement(sql: sql), arguments: StatementArguments(arguments))
      }
      knownLists.withLock { lists in
        if lists.stamp != stamp || lists.count + ids.count > Self.longestLists {
          lists = KnownLists(stamp: stamp)
        }
        lists.lists[key] = ids
        lists.count += ids.count
      }
      return ids
    }
    if let known = known() { return known }
    guard areAll else { return try made() }
    return try listMaking.withLock { _ throws(Failure) in
      if let known = known() { return known }
      return try made()
    }
  }

  /// Latents in all lists that are kept, 8 bytes each.
  private static let longestLists = 4 << 20
}

extension RunRecord {
  /// Where the ids of the latents of `level` are, and what tells them there from others: a condition on `rowid`, so
  /// that a search need not look at the latents themselves.
  fileprivate func ids(of level: LatentQuery.Level) -> (range: ClosedRange<Int>, condition: String)
  {
    let (first, last) = LatentID.range(run: id)
    let place = "(rowid - \(LatentID.make(run: id, number: 0))) % \(1 + shape.sublatents)"
    switch level {
    case .both: return (first...last, "1")
    case .top: return (first...last, "\(place) = 0")
    case .sublatents: return (first...last, "\(place) <> 0")
    case .sublatentsOf(let expert):
      let (own, end) = family(of: expert)
      return (own...end, "rowid <> \(own)")
    }
  }

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
