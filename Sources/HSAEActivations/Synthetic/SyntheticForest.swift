// A synthetic forest: features with known directions, firing rates and parents, from which rows are made. It is drawn
// from a law once and kept in a file, the truth that suites compare dictionaries with. `SyntheticSampler` draws rows.

internal import CHSAEKernels
import Foundation
public import HSAESupport
public import HSAETensors

/// The truth about synthetic rows.
public struct SyntheticForest: ~Copyable, Sendable {
  /// The law it was drawn from.
  public let law: SyntheticLaw
  /// The direction of each feature [features × d], of unit norm.
  public let directions: Matrix
  /// The vector that is added to every row [d].
  public let bias: [Float]
  /// The weights of hidden causes in each feature [features × rank]. A feature fires where the sum of its causes and of
  /// noise of its own, together of variance 1, exceeds the quantile of its probability (a Gaussian copula).
  public let correlation: Matrix
  /// The rate of each feature by Zipf's law. Features without a parent fire at it; others may fire less often.
  public let rates: [Float]
  /// The probability that a feature is drawn. The tree then switches some drawn features off.
  public let probabilities: [Float]
  /// The mean magnitude of each feature.
  public let means: [Float]
  /// The standard deviation of each feature's magnitude.
  public let deviations: [Float]
  /// The parent of each feature, a smaller number; -1 for roots and for features outside the trees.
  public let parents: [Int]
  /// Whether the children of each feature exclude each other.
  public let excludesChildren: [Bool]
  /// The children of each feature.
  public let children: [Range<Int>]

  /// Number of features.
  public var count: Int { parents.count }
  /// Numbers in a row.
  public var width: Int { directions.columns }

  init(
    law: SyntheticLaw, directions: consuming Matrix, bias: [Float],
    correlation: consuming Matrix, rates: [Float], probabilities: [Float], means: [Float],
    deviations: [Float], parents: [Int], excludesChildren: [Bool]
  ) {
    self.law = law
    self.directions = directions
    self.bias = bias
    self.correlation = correlation
    (self.rates, self.probabilities) = (rates, probabilities)
    (self.means, self.deviations) = (means, deviations)
    (self.parents, self.excludesChildren) = (parents, excludesChildren)
    var children = [Range<Int>](repeating: 0..<0, count: parents.count)
    for (feature, parent) in parents.enumerated() where parent >= 0 {
      let known = children[parent]
      children[parent] = (known.isEmpty ? feature : known.lowerBound)..<feature + 1
    }
    self.children = children
  }

  /// Draws a forest from `law`. `progress` is called with the number of steps of orthogonalisation done.
  ///
  /// The result depends on the law alone, not on `threads`.
  public init(
    _ law: SyntheticLaw, threads: Int = processorCount, progress: (Int) -> Void = { _ in }
  ) {
    precondition(law.complaint == nil, "This law is not valid: \(law).")
    let root = SeededGenerator(seed: law.seed)
    let count = law.features
    let parents = Self.parents(law)
    let rates = law.rates
    let excludes = Self.exclusiveParents(law, parents, root.split(1))
    var generator = root.split(2)
    let deviations = (0..<count).map { _ in
      Float(abs(law.deviationMean + law.deviationSpread * generator.nextNormal()))
    }
    let probabilities = law.compensates ? Self.compensated(rates, parents, excludes) : rates
    let step = (law.lastMagnitude - law.firstMagnitude) / Double(max(1, count - 1))
    self.init(
      law: law, directions: Self.directions(law, root.split(3), threads, progress),
      bias: Self.unitVector(law.width, root.split(4)).map { Float($0 * law.bias) },
      correlation: Self.correlation(law, root.split(5)), rates: rates.map { Float($0) },
      probabilities: probabilities.map { Float($0) },
      means: (0..<count).map { Float(law.firstMagnitude + step * Double($0)) },
      deviations: deviations, parents: parents,
      excludesChildren: excludes)
  }

  // MARK: Drawing

  /// Breadth first: all features of one level before those of the next.
  private static func parents(_ law: SyntheticLaw) -> [Int] {
    var parents = [Int](repeating: -1, count: law.features)
    var level = 0..<min(law.roots, law.features)
    var next = level.upperBound
    for _ in 0..<law.depth {
      for parent in level {
        for _ in 0..<law.branching where next < law.features {
          parents[next] = parent
          next += 1
        }
      }
      level = level.upperBound..<next
    }
    return parents
  }

  private static func exclusiveParents(
    _ law: SyntheticLaw, _ parents: [Int], _ generator: SeededGenerator
  ) -> [Bool] {
    var childCounts = [Int](repeating: 0, count: parents.count)
    for parent in parents where parent >= 0 { childCounts[parent] += 1 }
    let able = parents.indices.filter { childCounts[$0] >= 2 }
    var generator = generator
    var result = [Bool](repeating: false, count: parents.count)
    for parent in able.shuffled(using: &generator).prefix(Int(law.exclusive * Double(able.count))) {
      result[parent] = true
    }
    return result
  }

  /// The probabilities that make up for the tree: the rate over the parent's, and where siblings exclude each other, times
  /// 1 + the number of siblings that are expected beside it; at most 1. Without exclusion features then fire at `rates`;
  /// siblings whose rates sum to more than their parent's cannot.
  static func compensated(
    _ rates: [Double], _ parents: [Int], _ excludesChildren: [Bool]
  ) -> [Double] {
    var ofChildren = [Double](repeating: 0, count: rates.count)
    for (feature, parent) in parents.enumerated() where parent >= 0 {
      ofChildren[parent] += rates[feature]
    }
    return rates.indices.map { feature in
      let parent = parents[feature]
      guard parent >= 0 else { return rates[feature] }
      let others = excludesChildren[parent] ? max(0, ofChildren[parent] - rates[feature]) : 0
      return min(1, rates[feature] / rates[parent] * (1 + others / rates[parent]))
    }
  }

  private static func unitVector(_ width: Int, _ generator: SeededGenerator) -> [Double] {
    var generator = generator
    let values = (0..<width).map { _ in generator.nextNormal() }
    let norm = max(1e-8, values.reduce(0) { $0 + $1 * $1 }.squareRoot())
    return values.map { $0 / norm }
  }

  /// Normal numbers; where hidden causes would make up more than 99 % of a feature's variance, they are scaled to that.
  private static func correlation(_ law: SyntheticLaw, _ root: SeededGenerator) -> Matrix {
    var result = Matrix(rows: law.features, columns: law.correlationRank)
    for feature in 0..<law.features {
      var generator = root.split(UInt64(feature))
      var values = (0..<law.correlationRank).map { _ in
        law.correlationScale * generator.nextNormal()
      }
      let squares = values.reduce(0) { $0 + $1 * $1 }
      if squares > 0.99 {
        let factor = (0.99 / squares).squareRoot()
        values = values.map { $0 * factor }
      }
      for (column, value) in values.enumerated() { result[feature, column] = Float(value) }
    }
    return result
  }

  /// Random unit vectors, made more orthogonal by Adam on Σ_{i≠j} (dᵢ·dⱼ)² + n·Σᵢ (‖dᵢ‖² − 1)².
  ///
  /// The first sum is ‖DᵀD‖² − Σᵢ ‖dᵢ‖⁴, and its gradient 4·D·(DᵀD) − 4·‖dᵢ‖²·dᵢ, so no matrix of all pairs is needed.
  private static func directions(
    _ law: SyntheticLaw, _ root: SeededGenerator, _ threads: Int, _ progress: (Int) -> Void
  ) -> Matrix {
    let (count, width) = (law.features, law.width)
    var result = Matrix(rows: count, columns: width)
    result.forEachRow(threads: threads) { feature, row in
      let values = unitVector(width, root.split(UInt64(feature)))
      for column in row.indices { row[column] = Float(values[column]) }
    }
    guard law.orthogonalSteps > 0 else { return result }
    var means = Matrix(rows: count, columns: width)
    var squares = Matrix(rows: count, columns: width)
    var gradient = Matrix(rows: count, columns: width)
    for step in 1...law.orthogonalSteps {
      let square = Matrix(
        rows: width, columns: width, elements: result.gram(threads: threads).map { Float($0) })
      gradient.assign(from: result)
      gradient.multiplyRows(by: square, threads: threads)
      gradient.forEachRow(threads: threads) { feature, slope in
        let direction = result.row(feature)
        let norm = euclideanNorm(direction)
        let own = Float(Double(count) * (norm * norm - 1) - norm * norm)
        for column in slope.indices {
          slope[column] = 4 * (slope[column] + own * direction[column])
        }
      }
      let unbiased = (1 - pow(0.999, Double(step))).squareRoot()
      let rate = Float(law.orthogonalRate * unbiased / (1 - pow(0.9, Double(step))))
      // Safe: all four matrices have the same number of elements, and no pointer leaves its closure.
      unsafe result.withUnsafeMutablePointer { weights in
        unsafe means.withUnsafeMutablePointer { means in
          unsafe squares.withUnsafeMutablePointer { squares in
            unsafe gradient.withUnsafePointer { slopes in
              unsafe kernels.adam(
                weights, means, squares, slopes, count * width, 1, rate, 0.9, 0.999,
                Float(1e-8 * unbiased))
            }
          }
        }
      }
      progress(step)
    }
    result.scaleRowsToUnit()
    return result
  }
}

extension Double {
  /// The probability that a standard normal number is below this one.
  public var normalProbability: Double { 0.5 * erfc(-self * 0.5.squareRoot()) }

  /// The number below which a standard normal one is with this probability, by bisection; ±40 at 1 and 0.
  public var normalQuantile: Double {
    if self <= 0 { return -40 }
    if self >= 1 { return 40 }
    // Work in the lower half, where the probability keeps its digits.
    if self > 0.5 { return -(1 - self).normalQuantile }
    var (low, high) = (-40.0, 0.0)
    for _ in 0..<200 {
      let middle = (low + high) / 2
      if middle.normalProbability < self { low = middle } else { high = middle }
      if high - low < 1e-13 { break }
    }
    return (low + high) / 2
  }
}

// MARK: The file

extension SyntheticForest {
  /// What `__metadata__` of a forest's file says it is.
  static let format = "hsae-forest"

  /// Writes the forest to `path`, as a `.safetensors` file: `directions`, `bias`, `correlation`, `rate`, `probability`,
  /// `mean`, `deviation`, `parent` and `excludes_children`, and the law as text.
  public func write(to path: String) throws(Failure) {
    let count = count
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [
        .init("directions", shape: [count, width]), .init("bias", shape: [width]),
        .init("correlation", shape: [count, correlation.columns]),
        .init("rate", shape: [count]), .init("probability", shape: [count]),
        .init("mean", shape: [count]), .init("deviation", shape: [count]),
        .init("parent", shape: [count], type: .int32),
        .init("excludes_children", shape: [count], type: .uint8),
      ],
      metadata: ["format": Self.format, "version": "1", "law": JSONFile.encode(law)])
    try writer.append("directions", directions.span)
    try writer.append("bias", bias)
    try writer.append("correlation", correlation.span)
    try writer.append("rate", rates)
    try writer.append("probability", probabilities)
    try writer.append("mean", means)
    try writer.append("deviation", deviations)
    var bytes: [UInt8] = []
    for parent in parents { appendBytes(of: Int32(parent), to: &bytes) }
    // Safe, also below: a view of integers as bytes.
    try unsafe writer.append("parent", bytes: bytes.span.bytes)
    let flags: [UInt8] = excludesChildren.map { $0 ? 1 : 0 }
    try unsafe writer.append("excludes_children", bytes: flags.span.bytes)
    _ = try writer.finish()
  }

  /// Whether `file` holds a forest.
  public static func isForest(_ file: SafetensorsFile) -> Bool { file.metadata["format"] == format }

  /// Reads the forest in the file at `path`. Fails with `.data` if there is another thing or it is damaged.
  public init(path: String) throws(Failure) {
    try self.init(SafetensorsFile(path: path))
  }

  init(_ file: SafetensorsFile) throws(Failure) {
    let path = file.path
    guard Self.isForest(file) else {
      throw .data("\(path): this is not a synthetic forest; make one with hsae synth.")
    }
    guard file.metadata["version"] == "1", let text = file.metadata["law"] else {
      throw .data("\(path): this forest is of a later version; use a newer hsae.")
    }
    let law = try JSONFile.decode(SyntheticLaw.self, from: Array(text.utf8), source: path)
    if let complaint = law.complaint { throw .data("\(path): \(complaint)") }
    let (count, width) = (law.features, law.width)
    _ = try file.tensor("directions", shape: [count, width])
    _ = try file.tensor("bias", shape: [width])
    _ = try file.tensor("correlation", shape: [count, law.correlationRank])
    func numbers(_ name: String, _ allowed: ClosedRange<Float>) throws(Failure) -> [Float] {
      _ = try file.tensor(name, shape: [count])
      let values = try file.floats(name)
      if let bad = values.firstIndex(where: { !allowed.contains($0) }) {
        throw .data(
          "\(path): \"\(name)\" of feature \(bad) is \(values[bad]), not between \(allowed.lowerBound) and"
            + " \(allowed.upperBound); the file is damaged.")
      }
      return values
    }
    let parentTensor = try file.tensor("parent", shape: [count])
    let flagTensor = try file.tensor("excludes_children", shape: [count])
    guard parentTensor.type == .int32, flagTensor.type == .uint8 else {
      throw .data("\(path): \"parent\" must have the type I32, and \"excludes_children\" U8.")
    }
    let parents = (0..<count).map { feature in
      // Safe: the tensor has `count` numbers of four bytes.
      let bytes = file.bytes(of: parentTensor)
      return Int(unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 4 * feature, as: Int32.self))
    }
    // The children of a feature are neighbours, and come after it.
    var lastChild: [Int: Int] = [:]
    for (feature, parent) in parents.enumerated() where parent != -1 {
      guard parent >= 0, parent < feature, (lastChild[parent] ?? feature - 1) == feature - 1 else {
        throw .data(
          "\(path): feature \(feature) has the parent \(parent), which is impossible: parents come before their"
            + " children, and siblings side by side; the file is damaged.")
      }
      lastChild[parent] = feature
    }
    let correlation = try file.matrix("correlation")
    if let feature = correlation.rowNorms().firstIndex(where: { $0 >= 1 }) {
      throw .data(
        "\(path): the correlation of feature \(feature) has a norm of 1 or more; the file is damaged."
      )
    }
    let directions = try file.matrix("directions")
    if let feature = directions.rowNorms().firstIndex(where: { !(abs($0 - 1) < 1e-3) }) {
      throw .data("\(path): direction \(feature) is not a unit vector; the file is damaged.")
    }
    let bias = try file.floats("bias")
    guard bias.allSatisfy({ abs($0) <= 1e7 }) else {
      throw .data("\(path): \"bias\" has a number above 10 million; the file is damaged.")
    }
    let rates = try numbers("rate", 0...1)
    let probabilities = try numbers("probability", 0...1)
    let means = try numbers("mean", 0.99e-3...1e7)
    let deviations = try numbers("deviation", 0...1e7)
    self.init(
      law: law, directions: directions, bias: bias, correlation: correlation, rates: rates,
      probabilities: probabilities, means: means, deviations: deviations, parents: parents,
      excludesChildren: (0..<count).map { feature in
        // Safe: the tensor has `count` bytes.
        unsafe file.bytes(of: flagTensor).unsafeLoad(fromByteOffset: feature, as: UInt8.self) != 0
      })
  }
}
