// Counts how parents and their children among latents are active in rows: apart, together, and how strongly.
// Definitions are those of "Do SAEs learn meaningful concept hierarchies?" (2606.22994).

import HSAEModels
import HSAETensors

/// A parent and its children, as numbers of latents (`LatentNumber.number(in:)`).
struct Family: Hashable {
  var parent: Int
  var children: [Int]

  /// The families of `edges`, by parent.
  static func families(_ edges: [Edge]) -> [Family] {
    Dictionary(grouping: edges, by: \.parent).sorted { $0.key < $1.key }
      .map { Family(parent: $0.key, children: $0.value.map(\.child).sorted()) }
  }

  /// The same families after the children were shuffled among all of them.
  static func shuffled(_ families: [Family], seed: UInt64) -> [Family] {
    var generator = SeededGenerator(seed: seed).split(0x6661_6D69)
    var children = families.flatMap(\.children).shuffled(using: &generator)[...]
    return families.map { family in
      defer { children = children.dropFirst(family.children.count) }
      return Family(parent: family.parent, children: Array(children.prefix(family.children.count)))
    }
  }
}

/// The counts of families over rows.
struct FamilyStatistics {
  /// The counts of one family.
  struct Counts {
    /// Rows in which the parent is active, any child is, and both.
    var parent = 0
    var any = 0
    var both = 0
    /// For each child: the rows in which it is active, those in which the parent is too, and those of them in which the
    /// parent's code is larger.
    var children: [(rows: Int, both: Int, larger: Int)]
    /// A sample of the rows in which a child is active: the parent's code (0 where it is not active) and the largest
    /// code of a child.
    var sample: [(parent: Float, child: Float)] = []
  }

  /// The families.
  let families: [Family]
  /// Their counts.
  private(set) var counts: [Counts]
  /// Number of rows.
  private(set) var rows = 0
  private var familiesOf: [[Int]]
  private var lastRow: [Int]
  private var code: [Float]
  private var lastTouched: [Int]
  private var generator: SeededGenerator

  /// Rows that are kept of a family for the rank correlation, so that memory does not grow with the rows.
  static let sampleRows = 500
  /// A family or child that is active in fewer rows is not counted in means.
  static let leastRows = 10

  /// No rows yet. `latents` is the number of latents of both levels.
  init(_ families: [Family], latents: Int, seed: UInt64) {
    self.families = families
    counts = families.map { Counts(children: $0.children.map { _ in (0, 0, 0) }) }
    familiesOf = Array(repeating: [], count: latents)
    for (index, family) in families.enumerated() {
      for latent in [family.parent] + family.children { familiesOf[latent].append(index) }
    }
    lastRow = Array(repeating: -1, count: latents)
    code = Array(repeating: 0, count: latents)
    lastTouched = Array(repeating: -1, count: families.count)
    generator = SeededGenerator(seed: seed).split(0x7361_6D70)
  }

  /// Adds a row with the given active latents and their codes.
  mutating func add(_ row: [(latent: Int, code: Float)]) {
    for (latent, value) in row {
      lastRow[latent] = rows
      code[latent] = value
    }
    for (latent, _) in row {
      for family in familiesOf[latent] where lastTouched[family] != rows {
        lastTouched[family] = rows
        add(family)
      }
    }
    rows += 1
  }

  private mutating func add(_ index: Int) {
    let family = families[index]
    let hasParent = lastRow[family.parent] == rows
    let parent = hasParent ? code[family.parent] : 0
    var largest: Float?
    for (place, child) in family.children.enumerated() where lastRow[child] == rows {
      largest = max(largest ?? code[child], code[child])
      counts[index].children[place].rows += 1
      guard hasParent else { continue }
      counts[index].children[place].both += 1
      if parent > code[child] { counts[index].children[place].larger += 1 }
    }
    if hasParent { counts[index].parent += 1 }
    guard let largest else { return }
    counts[index].any += 1
    if hasParent { counts[index].both += 1 }
    // A reservoir: every row so far is in the sample with the same chance.
    if counts[index].sample.count < Self.sampleRows {
      counts[index].sample.append((parent, largest))
    } else {
      let place = Int.random(in: 0..<counts[index].any, using: &generator)
      if place < Self.sampleRows { counts[index].sample[place] = (parent, largest) }
    }
  }

  /// The quantities of one family: sums and how many numbers they are sums of.
  struct Quantities {
    /// P(child active | parent active), summed over children; and the children.
    var childGivenParent = 0.0
    var children = 0.0
    /// P(any child active | parent active), and 1; 0 and 0 where the parent is active in too few rows.
    var coverage = 0.0
    var parents = 0.0
    /// P(parent's code larger | both active), summed over children, and how many.
    var larger = 0.0
    var pairs = 0.0
    /// Spearman's correlation of the parent's code and the largest child's, and 1 or 0.
    var correlation = 0.0
    var correlations = 0.0
    /// Rows in which either the parent or some child is active, but not both; and rows in which one is.
    var mismatch = 0.0
    var either = 0.0

    var values: [Double] {
      [
        childGivenParent, children, coverage, parents, larger, pairs, correlation, correlations,
        mismatch, either,
      ]
    }
    static let count = 10
  }

  /// The quantities of family `index`.
  func quantities(_ index: Int) -> Quantities {
    let own = counts[index]
    var result = Quantities()
    if own.parent >= Self.leastRows {
      result.coverage = Double(own.both) / Double(own.parent)
      result.parents = 1
      for child in own.children where child.rows >= Self.leastRows {
        result.childGivenParent += Double(child.both) / Double(own.parent)
        result.children += 1
      }
    }
    for child in own.children where child.both >= Self.leastRows {
      result.larger += Double(child.larger) / Double(child.both)
      result.pairs += 1
    }
    if own.any >= Self.leastRows,
      let correlation = rankCorrelation(own.sample.map(\.parent), own.sample.map(\.child))
    {
      result.correlation = correlation
      result.correlations = 1
    }
    result.mismatch = Double(own.parent + own.any - 2 * own.both)
    result.either = Double(own.parent + own.any - own.both)
    return result
  }
}
