// The edges of a dictionary held against those of the forest, by each rule that makes edges, with chance beside it.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAETensors

/// The numbers of a dictionary's edges.
struct TruthEdges {
  private(set) var numbers: [EvaluationNumber] = []
  private(set) var tables: [EvaluationTable] = []
  private(set) var notes: [String] = []

  init(
    _ run: LoadedRun, _ measured: TruthMeasurement, top: FeatureMatch, sub: FeatureMatch,
    _ truth: SyntheticRows, _ options: EvaluationOptions
  ) {
    let shape = run.shape
    let parents = truth.sampler.forest.parents
    let live = measured.top.live(TruthSuite.leastFirings)
    let liveSub = measured.sub.live(TruthSuite.leastFirings)
    let topFeatures = live.indices.filter { live[$0] }.map { top.nearest[$0] }
    if !shape.isFlat {
      let pairs = liveSub.indices.filter { liveSub[$0] && live[$0 / shape.sublatents] }
      let edges = pairs.map {
        Edge(parent: top.nearest[$0 / shape.sublatents], child: sub.nearest[$0])
      }
      add(
        "tree", "own tree", edges,
        matched: Set(topFeatures + pairs.map { sub.nearest[$0] }), parents, options)
    }
    func features(_ edges: [Edge]) -> [Edge] {
      edges.map { Edge(parent: top.nearest[$0.parent], child: top.nearest[$0.child]) }
    }
    if let counts = measured.coactivation {
      add(
        "coactivation", "coactivation", features(counts.edges(rows: measured.rows)),
        matched: Set(topFeatures), parents, options)
    } else {
      notes.append(CoactivationCounts.note(onTooMany: run.name))
    }
    // Groups as large as a family: a parent and its children.
    let family = 1 + truth.sampler.forest.law.branching
    let groups = directionClusters(
      of: run.dictionary, size: family, seed: options.seed, threads: options.threads)
    let members = Dictionary(grouping: live.indices.filter { live[$0] }, by: { groups[$0] })
    var edges: [Edge] = []
    for (_, group) in members.sorted(by: { $0.key < $1.key }) {
      let parent = group.max { measured.top.firings[$0] < measured.top.firings[$1] }
      guard let parent else { continue }
      edges += group.filter { $0 != parent }.map { Edge(parent: parent, child: $0) }
    }
    add("clusters", "clusters", features(edges), matched: Set(topFeatures), parents, options)
  }

  private mutating func add(
    _ rule: String, _ label: String, _ edges: [Edge], matched: Set<Int>, _ parents: [Int],
    _ options: EvaluationOptions
  ) {
    let score = EdgeScore(edges, matched: matched, parents: parents)
    let chance = EdgeScore.chance(edges, matched: matched, parents: parents, seed: options.seed)
    // Intervals over parents: the children of one parent are right or wrong together.
    let families = Dictionary(grouping: edges, by: \.parent).sorted { $0.key < $1.key }
    var sums = GroupedSums(groups: families.count, quantities: 3)
    for (group, family) in families.enumerated() {
      let own = EdgeScore(family.value, matched: [], parents: parents)
      let count = Double(own.count)
      sums.add([own.precision * count, own.directPrecision * count, count].span, ofGroup: group)
    }
    let samples = sums.bootstrap(
      resamples: options.resamples, seed: options.seed, threads: options.threads)
    numbers += [
      EvaluationNumber(
        "edge_precision_\(rule)", "edges that are right, \(label)", score.precision,
        percentileInterval(samples.values { $0[0] / $0[2] }), better: .higher),
      EvaluationNumber("edge_precision_\(rule)_chance", "…, children shuffled", chance.precision),
      EvaluationNumber(
        "edge_direct_\(rule)", "parent and child, \(label)", score.directPrecision,
        percentileInterval(samples.values { $0[1] / $0[2] }), better: .higher),
      EvaluationNumber("edge_direct_\(rule)_chance", "…, children shuffled", chance.direct),
      EvaluationNumber(
        "edge_recall_\(rule)", "edges of the forest that are found, \(label)", score.recall,
        better: .higher),
      EvaluationNumber("edge_recall_\(rule)_chance", "…, children shuffled", chance.recall),
      EvaluationNumber(
        "edges_found_\(rule)", "number of edges that are found, \(label)", Double(score.found),
        digits: 0),
      EvaluationNumber(
        "edges_possible_\(rule)", "edges of the forest with a latent at both ends, \(label)",
        Double(score.possible), digits: 0),
      EvaluationNumber(
        "edges_\(rule)", "edges between latents, \(label)", Double(score.count), digits: 0),
    ]
    guard score.count > 0 else {
      notes.append("There is no edge between latents by the rule \"\(label)\".")
      return
    }
    tables.append(
      EvaluationTable(
        title: "Edges between latents by what their features are to each other: \(label)",
        columns: ["relation", "edges", "share"],
        lines: EdgeScore.Relation.allCases.map { relation in
          let count = Double(score.relations[relation] ?? 0)
          return .init(relation.label, [count, count / Double(score.count)])
        }))
  }
}
