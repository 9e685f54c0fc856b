// The values of a program: arrays with a type and a shape that are known while the program is written. Arithmetic on
// them appends lines to the program (`ProgramWriter`), so the source of a program reads like its formulas.

/// The type of a tensor's elements, by its name in StableHLO.
package enum ElementType: String, Sendable {
  case f32, bf16, i32, i64
  /// True or false.
  case i1

  var isFloat: Bool { self == .f32 || self == .bf16 }
}

/// A value of a program that is being written.
package struct Tensor {
  /// Its name in the text.
  let name: String
  /// The sides, slowest first; empty for a scalar.
  package let shape: [Int]
  /// The type of its elements.
  package let type: ElementType
  let writer: ProgramWriter

  /// Its type in the text.
  var typeText: String { typeName(shape, type) }
}

/// The name of the type of an array in StableHLO.
func typeName(_ shape: [Int], _ type: ElementType) -> String {
  "tensor<" + shape.map { "\($0)x" }.joined() + type.rawValue + ">"
}

/// Elementwise arithmetic. A scalar goes with any shape; otherwise shapes are equal.
extension Tensor {
  static func + (a: Tensor, b: Tensor) -> Tensor { a.with(b, "add") }
  static func - (a: Tensor, b: Tensor) -> Tensor { a.with(b, "subtract") }
  static func * (a: Tensor, b: Tensor) -> Tensor { a.with(b, "multiply") }
  static func / (a: Tensor, b: Tensor) -> Tensor { a.with(b, "divide") }
  static func + (a: Tensor, b: Double) -> Tensor { a + a.constant(b) }
  static func - (a: Tensor, b: Double) -> Tensor { a - a.constant(b) }
  static func * (a: Tensor, b: Double) -> Tensor { a * a.constant(b) }
  static func / (a: Tensor, b: Double) -> Tensor { a / a.constant(b) }

  static func > (a: Tensor, b: Double) -> Tensor { a.compared("GT", a.constant(b)) }
  static func >= (a: Tensor, b: Double) -> Tensor { a.compared("GE", a.constant(b)) }
  static func > (a: Tensor, b: Tensor) -> Tensor { a.compared("GT", b) }
  static func >= (a: Tensor, b: Tensor) -> Tensor { a.compared("GE", b) }
  /// Whether the elements are equal.
  func equals(_ other: Tensor) -> Tensor { compared("EQ", other) }
  /// Whether the elements differ.
  func differs(_ other: Tensor) -> Tensor { compared("NE", other) }
  /// Whether both are true.
  func and(_ other: Tensor) -> Tensor { with(other, "and") }

  /// The smaller of both.
  func least(_ other: Tensor) -> Tensor { with(other, "minimum") }
  /// The larger of both.
  func most(_ other: Tensor) -> Tensor { with(other, "maximum") }
  var absolute: Tensor { unary("abs") }
  var sign: Tensor { unary("sign") }
  var squareRoot: Tensor { unary("sqrt") }
  var square: Tensor { self * self }
  /// Whether elements are neither infinite nor NaN.
  var isFinite: Tensor {
    writer.append(shape, .i1) { "stablehlo.is_finite \(name) : (\(typeText)) -> \($0)" }
  }

  /// `a` where this is true, else `b`; scalars spread.
  func select(_ a: Tensor, _ b: Tensor) -> Tensor {
    let shape = self.shape.isEmpty ? (a.shape.isEmpty ? b.shape : a.shape) : self.shape
    let (a, b) = (a.spread(shape), b.spread(shape))
    precondition(a.type == b.type, "A choice between two types.")
    return writer.append(shape, a.type) {
      "stablehlo.select \(name), \(a.name), \(b.name) : \(typeText), \($0)"
    }
  }

  /// `a` where this is true, else 0.
  func select(_ a: Tensor) -> Tensor { select(a, a.constant(0)) }

  /// The same numbers in another type.
  func converted(to type: ElementType) -> Tensor {
    self.type == type
      ? self
      : writer.append(shape, type) { "stablehlo.convert \(name) : (\(typeText)) -> \($0)" }
  }

  /// A scalar of the same type.
  func constant(_ value: Double) -> Tensor { writer.constant(value, type) }

  private func unary(_ name: String) -> Tensor {
    writer.append(shape, type) { "stablehlo.\(name) \(self.name) : \($0)" }
  }

  private func with(_ other: Tensor, _ operation: String) -> Tensor {
    let shape = self.shape.isEmpty ? other.shape : self.shape
    let (a, b) = (spread(shape), other.spread(shape))
    precondition(a.type == b.type, "\(operation) of \(a.typeText) and \(b.typeText)")
    return writer.append(shape, type) { "stablehlo.\(operation) \(a.name), \(b.name) : \($0)" }
  }

  private func compared(_ how: String, _ other: Tensor) -> Tensor {
    let other = other.spread(shape)
    precondition(type == other.type, "A comparison of two types.")
    let kind = type.isFloat ? "FLOAT" : "SIGNED"
    return writer.append(shape, .i1) {
      "stablehlo.compare \(how), \(name), \(other.name), \(kind) : (\(typeText), \(other.typeText)) -> \($0)"
    }
  }
}

/// Shapes and sums.
extension Tensor {
  /// The same numbers in `shape`. Dimension i of this tensor is dimension `dimensions[i]` of the result, and along the
  /// others the numbers repeat. A scalar repeats everywhere.
  func spread(_ shape: [Int], _ dimensions: [Int] = []) -> Tensor {
    if self.shape == shape { return self }
    precondition(
      dimensions.count == self.shape.count
        && zip(dimensions, self.shape).allSatisfy { shape[$0] == $1 },
      "\(typeText) does not spread to \(shape).")
    return writer.append(shape, type) {
      "stablehlo.broadcast_in_dim \(name), dims = \(dimensions) : (\(typeText)) -> \($0)"
    }
  }

  /// The numbers repeat along a new last dimension of `count`.
  func repeated(_ count: Int) -> Tensor { spread(shape + [count], Array(shape.indices)) }

  /// The numbers repeat along a new first dimension of `count`: one copy for each row.
  func forEachRow(_ count: Int) -> Tensor { spread([count] + shape, shape.indices.map { $0 + 1 }) }

  /// The same numbers, in order, in another shape.
  func reshaped(_ shape: [Int]) -> Tensor {
    writer.append(shape, type) { "stablehlo.reshape \(name) : (\(typeText)) -> \($0)" }
  }

  /// Element `index` of a vector, a scalar.
  func element(_ index: Int) -> Tensor {
    writer.append([1], type) {
      "stablehlo.slice \(name) [\(index):\(index + 1)] : (\(typeText)) -> \($0)"
    }
    .reshaped([])
  }

  /// The sum along `dimensions`; over all of them by default.
  func sum(_ dimensions: [Int]? = nil) -> Tensor { reduced(dimensions, "add", from: 0) }

  /// The largest along the last dimension.
  var largestOfLast: Tensor { reduced([shape.count - 1], "maximum", from: -.infinity) }

  /// The smallest along the last dimension, at most `limit`.
  func leastOfLast(limit: Int) -> Tensor {
    reduced([shape.count - 1], "minimum", from: Double(limit))
  }

  private func reduced(_ dimensions: [Int]?, _ operation: String, from start: Double) -> Tensor {
    let dimensions = dimensions ?? Array(shape.indices)
    let left = shape.indices.filter { !dimensions.contains($0) }.map { shape[$0] }
    let start = constant(start)
    return writer.append(left, type) {
      "stablehlo.reduce(\(name) init: \(start.name)) applies stablehlo.\(operation) across dimensions = \(dimensions)"
        + " : (\(typeText), \(start.typeText)) -> \($0)"
    }
  }

  /// Σ of the products along the dimensions `over`, for each combination of the dimensions `batch`, which both have.
  /// The result's sides are those of `batch`, then the others of this tensor, then the others of `other`.
  /// In bf16 the factors are rounded and sums are kept in fp32.
  func product(
    _ other: Tensor, over: (Int, Int), batch: Int = 0, in type: ElementType = .f32
  ) -> Tensor {
    product(other, over: ([over.0], [over.1]), batch: batch, in: type)
  }

  /// As above, along several dimensions. The first `batch` dimensions of both are those of the result.
  func product(
    _ other: Tensor, over: ([Int], [Int]), batch: Int = 0, in type: ElementType = .f32
  ) -> Tensor {
    let (a, b) = (converted(to: type), other.converted(to: type))
    func free(_ shape: [Int], _ over: [Int]) -> [Int] {
      shape.indices.dropFirst(batch).filter { !over.contains($0) }.map { shape[$0] }
    }
    let leading = Array(0..<batch)
    let batching = batch == 0 ? "" : "batching_dims = \(leading) x \(leading), "
    let precision = type == .bf16 ? "DEFAULT" : "HIGHEST"
    return writer.append(
      Array(shape.prefix(batch)) + free(shape, over.0) + free(other.shape, over.1), .f32
    ) {
      "stablehlo.dot_general \(a.name), \(b.name), \(batching)contracting_dims = \(over.0) x \(over.1),"
        + " precision = [\(precision), \(precision)] : (\(a.typeText), \(b.typeText)) -> \($0)"
    }
  }
}
