// How well a dictionary rebuilds rows, measured chunk by chunk. `ReconstructionSums` defines the quantities;
// `LatentUsage` counts which latents are active.

/// How well one kind of reconstruction (by both levels, or by the top level alone) rebuilds the rows.
public struct ReconstructionQuality: Hashable, Sendable, Codable {
  /// Mean of ‖x − x̂‖².
  public var squaredError: Double
  /// 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖², x̄ the mean of all rows.
  public var explainedVariance: Double
  /// The variant that others publish: mean of 1 − ‖x − x̂‖² / ‖x − x̄_batch‖², a batch being the chunk of
  /// one call of `add`.
  public var legacyExplainedVariance: Double
  /// Mean cosine of x and x̂; 0 for a row with x̂ = 0.
  public var cosine: Double
  /// Mean of ‖x̂‖ / ‖x‖.
  public var normRatio: Double
}

/// What `ReconstructionMetrics` measured.
public struct ReconstructionSummary: Hashable, Sendable, Codable {
  /// Number of rows measured.
  public var vectors: Int
  /// Mean number of active top-level latents of a row.
  public var l0: Double
  /// Mean number of codes of a row, those of both levels.
  public var codes: Double
  /// The reconstruction by both levels.
  public var full: ReconstructionQuality
  /// The reconstruction by the top level alone. A flat dictionary has only that level: here it equals
  /// ``full``, and `hsae evaluate` prints "–" in its place.
  public var topLevel: ReconstructionQuality
}

/// A running measurement of reconstructions. The same chunks in the same order give the same bits.
public struct ReconstructionMetrics: Sendable {
  /// Width of the rows, d.
  public let width: Int
  /// Number of rows so far.
  public private(set) var count = 0
  private var active = 0
  private var sublatentCodes = 0
  private var mean: [Double]
  /// `spread` is kept about the running mean, so that no large numbers cancel.
  private var sums = ReconstructionSums()

  /// A measurement of no rows of width `width`.
  public init(width: Int) {
    self.width = width
    mean = Array(repeating: 0, count: width)
  }

  /// Adds a chunk: `rows` [n × d], their `codes`, `reconstruction` [n × d] by both levels and `topLevel`
  /// [n × d] by the top level alone.
  public mutating func add(
    rows: Span<Float>, codes: Codes, reconstruction: Span<Float>, topLevel: Span<Float>
  ) {
    let chunk = codes.count
    precondition(
      rows.count == chunk * width && reconstruction.count == rows.count
        && topLevel.count == rows.count, "The rows, codes and reconstructions differ in number.")
    guard chunk > 0 else { return }
    active += codes.all.count
    sublatentCodes += codes.all.count(where: \.hasSublatentCode)
    let ranges = (0..<chunk).map { $0 * width..<($0 + 1) * width }
    var chunkMean = [Double](repeating: 0, count: width)
    for range in ranges { rows.extracting(range).add(to: &chunkMean) }
    for column in 0..<width { chunkMean[column] /= Double(chunk) }
    var chunkSpread = 0.0
    for range in ranges {
      let x = rows.extracting(range)
      var row = ReconstructionSums(
        row: x, reconstruction: reconstruction.extracting(range),
        topLevel: topLevel.extracting(range))
      let spread = x.squaredDistance(from: chunkMean)
      row.setBatch(spread: spread)
      chunkSpread += spread
      sums += row
    }
    mergeMoments(count: chunk, mean: chunkMean, spread: chunkSpread)
  }

  /// The means so far. All are 0 while there are no rows; explained variance is 0 where the rows do not vary.
  public var summary: ReconstructionSummary {
    ReconstructionSummary(
      vectors: count, l0: count > 0 ? Double(active) / Double(count) : 0,
      codes: count > 0 ? Double(active + sublatentCodes) / Double(count) : 0,
      full: sums.quality(.full), topLevel: sums.quality(.topLevel))
  }

  /// Joins the first two moments of two disjoint sets (Chan, Golub, LeVeque 1979).
  private mutating func mergeMoments(count added: Int, mean addedMean: [Double], spread: Double) {
    let total = Double(count + added)
    var distance = 0.0
    for column in 0..<width {
      let delta = addedMean[column] - mean[column]
      distance += delta * delta
      mean[column] += delta * Double(added) / total
    }
    sums[.spread] += spread + distance * Double(count) * Double(added) / total
    count += added
  }
}
