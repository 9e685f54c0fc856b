// What is measured of a row x and its reconstructions x̂, and the sums of that over rows.
// `ReconstructionMetrics` and `hsae evaluate` make their numbers from these sums.

/// Quantities of one row, or their sums over several rows, in double precision.
public struct ReconstructionSums: Hashable, Sendable {
  /// A reconstruction that is measured.
  public enum Level: Int, CaseIterable, Sendable {
    /// By both levels.
    case full
    /// By the top level alone.
    case topLevel
  }

  /// A quantity of the row itself.
  public enum RowQuantity: Int, CaseIterable, Sendable {
    /// 1.
    case rows
    /// 1 if the row is not zero.
    case nonzero
    /// ‖x‖².
    case squares
    /// ‖x − x̄‖², x̄ the mean of the evaluation set.
    case spread
    /// 1 if the row differs from the mean of its batch.
    case legacyRows
  }

  /// A quantity of the row and a reconstruction.
  public enum LevelQuantity: Int, CaseIterable, Sendable {
    /// ‖x − x̂‖².
    case error
    /// x·x̂.
    case dot
    /// ‖x̂‖².
    case rebuilt
    /// The cosine of x and x̂; 0 if one of them is zero.
    case cosine
    /// ‖x̂‖ / ‖x‖; 0 if x is zero.
    case normRatio
    /// 1 − ‖x − x̂‖² / ‖x − x̄‖², x̄ the mean of the row's batch; 0 if x is x̄.
    case legacy
  }

  /// The number of quantities.
  public static let count = firstOfLevels + Level.allCases.count * LevelQuantity.allCases.count
  private static let firstOfLevels = RowQuantity.allCases.count

  /// All quantities: those of the row, those of the full reconstruction, those of the top level.
  public private(set) var values: [Double]

  /// Sums over no rows.
  public init() { values = Array(repeating: 0, count: Self.count) }

  /// The sums that `values` of other sums hold.
  public init(_ values: some Collection<Double>) {
    precondition(values.count == Self.count, "There are \(Self.count) quantities.")
    self.values = Array(values)
  }

  /// The quantities of row `x` [d] and its reconstructions, except `spread` and those that depend on a batch.
  public init(row x: Span<Float>, reconstruction: Span<Float>, topLevel: Span<Float>) {
    precondition(
      x.count == reconstruction.count && x.count == topLevel.count,
      "The row and its reconstructions differ in width.")
    var squares = 0.0
    var (error, dot, rebuilt) = (0.0, 0.0, 0.0)
    var (topError, topDot, topRebuilt) = (0.0, 0.0, 0.0)
    for column in x.indices {
      let value = Double(x[column])
      let (f, t) = (Double(reconstruction[column]), Double(topLevel[column]))
      squares += value * value
      error += (value - f) * (value - f)
      dot += value * f
      rebuilt += f * f
      topError += (value - t) * (value - t)
      topDot += value * t
      topRebuilt += t * t
    }
    self.init()
    self[.rows] = 1
    self[.squares] = squares
    (self[.error, .full], self[.error, .topLevel]) = (error, topError)
    (self[.dot, .full], self[.dot, .topLevel]) = (dot, topDot)
    (self[.rebuilt, .full], self[.rebuilt, .topLevel]) = (rebuilt, topRebuilt)
    guard squares > 0 else { return }
    self[.nonzero] = 1
    for level in Level.allCases {
      let rebuilt = self[.rebuilt, level]
      self[.normRatio, level] = (rebuilt / squares).squareRoot()
      if rebuilt > 0 {
        self[.cosine, level] = self[.dot, level] / (rebuilt * squares).squareRoot()
      }
    }
  }

  /// A quantity of rows.
  public subscript(_ quantity: RowQuantity) -> Double {
    get { values[quantity.rawValue] }
    set { values[quantity.rawValue] = newValue }
  }

  /// A quantity of rows and the reconstructions by `level`.
  public subscript(_ quantity: LevelQuantity, _ level: Level) -> Double {
    get { values[Self.place(quantity, level)] }
    set { values[Self.place(quantity, level)] = newValue }
  }

  private static func place(_ quantity: LevelQuantity, _ level: Level) -> Int {
    firstOfLevels + level.rawValue * LevelQuantity.allCases.count + quantity.rawValue
  }

  /// The same quantities for the row and its reconstructions times `length`. Call this before `spread` and the
  /// quantities that depend on a batch are set.
  public func scaled(by length: Double) -> Self {
    var result = self
    let square = length * length
    result[.squares] *= square
    for level in Level.allCases {
      for quantity in [LevelQuantity.error, .dot, .rebuilt] { result[quantity, level] *= square }
    }
    return result
  }

  /// Sets what depends on a row's batch: `spread` is ‖x − x̄‖² with the batch's mean x̄.
  public mutating func setBatch(spread: Double) {
    guard spread > 0 else { return }
    self[.legacyRows] = 1
    for level in Level.allCases { self[.legacy, level] = 1 - self[.error, level] / spread }
  }

  /// Adds the quantities of other rows.
  public static func += (sums: inout Self, other: Self) {
    for index in sums.values.indices { sums.values[index] += other.values[index] }
  }

  /// Mean of ‖x − x̂‖².
  public func squaredError(_ level: Level) -> Double { self[.error, level] / self[.rows] }
  /// 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖².
  public func explainedVariance(_ level: Level) -> Double {
    1 - self[.error, level] / self[.spread]
  }
  /// Mean of 1 − ‖x − x̂‖² / ‖x − x̄_batch‖² over the rows that differ from their batch's mean.
  public func legacyExplainedVariance(_ level: Level) -> Double {
    self[.legacy, level] / self[.legacyRows]
  }
  /// Mean cosine of x and x̂ over rows that are not zero.
  public func cosine(_ level: Level) -> Double { self[.cosine, level] / self[.nonzero] }
  /// Mean of ‖x̂‖ / ‖x‖ over rows that are not zero.
  public func normRatio(_ level: Level) -> Double { self[.normRatio, level] / self[.nonzero] }
  /// Σ‖x̂‖² / Σ x·x̂: below 1 where reconstructions shrink.
  public func relativeBias(_ level: Level) -> Double { self[.rebuilt, level] / self[.dot, level] }

  /// The numbers of `level`, 0 where there are no rows to take a mean of.
  public func quality(_ level: Level) -> ReconstructionQuality {
    func number(_ quantity: RowQuantity, _ mean: (Level) -> Double) -> Double {
      self[quantity] > 0 ? mean(level) : 0
    }
    return ReconstructionQuality(
      squaredError: number(.rows, squaredError),
      explainedVariance: number(.spread, explainedVariance),
      legacyExplainedVariance: number(.legacyRows, legacyExplainedVariance),
      cosine: number(.nonzero, cosine), normRatio: number(.nonzero, normRatio))
  }
}

extension Span where Element == Float {
  /// ‖`scale`·x − mean‖² of the row x, in double precision.
  public func squaredDistance(from mean: [Double], scale: Double = 1) -> Double {
    precondition(count == mean.count, "The row and the mean differ in width.")
    var sum = 0.0
    for column in indices {
      let difference = scale * Double(self[column]) - mean[column]
      sum += difference * difference
    }
    return sum
  }

  /// Adds the row, times `scale`, to `sums` in double precision.
  public func add(to sums: inout [Double], scale: Double = 1) {
    precondition(count == sums.count, "The row and the sums differ in width.")
    for column in indices { sums[column] += scale * Double(self[column]) }
  }
}
