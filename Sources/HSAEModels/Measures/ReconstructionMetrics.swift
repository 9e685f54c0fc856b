// How well a dictionary rebuilds its vectors, added up chunk by chunk in double precision. Which
// latents fire is `LatentUsage`'s; encoding and decoding are the dictionary's.

/// How well one kind of reconstruction (in full, or by the top level alone) rebuilds the vectors.
public struct ReconstructionQuality: Hashable, Sendable, Codable {
  /// Mean over vectors of ‖x − x̂‖².
  public var squaredError: Double
  /// 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖², x̄ the mean of the whole evaluation set.
  public var explainedVariance: Double
  /// The variant published elsewhere: mean over vectors of 1 − ‖x − x̂‖² / ‖x − x̄_batch‖², where a
  /// batch is what one call of `add` was given.
  public var legacyExplainedVariance: Double
  /// Mean over vectors of the cosine of x and x̂; a zero x̂ counts as 0.
  public var cosine: Double
  /// Mean over vectors of ‖x̂‖ / ‖x‖.
  public var normRatio: Double

  /// A quality with the given numbers.
  public init(
    squaredError: Double, explainedVariance: Double, legacyExplainedVariance: Double,
    cosine: Double, normRatio: Double
  ) {
    self.squaredError = squaredError
    self.explainedVariance = explainedVariance
    self.legacyExplainedVariance = legacyExplainedVariance
    self.cosine = cosine
    self.normRatio = normRatio
  }
}

/// The numbers `ReconstructionMetrics` adds up to.
public struct ReconstructionSummary: Hashable, Sendable, Codable {
  /// Number of vectors measured.
  public var vectors: Int
  /// Mean number of active top-level latents of a vector.
  public var l0: Double
  /// The reconstruction by both levels.
  public var full: ReconstructionQuality
  /// The reconstruction by the top level alone. A flat dictionary has no other level: there it is equal to
  /// ``full``, and `hsae evaluate` prints "–" in its place.
  public var topLevel: ReconstructionQuality

  /// A summary with the given numbers.
  public init(
    vectors: Int, l0: Double, full: ReconstructionQuality, topLevel: ReconstructionQuality
  ) {
    self.vectors = vectors
    self.l0 = l0
    self.full = full
    self.topLevel = topLevel
  }
}

/// A running measurement of reconstructions. The same chunks in the same order give the same bits;
/// parts measured apart can be merged.
public struct ReconstructionMetrics: Sendable {
  /// Sums for one kind of reconstruction.
  private struct Sums: Sendable {
    var error = 0.0
    var legacy = 0.0
    var cosine = 0.0
    var normRatio = 0.0

    mutating func merge(_ other: Sums) {
      error += other.error
      legacy += other.legacy
      cosine += other.cosine
      normRatio += other.normRatio
    }
  }

  /// Width of the vectors, d.
  public let width: Int
  /// Number of vectors so far.
  public private(set) var count = 0
  private var activations = 0
  private var mean: [Double]
  /// Σ‖x − x̄‖², kept about the running mean so that no large numbers cancel.
  private var spread = 0.0
  private var full = Sums()
  private var top = Sums()
  /// Vectors with a norm above zero, over which cosine and norm ratio are averaged.
  private var nonzero = 0
  /// Vectors that differ from their batch's mean, over which the legacy variant is averaged.
  private var spreadVectors = 0

  /// A measurement of no vectors of width `width`.
  public init(width: Int) {
    self.width = width
    mean = Array(repeating: 0, count: width)
  }

  /// Adds a chunk: `rows` [n × d] the vectors, their `codes`, `reconstruction` [n × d] by both
  /// levels and `topLevel` [n × d] by the top level alone.
  public mutating func add(
    rows: Span<Float>, codes: Codes, reconstruction: Span<Float>, topLevel: Span<Float>
  ) {
    let chunk = codes.count
    precondition(
      rows.count == chunk * width && reconstruction.count == rows.count
        && topLevel.count == rows.count, "The rows, codes and reconstructions differ in number.")
    guard chunk > 0 else { return }
    activations += codes.all.count

    var chunkMean = [Double](repeating: 0, count: width)
    for row in 0..<chunk {
      for column in 0..<width { chunkMean[column] += Double(rows[row * width + column]) }
    }
    for column in 0..<width { chunkMean[column] /= Double(chunk) }

    var chunkSpread = 0.0
    for row in 0..<chunk {
      let start = row * width
      var (norm, centred) = (0.0, 0.0)
      var (fullError, fullDot, fullNorm) = (0.0, 0.0, 0.0)
      var (topError, topDot, topNorm) = (0.0, 0.0, 0.0)
      for column in 0..<width {
        let x = Double(rows[start + column])
        let f = Double(reconstruction[start + column])
        let t = Double(topLevel[start + column])
        let c = x - chunkMean[column]
        norm += x * x
        centred += c * c
        fullError += (x - f) * (x - f)
        fullDot += x * f
        fullNorm += f * f
        topError += (x - t) * (x - t)
        topDot += x * t
        topNorm += t * t
      }
      chunkSpread += centred
      full.error += fullError
      top.error += topError
      if centred > 0 {
        spreadVectors += 1
        full.legacy += 1 - fullError / centred
        top.legacy += 1 - topError / centred
      }
      if norm > 0 {
        nonzero += 1
        full.normRatio += (fullNorm / norm).squareRoot()
        top.normRatio += (topNorm / norm).squareRoot()
        if fullNorm > 0 { full.cosine += fullDot / (fullNorm * norm).squareRoot() }
        if topNorm > 0 { top.cosine += topDot / (topNorm * norm).squareRoot() }
      }
    }
    mergeMoments(count: chunk, mean: chunkMean, spread: chunkSpread)
  }

  /// Adds what `other` has measured on other vectors of the same width.
  public mutating func merge(_ other: ReconstructionMetrics) {
    precondition(width == other.width, "Widths \(width) and \(other.width) differ.")
    activations += other.activations
    full.merge(other.full)
    top.merge(other.top)
    nonzero += other.nonzero
    spreadVectors += other.spreadVectors
    mergeMoments(count: other.count, mean: other.mean, spread: other.spread)
  }

  /// The means so far. All are 0 while there are no vectors; explained variance is 0 where the
  /// vectors do not vary.
  public var summary: ReconstructionSummary {
    ReconstructionSummary(
      vectors: count, l0: ratio(Double(activations), count), full: quality(full),
      topLevel: quality(top))
  }

  private func quality(_ sums: Sums) -> ReconstructionQuality {
    ReconstructionQuality(
      squaredError: ratio(sums.error, count),
      explainedVariance: spread > 0 ? 1 - sums.error / spread : 0,
      legacyExplainedVariance: ratio(sums.legacy, spreadVectors),
      cosine: ratio(sums.cosine, nonzero), normRatio: ratio(sums.normRatio, nonzero))
  }

  private func ratio(_ sum: Double, _ count: Int) -> Double {
    count > 0 ? sum / Double(count) : 0
  }

  /// Joins the first two moments of two disjoint sets (Chan, Golub, LeVeque 1979).
  private mutating func mergeMoments(count added: Int, mean addedMean: [Double], spread s: Double) {
    guard added > 0 else { return }
    let total = Double(count + added)
    var distance = 0.0
    for column in 0..<width {
      let delta = addedMean[column] - mean[column]
      distance += delta * delta
      mean[column] += delta * Double(added) / total
    }
    spread += s + distance * Double(count) * Double(added) / total
    count += added
  }
}
