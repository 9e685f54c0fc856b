// Data made from a known two-level dictionary, which training should find.

import HSAETensors

/// Parents with children: a row is a sum of a few parents, each with one of its children, and a little noise.
public struct PlantedHierarchy: Sendable {
  /// Width of the rows, d.
  public let width: Int
  /// Number of parents.
  public let parents: Int
  /// Children of each parent.
  public let children: Int
  /// Unit directions of the parents [parents × d].
  public let parentDirections: [[Float]]
  /// Directions of the children [parents][children × d], each family in a subspace of its own. A family sums
  /// to zero, and its root mean square norm is 1.
  public let childDirections: [[[Float]]]
  /// Parents in one row.
  public let active: Int
  private let seed: UInt64

  /// A hierarchy drawn from `seed`; each family's children lie in a subspace of dimension `subspace`.
  public init(
    width: Int, parents: Int, children: Int, subspace: Int, active: Int, seed: UInt64
  ) {
    self.width = width
    self.parents = parents
    self.children = children
    self.active = active
    self.seed = seed
    var generator = SeededGenerator(seed: seed)
    var parentRows: [[Float]] = []
    var childRows: [[[Float]]] = []
    for _ in 0..<parents {
      parentRows.append(Self.unit((0..<width).map { _ in Float(generator.nextSymmetric()) }))
      let axes = (0..<subspace).map { _ in
        Self.unit((0..<width).map { _ in Float(generator.nextSymmetric()) })
      }
      var family = (0..<children).map { _ in
        var row = [Float](repeating: 0, count: width)
        for axis in axes {
          let weight = Float(generator.nextSymmetric())
          for column in 0..<width { row[column] += weight * axis[column] }
        }
        return row
      }
      // Children sum to zero, so that a family's mean is its parent.
      for column in 0..<width {
        let mean = family.reduce(0) { $0 + $1[column] } / Float(children)
        for child in family.indices { family[child][column] -= mean }
      }
      childRows.append(family.map { $0.map { $0 / Self.meanNorm(family) } })
    }
    parentDirections = parentRows
    childDirections = childRows
  }

  /// `count` rows [count × d].
  public func rows(_ count: Int) -> [Float] {
    var generator = SeededGenerator(seed: seed).split(1)
    var rows = [Float](repeating: 0, count: count * width)
    for row in 0..<count {
      var chosen: Set<Int> = []
      while chosen.count < active { chosen.insert(Int(generator.next() % UInt64(parents))) }
      for parent in chosen.sorted() {
        let strength = Float(0.75 + 0.5 * generator.nextUniform())
        let child = childDirections[parent][Int(generator.next() % UInt64(children))]
        for column in 0..<width {
          rows[row * width + column] +=
            strength * (parentDirections[parent][column] + 0.5 * child[column])
        }
      }
      for column in 0..<width {
        rows[row * width + column] += Float(generator.nextSymmetric()) * 0.01
      }
    }
    return rows
  }

  /// The root of the mean squared norm of `rows`.
  private static func meanNorm(_ rows: [[Float]]) -> Float {
    let squares = rows.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }
    return max((squares / Float(rows.count)).squareRoot(), 1e-6)
  }

  private static func unit(_ row: [Float]) -> [Float] {
    let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return row.map { $0 / norm }
  }
}
