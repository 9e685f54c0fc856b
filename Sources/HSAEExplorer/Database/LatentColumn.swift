// Declares the columns of lists once: SQL, sorting, filters, the JSON API and pages follow `LatentColumn.all`.
// A new column needs a migration (`Schema.swift`), its value (`Explainer+Latents.swift`), and here an entry of
// `all` and a field of `LatentRecord`, whose name is the JSON key.

#if Explorer
import GRDB
import HSAEModels
import HSAEHTML
import HSAESupport

/// A latent or sublatent in a list.
struct LatentRecord: Hashable, Sendable, Codable {
  var expert: Int
  /// The sublatent; nil for the expert itself.
  var sublatent: Int?
  /// Number of rows in which it is active; for a sublatent, with a code at or above the threshold.
  var count = 0
  /// Number of rows in which a sublatent is chosen, active or not.
  var chosen = 0
  /// `count` divided by the number of all rows.
  var density = 0.0
  /// Its largest code.
  var maximum: Float = 0
  /// Its mean code where it is active.
  var mean = 0.0
  /// For a sublatent, `count` divided by the number of rows in which its expert is active; 1 for an expert.
  var shareOfParent = 0.0
  /// Number of sublatents that are active for any row; 0 for a sublatent.
  var liveSublatents = 0
  /// How clear its hierarchy is (docs/evaluation.md); nil where it was not measured.
  var score: Double?
  /// The words at which it is strongest.
  var words: [String] = []
  /// The words that say most about it; empty where it was not named.
  var name: [String] = []
  var label: String?

  /// The least number of rows for which a latent's words and direction mean something.
  static let leastCount = 30
  /// Whether it is active for fewer rows.
  var isRare: Bool { count > 0 && count < Self.leastCount }
  /// Whether it is active for so many rows that it hardly tells them apart.
  var isDense: Bool { density > 0.1 }

  var number: LatentNumber { LatentNumber(expert: expert, sublatent: sublatent) }
}

/// A column of the table `latent`: where lists put its value, and how they sort by it, filter and show it.
struct LatentColumn: Sendable {
  /// An end of the range of values that are listed.
  enum Bound: String {
    case minimum = "min"
    case maximum = "max"
  }

  /// Its name in the database.
  let column: String
  /// The value of `sort=`; in filters it follows `min_` or `max_`. Empty if lists are not sorted by it.
  var name = ""
  /// The choice under "Sort by".
  var sortTitle: Markup = ""
  /// The filters there are.
  var bounds: [Bound] = []
  /// Whether filters take whole numbers.
  var isWhole = false
  /// Whether filters take shares of all rows, while the column has numbers of rows.
  var isDensity = false
  /// The heading on pages; empty if pages do not show the column in lists.
  var heading: Markup = ""
  /// Whether flat dictionaries have no such values.
  var isHierarchical = false
  /// The text of a table's cell, and the help for the mouse.
  var cell: @Sendable (LatentRecord) -> (text: Markup, help: Markup) = { _ in ("", "") }
  /// Puts the value, the one at an index of a row, into a record.
  let read: @Sendable (Row, Int, inout LatentRecord) throws -> Void

  /// In the order of pages.
  static let all = [
    LatentColumn(
      column: "fired", name: "density", sortTitle: "most frequent", bounds: [.minimum, .maximum],
      isDensity: true, heading: "active in",
      cell: { latent in
        (
          density(latent.density)
            + when(latent.isRare, " · rare: \(counted(latent.count, "row"))")
            + when(latent.isDense, " · dense: more than 10 %"),
          "\(counted(latent.count, "row"))"
        )
      },
      read: { try $2.count = $0.get($1) }),
    LatentColumn(
      column: "maximum", name: "maximum", sortTitle: "strongest", heading: "strongest",
      cell: { ("\(code($0.maximum))", "") }, read: { try $2.maximum = $0.get($1) }),
    LatentColumn(
      column: "live", name: "live", sortTitle: "most sublatents", bounds: [.minimum],
      isWhole: true, heading: "live sublatents", isHierarchical: true,
      cell: { latent in
        latent.sublatent == nil
          ? ("\(latent.liveSublatents)", "")
          : ("\(percent(latent.shareOfParent)) of \(latent.expert)", "of its expert’s rows")
      }, read: { try $2.liveSublatents = $0.get($1) }),
    LatentColumn(
      column: "score", name: "score", sortTitle: "clearest hierarchy", bounds: [.minimum],
      heading: "score", isHierarchical: true,
      cell: { ($0.score.map { "\(decimal($0, 3))" } ?? "–", "") },
      read: { try $2.score = $0.get($1) }),
    LatentColumn(column: "chosen", read: { try $2.chosen = $0.get($1) }),
    LatentColumn(column: "mean", read: { try $2.mean = $0.get($1) }),
    LatentColumn(column: "share", read: { try $2.shareOfParent = $0.get($1) }),
    LatentColumn(column: "name", read: { try $2.name = LatentRecord.lines($0.get($1)) }),
  ]

  /// Those that lists can be sorted by.
  static let sortable = all.filter { !$0.name.isEmpty }

  /// The columns that pages show in lists of `run`.
  static func shown(for run: RunRecord) -> [LatentColumn] {
    all.filter { !$0.heading.isEmpty && !(run.shape.isFlat && $0.isHierarchical) }
  }

  /// The name of a filter: "min_density".
  func name(of bound: Bound) -> String { "\(bound.rawValue)_\(name)" }
}

extension LatentRecord {
  /// What `init(_:rows:)` reads.
  static let columns =
    "latent.expert, latent.sublatent, latent.words, label.text AS label"
    + LatentColumn.all.map { ", latent.\($0.column)" }.joined()

  /// The number of `columns`.
  static let columnCount = 4 + LatentColumn.all.count

  fileprivate static func lines(_ text: String) -> [String] {
    text.utf8.split(separator: UInt8(ascii: "\n")).map { String(Substring($0)) }
  }

  /// `row` begins with `columns`. They are read by index, which is quicker than by name; a page has dozens of
  /// latents. `rows` is the number of all rows.
  init(_ row: Row, rows: Int) throws {
    let sublatent: Int = try row.get(1)
    let words: String = try row.get(2)
    try self.init(
      expert: row.get(0), sublatent: sublatent < 0 ? nil : sublatent,
      words: Self.lines(words), label: row.get(3))
    for index in LatentColumn.all.indices {
      try LatentColumn.all[index].read(row, 4 + index, &self)
    }
    density = rows > 0 ? Double(count) / Double(rows) : 0
  }
}
#endif
