// Measures how one dictionary rebuilds the rows of an evaluation: sums over rows, document by document, of
// which RowNumbers.swift makes the numbers.

public import HSAEDistribution
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// The quantities of one row, or their sums over the rows of a document.
struct RowQuantities {
  /// The sums for rows as the dictionary sees them.
  var seen: ReconstructionSums
  /// The sums for rows at their own lengths.
  var unscaled: ReconstructionSums
  /// Active experts.
  var experts: Double
  /// Active sublatents.
  var sublatents: Double
  /// Sublatents whose code is not 0. Their codes take part in the reconstruction, also below the threshold.
  var sublatentCodes: Double
  /// For each of `WhitenedSpace.sources`: ‖(x − x̄)·W‖², and ‖(x − x̂)·W‖² by both levels and by the top level; 0 if they
  /// are not measured.
  var whitened: [Double]

  static let count = 2 * ReconstructionSums.count + 3 + 3 * WhitenedSpace.sources.count

  /// All quantities, as `GroupedSums` adds them up.
  var values: [Double] {
    seen.values + unscaled.values + [experts, sublatents, sublatentCodes] + whitened
  }

  /// Explained variance in the whitened space of the source with the index `source`.
  func whitenedVariance(_ source: Int, _ level: ReconstructionSums.Level) -> Double {
    1 - whitened[3 * source + (level == .full ? 1 : 2)] / whitened[3 * source]
  }
}

extension RowQuantities {
  /// The quantities that `values` holds.
  init(_ values: [Double]) {
    let size = ReconstructionSums.count
    seen = ReconstructionSums(values[..<size])
    unscaled = ReconstructionSums(values[size..<2 * size])
    (experts, sublatents) = (values[2 * size], values[2 * size + 1])
    sublatentCodes = values[2 * size + 2]
    whitened = Array(values[(2 * size + 3)...])
  }
}

/// A whitened space in which errors are measured too.
struct WhitenedSpace {
  /// The sources, in the order of their numbers in `RowQuantities.whitened`.
  static let sources: [WhiteningSettings.Source] = [.activations, .unembedding]

  let source: WhiteningSettings.Source
  /// The run whose whitening it is.
  let run: String
  /// How rows are normalised before.
  let normalize: Normalisation
  /// x ↦ x·W.
  let product: RowProduct

  /// The spaces of those of `runs` that were trained on whitened rows: of each source the first.
  static func all(of runs: [LoadedRun], threads: Int) throws(Failure) -> [WhitenedSpace] {
    var result: [WhitenedSpace] = []
    for run in runs {
      guard let settings = run.description.training?.whitening,
        !result.contains(where: { $0.source == settings.source }),
        let whitening = try run.directory.whitening()
      else { continue }
      result.append(
        WhitenedSpace(
          source: settings.source, run: run.name, normalize: run.description.normalize,
          product: RowProduct(
            whitening.matrix.map { Float($0) }, width: whitening.width, workers: threads)))
    }
    return result
  }

  /// Sets the quantities of this space for the rows `x`, whose mean is `mean`, and their reconstructions.
  func measure(
    _ x: borrowing Matrix, _ full: borrowing Matrix, _ top: borrowing Matrix, mean: [Double],
    threads: Int, into quantities: inout [[Double]]
  ) {
    guard let place = Self.sources.firstIndex(of: source) else { return }
    /// ‖(x − other)·W‖² of each row.
    func distances(_ other: borrowing Matrix) -> [Double] {
      var differences = x.copy()
      differences.forEachRow(threads: threads) { index, row in
        let own = other.row(other.rows == 1 ? 0 : index)
        for column in row.indices { row[column] -= own[column] }
      }
      return product.squaredNorms(of: differences, threads: threads)
    }
    let spread = distances(Matrix(rows: 1, columns: mean.count, elements: mean.map { Float($0) }))
    let (errors, topErrors) = (distances(full), distances(top))
    for row in quantities.indices {
      quantities[row].replaceSubrange(
        3 * place..<3 * place + 3, with: [spread[row], errors[row], topErrors[row]])
    }
  }
}

/// How one dictionary rebuilds the rows of an evaluation.
public struct RowMeasurement: Sendable {
  /// The values of `RowQuantities`, document by document.
  let sums: GroupedSums
  /// How often latents were used.
  public let usage: LatentUsage
  /// dictionary_learning's explained variance: the mean over batches of 1 − Σ var(x − x̂) / Σ var(x), x̂ by
  /// both levels.
  let batchVariance: Double
  /// Number of rows that have as many active latents as the shape allows.
  let fullRows: Int
  let width: Int
  /// The sources of the whitened spaces that were measured, as indices of `WhitenedSpace.sources`.
  let whitenedSources: [Int]

  /// Measures `run` on `rows`; each of `ranks` measures some of the chunks. The result does not depend on
  /// `threads`. It depends on the number of ranks only by the rounding of sums. `progress` is called with the number
  /// of rows done and the number this rank measures.
  public init(
    _ run: LoadedRun, on rows: EvaluationRows, threads: Int,
    ranks: any Communicator = SingleProcess(),
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(Failure) {
    try self.init(run, on: rows, whitened: [], threads: threads, ranks: ranks, progress: progress)
  }

  /// The same, with errors in the spaces `whitened` of rows that are normalised as for this run.
  init(
    _ run: LoadedRun, on rows: EvaluationRows, whitened all: [WhitenedSpace], threads: Int,
    ranks: any Communicator = SingleProcess(),
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(Failure) {
    let spaces = all.filter { $0.normalize == run.description.normalize }
    let dictionary = run.dictionary
    let chunks = rows.chunks[ranks.share(of: rows.chunks.count)]
    let means = try Means(run, rows, chunks, ranks)
    var sums = GroupedSums(groups: rows.groupCount, quantities: RowQuantities.count)
    var usage = LatentUsage(
      shape: dictionary.shape, subThreshold: dictionary.activation.subThreshold)
    var fullRows = 0
    var variance = 0.0
    let total = chunks.reduce(0) { $0 + $1.count }
    var done = 0
    try ranks.agree { () throws(Failure) in
      for range in chunks {
        let x = try rows.matrix(range, for: run)
        let codes = dictionary.encode(x, threads: threads)
        let full = dictionary.decode(codes, threads: threads)
        let top = dictionary.decode(codes, topLevelOnly: true, threads: threads)
        usage.add(codes)
        let scaling = means.scaling.part(range)
        let batch = BatchStatistics(x, full, scaling)
        var whitened = [[Double]](
          repeating: [Double](repeating: 0, count: 3 * WhitenedSpace.sources.count),
          count: range.count)
        for space in spaces {
          space.measure(x, full, top, mean: means.seen, threads: threads, into: &whitened)
        }
        variance += batch.explainedVariance
        for row in 0..<range.count {
          let (values, length) = (x.row(row), Double(scaling.factors[row]))
          var seen = ReconstructionSums(
            row: values, reconstruction: full.row(row), topLevel: top.row(row))
          var unscaled = seen.scaled(by: length)
          let own = scaling.means.isEmpty ? [] : scaling.restored(values, row: row)
          if !own.isEmpty {
            let (whole, high) = (
              scaling.restored(full.row(row), row: row), scaling.restored(top.row(row), row: row)
            )
            unscaled = ReconstructionSums(
              row: own.span, reconstruction: whole.span, topLevel: high.span)
          }
          func distance(from mean: [Double]) -> Double {
            own.isEmpty
              ? values.squaredDistance(from: mean, scale: length)
              : own.span.squaredDistance(from: mean)
          }
          seen[.spread] = values.squaredDistance(from: means.seen)
          seen.setBatch(spread: values.squaredDistance(from: batch.mean))
          unscaled[.spread] = distance(from: means.unscaled)
          unscaled.setBatch(spread: distance(from: batch.unscaledMean))
          let active = codes[row].count {
            $0.activeSublatent(threshold: usage.subThreshold) != nil
          }
          if codes[row].count == dictionary.shape.activeExperts { fullRows += 1 }
          let quantities = RowQuantities(
            seen: seen, unscaled: unscaled, experts: Double(codes[row].count),
            sublatents: Double(active),
            sublatentCodes: Double(codes[row].count(where: \.hasSublatentCode)),
            whitened: whitened[row])
          sums.add(quantities.values.span, ofGroup: Int(rows.groups[range.lowerBound + row]))
        }
        done += range.count
        progress(done, total)
      }
    }
    var counts = [variance, Double(fullRows)]
    ranks.sumByParts(&counts)
    sums.sum(over: ranks)
    usage.sum(over: ranks)
    try ranks.check()
    self.sums = sums
    self.usage = usage
    batchVariance = counts[0] / Double(max(1, rows.chunks.count))
    width = dictionary.shape.width
    whitenedSources = WhitenedSpace.sources.indices.filter { index in
      spaces.contains { $0.source == WhitenedSpace.sources[index] }
    }
    self.fullRows = Int(counts[1])
  }
}

/// The means of an evaluation set.
private struct Means {
  /// The sums for rows as the dictionary sees them.
  let seen: [Double]
  /// The sums for rows at their own lengths.
  let unscaled: [Double]
  /// What restores the rows in the chunks that were read; 1 and 0 for the others.
  let scaling: RowScaling

  /// The means of `rows`; `chunks` are those that this one of `ranks` reads.
  init(
    _ run: LoadedRun, _ rows: EvaluationRows, _ chunks: ArraySlice<Range<Int>>,
    _ ranks: any Communicator
  ) throws(Failure) {
    var all = RowScaling(factors: [Float](repeating: 1, count: rows.count))
    if run.description.normalize == .layerNorm {
      all.means = [Float](repeating: 0, count: rows.count)
    }
    var seen = [Double](repeating: 0, count: run.shape.width)
    var unscaled = seen
    try ranks.agree { () throws(Failure) in
      for range in chunks {
        var own = RowScaling(factors: [])
        let x = try rows.matrix(range, for: run, scaling: &own)
        all.factors.replaceSubrange(range, with: own.factors)
        if !own.means.isEmpty { all.means.replaceSubrange(range, with: own.means) }
        for row in 0..<range.count {
          x.row(row).add(to: &seen)
          own.add(x.row(row), row: row, to: &unscaled)
        }
      }
    }
    ranks.sumByParts(&seen)
    ranks.sumByParts(&unscaled)
    try ranks.check()
    let count = Double(max(1, rows.count))
    self.seen = seen.map { $0 / count }
    self.unscaled = unscaled.map { $0 / count }
    scaling = all
  }
}

/// What the rows of a chunk are compared with.
private struct BatchStatistics {
  /// The mean of the rows as the dictionary sees them, and of the rows of the model.
  let mean: [Double]
  let unscaledMean: [Double]
  /// 1 − Σ var(x − x̂) / Σ var(x); 0 if the rows do not vary.
  let explainedVariance: Double

  init(_ x: borrowing Matrix, _ rebuilt: borrowing Matrix, _ scaling: RowScaling) {
    let count = Double(max(1, x.rows))
    var sum = [Double](repeating: 0, count: x.columns)
    var (unscaledSum, errorSum) = (sum, sum)
    var (square, errorSquare) = (0.0, 0.0)
    for row in 0..<x.rows {
      let (values, back) = (x.row(row), rebuilt.row(row))
      values.add(to: &sum)
      scaling.add(values, row: row, to: &unscaledSum)
      for column in values.indices {
        let value = Double(values[column])
        let error = value - Double(back[column])
        errorSum[column] += error
        square += value * value
        errorSquare += error * error
      }
    }
    func variance(_ squares: Double, _ sums: [Double]) -> Double {
      squares - sums.reduce(0) { $0 + $1 * $1 } / count
    }
    mean = sum.map { $0 / count }
    unscaledMean = unscaledSum.map { $0 / count }
    let total = variance(square, sum)
    explainedVariance = total > 0 ? 1 - variance(errorSquare, errorSum) / total : 0
  }
}

extension RowScaling {
  /// The scaling of the rows `range`.
  fileprivate func part(_ range: Range<Int>) -> RowScaling {
    RowScaling(
      factors: Array(factors[range]), means: means.isEmpty ? [] : Array(means[range]))
  }

  /// Row `row`, or its reconstruction, in the scale of the model.
  fileprivate func restored(_ values: Span<Float>, row: Int) -> [Float] {
    values.indices.map { restored(values[$0], row: row) }
  }

  /// Adds row `row`, in the scale of the model, to `sums`.
  fileprivate func add(_ values: Span<Float>, row: Int, to sums: inout [Double]) {
    values.add(to: &sums, scale: Double(factors[row]))
    guard !means.isEmpty else { return }
    for column in sums.indices { sums[column] += Double(means[row]) }
  }
}
