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

  /// How often latents and sublatents were used.
  public var usage: LatentUsage { profiles.usage }

  /// Measures `dictionary` on `rows` [n × d] with their `codes`; `words` are the words of the rows.
  ///
  /// The result does not depend on `threads`. `progress` is called with the number of rows done.
  public init(
    _ dictionary: SparseAutoencoder, rows: borrowing Matrix, codes: Codes, words: WordTable,
    scoring: HierarchyScoring = HierarchyScoring(), threads: Int = 2, chunk: Int = 8192,
    progress: (Int) -> Void = { _ in }
  ) {
    precondition(codes.count == rows.rows, "There are \(rows.rows) rows, \(codes.count) codes.")
    precondition(chunk > 0, "A chunk has at least one row.")
    shape = dictionary.shape
    var metrics = ReconstructionMetrics(width: rows.columns)
    var gains = SublatentGain(experts: shape.experts)
    profiles = ExpertProfiles(
      shape: shape, subThreshold: dictionary.activation.subThreshold)
    var start = 0
    while start < rows.rows {
      let end = min(rows.rows, start + chunk)
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
      progress(end)
    }
    reconstruction = metrics.summary
    hierarchies =
      shape.isFlat
      ? [] : scoring.scores(profiles: profiles, words: words, rows: rows, gains: gains)
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
