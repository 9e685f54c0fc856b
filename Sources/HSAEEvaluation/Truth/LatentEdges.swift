// Parents and children among latents, and how many of them are parents and children in the true forest. A hierarchical
// dictionary has edges of its own; for the latents of a flat one two rules make edges, so that it can win.

import HSAESupport
import HSAETensors

/// An edge from a parent to a child, as numbers of latents or of features.
struct Edge: Hashable {
  var parent: Int
  var child: Int
}

/// How often pairs of latents are active together, weighted by the code of the first.
struct CoactivationCounts {
  /// Number of latents.
  let latents: Int
  /// The rows in which each latent is active.
  private(set) var firings: [Int]
  private var weights: [Double]
  /// [c × p]: the sum of the codes of c over the rows in which p is active too.
  private var together: [Float]

  /// More latents than this would need more than 1 GiB.
  static let mostLatents = 16_384

  /// A note for the run `name`, which has more latents than that.
  static func note(onTooMany name: String) -> String {
    "Edges by coactivation are not measured: \(name) has more than \(grouped(mostLatents)) latents."
  }

  init(latents: Int) {
    self.latents = latents
    firings = Array(repeating: 0, count: latents)
    weights = Array(repeating: 0, count: latents)
    together = Array(repeating: 0, count: latents * latents)
  }

  /// Adds the active latents of a row and their codes.
  mutating func add(_ row: [(latent: Int, code: Float)]) {
    for (latent, code) in row {
      firings[latent] += 1
      weights[latent] += Double(code)
      for other in row { together[latent * latents + other.latent] += code }
    }
  }

  /// The share of `latent`'s code that falls on rows where `other` is active too.
  func share(of latent: Int, with other: Int) -> Double {
    weights[latent] > 0 ? Double(together[latent * latents + other]) / weights[latent] : 0
  }

  /// The edges by the rule of "Do SAEs learn meaningful concept hierarchies?" (2606.22994): p is a parent of c if more
  /// than 90 % of c's code falls on rows where p is active, and less than 90 % of p's on rows of c. Latents active in
  /// fewer than 40 rows of a million, or in fewer than `leastRows`, are left out. In a chain only direct neighbours keep
  /// their edge. Then the rule drops latents that have more than 5 % of all latents as children. It keeps what is below
  /// a latent that has no parent and at least five descendants.
  func edges(rows: Int, leastRows: Int = TruthSuite.leastFirings) -> [Edge] {
    let least = max(leastRows, Int((Double(rows) * 40e-6).rounded(.up)))
    let live = (0..<latents).filter { firings[$0] >= least }
    var parents: [Int: Set<Int>] = [:]
    for child in live {
      let found = live.filter {
        $0 != child && share(of: child, with: $0) > 0.9 && share(of: $0, with: child) < 0.9
      }
      if !found.isEmpty { parents[child] = Set(found) }
    }
    let edges = Self.reduced(parents)
    let children = Dictionary(grouping: edges, by: \.parent)
    let crowded = Set(children.filter { $0.value.count * 20 > latents }.keys)
    return Self.large(edges.filter { !crowded.contains($0.parent) && !crowded.contains($0.child) })
  }

  /// The edges that no longer path replaces.
  private static func reduced(_ parents: [Int: Set<Int>]) -> [Edge] {
    var ancestors: [Int: Set<Int>] = [:]
    func above(_ latent: Int) -> Set<Int> {
      if let known = ancestors[latent] { return known }
      // Known while it is being computed, so that a circle ends.
      ancestors[latent] = []
      var result: Set<Int> = []
      for parent in (parents[latent] ?? []).sorted() {
        result.insert(parent)
        result.formUnion(above(parent))
      }
      ancestors[latent] = result
      return result
    }
    var edges: [Edge] = []
    for (child, own) in parents.sorted(by: { $0.key < $1.key }) {
      for parent in own.sorted()
      where !own.contains(where: { $0 != parent && above($0).contains(parent) }) {
        edges.append(Edge(parent: parent, child: child))
      }
    }
    return edges
  }

  /// The edges below latents without a parent that have at least five descendants.
  private static func large(_ edges: [Edge]) -> [Edge] {
    let children = Dictionary(grouping: edges, by: \.parent)
    let withParent = Set(edges.map(\.child))
    var kept: Set<Int> = []
    for root in children.keys where !withParent.contains(root) {
      var (below, open) = (Set<Int>(), [root])
      while let latent = open.popLast() {
        for edge in children[latent] ?? [] where below.insert(edge.child).inserted {
          open.append(edge.child)
        }
      }
      if below.count >= 5 { kept.formUnion(below.union([root])) }
    }
    return edges.filter { kept.contains($0.parent) && kept.contains($0.child) }
  }
}

/// How edges between latents agree with a forest.
struct EdgeScore: Hashable {
  /// How the features of a parent and of its child are related.
  enum Relation: Hashable, CaseIterable {
    case parent, grandparent, ancestor, same, descendant, siblings, tree, none

    var label: String {
      switch self {
      case .parent: "parent and child, as it should be"
      case .grandparent: "grandparent and grandchild"
      case .ancestor: "further apart in one line"
      case .same: "one feature twice"
      case .descendant: "upside down"
      case .siblings: "siblings"
      case .tree: "otherwise in one tree"
      case .none: "in different trees, or in none"
      }
    }
  }

  /// The number of edges between latents by the relation of their features.
  private(set) var relations: [Relation: Int] = [:]
  /// The number of edges of the forest that were found.
  private(set) var found = 0
  /// The number of edges of the forest both of whose features have a latent.
  private(set) var possible = 0

  /// The number of edges between latents.
  var count: Int { relations.values.reduce(0, +) }
  /// The share of edges whose features are ancestor and descendant.
  var precision: Double {
    let right =
      (relations[.parent] ?? 0) + (relations[.grandparent] ?? 0) + (relations[.ancestor] ?? 0)
    return count > 0 ? Double(right) / Double(count) : .nan
  }
  /// The share of edges whose features are parent and child.
  var directPrecision: Double {
    count > 0 ? Double(relations[.parent] ?? 0) / Double(count) : .nan
  }
  /// The share of the forest's edges, among features that have a latent, that were found.
  var recall: Double { possible > 0 ? Double(found) / Double(possible) : .nan }

  /// The score of `edges`, whose numbers are features; `matched` are the features that have a latent. `parents` is the
  /// forest.
  init(_ edges: [Edge], matched: Set<Int>, parents: [Int]) {
    for edge in edges { relations[Self.relation(edge, parents), default: 0] += 1 }
    let all = Set(edges)
    for child in matched where parents[child] >= 0 && matched.contains(parents[child]) {
      possible += 1
      if all.contains(Edge(parent: parents[child], child: child)) { found += 1 }
    }
  }

  /// The relation of the features of `edge` in the forest `parents`.
  static func relation(_ edge: Edge, _ parents: [Int]) -> Relation {
    if edge.parent == edge.child { return .same }
    func line(_ feature: Int) -> [Int] {
      var result = [feature]
      while let last = result.last, parents[last] >= 0 { result.append(parents[last]) }
      return result
    }
    let (up, down) = (line(edge.parent), line(edge.child))
    switch down.firstIndex(of: edge.parent) {
    case 1: return .parent
    case 2: return .grandparent
    case .some: return .ancestor
    case nil: break
    }
    if up.contains(edge.child) { return .descendant }
    if up.count > 1, down.count > 1, up[1] == down[1] { return .siblings }
    return up.last == down.last ? .tree : .none
  }

  /// The mean precision, direct precision and recall of `edges` when their children are shuffled among the parents,
  /// over `draws` shuffles.
  static func chance(
    _ edges: [Edge], matched: Set<Int>, parents: [Int], seed: UInt64, draws: Int = 20
  ) -> (precision: Double, direct: Double, recall: Double) {
    var sums = (0.0, 0.0, 0.0)
    for draw in 0..<draws {
      var generator = SeededGenerator(seed: seed).split(0x6368_616E).split(UInt64(draw))
      let children = edges.map(\.child).shuffled(using: &generator)
      let score = EdgeScore(
        zip(edges, children).map { Edge(parent: $0.parent, child: $1) }, matched: matched,
        parents: parents)
      sums.0 += score.precision
      sums.1 += score.directPrecision
      sums.2 += score.recall
    }
    let count = Double(draws)
    return (sums.0 / count, sums.1 / count, sums.2 / count)
  }
}
