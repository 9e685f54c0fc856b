// Dense tiles through oneDNN, compared with a plain product: layouts, tails, accumulation, both precisions,
// several workers at once.

import CHSAEKernels
import HSAETensors
import HSAETestSupport
import Synchronization
import Testing

/// A product of fixed sizes.
struct ProductCase: Sendable, CustomTestStringConvertible {
  var rows: [Int]
  var columns: [Int]
  var depth: Int
  var transposesA = false
  var transposesB = false
  var accumulates = false
  /// Elements between the end of a row and the beginning of the next, in all three.
  var gap = 0
  var precision = Precision.float32

  var testDescription: String {
    "\(rows)×\(depth)×\(columns)\(transposesA ? " Aᵀ" : "")\(transposesB ? " Bᵀ" : "")"
      + "\(accumulates ? " +=" : "") gap \(gap) \(precision)"
  }

  static let all: [ProductCase] = {
    var cases: [ProductCase] = []
    for (rows, columns, depth) in [
      ([16], [64, 7], 40), ([256, 3], [512, 17], 67), ([1], [1], 1), ([5], [33], 640),
      ([64], [65], 2307),
    ] {
      for layout in 0..<4 {
        for gap in [0, 3] {
          cases.append(
            ProductCase(
              rows: rows, columns: columns, depth: depth, transposesA: layout & 1 == 1,
              transposesB: layout & 2 == 2, accumulates: (layout + gap) % 2 == 1, gap: gap))
        }
      }
    }
    if Precision.best == .bfloat16 {
      cases += cases.map {
        var other = $0
        other.precision = .bfloat16
        return other
      }
    }
    return cases
  }()
}

/// A matrix in memory: its elements in order, and the place of element (i, j).
private struct Stored {
  var elements: [Float]
  var layout: TileLayout

  /// Random elements for `rows` × `columns`, `gap` unused ones between stored rows.
  init(
    rows: Int, columns: Int, gap: Int, isTransposed: Bool, _ generator: inout SeededGenerator
  ) {
    let stride = (isTransposed ? rows : columns) + gap
    elements = generator.floats((isTransposed ? columns : rows) * stride)
    layout = isTransposed ? .transposed(stride) : .rows(stride)
  }

  subscript(i: Int, j: Int) -> Float {
    elements[i * layout.rowStride + j * layout.columnStride]
  }

  /// The elements as bf16, and this matrix with the same rounding.
  mutating func round() -> [UInt16] {
    var bits = [UInt16](repeating: 0, count: elements.count)
    unsafe kernels.to_bfloat16(&bits, elements, elements.count)
    elements = bits.map { Float(bitPattern: UInt32($0) << 16) }
    return bits
  }
}

@Suite struct TileProductTests {
  @Test(arguments: ProductCase.all)
  func agreesWithAPlainProduct(_ example: ProductCase) {
    var generator = SeededGenerator(seed: 31)
    let (M, N) = (example.rows.max() ?? 0, example.columns.max() ?? 0)
    let depth = example.depth
    var a = Stored(
      rows: M, columns: depth, gap: example.gap, isTransposed: example.transposesA, &generator)
    var b = Stored(
      rows: depth, columns: N, gap: example.gap, isTransposed: example.transposesB, &generator)
    let stride = N + example.gap
    let before = generator.floats(M * stride)
    let product = TileProduct(
      rowSizes: Set(example.rows), columnSizes: Set(example.columns), depth: depth, a: a.layout,
      b: b.layout, cStride: stride, precision: example.precision,
      accumulate: example.accumulates, workers: 1)
    #expect(product.maxRows == M)
    let isRounded = example.precision == .bfloat16
    let (aBits, bBits) = isRounded ? (a.round(), b.round()) : ([], [])
    for rows in example.rows {
      for columns in example.columns {
        let c = FencedArray(before, .offByThree)
        if isRounded {
          unsafe product.run(
            rows: rows, columns: columns, a: aBits, b: bBits, c: c.base, worker: 0)
        } else {
          unsafe product.run(
            rows: rows, columns: columns, a: a.elements, b: b.elements, c: c.base, worker: 0)
        }
        #expect(c.isIntact)
        let found = c.elements
        var wrong = 0
        for i in 0..<M {
          for j in 0..<stride {
            let old = before[i * stride + j]
            guard i < rows && j < columns else {
              wrong += found[i * stride + j] == old ? 0 : 1
              continue
            }
            var sum = example.accumulates ? Bounded(old) : .zero
            for k in 0..<depth { sum += Bounded(a[i, k]) * Bounded(b[k, j]) }
            // oneDNN's order of summation is unknown; the bound is for one term after another.
            wrong += sum.allows(Double(found[i * stride + j]), roundings: depth + 4) ? 0 : 1
          }
        }
        #expect(wrong == 0, "\(rows) × \(columns)")
      }
    }
  }

  @Test(arguments: Precision.supported)
  func workersDoNotDisturbEachOther(_ precision: Precision) {
    let (side, depth, tiles) = (48, 96, 24)
    var generator = SeededGenerator(seed: 9)
    let a = generator.floats(tiles * side * depth)
    let b = generator.floats(side * depth)
    var (aBits, bBits) = (
      [UInt16](repeating: 0, count: a.count), [UInt16](repeating: 0, count: b.count)
    )
    unsafe kernels.to_bfloat16(&aBits, a, a.count)
    unsafe kernels.to_bfloat16(&bBits, b, b.count)
    func run(threads: Int) -> [Float] {
      let product = TileProduct(
        rowSizes: [side], columnSizes: [side], depth: depth, a: .rows(depth),
        b: .transposed(depth), cStride: side, precision: precision, workers: threads)
      let c = Buffer<Float>(tiles * side * side)
      let isRounded = precision == .bfloat16
      unsafe aBits.withUnsafeBytes { aBits in
        unsafe bBits.withUnsafeBytes { bBits in
          unsafe a.withUnsafeBytes { a in
            unsafe b.withUnsafeBytes { b in
              guard let aStart = unsafe (isRounded ? aBits : a).baseAddress,
                let bStart = unsafe (isRounded ? bBits : b).baseAddress
              else { return }
              // Safe: tiles are disjoint and the arrays outlive the loop.
              nonisolated(unsafe) let (first, second) = unsafe (aStart, bStart)
              parallelFor(tiles, threads: threads) { piece, worker in
                unsafe product.run(
                  rows: side, columns: side, a: first + piece * side * depth * (isRounded ? 2 : 4),
                  b: second, c: c.base + piece * side * side, worker: worker)
              }
            }
          }
        }
      }
      return c.elements
    }
    let alone = run(threads: 1)
    #expect(run(threads: 3) == alone)
    #expect(alone.contains { $0 != 0 })
  }
}
