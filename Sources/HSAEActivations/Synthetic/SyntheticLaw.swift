// The law of a synthetic forest: how many features it has, how they fire, and how large they are. The default is
// SynthSAEBench-16k's law (arXiv 2602.14687). `SyntheticForest` draws a forest from it.

import Foundation
public import HSAESupport

/// The numbers that define a synthetic forest.
///
/// Features are numbered breadth first: the roots, their children, and so on, then features outside the trees. A
/// feature's number is also its rank in the law of firing rates, so roots fire most often.
public struct SyntheticLaw: Hashable, Sendable, Codable {
  /// Number of features.
  public var features = 16_384
  /// Numbers in a row, d.
  public var width = 768
  /// Number of trees.
  public var roots = 128
  /// Children of each feature above the lowest level of its tree.
  public var branching = 4
  /// Levels below a root.
  public var depth = 3
  /// Share of the parents whose children exclude each other: at most one of them fires in a row.
  public var exclusive = 1.0
  /// Whether features below a root are drawn more often, to make up for rows without their parent. Without exclusion they
  /// then reach their rate in spite of the tree; where siblings exclude each other they come closer to it (in SynthSAEBench-16k to a third at depth 3).
  public var compensates = true
  /// Whether a child's magnitude is multiplied by its parent's, divided by the parent's mean.
  public var scalesChildren = true
  /// Zipf's exponent of the firing rates.
  public var zipf = 0.5
  /// The firing rate of the first feature.
  public var largestRate = 0.4
  /// The firing rate of the last feature.
  public var smallestRate = 5e-4
  /// Number of hidden causes that make features fire together.
  public var correlationRank = 25
  /// Standard deviation of a feature's weight for one hidden cause; 0 for independent features.
  public var correlationScale = 0.1
  /// Mean magnitude of the first feature; those of the others lie on a line.
  public var firstMagnitude = 5.0
  /// Mean magnitude of the last feature.
  public var lastMagnitude = 4.0
  /// A feature's magnitudes have the standard deviation |N(`deviationMean`, `deviationSpread`²)|, drawn once.
  public var deviationMean = 0.5
  /// See `deviationMean`.
  public var deviationSpread = 0.5
  /// Length of the vector that is added to all rows.
  public var bias = 0.5
  /// Steps of Adam that make directions more orthogonal.
  public var orthogonalSteps = 100
  /// Learning rate of these steps.
  public var orthogonalRate = 3e-4
  /// Number of training rows. They are computed when they are read, so they take no room.
  public var rows = 200_000_000
  /// Seed of the forest and of its rows.
  public var seed: UInt64 = 42

  /// SynthSAEBench-16k's law.
  public init() {}

  /// Named laws.
  public enum Preset: String, CaseIterable, Sendable {
    /// SynthSAEBench-16k.
    case synthSAEBench = "synthsaebench-16k"
    /// 512 features in 64 dimensions, which train in seconds.
    case small
  }

  /// The law called `preset`.
  public init(_ preset: Preset) {
    guard preset == .small else { return }
    (features, width, roots, depth) = (512, 64, 16, 2)
    (smallestRate, correlationRank, rows) = (5e-3, 8, 1_000_000)
  }

  /// Whether there are too few features for whole trees.
  public var isCut: Bool {
    var (level, total) = (roots, roots)
    for _ in 0..<depth where total <= features {
      level = min(features + 1, level * branching)
      total += level
    }
    return total > features
  }

  /// Its numbers by name.
  private func values() throws(Failure) -> [String: JSONValue] {
    try JSONValue(parsing: Array(JSONFile.encode(self).utf8), source: "a law").object ?? [:]
  }

  /// All its numbers as a clause, such as "bias 0.5, branching 4, …".
  public func text() throws(Failure) -> String {
    try values().sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.text(indent: nil))" }
      .joined(separator: ", ")
  }

  /// What differs from `other`, such as "features 512, not 16384".
  public func differences(from other: SyntheticLaw) throws(Failure) -> String {
    let (own, others) = (try values(), try other.values())
    return own.keys.sorted().filter { own[$0] != others[$0] }.map { key in
      "\(key) \(own[key]?.text(indent: nil) ?? ""), not \(others[key]?.text(indent: nil) ?? "")"
    }.joined(separator: "; ")
  }

  /// The least mean magnitude: a child's magnitude is divided by its parent's mean.
  static let leastMagnitude = 1e-3

  /// Why these numbers cannot be used, as a sentence that names the option; nil if they can.
  public var complaint: String? {
    for (name, value, least, most) in [
      ("--features", features, 1, 1 << 20), ("--width", width, 1, 1 << 16),
      ("--roots", roots, 0, features), ("--branching", branching, 1, 1 << 16),
      ("--depth", depth, 0, 64), ("--rank", correlationRank, 1, 1024),
      ("--orthogonal-steps", orthogonalSteps, 0, 1_000_000), ("--rows", rows, 1, 1 << 34),
    ] where value < least || value > most {
      return "\(name) must be between \(least) and \(most), not \(value)."
    }
    for (name, value) in [
      ("--correlation", correlationScale), ("--magnitude", firstMagnitude),
      ("--magnitude", lastMagnitude), ("--deviation", deviationMean),
      ("--deviation", deviationSpread), ("--bias", bias), ("--orthogonal-rate", orthogonalRate),
    ] where !(value >= 0 && value <= 1e6) {
      return "\(name) must be a number from 0 to a million, not \(value)."
    }
    if min(firstMagnitude, lastMagnitude) < Self.leastMagnitude {
      return "--magnitude must be at least \(Self.leastMagnitude)."
    }
    if !(zipf >= 0.01 && zipf <= 100) { return "--zipf must be between 0.01 and 100, not \(zipf)." }
    if features * width > 1 << 28 {
      return "--features \(features) and --width \(width): at most 268 million numbers are allowed."
    }
    if !(exclusive >= 0 && exclusive <= 1) {
      return "--exclusive must be between 0 and 1, not \(exclusive)."
    }
    if !(smallestRate > 0 && smallestRate < largestRate && largestRate <= 1) {
      return
        "--rates must be two numbers with 0 < last < first ≤ 1, not \(largestRate),\(smallestRate)."
    }
    return nil
  }

  /// The rates [features] at which features would fire on their own, by Zipf's law, largest first.
  public var rates: [Double] {
    let weights = (1...max(1, features)).map { 1 / pow(Double($0), zipf) }
    guard features > 1, let last = weights.last else { return [largestRate] }
    return weights.map {
      smallestRate + (largestRate - smallestRate) * ($0 - last) / (1 - last)
    }
  }
}
