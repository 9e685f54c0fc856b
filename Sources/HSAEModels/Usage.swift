// How often latents and sublatents are active. A latent is active for a row if it is among the row's codes. A
// sublatent is active if it is the one chosen in an active expert and its code reaches the sublatents'
// threshold.

/// How often the latents and sublatents of a dictionary in training were active.
public struct Usage: Sendable {
  /// Rows over which rates are averaged (`docs/method.md`: 300 of the paper's batches).
  public static let averagingWindow = 300.0 * 32_512
  /// A latent that was not active for any of the last million rows is reported as dead (section A.3).
  public static let reportingWindow = 1_000_000

  /// Rows seen.
  public package(set) var rows: Int = 0
  /// The value of ``rows`` when each latent was last active [m]; 0 if never.
  public package(set) var latentLastActive: [Int64]
  /// The value of ``rows`` when each sublatent was last active [m·a]; 0 if never.
  public package(set) var sublatentLastActive: [Int64]
  /// Exponential moving average of the share of rows for which each latent is active [m], not corrected for
  /// its start.
  public package(set) var latentRate: [Float]
  /// The same for sublatents [m·a].
  public package(set) var sublatentRate: [Float]
  /// Total weight of the averages: 1 − decay^steps.
  public package(set) var rateWeight: Double = 0

  /// The usage of a dictionary that has seen no rows.
  public init(shape: DictionaryShape) {
    latentLastActive = [Int64](repeating: 0, count: shape.experts)
    sublatentLastActive = [Int64](repeating: 0, count: shape.experts * shape.sublatents)
    latentRate = [Float](repeating: 0, count: shape.experts)
    sublatentRate = [Float](repeating: 0, count: shape.experts * shape.sublatents)
  }

  /// The number of latents not active for any of the last `window` rows; 0 until that many rows were seen.
  public func deadLatents(window: Int = reportingWindow) -> Int {
    dead(latentLastActive, window)
  }

  /// The number of sublatents not active for any of the last `window` rows; 0 until that many were seen.
  public func deadSublatents(window: Int = reportingWindow) -> Int {
    dead(sublatentLastActive, window)
  }

  /// Whether latent `index` was not active for any of the last `window` rows.
  public func isDead(_ index: Int, window: Int) -> Bool {
    rows - Int(latentLastActive[index]) >= window
  }

  private func dead(_ last: [Int64], _ window: Int) -> Int {
    rows < window ? 0 : last.count { $0 <= rows - window }
  }

  /// The factor by which the averages decay in a batch of `rows` rows.
  package static func decay(rows: Int) -> Float {
    Float(max(0, 1 - Double(rows) / averagingWindow))
  }

  /// Counts a batch of `rows` rows, but not what was active.
  package mutating func addRows(_ rows: Int) {
    self.rows += rows
    let decay = Self.decay(rows: rows)
    rateWeight = Double(decay) * rateWeight + Double(1 - decay)
  }

  /// Begins to count a batch of `rows` rows: lets the averages decay and returns the weight of one row in
  /// them. The caller then counts each latent and sublatent that was active.
  package mutating func beginBatch(rows: Int) -> Float {
    addRows(rows)
    let decay = Self.decay(rows: rows)
    for index in latentRate.indices { latentRate[index] *= decay }
    for index in sublatentRate.indices { sublatentRate[index] *= decay }
    return (1 - decay) / Float(rows)
  }

  /// Counts a batch of `rows` rows. `counts` says for how many of them each latent [m], and then each
  /// sublatent [m·a], was active.
  package mutating func count(rows: Int, _ counts: [Float]) {
    let weight = beginBatch(rows: rows)
    for (place, times) in counts.enumerated() where times > 0 {
      if place < latentRate.count {
        latentLastActive[place] = Int64(self.rows)
        latentRate[place] += weight * times
      } else {
        sublatentLastActive[place - latentRate.count] = Int64(self.rows)
        sublatentRate[place - latentRate.count] += weight * times
      }
    }
  }
}
