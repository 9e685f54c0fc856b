// Draws which features fire in a row of a synthetic forest, and how strongly. A row depends on the forest and its own
// number alone. `fired(row:)` is fast; `firedPlainly` follows the definition feature by feature, and a test holds their
// rates together.
//
// The definition: hidden causes c ~ N(0, I), noise ε_f ~ N(0, 1) for each feature; f fires if F_f·c + √(1 − ‖F_f‖²)·ε_f
// is above the quantile of 1 − p_f. Its magnitude is N(mean, deviation²), and it does not fire if that is not positive.
// Then the tree, from the roots down: a feature whose parent does not fire does not either; its magnitude is scaled by
// the parent's; and of siblings that exclude each other one stays, each with the same chance.

internal import CHSAEKernels
import Foundation
import HSAETensors

/// A feature that fires in a row.
public struct FiredFeature: Hashable, Sendable, BitwiseCopyable {
  /// Its number.
  public var feature: Int
  /// Its magnitude, greater than 0.
  public var magnitude: Float

  /// A feature of the given magnitude.
  public init(feature: Int, magnitude: Float) {
    (self.feature, self.magnitude) = (feature, magnitude)
  }
}

/// Draws rows of a forest.
///
/// A feature of a tree can fire only if its parent does, so most features need not be looked at. Those without a parent
/// come in blocks: given the causes each fires with a probability q_f, independently. With the largest q of a block the
/// distance to the next candidate is geometric, and a candidate fires with probability q_f over that largest one. This
/// is the same law as drawing every feature.
public final class SyntheticSampler: Sendable {
  /// The forest.
  public let forest: SyntheticForest
  /// Features without a parent.
  private let free: [Int]
  /// For each feature, what it lacks to fire in units of its own noise: quantile / √(1 − ‖F‖²).
  private let lack: [Float]
  /// The quantile of 1 − p of each feature.
  private let quantiles: [Double]
  /// That noise's standard deviation, √(1 − ‖F‖²).
  private let noises: [Double]
  /// F over that noise, for each feature.
  private let causes: Matrix
  /// The same for free features, block by block, each transposed [rank × block]; the last one is padded.
  private let freeCauses: Matrix
  /// 0, 1, … for the kernel that sums rows.
  private let places: [Int32]
  /// −`lack` of free features, −∞ for padding [padded].
  private let freeStart: [Float]
  private let root: SeededGenerator
  private let table = NormalTable()

  fileprivate static let block = 64

  /// A sampler of `forest`.
  public init(_ forest: consuming SyntheticForest) {
    let count = forest.count
    let rank = forest.correlation.columns
    var causes = Matrix(rows: count, columns: rank)
    var lack: [Float] = []
    var (quantiles, noises) = ([Double](), [Double]())
    for feature in 0..<count {
      let own = forest.correlation.row(feature)
      let norm = euclideanNorm(own)
      let noise = (1 - norm * norm).squareRoot()
      noises.append(noise)
      for column in 0..<rank { causes[feature, column] = Float(Double(own[column]) / noise) }
      quantiles.append((1 - Double(forest.probabilities[feature])).normalQuantile)
      lack.append(Float(quantiles[feature] / noise))
    }
    let free = (0..<count).filter { forest.parents[$0] < 0 }
    let padded = pieceCount(free.count, size: Self.block) * Self.block
    var freeCauses = Matrix(rows: padded / Self.block * rank, columns: Self.block)
    var freeStart = [Float](repeating: -.infinity, count: padded)
    for (place, feature) in free.enumerated() {
      freeStart[place] = -lack[feature]
      let (block, column) = place.quotientAndRemainder(dividingBy: Self.block)
      for cause in 0..<rank { freeCauses[block * rank + cause, column] = causes[feature, cause] }
    }
    places = (0..<Int32(rank)).map(\.self)
    root = SeededGenerator(seed: forest.law.seed).split(0x726F_7773)
    (self.free, self.lack, self.freeStart) = (free, lack, freeStart)
    (self.quantiles, self.noises) = (quantiles, noises)
    self.causes = causes
    self.freeCauses = freeCauses
    self.forest = forest
  }

  /// Memory that a thread reuses from row to row.
  public struct Scratch: ~Copyable {
    /// For each feature of a block, the number below which its noise makes it fire.
    fileprivate var reach = Matrix(rows: 1, columns: SyntheticSampler.block)
    /// The hidden causes [rank].
    fileprivate var hidden: [Float] = []
    /// The numbers and magnitudes of fired features, for the kernel that sums rows.
    fileprivate var features: [Int32] = []
    fileprivate var magnitudes: [Float] = []
    /// The features of the row drawn last, in no particular order.
    public fileprivate(set) var fired: [FiredFeature] = []

    /// Memory for one thread.
    public init() {}
  }

  /// The features that fire in row `row`.
  public func fired(row: Int) -> [FiredFeature] {
    var scratch = Scratch()
    draw(row, into: &scratch)
    return scratch.fired
  }

  /// Draws row `row` into `scratch.fired`.
  public func draw(_ row: Int, into scratch: inout Scratch) {
    var generator = root.split(UInt64(row))
    scratch.hidden.removeAll(keepingCapacity: true)
    for _ in 0..<causes.columns { scratch.hidden.append(Float(generator.nextNormal())) }
    scratch.fired.removeAll(keepingCapacity: true)
    for start in stride(from: 0, to: freeStart.count, by: Self.block) {
      drawBlock(start, &scratch, &generator)
    }
    // Children are appended behind the features that are looked at, and looked at in turn.
    var next = 0
    while next < scratch.fired.count {
      drawChildren(of: scratch.fired[next], scratch.hidden, &scratch.fired, &generator)
      next += 1
    }
  }

  /// Row `row` [d]: the bias, and the direction of each fired feature times its magnitude.
  public func write(_ row: Int, into target: inout MutableSpan<Float>, _ scratch: inout Scratch) {
    draw(row, into: &scratch)
    let width = forest.width
    precondition(target.count == width, "A row has \(width) numbers.")
    for column in 0..<width { target[column] = forest.bias[column] }
    scratch.features.removeAll(keepingCapacity: true)
    scratch.magnitudes.removeAll(keepingCapacity: true)
    for each in scratch.fired {
      scratch.features.append(Int32(each.feature))
      scratch.magnitudes.append(each.magnitude)
    }
    // Safe: `target` has as many elements as each row of directions, and a feature's number is that of a row.
    unsafe target.withUnsafeMutableBufferPointer { target in
      unsafe forest.directions.withUnsafePointer { directions in
        unsafe scratch.features.withUnsafeBufferPointer { features in
          unsafe scratch.magnitudes.withUnsafeBufferPointer { magnitudes in
            guard let base = target.baseAddress, let numbers = features.baseAddress,
              let factors = magnitudes.baseAddress
            else { return }
            unsafe kernels.outer(
              base, 1, width, factors, directions, width, numbers, features.count)
          }
        }
      }
    }
  }

  /// For every free feature of the block from `start` on, the number below which its noise makes it fire, given the
  /// hidden causes. Returns the largest.
  private func reach(_ start: Int, _ scratch: inout Scratch) -> Float {
    let (block, rank) = (Self.block, causes.columns)
    // Safe: `reach` and each row of `freeCauses` have `block` elements; the block has `rank` rows there, and there are
    // as many causes and places.
    return unsafe scratch.reach.withUnsafeMutablePointer { target in
      unsafe freeStart.withUnsafeBufferPointer { first in
        unsafe scratch.hidden.withUnsafeBufferPointer { hidden in
          unsafe freeCauses.withUnsafePointer { causes in
            unsafe places.withUnsafeBufferPointer { places in
              guard let from = first.baseAddress, let factors = hidden.baseAddress,
                let numbers = places.baseAddress
              else { return -.infinity }
              unsafe target.update(from: from + start, count: block)
              unsafe kernels.outer(
                target, 1, block, factors, causes + start * rank, block, numbers, rank)
              return unsafe kernels.largest(target, block)
            }
          }
        }
      }
    }
  }

  private func drawBlock(
    _ start: Int, _ scratch: inout Scratch, _ generator: inout SeededGenerator
  ) {
    let largest = reach(start, &scratch)
    let bound = table.entry(largest)
    // Most blocks have no candidate.
    var failures = generator.nextUniform()
    if failures < bound.none { return }
    failures = log(failures) * bound.perFailure
    var place = start - 1
    while true {
      // The number of failures before a success of probability `bound.most`.
      guard failures < Double(start + Self.block - 1 - place) else { return }
      place += 1 + Int(failures)
      let reach = scratch.reach[0, place - start]
      if table.isBelow(generator.nextUniform() * bound.most, reach) {
        let feature = free[place]
        let magnitude = magnitude(of: feature, &generator)
        if magnitude > 0 { append(feature, magnitude, to: &scratch.fired) }
      }
      failures = log(generator.nextUniform()) * bound.perFailure
    }
  }

  /// Adds a feature, and asks for its direction, which is probably in no cache.
  private func append(_ feature: Int, _ magnitude: Float, to fired: inout [FiredFeature]) {
    fired.append(FiredFeature(feature: feature, magnitude: magnitude))
    let width = forest.width
    // Safe: row `feature` of the directions has `width` numbers of four bytes.
    unsafe forest.directions.withUnsafePointer {
      unsafe kernels.fetch($0 + feature * width, 4 * width)
    }
  }

  private func magnitude(of feature: Int, _ generator: inout SeededGenerator) -> Float {
    forest.means[feature] + forest.deviations[feature] * Float(generator.nextNormal())
  }

  private func drawChildren(
    of parent: FiredFeature, _ hidden: [Float], _ fired: inout [FiredFeature],
    _ generator: inout SeededGenerator
  ) {
    let first = fired.count
    for child in forest.children[parent.feature] {
      let reach = product(causes, child, hidden) - lack[child]
      guard table.isBelow(generator.nextUniform(), reach) else { continue }
      var magnitude = magnitude(of: child, &generator)
      if forest.law.scalesChildren {
        magnitude *= parent.magnitude / forest.means[parent.feature]
      }
      if magnitude > 0 { append(child, magnitude, to: &fired) }
    }
    if forest.excludesChildren[parent.feature], fired.count > first + 1 {
      let winner = fired[Int.random(in: first..<fired.count, using: &generator)]
      fired.removeSubrange(first...)
      fired.append(winner)
    }
  }

  // MARK: The definition

  /// The features that fire in a row, by the definition: noise for every feature, then the tree from the roots down.
  func firedPlainly(_ generator: inout SeededGenerator) -> [FiredFeature] {
    let count = forest.count
    let hidden = (0..<causes.columns).map { _ in Float(generator.nextNormal()) }
    var magnitudes = [Float](repeating: 0, count: count)
    for feature in 0..<count {
      let sum = Double(product(forest.correlation, feature, hidden))
      let noise = noises[feature] * generator.nextNormal()
      if sum + noise > quantiles[feature] {
        magnitudes[feature] = max(0, magnitude(of: feature, &generator))
      }
    }
    for parent in 0..<count {
      let children = forest.children[parent]
      for child in children where magnitudes[child] > 0 {
        let mean = forest.means[parent]
        magnitudes[child] *=
          magnitudes[parent] > 0 ? (forest.law.scalesChildren ? magnitudes[parent] / mean : 1) : 0
      }
      let active = children.filter { magnitudes[$0] > 0 }
      if forest.excludesChildren[parent], active.count > 1 {
        let winner = active[Int.random(in: 0..<active.count, using: &generator)]
        for child in active where child != winner { magnitudes[child] = 0 }
      }
    }
    return magnitudes.indices.filter { magnitudes[$0] > 0 }
      .map { FiredFeature(feature: $0, magnitude: magnitudes[$0]) }
  }
}

/// The dot product of row `row` of `matrix` with `values`.
private func product(_ matrix: borrowing Matrix, _ row: Int, _ values: [Float]) -> Float {
  dot(matrix.row(row), values.span)
}

/// The standard normal distribution function Φ at steps of 1/16, so that it need not be computed exactly where a bound
/// decides.
private struct NormalTable: Sendable {
  /// Bounds of Φ within one step.
  struct Entry {
    var least: Double
    var most: Double
    /// 1 / log(1 − most): the logarithm of a uniform number times this is a geometric number of failures.
    var perFailure: Double
    /// The probability that none of the features of a block fires if each does with the probability `most`.
    var none: Double

    init(least: Double, most: Double) {
      (self.least, self.most) = (least, most)
      let failure = log1p(-most)
      perFailure = 1 / failure
      none = exp(Double(SyntheticSampler.block) * failure)
    }
  }

  private let entries: [Entry]
  private static let steps = 256

  init() {
    func value(_ step: Int) -> Double {
      if step <= 0 { return 0 }
      return step >= Self.steps ? 1 : (Double(step) / 16 - 8).normalProbability
    }
    entries = (0..<Self.steps).map { Entry(least: value($0), most: value($0 + 1)) }
  }

  /// The step that holds `x`.
  func entry(_ x: Float) -> Entry {
    let place = (Double(x) + 8) * 16
    return entries[place > 0 ? Int(min(place, Double(Self.steps - 1))) : 0]
  }

  /// Whether `uniform` is below Φ(`x`).
  func isBelow(_ uniform: Double, _ x: Float) -> Bool {
    let bounds = entry(x)
    if uniform < bounds.least { return true }
    return uniform < bounds.most && uniform < Double(x).normalProbability
  }
}
