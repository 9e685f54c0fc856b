// Puts the latents of a flat dictionary into groups of similar direction, which take the place of parents.

public import HSAEModels
import HSAETensors

/// The group of each latent of `dictionary`; groups have `size` latents on average, are numbered from 0, and
/// none is empty.
///
/// Groups come from spherical k-means on the decoder's directions in at most 20 rounds. The first centres are
/// latents drawn by `seed`, each with a probability in proportion to 1 minus its largest cosine with the
/// centres drawn before (k-means++). The result does not depend on `threads`.
public func directionClusters(
  of dictionary: SparseAutoencoder, size: Int, seed: UInt64, threads: Int
) -> [Int] {
  let shape = dictionary.shape
  let (latents, width) = (shape.experts, shape.width)
  let count = max(1, (latents + size / 2) / max(1, size))
  var directions = Matrix(rows: latents, columns: width)
  for latent in 0..<latents {
    let row = dictionary.contribution(of: LatentNumber(expert: latent))
    add(row.span, to: &directions, latent)
  }
  var generator = SeededGenerator(seed: seed).split(0x636C_7573)
  var centres = Matrix(rows: count, columns: width)
  var distances = [Double](repeating: 1, count: latents)
  for group in 0..<count {
    var place = generator.nextUniform() * distances.reduce(0, +)
    let drawn = distances.firstIndex { distance in
      place -= distance
      return place < 0
    }
    let latent = drawn ?? 0
    add(directions.row(latent), to: &centres, group)
    for other in 0..<latents {
      let cosine = dot(directions.row(other), directions.row(latent))
      distances[other] = min(distances[other], max(0, 1 - Double(cosine)))
    }
  }
  var groups = [Int](repeating: 0, count: latents)
  for _ in 0..<20 {
    let nearest = nearestCentres(directions, centres, threads: threads)
    let isSame = nearest == groups
    groups = nearest
    if isSame { break }
    centres.clear()
    for latent in 0..<latents { add(directions.row(latent), to: &centres, groups[latent]) }
    centres.scaleRowsToUnit()
  }
  let used = Set(groups).sorted()
  let numbers = Dictionary(uniqueKeysWithValues: used.enumerated().map { ($1, $0) })
  return groups.map { numbers[$0] ?? 0 }
}

private func add(_ row: Span<Float>, to centres: inout Matrix, _ group: Int) {
  var target = centres.mutableRow(group)
  for column in row.indices { target[column] += row[column] }
}

/// The centre with the largest cosine for each direction; among equal ones the first.
private func nearestCentres(
  _ directions: borrowing Matrix, _ centres: borrowing Matrix, threads: Int
) -> [Int] {
  let (rows, centreCount) = (directions.rows, centres.rows)
  let result = Buffer<Int>(rows)
  // Closures cannot borrow, so they get copies.
  let directions = directions.copy()
  let centres = centres.copy()
  let size = 64
  parallelFor(pieceCount(rows, size: size), threads: threads) { piece, _ in
    let range = pieceRange(piece, size: size, count: rows)
    // No two pieces write the same element.
    result.withMutableSpan(range) { target in
      for (place, index) in range.enumerated() {
        let row = directions.row(index)
        var best = -Float.infinity
        for centre in 0..<centreCount {
          let cosine = dot(row, centres.row(centre))
          if cosine > best {
            best = cosine
            target[place] = centre
          }
        }
      }
    }
  }
  return result.elements
}
