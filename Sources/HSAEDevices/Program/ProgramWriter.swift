// Writes a program in the text of StableHLO, the language that PJRT's plugins compile: one function, a line for each
// value.

/// A program for a device: its text, and the shapes of what goes in and comes out.
package struct DeviceProgram: Sendable {
  /// One array.
  package struct Array: Hashable, Sendable {
    /// The type of the elements.
    package let type: ElementType
    /// The sides, slowest first.
    package let shape: [Int]
  }

  /// The text in StableHLO.
  package let text: String
  /// What it takes. The first `donated` arguments give their memory to the results with the same numbers.
  package let arguments: [Array]
  /// What it gives.
  package let results: [Array]
  /// The number of arguments whose memory the results take over.
  package let donated: Int
}

/// A program that is being written.
package final class ProgramWriter {
  private var lines: [String] = []
  private var arguments: [Tensor] = []
  private var count = 0

  /// An empty program.
  package init() {}

  /// A new argument of the program.
  package func argument(_ shape: [Int], _ type: ElementType = .f32) -> Tensor {
    let argument = Tensor(name: "%arg\(arguments.count)", shape: shape, type: type, writer: self)
    arguments.append(argument)
    return argument
  }

  /// A scalar.
  func constant(_ value: Double, _ type: ElementType) -> Tensor {
    let literal: String
    if type.isFloat {
      // Bits are exact, and a number such as 1e-30 without a point would not be read.
      let bits = String(Float(value).bitPattern, radix: 16, uppercase: true)
      literal = "0x" + String(repeating: "0", count: 8 - bits.count) + bits
    } else {
      literal = String(Int64(value))
    }
    precondition(type != .bf16, "Numbers are rounded to bf16 only inside of products.")
    return append([], type) { "stablehlo.constant dense<\(literal)> : \($0)" }
  }

  /// The numbers 0, 1, … along the last dimension of `shape`.
  func places(_ shape: [Int]) -> Tensor {
    append(shape, .i32) { "stablehlo.iota dim = \(shape.count - 1) : \($0)" }
  }

  /// A vector of scalars.
  func vector(_ scalars: [Tensor]) -> Tensor {
    let parts = scalars.map { $0.reshaped([1]) }
    return append([parts.count], scalars[0].type) {
      "stablehlo.concatenate \(parts.map(\.name).joined(separator: ", ")), dim = 0 : "
        + "(\(parts.map(\.typeText).joined(separator: ", "))) -> \($0)"
    }
  }

  /// Appends the line of one value; `text` gets the name of its type.
  func append(_ shape: [Int], _ type: ElementType, _ text: (String) -> String) -> Tensor {
    let value = Tensor(name: "%\(count)", shape: shape, type: type, writer: self)
    count += 1
    lines.append("    \(value.name) = \(text(value.typeText))")
    return value
  }

  /// Appends the line of an operation with two results.
  func appendPair(
    _ first: ([Int], ElementType), _ second: ([Int], ElementType),
    _ text: (String, String) -> String
  ) -> (Tensor, Tensor) {
    let a = Tensor(name: "%\(count)", shape: first.0, type: first.1, writer: self)
    let b = Tensor(name: "%\(count + 1)", shape: second.0, type: second.1, writer: self)
    count += 2
    lines.append("    \(a.name), \(b.name) = \(text(a.typeText, b.typeText))")
    return (a, b)
  }

  /// The program that gives `results`. The first `donated` arguments give their memory to the results with the same
  /// numbers.
  package func program(_ results: [Tensor], donated: Int) -> DeviceProgram {
    precondition(
      (0..<donated).allSatisfy { arguments[$0].typeText == results[$0].typeText },
      "A result cannot have the memory of an argument of another type.")
    let header = arguments.enumerated().map { index, argument in
      "\(argument.name): \(argument.typeText)"
        + (index < donated ? " {tf.aliasing_output = \(index) : i32}" : "")
    }.joined(separator: ", ")
    let types = results.map(\.typeText).joined(separator: ", ")
    let text = """
      module @hsae attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
        func.func public @main(\(header)) -> (\(types)) {
      \(lines.joined(separator: "\n"))
          return \(results.map(\.name).joined(separator: ", ")) : \(types)
        }
      }

      """
    func arrays(_ tensors: [Tensor]) -> [DeviceProgram.Array] {
      tensors.map { DeviceProgram.Array(type: $0.type, shape: $0.shape) }
    }
    return DeviceProgram(
      text: text, arguments: arrays(arguments), results: arrays(results), donated: donated)
  }
}
