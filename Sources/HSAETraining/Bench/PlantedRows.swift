// Rows with a planted two-level structure, written to a file. `hsae bench` trains and measures on them if
// there is no data of the width it needs. They depend on a seed, and a file is made only once.

internal import HSAEActivations
public import HSAESupport
internal import HSAETensors

/// Makes a file of rows that are sums of a few parents, each with one of its children, and noise.
///
/// Every row holds `active` of `parents` directions, low numbers more often than high ones, with a strength
/// of 0.5 … 1.5. To each parent it adds half of a child: one of `children` points in the parent's own
/// subspace of `subspace` dimensions. Then it adds noise of half the row's norm, which no dictionary can
/// explain. Rows are scaled to unit norm and stored as float16.
public struct PlantedRows: Sendable {
  /// Width of a row.
  public var width: Int
  /// Number of rows.
  public var count = 131_072
  var parents = 2_048
  var children = 8
  var subspace = 4
  var active = 24
  var seed: UInt64 = 0

  /// Rows of `width`.
  public init(width: Int) { self.width = width }

  /// The file's name, which includes everything that the content depends on.
  public var fileName: String {
    "planted-\(count)x\(width)-\(parents)x\(children)-\(subspace)-\(active)-\(seed).safetensors"
  }

  /// Writes the rows to a `.safetensors` file at `path`. The file appears only when it is complete.
  public func write(to path: String) throws(Failure) {
    let root = SeededGenerator(seed: seed)
    // Rows of parent p: its direction, then the axes of its children's subspace.
    let own = 1 + subspace
    var atoms = Matrix(rows: parents * own, columns: width)
    let scale = Float((3 / Double(width)).squareRoot())
    for atom in 0..<atoms.rows {
      var generator = root.split(UInt64(atom))
      var row = atoms.mutableRow(atom)
      for column in 0..<width { row[column] = scale * Float(generator.nextSymmetric()) }
    }
    var generator = root.split(UInt64(atoms.rows))
    let weights = (0..<parents * children * subspace).map { _ in Float(generator.nextSymmetric()) }

    var writer = try SafetensorsWriter(
      path: path, tensors: [.init("rows", shape: [count, width], type: .float16)])
    var block = Matrix(rows: min(count, 1024), columns: width)
    for start in stride(from: 0, to: count, by: block.rows) {
      let rows = min(block.rows, count - start)
      for row in 0..<rows {
        let stream = UInt64(atoms.rows + 1 + start + row)
        fill(block.mutableRow(row), root.split(stream), atoms, weights)
      }
      try writer.append("rows", block.span.extracting(0..<rows * width))
    }
    _ = try writer.finish()
  }

  private func fill(
    _ target: consuming MutableSpan<Float>, _ generator: SeededGenerator,
    _ atoms: borrowing Matrix, _ weights: [Float]
  ) {
    var generator = generator
    // Uniform noise has variance 1/3; the squared norm of `active` unit parents is about `active`.
    let noise = Float((0.75 * Double(active) / Double(width)).squareRoot())
    for column in 0..<width { target[column] = noise * Float(generator.nextSymmetric()) }
    for _ in 0..<active {
      let place = generator.nextUniform()
      let parent = min(parents - 1, Int(place * place * Double(parents)))
      let child = parent * children + Int(generator.next() % UInt64(children))
      let strength = Float(0.5 + generator.nextUniform())
      for axis in 0...subspace {
        let factor = axis == 0 ? strength : strength * weights[child * subspace + axis - 1] / 2
        let row = atoms.row(parent * (1 + subspace) + axis)
        for column in 0..<width { target[column] += factor * row[column] }
      }
    }
    var squares = 0.0
    for column in 0..<width { squares += Double(target[column] * target[column]) }
    let inverse = Float(1 / max(squares.squareRoot(), 1e-6))
    for column in 0..<width { target[column] *= inverse }
  }
}
