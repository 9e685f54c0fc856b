// Tree SAE's reconstruction condition (2605.07922, section 5.2): a child is written with its parent. A probe that finds
// the rows in which the child is active should point along both decoder directions.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// Pairs of a parent and a child, the five latents that are most similar to the probe of each child, and the share of
/// pairs of which both are among them.
///
/// The condition is that of Tree SAE's code (`evals/hierarchy.py`); docs/evaluation.md says how the sample differs. Every
/// parent gives one child before any gives a second, because intervals resample parents.
struct ReconstructionCondition {
  /// A parent and a child.
  struct Pair: Hashable {
    var parent: Int
    var child: Int
    /// The parent that the child has after the children were shuffled.
    var other: Int
  }

  /// The pairs, by parent.
  let pairs: [[Pair]]
  /// The latents whose directions have the largest cosine with the probe of a child.
  private let nearest: [Int: [Int]]

  /// Latents that count as most similar.
  static let nearestLatents = 5
  /// Limit on the pairs.
  static let mostPairs = 200
  /// Limit on the children of a parent.
  static let mostChildren = 5

  /// Probes pairs of `families` on `sample`. `progress` is called with the number of probes that are trained, and their
  /// total.
  init(
    _ families: [Family], of dictionary: SparseAutoencoder, on sample: SampledRows, seed: UInt64,
    threads: Int, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) {
    pairs = Self.pairs(families, seed: seed) { sample.canProbe($0) }
    let children = Set(pairs.joined().map(\.child)).sorted()
    var probes = Matrix(rows: children.count, columns: dictionary.shape.width)
    for start in stride(from: 0, to: children.count, by: Self.wave) {
      let end = min(children.count, start + Self.wave)
      for (place, probe) in Self.probes(
        of: children[start..<end], on: sample, seed: seed, threads: threads
      ).enumerated() {
        for column in probe.indices { probes[start + place, column] = probe[column] }
      }
      progress(end, children.count)
    }
    let found = Self.nearest(to: probes, in: dictionary, threads: threads)
    nearest = Dictionary(uniqueKeysWithValues: zip(children, found))
  }

  /// Probes that are trained between two calls of `progress`.
  private static let wave = 32

  /// At most `mostPairs` pairs of `families` whose child `isEligible`, drawn by `seed`, grouped by parent.
  static func pairs(
    _ families: [Family], seed: UInt64, isEligible: (Int) -> Bool
  ) -> [[Pair]] {
    var generator = SeededGenerator(seed: seed).split(0x7061_6972)
    var others: [Int: [Int]] = [:]
    for family in Family.shuffled(families, seed: seed) {
      for child in family.children { others[child, default: []].append(family.parent) }
    }
    var candidates: [[Pair]] = []
    for family in families {
      let own = family.children.map { child in
        Pair(
          parent: family.parent, child: child,
          other: others[child]?.popLast() ?? family.parent)
      }
      let eligible = own.filter { isEligible($0.child) }.shuffled(using: &generator)
      if !eligible.isEmpty { candidates.append(Array(eligible.prefix(mostChildren))) }
    }
    candidates.shuffle(using: &generator)
    var result = [[Pair]](repeating: [], count: candidates.count)
    var count = 0
    for round in 0..<mostChildren {
      for (place, own) in candidates.enumerated() where round < own.count && count < mostPairs {
        result[place].append(own[round])
        count += 1
      }
    }
    return result.filter { !$0.isEmpty }
  }

  /// The probes of `children`, one piece of work for each.
  private static func probes(
    of children: ArraySlice<Int>, on sample: SampledRows, seed: UInt64, threads: Int
  ) -> [[Float]] {
    var result = [[Float]](repeating: [], count: children.count)
    unsafe result.withUnsafeMutableBufferPointer { target in
      // Safe: each piece writes its own element, and the loop ends before the closure does.
      nonisolated(unsafe) let target = unsafe target
      parallelFor(children.count, threads: threads) { piece, _ in
        unsafe target[piece] = sample.probe(of: children[children.startIndex + piece], seed: seed)
      }
    }
    return result
  }

  /// For each row of `probes` the latents of both levels whose directions (d_j, or Π↑ᵀ D_q of a sublatent) have the
  /// largest cosine with it, the most similar first; among equals the lower number.
  static func nearest(
    to probes: borrowing Matrix, in dictionary: SparseAutoencoder, threads: Int
  ) -> [[Int]] {
    let shape = dictionary.shape
    let latents = shape.experts * (1 + shape.sublatents)
    var found = [[(latent: Int, cosine: Float)]](repeating: [], count: probes.rows)
    // What a latent must exceed to be among the nearest.
    var least = [Float](repeating: -.infinity, count: probes.rows)
    var unit = probes.copy()
    unit.scaleRowsToUnit()
    // The directions of all sublatents may need more memory than the dictionary, so they are made block by block.
    for start in stride(from: 0, to: probes.rows > 0 ? latents : 0, by: block) {
      var directions = Matrix(rows: min(block, latents - start), columns: shape.width)
      directions.forEachRow(threads: threads) { index, row in
        let values = dictionary.contribution(of: LatentNumber(start + index, in: shape))
        for column in row.indices { row[column] = values[column] }
      }
      directions.scaleRowsToUnit()
      let cosines = directions.products(0..<directions.rows, with: unit, threads: threads)
      for index in 0..<cosines.rows {
        let row = cosines.row(index)
        for probe in row.indices where row[probe] > least[probe] {
          let place = found[probe].firstIndex { $0.cosine < row[probe] } ?? found[probe].count
          found[probe].insert((start + index, row[probe]), at: place)
          guard found[probe].count >= nearestLatents else { continue }
          found[probe].removeLast(found[probe].count - nearestLatents)
          least[probe] = found[probe][nearestLatents - 1].cosine
        }
      }
    }
    return found.map { $0.map(\.latent) }
  }

  /// Latents whose directions are in memory at once.
  private static let block = 4_096

  /// For each parent: the pairs that fulfil the condition, those that would with the other parent, and all.
  var sums: GroupedSums {
    var sums = GroupedSums(groups: pairs.count, quantities: 3)
    for (group, own) in pairs.enumerated() {
      for pair in own {
        let near = nearest[pair.child] ?? []
        func holds(_ parent: Int) -> Double {
          parent != pair.child && near.contains(pair.child) && near.contains(parent) ? 1 : 0
        }
        sums.add([holds(pair.parent), holds(pair.other), 1].span, ofGroup: group)
      }
    }
    return sums
  }
}

extension StructureSuite {
  /// Families by one rule, with the rule's name in keys and labels.
  typealias Rule = (key: String, label: String, families: [Family])

  /// Adds the reconstruction condition of the families by each of `rules`. Intervals are over parents.
  static func addReconstructionCondition(
    _ rules: [Rule], _ run: LoadedRun, _ rows: EvaluationRows, _ input: EvaluationInput,
    to result: inout SuiteResult
  ) throws(Failure) {
    guard !rules.isEmpty else { return }
    let options = input.options
    let sample = try SampledRows(run, rows, threads: options.threads)
    for rule in rules {
      let condition = ReconstructionCondition(
        rule.families, of: run.dictionary, on: sample, seed: options.seed,
        threads: options.threads,
        progress: { input.progress($0, $1, "probes of \(run.name), \(rule.label)") })
      let sums = condition.sums
      let totals = sums.totals
      let samples = sums.bootstrap(
        resamples: options.resamples, seed: options.seed, threads: options.threads)
      func share(_ values: [Double], _ index: Int) -> Double {
        values[2] > 0 ? values[index] / values[2] : .nan
      }
      result.numbers += [
        EvaluationNumber(
          "reconstruction_condition_\(rule.key)",
          "reconstruction condition: probe near parent and child, \(rule.label)",
          share(totals, 0), percentileInterval(samples.values { share($0, 0) })),
        EvaluationNumber(
          "reconstruction_condition_\(rule.key)_chance", "…, children shuffled",
          share(totals, 1)),
        EvaluationNumber(
          "probed_pairs_\(rule.key)", "pairs of parent and child that were probed, \(rule.label)",
          totals[2], digits: 0),
      ]
      if condition.pairs.isEmpty {
        result.notes.append(
          "The reconstruction condition is not measured (\(rule.label)): no child of \(run.name) is active in at"
            + " least \(SampledRows.leastRows) of \(counted(sample.rows.rows, "row")) and inactive in as many."
        )
      }
    }
  }
}
