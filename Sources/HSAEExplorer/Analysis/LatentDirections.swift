// The directions of latents as unit vectors (the decoder row d_j of an expert, Π↑ᵀ D_q of a sublatent), and
// the search for latents with similar directions.

import HSAEModels
import HSAETensors

extension SparseAutoencoder {
  /// The vector that a latent adds to a reconstruction, scaled to unit norm; zeros if it is zero.
  func unitDirection(of latent: LatentNumber) -> [Float] { scaledToUnit(contribution(of: latent)) }

  /// The unit directions of the latents `numbers`, one row for each.
  func unitDirections(of numbers: ArraySlice<Int>) -> Matrix {
    matrix(
      rows: numbers.map { unitDirection(of: LatentNumber($0, in: shape)) }, columns: shape.width)
  }
}

/// `vector` scaled to unit norm; zeros if it is zero.
func scaledToUnit(_ vector: [Float]) -> [Float] {
  let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  return norm > 0 ? vector.map { Float(Double($0) / norm) } : vector
}

/// Finds the latents whose directions have the largest cosines.
final class NearestLatents: Sendable {
  private let products: StrongestProducts
  private let numbers: [Int]
  private let shape: DictionaryShape
  private let dictionary: SparseAutoencoder

  /// How many nearest latents are listed.
  static let related = 8

  /// A search among the latents `numbers` of `dictionary`, which rise.
  init(_ dictionary: SparseAutoencoder, numbers: [Int], threads: Int) {
    self.dictionary = dictionary
    self.numbers = numbers
    shape = dictionary.shape
    products = StrongestProducts(dictionary.unitDirections(of: numbers[...]), threads: threads)
  }

  /// For each of `part`, the latents of other families with the largest cosines, largest first. A family is
  /// an expert and its sublatents.
  func nearest(to part: ArraySlice<Int>, threads: Int) -> [[RelatedLatent]] {
    // Members of the family may come first.
    let found = products.find(
      dictionary.unitDirections(of: part), count: Self.related + 1 + shape.sublatents,
      threads: threads)
    return zip(part, found).map { number, found in
      let own = LatentNumber(number, in: shape).expert
      return Array(
        found.largest.lazy.map { RelatedLatent(number: self.numbers[$0.index], value: $0.value) }
          .filter { LatentNumber($0.number, in: self.shape).expert != own }
          .prefix(Self.related))
    }
  }
}

func matrix(rows: [[Float]], columns: Int) -> Matrix {
  Matrix(rows: rows.count, columns: columns, elements: rows.flatMap(\.self))
}
