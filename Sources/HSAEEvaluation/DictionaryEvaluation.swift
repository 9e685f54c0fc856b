// Measures everything that a page shows about a dictionary on a set of rows, in one pass over chunks, and
// chooses the hierarchies to show.

public import HSAEModels
public import HSAETensors

/// The measurements of a dictionary.
public struct DictionaryEvaluation: Sendable {
  /// The sizes of the dictionary.
  public var shape: DictionaryShape
  /// How well it rebuilds the rows.
  public var reconstruction: ReconstructionSummary
  /// The words of experts and sublatents, and how often each was used.
  public var profiles: ExpertProfiles
  /// How clear each expert's hierarchy is, in order of experts; empty for a flat dictionary.
  public var hierarchies: [HierarchyScore]
  /// The same with sublatents shuffled between experts: what chance gives.
  public var shuffledHierarchies: [HierarchyScore]

  /// The number of rows that hierarchies were scored on, the first ones.
  public private(set) var scoredRows: Int
  /// The highest and the mean score of `shuffledHierarchies`, over experts with enough judged sublatents; nil if these are
  /// fewer than 10, because then most sublatents would stay together.
  public var shuffledScores: (highest: Double, mean: Double)? {
    let least = HierarchyScoring().minimumSublatents
    let scores = shuffledHierarchies.filter { $0.judged.count >= least }.map(\.score)
    guard scores.count >= 10, let highest = scores.max() else { return nil }
    return (highest, scores.reduce(0, +) / Double(scores.count))
  }

  /// How often latents and sublatents were used.
  public var usage: LatentUsage { profiles.usage }

  /// Measures `dictionary` on `rows` [n × d] with their `codes`; `words` are the words of the rows.
  ///
  /// Hierarchies are scored on the first `scoredRows` rows, by default all. The result does not depend on `threads`. `progress` is called with the number of rows done.
  public init(
    _ dictionary: SparseAutoencoder, rows: borrowing Matrix, codes: Codes, words: WordTable,
    scoring: HierarchyScoring = HierarchyScoring(), scoredRows: Int = .max, threads: Int = 2,
    chunk: Int = 8192, progress: (Int) -> Void = { _ in }
  ) {
    precondition(codes.count == rows.rows, "There are \(rows.rows) rows, \(codes.count) codes.")
    precondition(chunk > 0, "A chunk has at least one row.")
    shape = dictionary.shape
    var metrics = ReconstructionMetrics(width: rows.columns)
    var gains = SublatentGain(experts: shape.experts)
    profiles = ExpertProfiles(
      shape: shape, subThreshold: dictionary.activation.subThreshold)
    let scoredRows = min(scoredRows, rows.rows)
    self.scoredRows = scoredRows
    var scored = (profiles: profiles, gains: gains)
    var start = 0
    while start < rows.rows {
      // A chunk ends where scoring does.
      let end = min(start < scoredRows ? scoredRows : rows.rows, start + chunk)
      let part = codes.slice(start..<end)
      let x = rows.span.extracting(start * rows.columns..<end * rows.columns)
      let full = dictionary.decode(part, threads: threads)
      if shape.isFlat {
        metrics.add(rows: x, codes: part, reconstruction: full.span, topLevel: full.span)
      } else {
        let top = dictionary.decode(part, topLevelOnly: true, threads: threads)
        metrics.add(rows: x, codes: part, reconstruction: full.span, topLevel: top.span)
        gains.add(rows: x, codes: part, reconstruction: full.span, dictionary: dictionary)
      }
      profiles.add(part, firstRow: start)
      start = end
      if start == scoredRows { scored = (profiles, gains) }
      progress(end)
    }
    reconstruction = metrics.summary
    (hierarchies, shuffledHierarchies) = ([], [])
    guard !shape.isFlat else { return }
    hierarchies = scoring.scores(
      profiles: scored.profiles, words: words, rows: rows, count: scoredRows, gains: scored.gains)
    shuffledHierarchies = scoring.scores(
      profiles: scored.profiles, words: words, rows: rows, count: scoredRows, gains: scored.gains,
      shuffledBy: 0)
  }

  /// The `count` clearest hierarchies with a score above 0, clearest first.
  public func clearest(_ count: Int) -> [HierarchyScore] {
    Array(
      hierarchies.filter { $0.score > 0 }
        .sorted { $0.score != $1.score ? $0.score > $1.score : $0.expert < $1.expert }
        .prefix(count))
  }

  /// `count` experts drawn by `seed` from all live ones (active for at least one row), whatever their score.
  public func randomSample(_ count: Int, seed: UInt64) -> [HierarchyScore] {
    var live = hierarchies.filter { usage.experts[$0.expert] > 0 }
    var generator = SeededGenerator(seed: seed)
    let wanted = min(count, live.count)
    for index in 0..<max(0, wanted) {
      live.swapAt(index, Int.random(in: index..<live.count, using: &generator))
    }
    return Array(live.prefix(max(0, wanted)))
  }
}

extension Codes {
  func slice(_ range: Range<Int>) -> Codes {
    var result = Codes()
    let first = offsets[range.lowerBound]
    result.offsets = offsets[range.lowerBound...range.upperBound].map { $0 - first }
    result.all = Array(all[first..<offsets[range.upperBound]])
    return result
  }
}
