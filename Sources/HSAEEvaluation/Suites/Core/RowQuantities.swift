// What is added up over the rows of an evaluation, document by document, for one dictionary: everything
// that reconstruction's numbers are ratios of.

public import HSAEDistribution
import HSAEModels
public import HSAESupport
import HSAETensors
public import HSAERuns

/// The quantities of one row, summed over the rows of a document.
enum RowQuantity: Int, CaseIterable {
  /// 1, and 1 for rows that are not zero.
  case rows, nonzero
  /// ‖x‖² and ‖x − x̄‖², x̄ the mean of the evaluation set.
  case squares, spread
  /// ‖x − x̂‖², by both levels and by the top level alone.
  case error, topError
  /// cos(x, x̂) and ‖x̂‖ / ‖x‖.
  case cosine, topCosine, ratio, topRatio
  /// x·x̂ and ‖x̂‖².
  case dot, topDot, rebuilt, topRebuilt
  /// Active experts; chosen sublatents with a code at or above the threshold.
  case active, relevant
  /// ‖x‖², ‖x − x̄‖², ‖x − x̂‖², x·x̂ and ‖x̂‖² of rows with their own lengths.
  case ownSquares, ownSpread, ownError, ownTopError, ownDot, ownRebuilt
  /// 1 − ‖x − x̂‖² / ‖x − x̄‖² with x̄ the mean of a batch, over rows that differ from it, and their number.
  case legacy, topLegacy, legacyRows
  /// The same of rows with their own lengths.
  case ownLegacy, ownTopLegacy, ownLegacyRows
}

/// How one dictionary rebuilds the rows of an evaluation.
public struct RowMeasurement: Sendable {
  /// The quantities of `RowQuantity`, document by document.
  let sums: GroupedSums
  /// How often latents were used.
  public let usage: LatentUsage
  /// dictionary_learning's explained variance: the mean over batches of 1 − Σ var(x − x̂) / Σ var(x).
  let batchVariance: (full: Double, topLevel: Double)
  /// Rows that have as many active latents as the shape allows.
  let fullRows: Int
  /// Width of the rows.
  let width: Int

  /// Measures `run` on `rows`, of which each of `ranks` does some chunks. The result does not depend on
  /// `threads`, and on the number of ranks only by the rounding of sums.
  public init(
    _ run: LoadedRun, on rows: EvaluationRows, threads: Int,
    ranks: any Communicator = SingleProcess()
  ) throws(Failure) {
    let dictionary = run.dictionary
    let width = dictionary.shape.width
    let own = rows.chunks[ranks.share(of: rows.chunks.count)]
    let means = try Means(run, rows, own, ranks)
    var sums = GroupedSums(groups: rows.groupCount, quantities: RowQuantity.allCases.count)
    var usage = LatentUsage(
      shape: dictionary.shape, subThreshold: dictionary.activation.subThreshold)
    var fullRows = 0
    var variances = (full: 0.0, topLevel: 0.0)
    try ranks.agree { () throws(Failure) in
      for range in own {
        let x = try rows.matrix(range, for: run)
        let codes = dictionary.encode(x, threads: threads)
        let full = dictionary.decode(codes, threads: threads)
        let top = dictionary.decode(codes, topLevelOnly: true, threads: threads)
        usage.add(codes)
        let chunk = RowChunk(
          x: x.span, full: full.span, top: top.span, width: width, first: range.lowerBound)
        let batch = chunk.batchStatistics(norm: means.norm)
        variances.full += batch.fullVariance
        variances.topLevel += batch.topVariance
        let quantities = RowQuantity.allCases.count
        var values = [Double](repeating: 0, count: quantities)
        for row in 0..<range.count {
          let relevant = codes[row].count {
            $0.sublatent >= 0 && $0.subValue >= usage.subThreshold
          }
          chunk.measure(
            row, means: means, batchMean: batch.mean, ownBatchMean: batch.ownMean,
            norm: means.norm(range.lowerBound + row), into: &values)
          values[RowQuantity.active.rawValue] = Double(codes[row].count)
          if codes[row].count == dictionary.shape.activeExperts { fullRows += 1 }
          values[RowQuantity.relevant.rawValue] = Double(relevant)
          sums.add(values.span, ofGroup: Int(rows.groups[range.lowerBound + row]))
        }
      }
    }
    var counts = [variances.full, variances.topLevel, Double(fullRows)]
    ranks.sumByParts(&counts)
    sums.sum(over: ranks)
    usage.sum(over: ranks)
    try ranks.check()
    let batches = Double(max(1, rows.chunks.count))
    self.sums = sums
    self.usage = usage
    batchVariance = (counts[0] / batches, counts[1] / batches)
    self.width = width
    self.fullRows = Int(counts[2])
  }
}

/// The means of an evaluation set: of rows as the dictionary sees them, and with their own lengths.
private struct Means {
  var unit: [Double]
  var own: [Double]
  /// Of the chunks that were read.
  private let norms: [Float]

  /// `chunks` are those of `rows` that this one of `ranks` reads.
  init(
    _ run: LoadedRun, _ rows: EvaluationRows, _ chunks: ArraySlice<Range<Int>>,
    _ ranks: any Communicator
  ) throws(Failure) {
    let width = run.shape.width
    var norms = [Float](repeating: 1, count: rows.count)
    var sums = [Double](repeating: 0, count: 2 * width)
    try ranks.agree { () throws(Failure) in
      for range in chunks {
        var lengths: [Float] = []
        let x = try rows.matrix(range, for: run, lengths: &lengths)
        norms.replaceSubrange(range, with: lengths)
        for row in 0..<range.count {
          let values = x.row(row)
          let norm = Double(lengths[row])
          for column in 0..<width {
            let value = Double(values[column])
            sums[column] += value
            sums[width + column] += norm * value
          }
        }
      }
    }
    ranks.sumByParts(&sums)
    try ranks.check()
    let count = Double(max(1, rows.count))
    unit = sums[..<width].map { $0 / count }
    own = sums[width...].map { $0 / count }
    self.norms = norms
  }

  func norm(_ row: Int) -> Double { Double(norms[row]) }
}

/// A chunk of rows with their reconstructions.
private struct RowChunk: ~Escapable {
  let x: Span<Float>
  let full: Span<Float>
  let top: Span<Float>
  let width: Int
  let first: Int

  @_lifetime(copy x, copy full, copy top)
  init(x: Span<Float>, full: Span<Float>, top: Span<Float>, width: Int, first: Int) {
    (self.width, self.first) = (width, first)
    self.x = x
    self.full = full
    self.top = top
  }

  /// The mean of the chunk's rows, the same with their own lengths, and 1 − Σ var(x − x̂) / Σ var(x) within it.
  func batchStatistics(
    norm: (Int) -> Double
  ) -> (mean: [Double], ownMean: [Double], fullVariance: Double, topVariance: Double) {
    let count = Double(max(1, x.count / width))
    var mean = [Double](repeating: 0, count: width)
    var (ownMean, fullMean, topMean) = (mean, mean, mean)
    var (square, fullSquare, topSquare) = (0.0, 0.0, 0.0)
    for start in stride(from: 0, to: x.count, by: width) {
      let length = norm(first + start / width)
      for column in 0..<width {
        let value = Double(x[start + column])
        let fullError = value - Double(full[start + column])
        let topError = value - Double(top[start + column])
        mean[column] += value
        ownMean[column] += length * value
        fullMean[column] += fullError
        topMean[column] += topError
        square += value * value
        fullSquare += fullError * fullError
        topSquare += topError * topError
      }
    }
    func variance(_ squares: Double, _ sums: [Double]) -> Double {
      squares - sums.reduce(0) { $0 + $1 * $1 } / count
    }
    let total = variance(square, mean)
    return (
      mean.map { $0 / count }, ownMean.map { $0 / count },
      total > 0 ? 1 - variance(fullSquare, fullMean) / total : 0,
      total > 0 ? 1 - variance(topSquare, topMean) / total : 0
    )
  }

  /// The quantities of row `row` but for those of its codes.
  func measure(
    _ row: Int, means: Means, batchMean: [Double], ownBatchMean: [Double], norm: Double,
    into values: inout [Double]
  ) {
    let start = row * width
    var (squares, spread, ownSpread) = (0.0, 0.0, 0.0)
    var (batchSpread, ownBatchSpread) = (0.0, 0.0)
    var (error, dot, rebuilt) = (0.0, 0.0, 0.0)
    var (topError, topDot, topRebuilt) = (0.0, 0.0, 0.0)
    for column in 0..<width {
      let value = Double(x[start + column])
      let (f, t) = (Double(full[start + column]), Double(top[start + column]))
      squares += value * value
      spread += (value - means.unit[column]) * (value - means.unit[column])
      batchSpread += (value - batchMean[column]) * (value - batchMean[column])
      let own = norm * value - means.own[column]
      ownSpread += own * own
      let ownFromBatch = norm * value - ownBatchMean[column]
      ownBatchSpread += ownFromBatch * ownFromBatch
      error += (value - f) * (value - f)
      dot += value * f
      rebuilt += f * f
      topError += (value - t) * (value - t)
      topDot += value * t
      topRebuilt += t * t
    }
    func set(_ quantity: RowQuantity, _ value: Double) { values[quantity.rawValue] = value }
    set(.rows, 1)
    set(.nonzero, squares > 0 ? 1 : 0)
    set(.squares, squares)
    set(.spread, spread)
    set(.error, error)
    set(.topError, topError)
    set(.dot, dot)
    set(.topDot, topDot)
    set(.rebuilt, rebuilt)
    set(.topRebuilt, topRebuilt)
    set(.cosine, squares > 0 && rebuilt > 0 ? dot / (squares * rebuilt).squareRoot() : 0)
    set(
      .topCosine, squares > 0 && topRebuilt > 0 ? topDot / (squares * topRebuilt).squareRoot() : 0)
    set(.ratio, squares > 0 ? (rebuilt / squares).squareRoot() : 0)
    set(.topRatio, squares > 0 ? (topRebuilt / squares).squareRoot() : 0)
    let scale = norm * norm
    set(.ownSquares, scale * squares)
    set(.ownSpread, ownSpread)
    set(.ownError, scale * error)
    set(.ownTopError, scale * topError)
    set(.ownDot, scale * dot)
    set(.ownRebuilt, scale * rebuilt)
    set(.legacyRows, batchSpread > 0 ? 1 : 0)
    set(.legacy, batchSpread > 0 ? 1 - error / batchSpread : 0)
    set(.topLegacy, batchSpread > 0 ? 1 - topError / batchSpread : 0)
    set(.ownLegacyRows, ownBatchSpread > 0 ? 1 : 0)
    set(.ownLegacy, ownBatchSpread > 0 ? 1 - scale * error / ownBatchSpread : 0)
    set(.ownTopLegacy, ownBatchSpread > 0 ? 1 - scale * topError / ownBatchSpread : 0)
  }
}
