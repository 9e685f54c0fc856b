// The suite `structure`: whether latents form a hierarchy, by their activity and directions alone. It needs rows, but
// neither a language model nor a truth.

import HSAEActivations
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Parents and children by activity: coverage, absorption, similarity, agreement of seeds.
public enum StructureSuite: EvaluationSuite {
  /// "structure".
  public static let name = "structure"
  /// What it measures.
  public static let about = "parents and children by their activity, absorption, agreement of seeds"

  /// The numbers of `runs`.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let rows = try input.rows(for: runs, suite: name)
    return try input.results(of: runs, on: rows) { (run) throws(Failure) in
      var result = try result(of: run, rows, input)
      if let agreement = agreement(of: run, among: runs, input.options) {
        result.numbers.append(agreement)
      }
      return result
    }
  }

  private static func result(
    of run: LoadedRun, _ rows: EvaluationRows, _ input: EvaluationInput
  ) throws(Failure) -> SuiteResult {
    let (shape, options) = (run.shape, input.options)
    var coactivation =
      shape.experts <= CoactivationCounts.mostLatents
      ? CoactivationCounts(latents: shape.experts) : nil
    let tree = (0..<(shape.isFlat ? 0 : shape.experts)).map { expert in
      Family(
        parent: LatentNumber(expert: expert).number(in: shape),
        children: (0..<shape.sublatents).map {
          LatentNumber(expert: expert, sublatent: $0).number(in: shape)
        })
    }
    let latents = shape.experts * (1 + shape.sublatents)
    func statistics(_ families: [Family]) -> FamilyStatistics {
      FamilyStatistics(families, latents: latents, seed: options.seed)
    }
    var own = [statistics(tree), statistics(Family.shuffled(tree, seed: options.seed))]
    var (codes, topCodes) = (0, 0)
    try pass(run, rows, input, "rows of \(run.name)") { row in
      topCodes += row.count
      codes += row.count + row.count(where: \.hasSublatentCode)
      coactivation?.add(row.map { ($0.expert, $0.value) })
      if !tree.isEmpty {
        let active = active(row, run)
        for index in own.indices { own[index].add(active) }
      }
    }
    var result = SuiteResult(suite: name, evaluatedOn: rows.description, numbers: [])
    result.numbers.append(
      EvaluationNumber(
        "codes_row", "codes a row, both levels", Double(codes) / Double(max(1, rows.count)),
        digits: 2))
    let directions = run.dictionary.directions(ofSublatents: false)
    var rules: [Rule] = []
    if !tree.isEmpty {
      add("tree", "own tree", own[0], chance: own[1], run, options, to: &result)
      rules.append(("tree", "own tree", tree))
    }
    if let coactivation {
      let families = Family.families(
        coactivation.edges(rows: rows.count).map {
          Edge(
            parent: LatentNumber(expert: $0.parent).number(in: shape),
            child: LatentNumber(expert: $0.child).number(in: shape))
        })
      var found = [statistics(families), statistics(Family.shuffled(families, seed: options.seed))]
      if families.isEmpty {
        result.notes.append("There is no edge between latents by coactivation.")
      } else {
        try pass(run, rows, input, "rows of \(run.name), again") { row in
          let active = active(row, run)
          for index in found.indices { found[index].add(active) }
        }
        add("coactivation", "coactivation", found[0], chance: found[1], run, options, to: &result)
        rules.append(("coactivation", "coactivation", families))
      }
    } else {
      result.notes.append(CoactivationCounts.note(onTooMany: run.name))
    }
    try addReconstructionCondition(rules, run, rows, input, to: &result)
    let experts = Double(topCodes) / Double(max(1, rows.count))
    result.numbers.append(
      EvaluationNumber(
        "composition", "composition: cosine of a latent and the one most like it",
        composition(directions, threads: options.threads), better: .lower))
    if let projection = try decoderProjection(run, rows, n: experts, options) {
      result.numbers.append(
        EvaluationNumber(
          "decoder_projection", "decoder projection at its own L0", projection))
    }
    addMetaStructure(directions, run, input, to: &result)
    return result
  }

  /// Calls `body` with the codes of every row.
  private static func pass(
    _ run: LoadedRun, _ rows: EvaluationRows, _ input: EvaluationInput, _ what: String,
    _ body: (ArraySlice<Code>) -> Void
  ) throws(Failure) {
    for range in rows.chunks {
      let codes = run.dictionary.encode(
        try rows.matrix(range, for: run), threads: input.options.threads)
      for row in codes { body(row) }
      input.progress(range.upperBound, rows.count, what)
    }
  }

  /// The active latents of a row, both levels, with their codes.
  static func active(
    _ row: ArraySlice<Code>, _ run: LoadedRun
  ) -> [(latent: Int, code: Float)] {
    let (shape, threshold) = (run.shape, run.dictionary.activation.subThreshold)
    var result: [(latent: Int, code: Float)] = []
    for code in row {
      result.append((LatentNumber(expert: code.expert).number(in: shape), code.value))
      guard let sublatent = code.activeSublatent(threshold: threshold) else { continue }
      let number = LatentNumber(expert: code.expert, sublatent: sublatent).number(in: shape)
      result.append((number, code.subValue))
    }
    return result
  }

  /// Adds the numbers of families by one rule. Intervals are over families.
  private static func add(
    _ rule: String, _ label: String, _ statistics: FamilyStatistics, chance: FamilyStatistics,
    _ run: LoadedRun, _ options: EvaluationOptions, to result: inout SuiteResult
  ) {
    func sums(_ statistics: FamilyStatistics) -> GroupedSums {
      var sums = GroupedSums(
        groups: statistics.families.count, quantities: FamilyStatistics.Quantities.count)
      for index in statistics.families.indices {
        sums.add(statistics.quantities(index).values.span, ofGroup: index)
      }
      return sums
    }
    func ratio(_ values: [Double], _ index: Int) -> Double {
      values[index + 1] > 0 ? values[index] / values[index + 1] : .nan
    }
    let own = sums(statistics)
    let samples = own.bootstrap(
      resamples: options.resamples, seed: options.seed, threads: options.threads)
    let (totals, random) = (own.totals, sums(chance).totals)
    for (index, key, text, better) in [
      (0, "child_given_parent", "P(child | parent)", nil),
      (2, "coverage", "coverage: P(any child | parent)", .higher),
      (4, "parent_larger", "parent’s code larger than the child’s", nil),
      (6, "soft_absorption", "rank correlation of parent and largest child", .higher),
      (8, "or_mismatch", "share of rows with only the parent or only children", .lower),
    ] as [(Int, String, String, EvaluationNumber.Direction?)] {
      result.numbers += [
        EvaluationNumber(
          "\(key)_\(rule)", "\(text), \(label)", ratio(totals, index),
          percentileInterval(samples.values { ratio($0, index) }), better: better),
        EvaluationNumber("\(key)_\(rule)_chance", "…, children shuffled", ratio(random, index)),
      ]
    }
    result.numbers += [
      EvaluationNumber(
        "or_hamming_\(rule)", "OR-Hamming distance of a row, \(label)",
        totals[8] / Double(max(1, statistics.rows)), better: .lower),
      EvaluationNumber(
        "sibling_similarity_\(rule)", "siblings’ cosine above that of any children, \(label)",
        siblingSimilarity(statistics.families, run)),
      EvaluationNumber(
        "families_\(rule)", "parents with children, \(label)", totals[3], digits: 0),
    ]
  }

  /// The mean cosine of two siblings, mean over families, less that of any two children.
  private static func siblingSimilarity(_ families: [Family], _ run: LoadedRun) -> Double {
    let width = run.shape.width
    var all = (sum: [Double](repeating: 0, count: width), count: 0.0)
    var (total, counted) = (0.0, 0.0)
    func meanCosine(_ sum: [Double], _ count: Double) -> Double {
      (sum.reduce(0) { $0 + $1 * $1 } - count) / (count * (count - 1))
    }
    var known: Set<Int> = []
    for family in families {
      var own = (sum: [Double](repeating: 0, count: width), count: 0.0)
      for child in family.children {
        let direction = run.dictionary.contribution(of: LatentNumber(child, in: run.shape))
        let norm = euclideanNorm(direction.span)
        guard norm > 0 else { continue }
        for column in 0..<width { own.sum[column] += Double(direction[column]) / norm }
        own.count += 1
        // A child of several parents is one of "any two" once.
        guard known.insert(child).inserted else { continue }
        for column in 0..<width { all.sum[column] += Double(direction[column]) / norm }
        all.count += 1
      }
      guard own.count >= 2 else { continue }
      total += meanCosine(own.sum, own.count)
      counted += 1
    }
    return counted > 0 ? total / counted - meanCosine(all.sum, all.count) : .nan
  }

  /// The mean over latents of the largest cosine with another latent.
  static func composition(_ directions: borrowing Matrix, threads: Int) -> Double {
    var directions = directions.copy()
    directions.scaleRowsToUnit()
    guard directions.rows > 1 else { return .nan }
    var sum = 0.0
    for start in stride(from: 0, to: directions.rows, by: 512) {
      let range = start..<min(directions.rows, start + 512)
      let products = directions.products(range, with: directions, threads: threads)
      for place in 0..<range.count {
        let row = products.row(place)
        var largest = -Float.infinity
        for other in row.indices where other != start + place { largest = max(largest, row[other]) }
        sum += Double(largest)
      }
    }
    return sum / Double(directions.rows)
  }

  /// s_n^dec (2508.16560): of the products of all rows of a batch, less the bias, with all decoder rows, the one at index n·B,
  /// from large to small. It is least where n is the right L0.
  static func decoderProjection(
    _ run: LoadedRun, _ rows: EvaluationRows, n: Double, _ options: EvaluationOptions
  ) throws(Failure) -> Double? {
    let count = min(rows.count, 1_024)
    var x = try rows.matrix(0..<count, for: run)
    if run.dictionary.parameters.hasBias {
      let bias = run.dictionary.parameters.bias.elements
      x.subtract(bias, threads: options.threads)
    }
    let directions = run.dictionary.directions(ofSublatents: false)
    let place = Int((n * Double(count)).rounded())
    guard place < count * directions.rows else { return nil }
    let products = x.products(0..<count, with: directions, threads: options.threads)
    return Double(products.elements.sorted(by: >)[place])
  }

  /// How well the latents of `run` agree with those of runs that differ from it by their seed: the mean over them of the
  /// mean |cosine| in the best one-to-one matching (2505.20254).
  private static func agreement(
    of run: LoadedRun, among runs: [LoadedRun], _ options: EvaluationOptions
  ) -> EvaluationNumber? {
    guard let training = run.description.training else { return nil }
    let others = runs.filter { other in
      guard var configuration = other.description.training, configuration.seed != training.seed
      else { return false }
      configuration.seed = training.seed
      configuration.orderSeed = training.orderSeed
      return configuration == training
    }
    guard !others.isEmpty else { return nil }
    let sum = others.reduce(0.0) { sum, other in
      let match = FeatureMatch(
        run.dictionary.directions(ofSublatents: false),
        other.dictionary.directions(ofSublatents: false), threads: options.threads)
      return sum + match.meanCorrelation
    }
    return EvaluationNumber(
      "seed_agreement", "agreement with other seeds (MCC)",
      sum / Double(others.count), better: .higher)
  }
}
