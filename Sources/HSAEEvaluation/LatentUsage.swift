// Counts for how many rows each latent and sublatent is active: densities, dead latents, histograms.

import Foundation
import HSAEDistribution
public import HSAEModels

/// For how many rows of a set each latent and sublatent of a dictionary is active.
public struct LatentUsage: Sendable {
  /// The sizes of the dictionary.
  public let shape: DictionaryShape
  /// A sublatent is active for a row if it is chosen with a code of at least this.
  public let subThreshold: Float
  /// Number of rows counted.
  public private(set) var rows = 0
  /// For how many rows each expert is active [m].
  public private(set) var experts: [Int]
  /// For how many rows each sublatent is chosen, whatever its code [m·a].
  public private(set) var chosen: [Int]
  /// For how many rows each sublatent is active [m·a].
  public private(set) var active: [Int]

  /// Counts of no rows.
  public init(shape: DictionaryShape, subThreshold: Float) {
    self.shape = shape
    self.subThreshold = subThreshold
    experts = Array(repeating: 0, count: shape.experts)
    chosen = Array(repeating: 0, count: shape.experts * shape.sublatents)
    active = chosen
  }

  /// Adds the rows of `codes`; their indices must fit the shape.
  public mutating func add(_ codes: Codes) {
    rows += codes.count
    for code in codes.all {
      experts[code.expert] += 1
      guard shape.sublatents > 0, code.sublatent >= 0 else { continue }
      precondition(code.sublatent < shape.sublatents, "A sublatent is out of range.")
      let index = code.expert * shape.sublatents + code.sublatent
      chosen[index] += 1
      if code.activeSublatent(threshold: subThreshold) != nil { active[index] += 1 }
    }
  }

  /// Adds the counts of all other `ranks`.
  mutating func sum(over ranks: any Communicator) {
    var all = [rows] + experts + chosen + active
    ranks.sumByParts(&all)
    rows = all[0]
    experts = Array(all[1..<1 + experts.count])
    chosen = Array(all[1 + experts.count..<1 + experts.count + chosen.count])
    active = Array(all.suffix(active.count))
  }

  /// Number of experts that are active for none of the rows.
  public var deadExperts: Int { experts.count { $0 == 0 } }
  /// Number of sublatents that are chosen for none of the rows.
  public var neverChosenSublatents: Int { chosen.count { $0 == 0 } }
  /// Number of sublatents that are active for none of the rows, including those never chosen.
  public var deadSublatents: Int { active.count { $0 == 0 } }

  /// Share of the rows for which each expert is active [m].
  public var expertDensity: [Double] {
    experts.map { rows > 0 ? Double($0) / Double(rows) : 0 }
  }

  /// Histogram of the experts' densities.
  public var expertHistogram: DensityHistogram {
    DensityHistogram(counts: experts, vectors: rows)
  }
  /// Histogram of the sublatents' densities.
  public var sublatentHistogram: DensityHistogram {
    DensityHistogram(counts: chosen, vectors: rows)
  }
}

/// A histogram of latents' densities on a log10 scale. Bin b holds densities from 10^(lowest + b·binWidth) up
/// to the next bin's lower edge. The first bin also holds smaller densities, the last bin a density of
/// exactly 1.
public struct DensityHistogram: Hashable, Sendable, Codable {
  /// log10 of the lower edge of the first bin.
  public var lowest: Double
  /// Width of a bin in log10.
  public var binWidth: Double
  /// Number of latents in each bin.
  public var counts: [Int]
  /// Number of dead latents (active for none of the rows). They are in no bin.
  public var dead: Int

  /// Number of latents, including dead ones.
  public var total: Int { counts.reduce(dead, +) }

  /// The histogram of latents that are active for `counts` of the `rows` rows, from 10^`lowest` to 1.
  public init(counts: [Int], vectors rows: Int, lowest: Double = -6, binWidth: Double = 0.25) {
    precondition(lowest < 0 && binWidth > 0, "A histogram needs a range below 0 and a width.")
    self.lowest = lowest
    self.binWidth = binWidth
    var bins = [Int](repeating: 0, count: Int((-lowest / binWidth).rounded(.up)))
    var dead = 0
    for count in counts {
      guard count > 0, rows > 0 else {
        dead += 1
        continue
      }
      let place = (log10(Double(count) / Double(rows)) - lowest) / binWidth
      bins[max(0, min(bins.count - 1, Int(place.rounded(.down))))] += 1
    }
    self.counts = bins
    self.dead = dead
  }
}
