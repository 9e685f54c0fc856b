// The operations of programs, run on a device and compared with loops.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEDevices

@Suite(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin))) struct ProgramTests {
  let client: DeviceClient

  init() throws { client = try DeviceClient.shared(DeviceChoice(plugin: devicePlugin ?? "")) }

  /// Numbers that differ from each other.
  private func numbers(_ count: Int, _ seed: Int) -> [Float] {
    (0..<count).map { Float(($0 * 37 + seed * 11) % 101) / 10 - 5 }
  }

  /// What the program that `write` writes makes of its arguments.
  private func run(
    _ arguments: [(numbers: [Float], shape: [Int])],
    _ write: ([Tensor], ProgramWriter) -> Tensor
  ) throws -> [Float] {
    let writer = ProgramWriter()
    let result = write(arguments.map { writer.argument($0.shape) }, writer)
    let executable = try client.compile(writer.program([result], donated: 0))
    let arrays = try arguments.map { try client.array($0.numbers, $0.shape) }
    return try executable.run(arrays)[0].elements()
  }

  @Test func arithmeticIsElementwise() throws {
    let (a, b) = (numbers(6, 1), numbers(6, 2))
    let result = try run([(a, [2, 3]), (b, [2, 3])]) { x, _ in
      let sum = (x[0] + x[1] * 2 - 1) / (x[1].square + 0.5)
      return (x[0] > 0).select(sum, x[1].absolute.squareRoot.least(x[0])).most(x[0].sign)
    }
    for index in a.indices {
      let (x, y) = (a[index], b[index])
      let chosen = x > 0 ? (x + 2 * y - 1) / (y * y + 0.5) : min(abs(y).squareRoot(), x)
      #expect(abs(result[index] - max(chosen, x > 0 ? 1 : x < 0 ? -1 : 0)) < 1e-5)
    }
  }

  @Test func sumsAndProducts() throws {
    let (a, b) = (numbers(24, 1), numbers(24, 3))
    // Σ_z a[x, y, z] b[x, w, z], then the sum over y.
    let result = try run([(a, [2, 3, 4]), (b, [2, 3, 4])]) { x, _ in
      x[0].product(x[1], over: (2, 2), batch: 1).sum([1])
    }
    for x in 0..<2 {
      for w in 0..<3 {
        var sum: Float = 0
        for y in 0..<3 {
          for z in 0..<4 { sum += a[(x * 3 + y) * 4 + z] * b[(x * 3 + w) * 4 + z] }
        }
        #expect(abs(result[x * 3 + w] - sum) < 1e-3)
      }
    }
    let halved = try run([(a, [4, 6]), (b, [6, 4])]) { x, _ in
      x[0].product(x[1], over: (1, 0), in: .bf16)
    }
    let whole = try run([(a, [4, 6]), (b, [6, 4])]) { x, _ in x[0].product(x[1], over: (1, 0)) }
    #expect(zip(halved, whole).allSatisfy { abs($0 - $1) < 1 } && halved != whole)
  }

  @Test func theLargestOfARowAndRowsOfATable() throws {
    let (rows, table) = (numbers(20, 1), numbers(15, 2))
    let result = try run([(rows, [4, 5]), (table, [5, 3])]) { x, _ in
      let (values, places) = x[0].largest(2)
      return (values.repeated(3) * x[1].rows(places)).sum([1])
    }
    for row in 0..<4 {
      let order = (0..<5).sorted { rows[row * 5 + $0] > rows[row * 5 + $1] }
      for column in 0..<3 {
        let sum = order.prefix(2).reduce(Float(0)) {
          $0 + rows[row * 5 + $1] * table[$1 * 3 + column]
        }
        #expect(abs(result[row * 3 + column] - sum) < 1e-4)
      }
    }
  }

  @Test func sumsIntoPlaces() throws {
    let rows = numbers(20, 1)
    // How often each column is among a row's two largest, and the two largest alone.
    let table = try run([(rows, [4, 5])]) { x, writer in
      let (values, places) = x[0].largest(2)
      return values.summed(at: places, into: [5])
    }
    let base = try run([(rows, [4, 5])]) { x, _ in
      let (values, places) = x[0].largest(2)
      return (values * 2).added(to: x[0], alongRowsAt: places)
    }
    var sums = [Float](repeating: 0, count: 5)
    var expected = rows
    for row in 0..<4 {
      let order = (0..<5).sorted { rows[row * 5 + $0] > rows[row * 5 + $1] }
      for column in order.prefix(2) {
        sums[column] += rows[row * 5 + column]
        expected[row * 5 + column] *= 3
      }
    }
    #expect(zip(table, sums).allSatisfy { abs($0 - $1) < 1e-4 })
    #expect(zip(base, expected).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test func whatIsGivenBackKeepsItsMemory() throws {
    let writer = ProgramWriter()
    let (a, b) = (writer.argument([3]), writer.argument([3]))
    let executable = try client.compile(writer.program([a + b, (a * b).sum()], donated: 1))
    let arrays = try [
      client.array([1, 2, 3] as [Float], [3]), client.array([4, 5, 6] as [Float], [3]),
    ]
    let results = try executable.run(arrays)
    #expect(try results[0].elements() == [5, 7, 9] as [Float])
    #expect(try results[1].elements() == [32] as [Float])
    // The first argument is gone, and using it again is a failure, not a crash.
    #expect(throws: Failure.self) { try executable.run(arrays) }
  }

  @Test func aProgramThatIsNotOneIsAFailure() throws {
    let nonsense = DeviceProgram(text: "not a program", arguments: [], results: [], donated: 0)
    let error = #expect(throws: Failure.self) { try client.compile(nonsense) }
    #expect(error?.message.contains("compile the step") == true, "\(error?.message ?? "")")
  }

  @Test func tooLittleMemoryIsAFailure() throws {
    let writer = ProgramWriter()
    let (size, one) = (1 << 45, writer.argument([1]))
    let large = one.reshaped([]).spread([size]) + writer.places([size]).converted(to: .f32)
    let executable = try client.compile(writer.program([large, one + 1], donated: 0))
    let argument = try client.array([1] as [Float], [1])
    let error = #expect(throws: Failure.self) {
      try executable.run([argument])[1].elements(Float.self)
    }
    #expect(error?.kind == .unavailable)
    #expect(error?.message.contains("memory") == true, "\(error?.message ?? "")")
  }
}
