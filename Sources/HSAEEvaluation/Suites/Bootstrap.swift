// Bootstrap intervals. Whole groups (documents, sentences) are resampled, never tokens, because neighbouring
// tokens are similar. A statistic is any function of sums over groups, such as a ratio of two sums.

import HSAEDistribution
import HSAETensors

/// Sums of several quantities in each group.
public struct GroupedSums: Sendable {
  /// The number of quantities.
  public let quantities: Int
  /// The number of groups.
  public var groupCount: Int { sums.count / quantities }
  /// The sums [groups × quantities].
  private var sums: [Double]

  /// Zero sums of `quantities` quantities in `groups` groups.
  public init(groups: Int, quantities: Int) {
    precondition(groups >= 0 && quantities > 0, "Sums need quantities.")
    self.quantities = quantities
    sums = Array(repeating: 0, count: groups * quantities)
  }

  /// Adds `values`, one for each quantity, to group `group`.
  public mutating func add(_ values: Span<Double>, ofGroup group: Int) {
    precondition(values.count == quantities, "There are \(quantities) quantities.")
    let first = group * quantities
    for index in values.indices { sums[first + index] += values[index] }
  }

  /// Adds the sums that all other `ranks` have for the same groups.
  mutating func sum(over ranks: any Communicator) { ranks.sumByParts(&sums) }

  /// The sums over all groups.
  public var totals: [Double] {
    var totals = [Double](repeating: 0, count: quantities)
    for (index, value) in sums.enumerated() { totals[index % quantities] += value }
    return totals
  }

  /// The sums over each of `resamples` samples. A sample has as many groups as there are, drawn with
  /// replacement.
  ///
  /// The draws depend only on the seed and the number of groups, so samples of several runs on the same
  /// documents can be compared one by one.
  public func bootstrap(resamples: Int, seed: UInt64, threads: Int = 1) -> BootstrapSamples {
    let root = SeededGenerator(seed: seed).split(0x626F_6F74)
    let (groups, quantities) = (groupCount, quantities)
    var samples = [Double](repeating: 0, count: resamples * quantities)
    unsafe samples.withUnsafeMutableBufferPointer { target in
      // Safe: no two pieces write the same element; each writes only the sums of its sample, inside `target`.
      nonisolated(unsafe) let target = unsafe target
      parallelFor(resamples, threads: threads) { sample, _ in
        var generator = root.split(UInt64(sample))
        for _ in 0..<groups {
          let group = Int.random(in: 0..<groups, using: &generator)
          for quantity in 0..<quantities {
            unsafe target[sample * quantities + quantity] += sums[group * quantities + quantity]
          }
        }
      }
    }
    return BootstrapSamples(quantities: quantities, sums: groups > 1 ? samples : [])
  }
}

/// Sums over bootstrap samples.
public struct BootstrapSamples: Sendable {
  fileprivate let quantities: Int
  fileprivate let sums: [Double]

  /// `statistic` of the sums of every sample; empty with fewer than two groups.
  public func values(_ statistic: ([Double]) -> Double) -> [Double] {
    stride(from: 0, to: sums.count, by: quantities).map { start in
      statistic(Array(sums[start..<start + quantities]))
    }
  }

  /// The 95 % interval of `statistic`: the 2.5 % and 97.5 % points of its values over samples. Nil with fewer
  /// than two groups, or if a value is not finite.
  public func interval(_ statistic: ([Double]) -> Double) -> Interval? {
    percentileInterval(values(statistic))
  }
}

/// The mean of `values`, one for each group, and its values over bootstrap samples, which resample the groups.
func meanOverGroups(
  _ values: [Double], _ options: EvaluationOptions
) -> (mean: Double, samples: [Double]) {
  var sums = GroupedSums(groups: values.count, quantities: 1)
  for (group, value) in values.enumerated() { sums.add([value].span, ofGroup: group) }
  let count = Double(values.count)
  let samples = sums.bootstrap(
    resamples: options.resamples, seed: options.seed, threads: options.threads)
  return (sums.totals[0] / count, samples.values { $0[0] / count })
}

/// The 2.5 % and 97.5 % points of `values`; nil if there are none or one is not finite.
public func percentileInterval(_ values: [Double]) -> Interval? {
  guard !values.isEmpty, values.allSatisfy(\.isFinite) else { return nil }
  let sorted = values.sorted()
  func point(_ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let low = Int(place)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
  }
  return Interval(point(0.025), point(0.975))
}
