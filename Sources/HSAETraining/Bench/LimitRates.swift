// The least time that a training step needs on a machine of given rates (docs/architecture.md, "The limit").

internal import HSAEModels
internal import HSAERuns

/// Rates of the machine, from which the limit of a step follows.
public struct LimitRates: Hashable, Sendable {
  /// Operations per second of the encoder product alone, in the run's arithmetic.
  public var product: Double
  /// The same in fp32.
  public var productFloat32: Double
  /// Bytes per second of memory.
  public var bandwidth: Double
  /// Bytes per second of the nearest cache that holds the rows of a batch and their reconstructions.
  public var cacheBandwidth: Double

  /// The larger of two measurements, rate by rate.
  func best(_ other: LimitRates) -> LimitRates {
    LimitRates(
      product: max(product, other.product),
      productFloat32: max(productFloat32, other.productFloat32),
      bandwidth: max(bandwidth, other.bandwidth),
      cacheBandwidth: max(cacheBandwidth, other.cacheBandwidth))
  }
}

extension RowCost {
  /// The least time of a row's (row, expert) pairs: their operations at the rate of fp32 products, or their bytes at the
  /// rate of the cache, whichever takes longer; a processor does both at once.
  func pairSeconds(_ rates: LimitRates) -> Double {
    max(pairOperations / rates.productFloat32, pairBytes / rates.cacheBandwidth)
  }
}

extension TrainingConfiguration {
  /// The least time of a step: the operations of the encoder product and of orthogonality (6md²) at `product`
  /// operations per second, plus 28 bytes for each parameter at `bandwidth`.
  func limitSeconds(product: Double, bandwidth: Double) -> Double {
    let (m, d) = (Double(shape.experts), Double(shape.width))
    let operations = 2 * Double(batch) * m * d + (objective.ortho > 0 ? 6 * m * d * d : 0)
    return operations / product + 28 * Double(shape.parameterCount) / bandwidth
  }

  /// The flat TopK dictionary with the same m and k and batches of the same size, with AuxK idle and without
  /// orthogonality.
  var flatCounterpart: TrainingConfiguration {
    var flat = self
    flat.shape = shape.flatCounterpart
    flat.activation.threshold = 0
    flat.sublatentBudget = nil
    flat.objective = Objective(beta: 0, ortho: 0, l1: 0, l1Scope: objective.l1Scope)
    return flat
  }
}
