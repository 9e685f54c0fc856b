// The suite `probing` of `hsae evaluate`: how well one, two or five latents tell the classes of labelled texts, beside a
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
  public static let about = "how well 1, 2 or 5 latents tell the classes of labelled texts"

  /// The numbers of latents of a probe.
  static let latentCounts = [1, 2, 5]
  /// A text's last tokens up to this number are read, the model's prefix among them.
  static let contextLength = 128
  /// Draws of random latents, whose scores are averaged.
  static let randomDraws = 5
  /// Fewer training texts than this would need another way to choose the penalty.
  public static let leastTexts = 200

  /// The numbers of `runs`. The model reads the texts once for all runs.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    let model = try input.model(for: runs, suite: name)
    let block = try input.block(suite: name)
    let prefix = try input.prefix(for: runs, of: model)
    let texts = try input.probingTexts()
    let chosen = try chooseSets(input.options.probeSets, of: texts.names, seed: input.options.seed)
    let views = runs.map { run in
      (run.shape.isFlat ? [false] : [false, true]).map {
        LatentView(run.dictionary, hasSublatents: $0, rowScale: run.rowScale(ofStore: true))
      }
    }
    var names: [String] = []
    var dense: [ProbeScore] = []
    var scores: [[[SetScores]]] = views.map { $0.map { _ in [] } }
    var codes = [Double](repeating: 0, count: runs.count)
    for (number, index) in chosen.enumerated() {
      let set = try texts.set(index)
      var generator = SeededGenerator(seed: input.options.seed).split(UInt64(index))
      let rows = try ProbedTexts(
        set, count: input.options.probeTexts, model: model, block: block, prefix: prefix,
        using: &generator)
      let measured = measure(rows, views, generator, threads: input.options.threads)
      names.append(set.name)
      dense.append(measured.dense)
      for (run, levels) in measured.runs.enumerated() {
        for (level, found) in levels.enumerated() { scores[run][level].append(found) }
        codes[run] += (levels.last?.codes ?? 0) / Double(chosen.count)
      }
      input.progress(number + 1, chosen.count, "sets of texts")
    }
    let description =
      "\(counted(chosen.count, "set")) of \(grouped(texts.names.count)) of labelled texts, at most"
      + " \(grouped(input.options.probeTexts)) texts of each"
    var results = zip(runs, scores).enumerated().map { (index, each) in
      result(
        each.1, dense: dense, names: names, codes: codes[index], description, input.options)
    }
    if let note = Comparison.unequalCodesNote(codes) { results[0].notes.insert(note, at: 0) }
    return results
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
        let hint = JSONFile.nearest(to: name, among: names).map { "; did you mean \($0)?" } ?? "."
        throw .usage("--probe-sets: there is no set \"\(name)\"\(hint)")
      }
      if !chosen.contains(index) { chosen.append(index) }
    }
    guard !chosen.isEmpty else {
      throw .usage("--probe-sets names no set; give a number, names of sets, or all.")
    }
    return chosen
  }

  /// The probes of one set on one level of a run: by number of latents, and the same for random latents.
  struct SetScores {
    var best: [ProbeScore]
    /// Area under the curve and accuracy, means over draws.
    var random: [(area: Double, accuracy: Double)]
    /// Active latents of a text, on average.
    var codes: Double
  }

  /// All probes of one set.
  private static func measure(
    _ rows: borrowing ProbedTexts, _ views: [[LatentView]], _ generator: SeededGenerator,
    threads: Int
  ) -> (dense: ProbeScore, runs: [[SetScores]]) {
    var jobs: [(run: Int, level: Int, codes: SparseRows)] = []
    for (run, levels) in views.enumerated() {
      for (level, view) in levels.enumerated() {
        jobs.append((run, level, SparseRows(inOwnScale: view, of: rows.rows, threads: threads)))
      }
    }
    let split = rows.split
    let dense = Mutex<ProbeScore?>(nil)
    let found = Mutex<[Int: SetScores]>([:])
    let features = rows.scaled()
    parallelFor(jobs.count + 1, threads: threads) { piece, _ in
      // The probe on whole rows takes longest, so it begins first.
      guard piece > 0 else {
        let score = ProbeScore(features, split)
        return dense.withLock { $0 = score }
      }
      let scores = SetScores(jobs[piece - 1].codes, split, generator)
      found.withLock { $0[piece - 1] = scores }
    }
    var runs: [[SetScores]] = views.map { _ in [] }
    for (index, scores) in found.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      runs[jobs[index].run].append(scores)
    }
    guard let dense = dense.withLock({ $0 }) else {
      preconditionFailure("The probe on whole rows has no result.")
    }
    return (dense, runs)
  }

  // MARK: The result

  /// The result of a run: `levels` are its levels (top; both), each with the scores of all sets.
  private static func result(
    _ levels: [[SetScores]], dense: [ProbeScore], names: [String], codes: Double,
    _ description: String, _ options: EvaluationOptions
  ) -> SuiteResult {
    func mean(
      _ key: String, _ label: String, _ values: [Double], better: EvaluationNumber.Direction? = nil
    ) -> EvaluationNumber {
      var sums = GroupedSums(groups: values.count, quantities: 2)
      for (set, value) in values.enumerated() { sums.add([value, 1].span, ofGroup: set) }
      let samples = sums.bootstrap(
        resamples: options.resamples, seed: options.seed, threads: options.threads)
      return EvaluationNumber(
        key, label, sums.totals[0] / sums.totals[1], samples: samples.values { $0[0] / $0[1] },
        better: better)
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
      EvaluationNumber("codes_row", "codes a text, all levels", codes, digits: 2),
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
    return result
  }
}

extension ProbingSuite.SetScores {
  fileprivate init(_ codes: SparseRows, _ split: ProbeSplit, _ generator: SeededGenerator) {
    let ranked = codes.mostDifferent(ProbingSuite.latentCounts.max() ?? 1, split)
    best = ProbingSuite.latentCounts.map { count in
      ProbeScore(codes.features(Array(ranked.prefix(count))), split)
    }
    var draw = generator.split(2)
    random = ProbingSuite.latentCounts.map { count in
      var sum = (area: 0.0, accuracy: 0.0)
      for _ in 0..<ProbingSuite.randomDraws {
        let score = ProbeScore(codes.features(codes.random(count, split, using: &draw)), split)
        sum.area += score.areaUnderCurve / Double(ProbingSuite.randomDraws)
        sum.accuracy += score.accuracy / Double(ProbingSuite.randomDraws)
      }
      return sum
    }
    self.codes =
      Double(codes.rows.reduce(0) { $0 + $1.count }) / Double(max(1, codes.rows.count))
  }
}

/// The residual stream at the last token of the chosen texts of a set, training texts first.
struct ProbedTexts: ~Copyable {
  /// The rows [texts × d], as long as the model makes them.
  let rows: Matrix
  /// Labels, and which texts train.
  let split: ProbeSplit

  /// Draws texts of `set`, as many of each class as of the other, at most `count`, and captures their rows. Two thirds,
  /// at most 1,024, train the probe.
  ///
  /// Fails with `.data` if the set has too few texts.
  init(
    _ set: LabelledTexts, count: Int, model: any ResidualStreamModel, block: Int,
    prefix: [Int32], using generator: inout SeededGenerator
  ) throws(Failure) {
    var classes: [[(tokens: [Int32], label: Bool)]] = []
    let room = min(ProbingSuite.contextLength, model.contextLength) - prefix.count
    for label in [true, false] {
      let all = set.labels.indices.filter { set.labels[$0] == label }.shuffled(using: &generator)
      var found: [(tokens: [Int32], label: Bool)] = []
      for index in all where found.count < count / 2 {
        let tokens = model.tokenizer.encode(Array(set.texts[index].utf8)[...]).suffix(room)
        if !tokens.isEmpty { found.append((prefix + tokens, label)) }
      }
      classes.append(found)
    }
    let each = min(classes[0].count, classes[1].count)
    let training = min(each * 2 / 3, 512)
    guard 2 * each >= ProbingSuite.leastTexts else {
      throw .data(
        "The set \(set.name) has \(counted(each, "text")) of one class; a set needs at least"
          + " \(ProbingSuite.leastTexts / 2).")
    }
    var texts = classes.flatMap { $0.prefix(training) }.shuffled(using: &generator)
    texts += classes.flatMap { $0.dropFirst(training).prefix(each - training) }
    var result = Matrix(rows: texts.count, columns: model.description.width)
    for start in stride(from: 0, to: texts.count, by: 128) {
      let group = texts[start..<min(texts.count, start + 128)].map(\.tokens)
      var captured = Matrix(
        rows: group.reduce(0) { $0 + $1.count }, columns: model.description.width)
      try model.capture(group, afterBlock: block, into: &captured)
      var end = 0
      for (place, tokens) in group.enumerated() {
        end += tokens.count
        let source = captured.row(end - 1)
        var target = result.mutableRow(start + place)
        for column in source.indices { target[column] = source[column] }
      }
    }
    self.init(
      rows: result, split: ProbeSplit(labels: texts.map(\.label), training: 2 * training))
  }

  private init(rows: consuming Matrix, split: ProbeSplit) {
    self.rows = rows
    self.split = split
  }

  /// The rows, all divided by one number, so that their mean length is √d.
  func scaled() -> Matrix {
    let norms = rows.rowNorms()
    let mean = norms.reduce(0, +) / Float(max(1, norms.count))
    let factor = mean > 0 ? Float(rows.columns).squareRoot() / mean : 1
    var result = rows.copy()
    result.forEachRow { _, row in for column in row.indices { row[column] *= factor } }
    return result
  }
}
