// Kernels that multiply and add, each compared with a slow twin in double precision: every instruction set,
// awkward sizes, odd alignments, and memory beyond the arrays that must not be touched.

import CHSAEKernels
import HSAETensors
import Testing

/// One kernel: its arrays, a call, and the expected result.
struct KernelDescription: Sendable, CustomTestStringConvertible {
  struct Outcome {
    var scalars: [Bounded] = []
    /// The expected arrays after the call.
    var arrays: [[Bounded]]
  }

  var name: String
  /// Sizes to test; each kernel gives them its own meaning.
  var sizes: [[Int]]
  /// Lengths of the float arrays for some sizes.
  var lengths: @Sendable ([Int]) -> [Int]
  /// Length of the index array, and the limit of its elements.
  var indices: @Sendable ([Int]) -> (count: Int, limit: Int) = { _ in (0, 0) }
  /// The most roundings of a term on its way into a result.
  var roundings: @Sendable ([Int]) -> Int
  /// Calls the kernel; returns the numbers it returned.
  var run: @Sendable (InstructionSet, [Int], [FencedArray], [Int32]) -> [Double]
  /// The same in plain arithmetic.
  var twin: @Sendable ([Int], [[Bounded]], [Int]) -> Outcome

  var testDescription: String { name }

  static let widths = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 640, 2304 + 3]
  static let scalar: Float = -0.7

  /// Depth of a dot product's sum: lanes of 16, a reduction, a tail.
  static func dotRoundings(_ width: Int) -> Int { width / 16 + 20 }
}

extension KernelDescription {
  static let all: [KernelDescription] = vectors + experts

  static let vectors: [KernelDescription] = [
    KernelDescription(
      name: "dot", sizes: widths.map { [$0] }, lengths: { [$0[0], $0[0]] },
      roundings: { dotRoundings($0[0]) },
      run: { set, n, x, _ in
        unsafe [Double(set.table.dot(x[0].base, x[1].base, n[0]))]
      },
      twin: { _, arrays, _ in
        Outcome(
          scalars: [zip(arrays[0], arrays[1]).reduce(.zero) { $0 + $1.0 * $1.1 }], arrays: arrays)
      }),
    KernelDescription(
      name: "sum_squares", sizes: (widths + [4095, 4096, 4097, 9000]).map { [$0] },
      lengths: { [$0[0]] }, roundings: { dotRoundings(min($0[0], 4096)) },
      run: { set, n, x, _ in unsafe [set.table.sum_squares(x[0].base, n[0])] },
      twin: { _, arrays, _ in
        Outcome(scalars: [arrays[0].reduce(.zero) { $0 + $1 * $1 }], arrays: arrays)
      }),
    KernelDescription(
      name: "fourth_powers", sizes: widths.map { [$0] }, lengths: { [$0[0]] },
      roundings: { dotRoundings($0[0]) + 2 },
      run: { set, n, x, _ in unsafe [Double(set.table.fourth_powers(x[0].base, n[0]))] },
      twin: { _, arrays, _ in
        Outcome(scalars: [arrays[0].reduce(.zero) { $0 + ($1 * $1) * ($1 * $1) }], arrays: arrays)
      }),
    KernelDescription(
      name: "axpy", sizes: widths.map { [$0] }, lengths: { [$0[0], $0[0]] }, roundings: { _ in 2 },
      run: { set, n, x, _ in
        unsafe set.table.axpy(x[0].base, x[1].base, scalar, n[0])
        return []
      },
      twin: { _, arrays, _ in
        let c = Bounded(scalar)
        return Outcome(arrays: [zip(arrays[0], arrays[1]).map { $0 + c * $1 }, arrays[1]])
      }),
    KernelDescription(
      name: "scale", sizes: widths.map { [$0] }, lengths: { [$0[0], $0[0]] }, roundings: { _ in 1 },
      run: { set, n, x, _ in
        unsafe set.table.scale(x[0].base, x[1].base, scalar, n[0])
        return []
      },
      twin: { _, arrays, _ in
        let c = Bounded(scalar)
        return Outcome(arrays: [arrays[1].map { c * $0 }, arrays[1]])
      }),
    KernelDescription(
      name: "scale in place", sizes: widths.map { [$0] }, lengths: { [$0[0]] },
      roundings: { _ in 1 },
      run: { set, n, x, _ in
        unsafe set.table.scale(x[0].base, x[0].base, scalar, n[0])
        return []
      },
      twin: { _, arrays, _ in
        let c = Bounded(scalar)
        return Outcome(arrays: [arrays[0].map { c * $0 }])
      }),
    KernelDescription(
      // high, low, x; r = high + low − x, h = high − x.
      name: "residuals", sizes: widths.map { [$0] }, lengths: { [$0[0], $0[0], $0[0]] },
      roundings: { dotRoundings($0[0]) + 6 },
      run: { set, n, x, _ in
        var sums = [0.5, 0.25]
        unsafe set.table.residuals(x[0].base, x[1].base, x[2].base, 0.3, 0.07, n[0], &sums)
        return sums
      },
      twin: { sizes, arrays, _ in
        var outcome = Outcome(
          scalars: [Bounded(0.5), Bounded(0.25)], arrays: arrays)
        for i in 0..<sizes[0] {
          let h = arrays[0][i] - arrays[2][i]
          let r = h + arrays[1][i]
          outcome.scalars[0] += r * r
          outcome.scalars[1] += h * h
          outcome.arrays[1][i] = Bounded(0.3) * r
          outcome.arrays[0][i] = Bounded(0.3) * r + Bounded(0.07) * h
        }
        return outcome
      }),
  ]
}

extension KernelDescription {
  /// R rows of an expert, width d, n rows of the batch.
  static let expertSizes: [[Int]] = {
    var sizes: [[Int]] = []
    for d in widths where d > 0 { sizes.append([6, d, 5]) }
    for R in 1...9 { sizes.append([R, 67, 3]) }
    for n in [0, 1, 2, 7, 33] { sizes.append([5, 133, n]) }
    for n in [8, 9, 33] { sizes.append([1, 133, n]) }
    sizes.append([6, 133, 33])
    return sizes
  }()

  /// The number of rows to choose from, with 3 floats between the end of a row and the next.
  static let pool = 7
  static func stride(_ d: Int) -> Int { d + 3 }
  static func poolLength(_ d: Int) -> Int { (pool - 1) * stride(d) + d }
  static let panel = Int(HSAE_PANEL)

  static let experts: [KernelDescription] = [
    KernelDescription(
      // out [n × R], rows [R × d], x.
      name: "rows_dot", sizes: expertSizes,
      lengths: { [$0[2] * $0[0], $0[0] * $0[1], poolLength($0[1])] },
      indices: { ($0[2], pool) }, roundings: { dotRoundings($0[1]) },
      run: { set, n, x, vectors in
        unsafe set.table.rows_dot(
          x[0].base, x[1].base, n[0], n[1], x[2].base, stride(n[1]), vectors, n[2])
        return []
      },
      twin: { n, arrays, vectors in
        let (R, d) = (n[0], n[1])
        var outcome = Outcome(arrays: arrays)
        for t in 0..<n[2] {
          for r in 0..<R {
            outcome.arrays[0][t * R + r] = (0..<d).reduce(.zero) {
              $0 + arrays[1][r * d + $1] * arrays[2][vectors[t] * stride(d) + $1]
            }
          }
        }
        return outcome
      }),
    KernelDescription(
      // grad [R × d], coefficients [n × R], x.
      name: "outer", sizes: expertSizes,
      lengths: { [$0[0] * $0[1], $0[2] * $0[0], poolLength($0[1])] },
      indices: { ($0[2], pool) }, roundings: { $0[2] + 2 },
      run: { set, n, x, vectors in
        unsafe set.table.outer(
          x[0].base, n[0], n[1], x[1].base, x[2].base, stride(n[1]), vectors, n[2])
        return []
      },
      twin: { n, arrays, vectors in
        let (R, d) = (n[0], n[1])
        var outcome = Outcome(arrays: arrays)
        for t in 0..<n[2] {
          for r in 0..<R {
            for i in 0..<d {
              outcome.arrays[0][r * d + i] +=
                arrays[1][t * R + r] * arrays[2][vectors[t] * stride(d) + i]
            }
          }
        }
        return outcome
      }),
    KernelDescription(
      // sums [3 × ld], panel [pool × HSAE_PANEL]; row j takes every third of the chosen rows.
      name: "panel_sums", sizes: [0, 1, 2, 3, 7, 8, 33].map { [$0] },
      lengths: { _ in [2 * (panel + 3) + panel, pool * panel] },
      indices: { ($0[0], pool) }, roundings: { $0[0] + 2 },
      run: { set, n, x, vectors in
        let list = (0..<n[0]).map { UInt16(vectors[$0]) }
        let starts = (0...3).map { Int32(n[0] * $0 / 3) }
        unsafe set.table.panel_sums(x[0].base, panel + 3, 3, list, starts, x[1].base)
        return []
      },
      twin: { n, arrays, vectors in
        var outcome = Outcome(arrays: arrays)
        for j in 0..<3 {
          for t in n[0] * j / 3..<n[0] * (j + 1) / 3 {
            for i in 0..<panel {
              outcome.arrays[0][j * (panel + 3) + i] += arrays[1][vectors[t] * panel + i]
            }
          }
        }
        return outcome
      }),
    KernelDescription(
      // high [pool × d], low [pool × d], rows [R × d], z [n], v [n × s].
      name: "spread", sizes: expertSizes,
      lengths: { [pool * $0[1], pool * $0[1], $0[0] * $0[1], $0[2], $0[2] * ($0[0] - 1)] },
      indices: { ($0[2], pool) }, roundings: { $0[2] * $0[0] + 2 },
      run: { set, n, x, vectors in
        // In two visits, as the engine goes through panels of columns.
        let first = min(n[1], 48)
        for (column, count) in [(0, first), (first, n[1] - first)] {
          unsafe set.table.spread(
            x[0].base + column, x[1].base + column, x[2].base + column, n[0], n[1], count,
            x[3].base, x[4].base, vectors, n[2])
        }
        return []
      },
      twin: { n, arrays, vectors in
        let (R, d) = (n[0], n[1])
        var outcome = Outcome(arrays: arrays)
        for t in 0..<n[2] {
          for i in 0..<d {
            let place = vectors[t] * d + i
            outcome.arrays[0][place] += arrays[3][t] * arrays[2][i]
            for r in 0..<R - 1 {
              outcome.arrays[1][place] += arrays[4][t * (R - 1) + r] * arrays[2][(r + 1) * d + i]
            }
          }
        }
        return outcome
      }),
  ]
}

@Suite struct KernelArithmeticTests {
  @Test(arguments: KernelDescription.all, InstructionSet.all)
  func agreesWithTheTwin(_ kernel: KernelDescription, _ set: InstructionSet) {
    var generator = SeededGenerator(seed: 11)
    for sizes in kernel.sizes {
      let inputs = kernel.lengths(sizes).map { generator.floats($0) }
      let (count, limit) = kernel.indices(sizes)
      let indices = generator.indices(count, below: limit)
      let expected = kernel.twin(
        sizes, inputs.map { $0.map { Bounded($0) } }, indices.map(Int.init))
      let roundings = kernel.roundings(sizes)
      var first: [[Float]]?
      for placement in Placement.allCases {
        let arrays = inputs.map { FencedArray($0, placement) }
        let scalars = kernel.run(set, sizes, arrays, indices)
        let label = "\(sizes), \(placement)"
        #expect(scalars.count == expected.scalars.count)
        for (scalar, bound) in zip(scalars, expected.scalars) {
          #expect(
            bound.allows(scalar, roundings: roundings), "\(label): \(scalar), not \(bound.value)")
        }
        for (place, array) in arrays.enumerated() {
          #expect(array.isIntact, "\(label): written beside array \(place)")
          let wrong = zip(array.elements, expected.arrays[place]).enumerated().first {
            !$0.element.1.allows(Double($0.element.0), roundings: roundings)
          }
          #expect(wrong == nil, "\(label): array \(place)")
        }
        // The alignment does not change the numbers.
        let results = arrays.map(\.elements)
        if let first { #expect(results == first, "\(label): other bits") }
        first = first ?? results
      }
    }
  }

  /// A row's products must not depend on the other rows in the call.
  @Test(arguments: InstructionSet.all)
  func rowsDotOfOneIsRowsDotOfMany(_ set: InstructionSet) {
    var generator = SeededGenerator(seed: 5)
    for (R, d, n) in [(7, 133, 5), (4, 64, 2), (9, 31, 3)] {
      let rows = generator.floats(R * d)
      let x = generator.floats(n * d)
      let vectors = (0..<Int32(n)).map { $0 }
      var all = [Float](repeating: 0, count: n * R)
      unsafe set.table.rows_dot(&all, rows, R, d, x, d, vectors, n)
      for t in 0..<n {
        for r in 0..<R {
          var one: Float = 0
          unsafe set.table.rows_dot(
            &one, Array(rows[r * d..<(r + 1) * d]), 1, d, x, d, [Int32(t)], 1)
          #expect(one == all[t * R + r])
        }
      }
    }
  }

  /// Rows in bf16 give the same bits as the equal floats.
  @Test(arguments: InstructionSet.all)
  func rowsInBfloat16AreTheirFloats(_ set: InstructionSet) {
    var generator = SeededGenerator(seed: 6)
    for sizes in KernelDescription.expertSizes {
      let (R, d, n) = (sizes[0], sizes[1], sizes[2])
      let (ld, pool) = (KernelDescription.stride(d), KernelDescription.pool)
      var x = generator.floats(KernelDescription.poolLength(d))
      var halves = [UInt16](repeating: 0, count: x.count)
      unsafe set.table.to_bfloat16(&halves, x, x.count)
      for i in x.indices { x[i] = Float(bitPattern: UInt32(halves[i]) << 16) }
      let rows = generator.floats(R * d)
      let vectors = generator.indices(n, below: pool)
      var (fromFloats, fromHalves) = ([Float](repeating: 0, count: n * R), [Float]())
      fromHalves = fromFloats
      unsafe set.table.rows_dot(&fromFloats, rows, R, d, x, ld, vectors, n)
      unsafe set.table.rows_dot_bfloat16(&fromHalves, rows, R, d, halves, ld, vectors, n)
      #expect(fromFloats == fromHalves, "rows_dot, \(sizes)")
      var (one, other) = (rows, rows)
      unsafe set.table.outer(&one, R, d, fromFloats, x, ld, vectors, n)
      unsafe set.table.outer_bfloat16(&other, R, d, fromFloats, halves, ld, vectors, n)
      #expect(one == other, "outer, \(sizes)")
    }
  }

  /// All instruction sets give the same bits, except for fused multiply-adds; with exact numbers these agree
  /// too.
  @Test(arguments: KernelDescription.all)
  func setsAgreeOnExactNumbers(_ kernel: KernelDescription) {
    // residuals and the scalars are not eighths, so the products round.
    guard !["residuals", "axpy", "scale", "scale in place", "rows_sum"].contains(kernel.name) else {
      return
    }
    var generator = SeededGenerator(seed: 12)
    for sizes in kernel.sizes {
      let inputs = kernel.lengths(sizes).map { generator.eighths($0) }
      let (count, limit) = kernel.indices(sizes)
      let indices = generator.indices(count, below: limit)
      let expected = kernel.twin(
        sizes, inputs.map { $0.map { Bounded($0) } }, indices.map(Int.init))
      for set in InstructionSet.all {
        let arrays = inputs.map { FencedArray($0, .offByOne) }
        let scalars = kernel.run(set, sizes, arrays, indices)
        #expect(scalars == expected.scalars.map(\.value), "\(set.name) \(sizes)")
        for (array, bounds) in zip(arrays, expected.arrays) {
          #expect(array.elements.map(Double.init) == bounds.map(\.value), "\(set.name) \(sizes)")
        }
      }
    }
  }
}
