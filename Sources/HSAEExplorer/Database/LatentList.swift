// Lists of latents: filtered, sorted, a page at a time.

#if Explorer
import GRDB
import HSAEModels
import HSAESupport
import Synchronization

/// What to list: by default all live top-level latents, by number.
struct LatentQuery: Hashable, Sendable {
  /// Which latents to list.
  enum Level: Hashable, Sendable {
    case top
    case sublatents
    case both
    /// The sublatents of one expert.
    case sublatentsOf(Int)
  }

  /// What to sort by: a column that lists know (`LatentColumn`), or one of those below.
  struct Order: Hashable, Sendable {
    /// Its name, the value of `sort=` in addresses.
    let name: String
    /// What SQLite sorts by.
    fileprivate let sql: String

    /// The latents' numbers.
    static let number = Order(name: "number", sql: "latent.id")
    /// How often they are active.
    static let density = column("density")
    static let maximum = column("maximum")
    static let score = column("score")
    /// How well they match `text`: labels first, then words, then promoted tokens. As `score` without a text.
    static let match = Order(name: "match", sql: score.sql)

    static let all = [number] + LatentColumn.sortable.map { column($0.name) } + [match]

    private static func column(_ name: String) -> Order {
      let column = LatentColumn.sortable.first { $0.name == name }
      return Order(name: name, sql: column?.column ?? number.sql)
    }
  }

  var level = Level.top
  var order = Order.number
  /// Whether the largest come first.
  var isDescending = false
  /// The least and largest values of latents that are listed, by the names of the JSON API: `min_density`, ….
  var bounds: [String: Double] = [:]
  /// Whether dead latents are listed.
  var includesDead = false
  /// Lists only latents whose words, promoted tokens or label have words that begin with these; nil for all.
  var text: String?
  /// Whether only latents with a label are listed.
  var isLabelled = false
  /// The number of latents to skip.
  var offset = 0
  /// The largest number of latents to list.
  var limit = 50
}

/// A part of a list.
struct LatentListPart: Hashable, Sendable, Codable {
  var latents: [LatentRecord]
  /// The number of latents in the whole list.
  var total: Int
}

/// Lists of latents, made when the files had that stamp.
struct KnownLists {
  var stamp = FileStamp()
  /// Ids by query.
  var lists: [String: [Int]] = [:]
  /// The number of ids in all lists.
  var count = 0
}

extension FeatureDatabase {
  /// The latents of `run` that `query` asks for.
  func latents(_ query: LatentQuery, in run: RunRecord) throws(Failure) -> LatentListPart {
    // Where ids determine the latents, SQLite should use the id index; otherwise the indices that are sorted
    // like lists. A plus in front of a condition keeps SQLite from using an index for it.
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
    if !query.includesDead { add("\(plus)latent.fired > 0") }
    for column in LatentColumn.sortable {
      for bound in column.bounds {
        guard let value = query.bounds[column.name(of: bound)] else { continue }
        add(
          "latent.\(column.column) \(bound == .minimum ? ">=" : "<=") ?",
          column.isDensity ? min(max(value, 0), 1) * Double(run.rows) : value)
      }
    }
    if query.isLabelled { add("label.text IS NOT NULL") }
    var order = "\(plus)\(query.order.sql) \(query.isDescending ? "DESC" : "ASC"), latent.id"
    var hits = ""
    var orderArguments: [(any DatabaseValueConvertible)?] = []
    if let text = query.text {
      let words = searchWords(text)
      guard !words.isEmpty else { return LatentListPart(latents: [], total: 0) }
      // Labels come first, then whole words, then beginnings of words, then promoted tokens. Within each
      // class, latents whose first words contain the query come first, and of these the most frequent ones.
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
        // Words in the database have accents, `words` have none.
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

  /// The ids of a whole list. Sorting takes a tenth of a second for 16,384 latents, so the list is kept for
  /// further pages until the database changes. Lists of all latents are made one at a time, because users who
  /// open the explorer at the same time want the same list.
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

  /// The largest number of ids that are kept, 8 bytes each.
  private static let longestLists = 4 << 20
}

extension RunRecord {
  /// The range of the ids of the latents of `level`, and a condition on `rowid` that selects them in it, so
  /// that a search need not read the latents.
  fileprivate func ids(of level: LatentQuery.Level) -> (range: ClosedRange<Int>, condition: String)
  {
    let first = LatentID.make(run: id, number: 0)
    let all = first...LatentID.make(run: id, number: 0xFFFF_FFFF)
    let place = "(rowid - \(first)) % \(1 + shape.sublatents)"
    switch level {
    case .both: return (all, "1")
    case .top: return (all, "\(place) = 0")
    case .sublatents: return (all, "\(place) <> 0")
    case .sublatentsOf(let expert):
      let (own, end) = family(of: expert)
      return (own...end, "rowid <> \(own)")
    }
  }

  /// The ids of an expert and of its last sublatent.
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
