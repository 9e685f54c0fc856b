// Adam's two moments of every weight, in fp32 or bf16. In bf16 they need half the memory, and the engine
// rounds them at random: rounded to nearest, a slow average would stop moving, as one step changes a second
// moment by only a thousandth.

package import HSAETensors

/// Adam's two moments of every weight, laid out like `Parameters`.
@safe
package final class Moments: Sendable {
  package typealias Part = Parameters.Part

  /// One moment: a buffer for each part in the format in use, and none in the other format.
  package struct Arrays: Sendable {
    package var float32: [Buffer<Float>] = []
    package var bfloat16: [Buffer<UInt16>] = []
  }

  package let shape: DictionaryShape
  package let vectors: TrainedVectors
  package let format: Precision
  package let first: Arrays
  package let second: Arrays
  private let seed: UInt64
  private let generator: SeededGenerator
  /// The number in the whole dictionary of the first expert here.
  private let firstExpert: Int

  /// Moments that are zero. `seed` is the seed of their rounding.
  package init(
    shape: DictionaryShape, vectors: TrainedVectors, format: Precision, seed: UInt64,
    firstExpert: Int = 0
  ) {
    self.shape = shape
    self.firstExpert = firstExpert
    self.vectors = vectors
    self.format = format
    self.seed = seed
    generator = SeededGenerator(seed: seed).split(0x6D6F_6D65_6E74)
    func arrays() -> Arrays {
      let counts = Part.allCases.map { $0.count(shape, vectors) }
      switch format {
      case .float32: return Arrays(float32: counts.map { Buffer($0) })
      case .bfloat16: return Arrays(bfloat16: counts.map { Buffer($0) })
      }
    }
    first = arrays()
    second = arrays()
  }

  /// A copy with its own memory.
  package func copy() -> Moments {
    let result = Moments(
      shape: shape, vectors: vectors, format: format, seed: seed, firstExpert: firstExpert)
    for (from, to) in [(first, result.first), (second, result.second)] {
      for (a, b) in zip(from.float32, to.float32) { b.assign(from: a) }
      for (a, b) in zip(from.bfloat16, to.bfloat16) { b.assign(from: a) }
    }
    return result
  }

  /// The place in the whole dictionary's part where the elements of this part begin.
  package func origin(_ part: Part) -> Int {
    part.isByExpert ? part.count(shape, vectors) / shape.experts * firstExpert : 0
  }

  /// The key of the random rounding of a part in a step.
  package func key(_ step: Int, _ part: Part) -> UInt64 {
    var own = generator.split(UInt64(step)).split(UInt64(part.rawValue))
    return own.next()
  }

  /// One fp32 moment in the layout of the weights.
  package func parameters(_ moment: Arrays) -> Parameters {
    precondition(format == .float32, "Moments in bf16.")
    var result = Parameters(shape: shape, vectors: vectors)
    for part in Part.allCases {
      var target = result[part].mutableSpan
      let source = moment.float32[part.rawValue].elements
      for index in source.indices { target[index] = source[index] }
    }
    return result
  }

  /// Sets one fp32 moment to numbers in the layout of the weights.
  package func set(_ moment: Arrays, to values: borrowing Parameters) {
    precondition(format == .float32, "Moments in bf16.")
    for part in Part.allCases {
      let source = values[part].elements
      moment.float32[part.rawValue].withMutableSpan(source.indices) { target in
        for index in target.indices { target[index] = source[index] }
      }
    }
  }
}
