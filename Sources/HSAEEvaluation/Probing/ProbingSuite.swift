// The suite `probing` of `hsae evaluate`: how well one, two or five latents predict the class of labelled texts, beside a
// probe on the whole residual stream and random latents. It follows the package sae-probes 0.4.2.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors
import Synchronization

/// k-sparse probing of labelled texts.
public enum ProbingSuite: EvaluationSuite {
  /// "probing".
  public static let name = "probing"
  /// What it measures.
  public static let about = "how well 1, 2 or 5 latents predict the class of labelled texts"

  /// The numbers of latents of a probe.
  static let latentCounts = [1, 2, 5]
  /// A text's last tokens up to this number are read, the model's prefix among them.
  static let contextLength = 128
  /// Draws of random latents, whose scores are averaged.
  static let randomDraws = 5
  /// Fewer texts of a set than this, training and test texts together, are too few to choose the penalty.
  public static let leastTexts = 200

  /// The numbers of `runs`. The model reads the texts once for all runs.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let options = input.options
    let block = try input.block(suite: name)
    let texts = try input.probingTexts()
    let chosen = try chooseSets(options.probeSets, of: texts.names, seed: options.seed)
    let model = try input.model(for: runs, suite: name)
    let prefix = try input.prefix(for: runs, of: model)
    var results = runs.map { RunScores($0, ofStore: input.store != nil) }
    var (names, skipped) = ([String](), [String]())
    var dense: [ProbeScore] = []
    for (number, index) in chosen.enumerated() {
      let set = try texts.set(index)
      var generator = SeededGenerator(seed: options.seed).split(UInt64(index))
      let drawn = draw(
        set, count: options.probeTexts, model: model, prefix: prefix, using: &generator)
      if drawn.split.labels.count >= leastTexts {
        let rows = try model.captureLast(drawn.contexts, afterBlock: block)
        names.append(set.name)
        dense.append(
          measure(rows, drawn.split, &results, generator.split(2), threads: options.threads))
      } else {
        skipped.append(set.name)
      }
      input.progress(number + 1, chosen.count, "sets of texts")
    }
    guard !names.isEmpty else {
      throw .data(
        "--probe-sets: none of the sets has \(leastTexts / 2) different texts of each class; choose other sets."
      )
    }
    let description =
      "\(counted(names.count, "set")) of \(grouped(texts.names.count)) of labelled texts, at most"
      + " \(grouped(options.probeTexts)) texts of each"
    var found = results.map { result(of: $0, dense: dense, names: names, description, options) }
    if !skipped.isEmpty {
      found[0].notes.append(
        "Left out, because they have fewer than \(leastTexts / 2) different texts of a class:"
          + " \(skipped.joined(separator: ", ")).")
    }
    Comparison.noteUnequalCosts(of: runs, in: &found)
    return found
  }

  /// The sets that `choice` names: a number of them, drawn by `seed`; "all"; or names, separated by commas.
  ///
  /// Fails with `.usage` for a name that does not exist.
  static func chooseSets(
    _ choice: String, of names: [String], seed: UInt64
  ) throws(Failure) -> [Int] {
    if choice == "all" { return Array(names.indices) }
    if let count = Int(choice) {
      guard count >= 1 else {
        throw .usage("--probe-sets must be a number from 1 on, names of sets, or all.")
      }
      var generator = SeededGenerator(seed: seed).split(0x7072_6F62)
      return names.indices.shuffled(using: &generator).prefix(count).sorted()
    }
    var chosen: [Int] = []
    for name in choice.split(separator: ",").map(String.init) {
      guard let index = names.firstIndex(of: name) else {
        let hint =
          JSONFile.nearest(to: name, among: names).map { "; did you mean \($0)?" }
          ?? "; give a number, all, or names such as \(names.first ?? "")."
        throw .usage("--probe-sets: there is no set \"\(name)\"\(hint)")
      }
      if !chosen.contains(index) { chosen.append(index) }
    }
    guard !chosen.isEmpty else {
      throw .usage("--probe-sets names no set; give a number, names of sets, or all.")
    }
    return chosen
  }

  /// Draws texts of `set`, as many of each class as of the other, at most `count`: their contexts, training texts first.
  /// Two thirds, at most 1,024, train the probe. Equal texts count once, and texts with both labels not at all, so that no
  /// training text is a test text.
  static func draw(
    _ set: LabelledTexts, count: Int, model: any ResidualStreamModel, prefix: [Int32],
    using generator: inout SeededGenerator
  ) -> (contexts: [[Int32]], split: ProbeSplit) {
    var labels: [String: Set<Bool>] = [:]
    for (text, label) in zip(set.texts, set.labels) { labels[text, default: []].insert(label) }
    let room = min(contextLength, model.contextLength) - prefix.count
    var seen: Set<[Int32]> = []
    var classes: [[[Int32]]] = []
    for label in [true, false] {
      let texts = set.texts.indices.filter { set.labels[$0] == label }.map { set.texts[$0] }
        .uniqued(by: \.self).filter { labels[$0]?.count == 1 }.shuffled(using: &generator)
      var found: [[Int32]] = []
      for text in texts where found.count < count / 2 {
        let tokens = Array(model.tokenizer.encode(Array(text.utf8)[...]).suffix(max(0, room)))
        // Long texts may have equal ends.
        if !tokens.isEmpty, seen.insert(tokens).inserted { found.append(prefix + tokens) }
      }
      classes.append(found)
    }
    let each = min(classes[0].count, classes[1].count)
    let training = min(each * 2 / 3, 512)
    var texts: [(tokens: [Int32], label: Bool)] = []
    for (own, label) in zip(classes, [true, false]) {
      texts += own.prefix(training).map { ($0, label) }
    }
    texts.shuffle(using: &generator)
    for (own, label) in zip(classes, [true, false]) {
      texts += own.dropFirst(training).prefix(each - training).map { ($0, label) }
    }
    return (
      texts.map(\.tokens), ProbeSplit(labels: texts.map(\.label), training: 2 * training)
    )
  }

  /// All probes of one set, whose texts have the given `rows` in the model: those of runs are added to `results`, that on
  /// whole rows is returned.
  private static func measure(
    _ rows: borrowing Matrix, _ split: ProbeSplit, _ results: inout [RunScores],
    _ generator: SeededGenerator, threads: Int
  ) -> ProbeScore {
    var jobs: [(run: Int, level: Int, codes: SparseRows)] = []
    for index in results.indices {
      for (level, codes) in results[index].encode(rows, threads: threads).enumerated() {
        jobs.append((index, level, codes))
      }
    }
    var features = rows.copy()
    let norms = rows.rowNorms()
    let mean = norms.reduce(0, +) / Float(max(1, norms.count))
    if mean > 0 { features.scale(by: Float(rows.columns).squareRoot() / mean) }
    let dense = Mutex<ProbeScore?>(nil)
    let found = Mutex<[Int: SetScores]>([:])
    parallelFor(jobs.count + 1, threads: threads) { piece, _ in
      // The probe on whole rows takes longest, so it begins first.
      if piece == 0 {
        let score = ProbeScore(features, split)
        dense.withLock { $0 = score }
      } else {
        let scores = SetScores(jobs[piece - 1].codes, split, generator)
        found.withLock { $0[piece - 1] = scores }
      }
    }
    for (index, scores) in found.withLock({ $0 }) {
      results[jobs[index].run].levels[jobs[index].level].append(scores)
    }
    guard let dense = dense.withLock({ $0 }) else {
      preconditionFailure("The probe on whole rows has no result.")
    }
    return dense
  }

  // MARK: The result

  private static func result(
    of scores: RunScores, dense: [ProbeScore], names: [String], _ description: String,
    _ options: EvaluationOptions
  ) -> SuiteResult {
    let levels = scores.levels
    func mean(
      _ key: String, _ label: String, _ values: [Double], better: EvaluationNumber.Direction? = nil
    ) -> EvaluationNumber {
      let found = meanOverGroups(values, options)
      return EvaluationNumber(key, label, found.mean, samples: found.samples, better: better)
    }
    var result = SuiteResult(suite: name, evaluatedOn: description, numbers: [])
    let suffixes =
      levels.count > 1 ? [("", ", top level"), ("_both", ", both levels")] : [("", "")]
    for (level, (suffix, text)) in zip(levels, suffixes) {
      for (place, count) in latentCounts.enumerated() {
        let what = counted(count, "latent") + text
        result.numbers += [
          mean(
            "auc_k\(count)\(suffix)", "AUC of \(what)", level.map { $0.best[place].areaUnderCurve },
            better: .higher),
          mean(
            "auc_k\(count)\(suffix)_random", "…, random latents",
            level.map { $0.random[place].area }),
          mean(
            "accuracy_k\(count)\(suffix)", "accuracy of \(what)",
            level.map { $0.best[place].accuracy }, better: .higher),
          mean(
            "accuracy_k\(count)\(suffix)_random", "…, random latents",
            level.map { $0.random[place].accuracy }),
        ]
      }
    }
    result.numbers += [
      mean("auc_dense", "AUC of a probe on whole rows", dense.map(\.areaUnderCurve)),
      mean("accuracy_dense", "accuracy of a probe on whole rows", dense.map(\.accuracy)),
      EvaluationNumber(
        "codes_row", "codes at the last token, both levels",
        Double(scores.codes) / Double(max(1, scores.rows)), digits: 2),
    ]
    for (level, (_, text)) in zip(levels, suffixes) {
      result.tables.append(
        EvaluationTable(
          title: "AUC by set\(text)",
          columns: ["set", "whole row"] + latentCounts.map { counted($0, "latent") } + ["random 5"],
          lines: names.indices.map { set in
            EvaluationTable.Line(
              names[set],
              [dense[set].areaUnderCurve] + level[set].best.map(\.areaUnderCurve)
                + [level[set].random.last?.area])
          }))
    }
    let open = (dense + levels.joined().flatMap(\.best)).count { !$0.isConverged }
    if open > 0 {
      result.notes.append(
        "\(counted(open, "probe")) did not reach the minimum of its loss in 1,000 steps.")
    }
    return result
  }
}

/// The probes of one set on one level of a run.
private struct SetScores {
  /// By number of latents.
  var best: [ProbeScore]
  /// The same of random latents: area under the curve and accuracy, means over draws.
  var random: [(area: Double, accuracy: Double)]

  init(_ codes: SparseRows, _ split: ProbeSplit, _ generator: SeededGenerator) {
    let ranked = codes.mostDifferent(ProbingSuite.latentCounts.max() ?? 1, split)
    best = ProbingSuite.latentCounts.map { count in
      ProbeScore(codes.features(Array(ranked.prefix(count))), split)
    }
    var draw = generator
    random = ProbingSuite.latentCounts.map { count in
      var sum = (area: 0.0, accuracy: 0.0)
      for _ in 0..<ProbingSuite.randomDraws {
        let score = ProbeScore(codes.features(codes.random(count, split, using: &draw)), split)
        sum.area += score.areaUnderCurve / Double(ProbingSuite.randomDraws)
        sum.accuracy += score.accuracy / Double(ProbingSuite.randomDraws)
      }
      return sum
    }
  }
}

/// The scores of a run in all sets.
private struct RunScores {
  let run: LoadedRun
  /// The top level; and both levels together, if it has two.
  let views: [LatentView]
  private let scale: RowScale
  /// For each view, the scores of each set.
  var levels: [[SetScores]]
  /// Codes at the last tokens, both levels, as in the suite core; and the number of these tokens.
  private(set) var codes = 0
  private(set) var rows = 0

  /// `ofStore`: the run's other rows come from a store.
  init(_ run: LoadedRun, ofStore: Bool) {
    self.run = run
    scale = run.modelRowScale(ofStore: ofStore)
    views = (run.shape.isFlat ? [false] : [false, true]).map {
      LatentView(run.dictionary, hasSublatents: $0)
    }
    levels = views.map { _ in [] }
  }

  /// The active latents of `matrix` [n × d], rows as the model makes them, for each view. Counts codes.
  mutating func encode(_ matrix: borrowing Matrix, threads: Int) -> [SparseRows] {
    var scaled = matrix.copy()
    _ = scale.apply(to: &scaled)
    let encoded = run.dictionary.encode(scaled, threads: threads)
    for row in encoded { codes += row.count + row.count(where: \.hasSublatentCode) }
    rows += encoded.count
    return views.map { SparseRows($0, encoded) }
  }
}
