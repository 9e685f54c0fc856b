// The result of `hsae bench`, as `--json` prints it.

public import HSAEModels

/// A measurement of training steps. Times are medians over blocks of steps.
public struct BenchResult: Codable, Hashable, Sendable {
  /// The dictionary's sizes.
  public var shape: DictionaryShape
  /// How active latents are selected: topk, batchtopk or jumprelu.
  public var selection: String
  /// Mean number of active experts of a row in the last step.
  public var l0: Double
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
  /// Seconds of one step, with reading where the step before does not hide it.
  public var secondsPerStep: Double
  /// The fastest and the slowest block's seconds per step.
  public var secondsRange: [Double]
  /// Seconds of each phase in a step of the median block.
  public var phases: [String: Double]
  /// Share of latents at or above the threshold in the last step; nil if it is not counted.
  public var aboveThreshold: Double?
  /// The shortest time that the machine would allow for one step, with products in `precision`
  /// (docs/architecture.md).
  public var limitSeconds: Double
  /// `secondsPerStep` over `limitSeconds`.
  public var stepOverLimit: Double
  /// The limit with products in fp32: the measure to compare with on processors without a matrix unit.
  public var limitSecondsFloat32: Double
  /// `secondsPerStep` over `limitSecondsFloat32`.
  public var stepOverLimitFloat32: Double
  /// The least time of a step's (row, expert) pairs, which the limits above leave out: their operations at the fp32
  /// product's rate, or their bytes at `cacheBandwidth`.
  public var pairLimitSeconds: Double
  /// `secondsPerStep` over the sum of `limitSeconds` and `pairLimitSeconds`.
  public var stepOverLimitWithPairs: Double
  /// `secondsPerStep` over the sum of `limitSecondsFloat32` and `pairLimitSeconds`.
  public var stepOverLimitFloat32WithPairs: Double
  /// Operations per second of the encoder product alone, in `precision`.
  public var productRate: Double
  /// The same in fp32.
  public var productRateFloat32: Double
  /// Bytes per second of memory.
  public var bandwidth: Double
  /// Bytes per second of the nearest cache that holds the rows of a batch and their reconstructions.
  public var cacheBandwidth: Double
  /// Operations per second of the encoder product within the step: 2·B·m·d divided by the time of the phase
  /// encode.
  public var encodeRate: Double
  /// Bytes per second of the optimizer: `RowCost.optimizerBytes` of a batch divided by the time of the phase
  /// update.
  public var optimizerRate: Double
  /// Rows in a batch of the comparison with a flat dictionary. This and the six values below are nil without
  /// a comparison.
  public var comparisonBatch: Int?
  /// Seconds of a hierarchical step in the comparison.
  public var hierarchicalSecondsPerStep: Double?
  /// Seconds of a step of the flat dictionary with the same m and k, AuxK idle, on the same engine.
  public var flatSecondsPerStep: Double?
  /// The first divided by the second: median of the ratios of neighbouring blocks.
  public var hierarchicalOverFlat: Double?
  /// The same ratio of their limits, products in `precision`.
  public var hierarchicalOverFlatLimit: Double?
  /// The same ratio of their limits, products in fp32.
  public var hierarchicalOverFlatLimitFloat32: Double?
  /// The same ratio of their limits with pairs, products in `precision`.
  public var hierarchicalOverFlatLimitWithPairs: Double?
  /// Operations and bytes of one row, computed from the sizes.
  public var cost: RowCost
}

/// The median of `values`; for an even number of values, the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
