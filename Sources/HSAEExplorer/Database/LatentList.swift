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
    /// How well they match `text` (`FeatureDatabase.points`). As `score` without a text.
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
  /// Lists only latents that match these words, by label, words, promoted tokens, a strongest context or number; if nil, it
  /// lists all.
  var text: String?
  /// Whether only latents with a label are listed.
  var isLabelled = false
  /// Whether only latents of the user's list of this name are listed; nil for all.
  var list: String?
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
  private(set) var stamp = FileStamp()
  /// Ids by query.
  private(set) var lists: [String: [Int]] = [:]
  /// Ids of latents with contexts at words, and the places of these contexts, by run and words.
  private(set) var contexts: [String: [Int: [Int]]] = [:]
  /// The size of all of them in numbers of 8 bytes.
  private var count = 0

  /// The largest size: 32 MiB.
  private static let longest = 4 << 20

  mutating func keep(_ ids: [Int], for key: String, _ stamp: FileStamp) {
    makeRoom(ids.count, key, stamp)
    lists[key] = ids
  }

  mutating func keep(contexts found: [Int: [Int]], for key: String, _ stamp: FileStamp) {
    makeRoom(found.values.reduce(found.count) { $0 + $1.count }, key, stamp)
    contexts[key] = found
  }

  private mutating func makeRoom(_ numbers: Int, _ key: String, _ stamp: FileStamp) {
    let more = numbers + key.utf8.count / 8 + 8
    if self.stamp != stamp || count + more > Self.longest {
      self = KnownLists()
      self.stamp = stamp
    }
    count += more
  }
}

extension FeatureDatabase {
  /// The latents of `run` that `query` asks for.
  func latents(_ query: LatentQuery, in run: RunRecord) throws(Failure) -> LatentListPart {
    if case .sublatentsOf(let expert) = query.level, !(0..<run.shape.experts).contains(expert) {
      return LatentListPart(latents: [], total: 0)
    }
    // Where ids determine the latents, SQLite should use the id index; otherwise the indices that are sorted
    // like lists. A plus in front of a condition keeps SQLite from using an index for it.
    let goesByID =
      if case .sublatentsOf = query.level {
        true
      } else {
        query.text != nil || query.isLabelled || query.list != nil
      }
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
    // Latents that are asked for by number, have a label or are in a list are shown even if they are dead.
    let numbered = query.text.flatMap { LatentNumber($0, in: run.shape) }.flatMap(run.id(of:))
    if !query.includesDead {
      if query.text != nil || query.isLabelled || query.list != nil {
        add(
          """
          (\(plus)latent.fired > 0 OR label.text IS NOT NULL OR latent.id = ?
          OR EXISTS (SELECT 1 FROM listed WHERE listed.latent = latent.id))
          """, numbered ?? -1)
      } else {
        add("\(plus)latent.fired > 0")
      }
    }
    for column in LatentColumn.sortable {
      for bound in column.bounds {
        guard let value = query.bounds[column.name(of: bound)] else { continue }
        add(
          "latent.\(column.column) \(bound == .minimum ? ">=" : "<=") ?",
          column.isDensity ? min(max(value, 0), 1) * Double(run.rows) : value)
      }
    }
    if query.isLabelled { add("label.text IS NOT NULL") }
    if let list = query.list {
      add("latent.id IN (SELECT latent FROM listed WHERE list = ?)", list)
    }
    var order = "\(plus)\(query.order.sql) \(query.isDescending ? "DESC" : "ASC"), latent.id"
    var hits = ""
    var orderArguments: [(any DatabaseValueConvertible)?] = []
    if let text = query.text {
      let words = soughtWords(text)
      guard !words.isEmpty else { return LatentListPart(latents: [], total: 0) }
      let (range, place) = run.ids(of: query.level)
      let part = "rowid BETWEEN ? AND ? AND \(place)"
      let begun = searchPattern(words)
      // The latents that match. Each kind of evidence has a column, which is 1 if there is any; `contexts` counts contexts.
      hits = """
        JOIN (SELECT hit, max(labelled) AS labelled, max(whole) AS whole, max(begun) AS begun, max(promoted) AS promoted,
        max(contexts) AS contexts FROM (
        SELECT rowid AS hit, 0 AS labelled, 0 AS whole, 0 AS begun, 0 AS promoted, 0 AS contexts
        FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 0, 0, 0, 1, 0 FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 0, 0, 1, 0, 0 FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 0, 1, 1, 0, 0 FROM latent_text WHERE latent_text MATCH ? AND \(part)
        UNION ALL SELECT rowid, 1, 0, 0, 0, 0 FROM label_text WHERE label_text MATCH ? AND \(part)
        UNION ALL SELECT ?, 0, 0, 0, 0, 0
        UNION ALL SELECT value ->> 0, 0, 0, 0, 0, value ->> 1 FROM json_each(?)
        ) GROUP BY hit) ON hit = latent.id
        """
      let asked = [
        begun, "promoted : (\(begun))", "words : (\(begun))",
        "words : (\(searchPattern(searchWords(text), areWhole: true)))", begun,
      ]
      let bounds: [(any DatabaseValueConvertible)?] = [range.lowerBound, range.upperBound]
      let contexts = try contextHits(of: words, in: run).map { id, places in
        "[\(id),\(places.count)]"
      }.sorted().joined(separator: ",")
      arguments = asked.flatMap { [$0] + bounds } + [numbered, "[\(contexts)]"] + arguments
      if query.order == .match {
        // Rounded, so that equal points are equal in whatever order they were added up.
        order = "round(\(Self.points), 9) DESC, latent.fired DESC, latent.id"
        orderArguments = [numbered, words[0]]
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

  /// How well a latent matches a search, in SQL. A number counts 100 and a label 4. If the n-th of a latent's words (its
  /// name before the others) begins with the first word that is sought, it counts 1/n, or 0.8/n unless all words are
  /// found whole. Promoted tokens count 0.3, and each of up to 20 strongest contexts 0.1. Words, tokens and contexts of rare
  /// latents count half. Its arguments are the number's id and the first word that is sought.
  private static let points = """
    (latent.id IS ?) * 100 + labelled * 4 + iif(latent.fired < \(LatentRecord.leastCount), 0.5, 1)
    * (promoted * 0.3 + min(contexts, 20) * 0.1
    + iif(begun, (0.8 + 0.2 * whole) / word_place(latent.name || char(10) || latent.words, ?), 0))
    """

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
      knownLists.withLock { $0.keep(ids, for: key, stamp) }
      return ids
    }
    if let known = known() { return known }
    guard areAll else { return try made() }
    return try listMaking.withLock { _ throws(Failure) in
      if let known = known() { return known }
      return try made()
    }
  }
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
