// The summary of one latent or sublatent, computed from its codes alone: counts, histogram, strongest
// contexts, samples of its quantiles. Its slow twin is in the tests.

import HSAETensors

/// A place where a latent is active, with its codes nearby.
struct LatentContext: Hashable, Sendable {
  /// Another token of the window where the latent is active too.
  struct Neighbour: Hashable, Sendable {
    /// Its distance from the context's place in tokens; not 0.
    var offset: Int
    /// The latent's code there.
    var value: Float
  }

  /// The place of the token that the context is about.
  var place: Int
  /// The latent's code there.
  var value: Float
  /// For a sublatent, its expert's code z there; 0 for a latent of the top level.
  var parentValue: Float = 0
  /// 0 for the strongest contexts; 1 to 5 for samples of the fifths of all codes, 1 for the strongest fifth.
  var group = 0
  /// Where else in the window the latent is active.
  var neighbours: [Neighbour] = []
}

/// How many contexts are kept, and how wide they are.
public struct ContextSettings: Hashable, Sendable, Codable {
  /// Strongest contexts of each latent.
  public var strongest = 20
  /// Samples of each fifth of its codes.
  public var samples = 5
  /// Tokens on either side that belong to a context.
  public var window = 16
  /// Seed of the samples.
  public var seed: UInt64 = 0
}

struct LatentSummary: Sendable {
  /// Bins of a histogram, of equal width between 0 and the maximum.
  static let bins = 32
  /// The number of parts that samples are drawn from.
  static let quantiles = 5

  var count = 0
  var maximum: Float = 0
  var mean = 0.0
  var histogram: [Int] = []
  /// The strongest, then the samples.
  var contexts: [LatentContext] = []

  /// The summary of the codes `values` at rising `places`. `parents` has the expert's codes there, or nothing
  /// for the top level. `document` returns the places of a place's document. `generator` draws the samples.
  init(
    places: [Int], values: [Float], parents: [Float], settings: ContextSettings,
    generator: SeededGenerator, document: (Int) -> Range<Int>
  ) {
    precondition(values.count == places.count && (parents.isEmpty || parents.count == values.count))
    count = values.count
    guard count > 0 else { return }
    let ranked = Self.ranked(values)
    maximum = values[ranked[0]]
    var sum = 0.0
    histogram = [Int](repeating: 0, count: Self.bins)
    for value in values {
      sum += Double(value)
      let share = maximum > 0 ? max(0, value / maximum) : 0
      histogram[min(Self.bins - 1, Int(share * Float(Self.bins)))] += 1
    }
    mean = sum / Double(count)

    func context(_ index: Int, _ group: Int) -> LatentContext {
      let place = places[index]
      let bounds = document(place).clamped(
        to: place - settings.window..<place + settings.window + 1)
      var neighbours: [LatentContext.Neighbour] = []
      var other = index
      while other > 0, places[other - 1] >= bounds.lowerBound { other -= 1 }
      while other < places.count, places[other] < bounds.upperBound {
        if other != index {
          neighbours.append(.init(offset: places[other] - place, value: values[other]))
        }
        other += 1
      }
      return LatentContext(
        place: place, value: values[index], parentValue: parents.isEmpty ? 0 : parents[index],
        group: group, neighbours: neighbours)
    }

    // A context stands for its window: of several places in one window only the strongest counts. Other places of a document
    // that has one are taken only if there are too few documents: a document that repeats itself says little.
    var taken: [(rank: Int, place: Int, document: Range<Int>)] = []
    var repeated: [Int] = []
    for (rank, index) in ranked.enumerated() where taken.count < settings.strongest {
      let place = places[index]
      if taken.contains(where: { $0.document.contains(place) }) {
        repeated.append(rank)
      } else {
        taken.append((rank, place, document(place)))
      }
    }
    for rank in repeated where taken.count < settings.strongest {
      let place = places[ranked[rank]]
      let isNear = taken.contains {
        $0.document.contains(place) && abs($0.place - place) <= settings.window
      }
      if !isNear { taken.append((rank, place, document(place))) }
    }
    contexts = taken.map(\.rank).sorted().map { context(ranked[$0], 0) }
    for quantile in 0..<Self.quantiles {
      let range = quantile * count / Self.quantiles..<(quantile + 1) * count / Self.quantiles
      var draw = generator.split(UInt64(quantile))
      for rank in Self.sample(settings.samples, of: range, using: &draw) {
        contexts.append(context(ranked[rank], quantile + 1))
      }
    }
  }

  /// The indices of `values` by falling value; equal values keep their order.
  private static func ranked(_ values: [Float]) -> [Int] {
    precondition(values.count <= Int(UInt32.max), "One latent has too many codes.")
    var keys = values.enumerated().map { index, value in
      let bits = value.bitPattern
      let rising = bits & 1 << 31 != 0 ? ~bits : bits | 1 << 31
      return UInt64(~rising) << 32 | UInt64(index)
    }
    keys.sort()
    return keys.map { Int($0 & 0xFFFF_FFFF) }
  }

  /// `count` different numbers of `range`, rising, by Floyd's algorithm; all of them if there are no more.
  static func sample(
    _ count: Int, of range: Range<Int>, using generator: inout SeededGenerator
  ) -> [Int] {
    if range.count <= count { return Array(range) }
    var chosen: Set<Int> = []
    for last in range.count - count..<range.count {
      let drawn = Int.random(in: 0...last, using: &generator)
      chosen.insert(chosen.contains(drawn) ? last : drawn)
    }
    return chosen.map { range.lowerBound + $0 }.sorted()
  }
}
