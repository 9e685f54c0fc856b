// What `hsae bench` found, as `--json` prints it.

public import HSAEModels
internal import HSAERuns

/// A measurement of training steps. Times are medians over blocks of steps.
public struct BenchResult: Codable, Hashable, Sendable {
  /// The dictionary's sizes.
  public var shape: DictionaryShape
  /// Rows in a batch.
  public var batch: Int
  /// Arithmetic of the dense products.
  public var precision: String
  /// Threads used.
  public var threads: Int
  /// Steps the weights were trained for before the measurement.
  public var trainedSteps: Int
  /// Rows trained per second.
  public var tokensPerSecond: Double
  /// Seconds of one step, reading included where it is not hidden behind the step before.
  public var secondsPerStep: Double
  /// The fastest and the slowest block's seconds per step.
  public var secondsRange: [Double]
  /// Seconds of each phase in a step of the median block.
  public var phases: [String: Double]
  /// Share of latents at or above the threshold in the last step, where it is counted.
  public var aboveThreshold: Double?
  /// What the machine would allow for one step, products in `precision` (docs/architecture.md).
  public var limitSeconds: Double
  /// `secondsPerStep` over `limitSeconds`.
  public var stepOverLimit: Double
  /// The limit with products in fp32: the yardstick on processors without a matrix unit.
  public var limitSecondsFloat32: Double
  /// `secondsPerStep` over `limitSecondsFloat32`.
  public var stepOverLimitFloat32: Double
  /// Operations per second of the encoder product alone, in `precision`.
  public var productRate: Double
  /// The same in fp32.
  public var productRateFloat32: Double
  /// Bytes per second of memory.
  public var bandwidth: Double
  /// Operations per second of the encoder product in the step: 2·B·m·d over all of the phase encode.
  public var encodeRate: Double
  /// Bytes per second of the optimizer pass: `RowCost.optimizerBytes` of a batch over the phase update.
  public var optimizerRate: Double
  /// Rows in a batch of the comparison with a flat dictionary; the four below belong to it.
  public var comparisonBatch: Int?
  /// Seconds of a hierarchical step in the comparison.
  public var hierarchicalSecondsPerStep: Double?
  /// Seconds of a step of the flat dictionary of equal m and k, AuxK idle, on the same engine.
  public var flatSecondsPerStep: Double?
  /// The first over the second: median of the ratios of neighbouring blocks.
  public var hierarchicalOverFlat: Double?
  /// The same ratio of their limits, products in `precision`.
  public var hierarchicalOverFlatLimit: Double?
  /// The same ratio of their limits, products in fp32.
  public var hierarchicalOverFlatLimitFloat32: Double?
  /// Operations and bytes of one row, counted.
  public var cost: RowCost
}

/// The middle of `values`; of an even number, the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
