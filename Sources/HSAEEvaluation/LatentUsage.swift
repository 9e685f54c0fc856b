// How often each latent and sublatent is used: densities, the dead ones, and the histogram of
// densities. Counts only; the words behind them are `ExpertProfiles`'.

import Foundation
import HSAEDistribution
public import HSAEModels

/// How often every latent and sublatent of a dictionary was used on a set of vectors.
public struct LatentUsage: Sendable {
  /// The sizes of the dictionary.
  public let shape: DictionaryShape
  /// A sublatent is relevant for a vector if it is chosen with a code of at least this.
  public let subThreshold: Float
  /// Number of vectors counted.
  public private(set) var vectors = 0
  /// For how many vectors each expert was active: m.
  public private(set) var experts: [Int]
  /// For how many vectors each sublatent was chosen, relevant or not: m·a.
  public private(set) var chosen: [Int]
  /// For how many vectors each sublatent was relevant: m·a.
  public private(set) var relevant: [Int]

  /// Counts of no vectors.
  public init(shape: DictionaryShape, subThreshold: Float) {
    self.shape = shape
    self.subThreshold = subThreshold
    experts = Array(repeating: 0, count: shape.experts)
    chosen = Array(repeating: 0, count: shape.experts * shape.sublatents)
    relevant = chosen
  }

  /// Counts the activations of `codes`, whose indices must fit the shape.
  public mutating func add(_ codes: Codes) {
    vectors += codes.count
    for activation in codes.all {
      experts[activation.expert] += 1
      guard shape.sublatents > 0, activation.sublatent >= 0 else { continue }
      precondition(activation.sublatent < shape.sublatents, "A sublatent is out of range.")
      let index = activation.expert * shape.sublatents + activation.sublatent
      chosen[index] += 1
      if activation.subValue >= subThreshold { relevant[index] += 1 }
    }
  }

  /// Adds the counts of other vectors for the same dictionary.
  public mutating func merge(_ other: LatentUsage) {
    precondition(shape == other.shape, "The dictionaries differ in shape.")
    vectors += other.vectors
    for index in experts.indices { experts[index] += other.experts[index] }
    for index in chosen.indices { chosen[index] += other.chosen[index] }
    for index in relevant.indices { relevant[index] += other.relevant[index] }
  }

  /// Adds the counts of every other of `ranks` for the same dictionary.
  mutating func sum(over ranks: any Communicator) {
    var all = [vectors] + experts + chosen + relevant
    ranks.sumByParts(&all)
    vectors = all[0]
    experts = Array(all[1..<1 + experts.count])
    chosen = Array(all[1 + experts.count..<1 + experts.count + chosen.count])
    relevant = Array(all.suffix(relevant.count))
  }

  /// Number of experts active for no vector of the set.
  public var deadExperts: Int { experts.count { $0 == 0 } }
  /// Number of sublatents chosen for no vector of the set.
  public var neverChosenSublatents: Int { chosen.count { $0 == 0 } }
  /// Number of sublatents relevant for no vector of the set, the dead ones among them.
  public var deadSublatents: Int { relevant.count { $0 == 0 } }

  /// Share of the vectors for which each expert is active: m numbers.
  public var expertDensity: [Double] { experts.map(density) }

  /// Histogram of the experts' densities.
  public var expertHistogram: DensityHistogram {
    DensityHistogram(counts: experts, vectors: vectors)
  }
  /// Histogram of the sublatents' densities.
  public var sublatentHistogram: DensityHistogram {
    DensityHistogram(counts: chosen, vectors: vectors)
  }

  private func density(_ count: Int) -> Double {
    vectors > 0 ? Double(count) / Double(vectors) : 0
  }
}

/// How many latents have which density, on a scale of log10: bin b holds densities from
/// 10^(lowest + b·binWidth) up to the next bin's. The sparsest bin also holds what lies below it,
/// the densest a density of exactly 1.
public struct DensityHistogram: Hashable, Sendable, Codable {
  /// log10 of the lower edge of the first bin.
  public var lowest: Double
  /// Width of a bin in log10.
  public var binWidth: Double
  /// Number of latents in each bin.
  public var counts: [Int]
  /// Number of latents that never fire, which are in no bin.
  public var dead: Int

  /// Number of latents, the dead ones included.
  public var total: Int { counts.reduce(dead, +) }

  /// A histogram with the given bins.
  public init(lowest: Double, binWidth: Double, counts: [Int], dead: Int) {
    self.lowest = lowest
    self.binWidth = binWidth
    self.counts = counts
    self.dead = dead
  }

  /// The histogram of latents that fired `counts` times among `vectors`, from 10^`lowest` to 1.
  public init(counts: [Int], vectors: Int, lowest: Double = -6, binWidth: Double = 0.25) {
    precondition(lowest < 0 && binWidth > 0, "A histogram needs a range below 0 and a width.")
    self.lowest = lowest
    self.binWidth = binWidth
    var bins = [Int](repeating: 0, count: Int((-lowest / binWidth).rounded(.up)))
    var dead = 0
    for count in counts {
      guard count > 0, vectors > 0 else {
        dead += 1
        continue
      }
      let place = (log10(Double(count) / Double(vectors)) - lowest) / binWidth
      bins[max(0, min(bins.count - 1, Int(place.rounded(.down))))] += 1
    }
    self.counts = bins
    self.dead = dead
  }
}
