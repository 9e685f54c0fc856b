// How often latents and sublatents fire. A latent fires for a vector when it is among its active
// experts; a sublatent when it is the one chosen in an active expert and its code is at or above the
// sublatents' threshold.

/// Firing statistics of a dictionary in training.
public struct Usage: Sendable {
  /// Vectors over which rates are averaged (`method.md`: 300 of the paper's batches).
  public static let averagingWindow = 300.0 * 32_512
  /// A latent that has not fired for so many vectors is reported as dead (section A.3).
  public static let reportingWindow = 1_000_000

  /// Vectors seen.
  public package(set) var vectors: Int = 0
  /// `vectors` when each latent last fired [m]; 0 if never.
  public package(set) var latentLastFired: [Int64]
  /// `vectors` when each sublatent last fired [m·a]; 0 if never.
  public package(set) var sublatentLastFired: [Int64]
  /// Exponential moving average of each latent's share of vectors [m], not yet corrected for its start.
  public package(set) var latentRate: [Float]
  /// The same for sublatents [m·a].
  public package(set) var sublatentRate: [Float]
  /// Total weight of the averages: 1 − decay^steps.
  public package(set) var rateWeight: Double = 0

  /// Statistics of a dictionary that has seen nothing.
  public init(shape: DictionaryShape) {
    latentLastFired = [Int64](repeating: 0, count: shape.experts)
    sublatentLastFired = [Int64](repeating: 0, count: shape.experts * shape.sublatents)
    latentRate = [Float](repeating: 0, count: shape.experts)
    sublatentRate = [Float](repeating: 0, count: shape.experts * shape.sublatents)
  }

  /// Latents that have not fired in the last `window` vectors; none before so many were seen.
  public func deadLatents(window: Int = reportingWindow) -> Int {
    Self.dead(latentLastFired, vectors: vectors, window: window)
  }

  /// Sublatents that have not fired in the last `window` vectors; none before so many were seen.
  public func deadSublatents(window: Int = reportingWindow) -> Int {
    Self.dead(sublatentLastFired, vectors: vectors, window: window)
  }

  /// Whether latent `index` has not fired in the last `window` vectors.
  public func isDead(_ index: Int, window: Int) -> Bool {
    vectors - Int(latentLastFired[index]) >= window
  }

  private static func dead(_ last: [Int64], vectors: Int, window: Int) -> Int {
    let limit = Int64(vectors - window)
    guard limit >= 0 else { return 0 }
    return last.reduce(0) { $0 + ($1 <= limit ? 1 : 0) }
  }
}

extension Usage {
  /// Counts a batch of `rows` rows, in which `count` calls its argument for each latent and sublatent that was active:
  /// with its place (latents 0 ..< m, then sublatents m ..< m + m·a) and in how many rows.
  package mutating func advance(
    rows: Int, counting count: (_ add: (_ place: Int, _ times: Float) -> Void) -> Void
  ) {
    vectors += rows
    let decay = Float(max(0, 1 - Double(rows) / Self.averagingWindow))
    rateWeight = Double(decay) * rateWeight + Double(1 - decay)
    let share = (1 - decay) / Float(rows)
    for index in latentRate.indices { latentRate[index] *= decay }
    for index in sublatentRate.indices { sublatentRate[index] *= decay }
    let latents = latentRate.count
    count { place, times in
      if place < latents {
        latentLastFired[place] = Int64(vectors)
        latentRate[place] += share * times
      } else {
        sublatentLastFired[place - latents] = Int64(vectors)
        sublatentRate[place - latents] += share * times
      }
    }
  }
}
