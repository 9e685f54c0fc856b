// The numbers and names of a dictionary's latents and sublatents, and what each adds to a reconstruction.

import HSAETensors

/// A latent or sublatent of a dictionary. Expert j has the number j·(1 + a), and its sublatent q the number
/// j·(1 + a) + 1 + q.
public struct LatentNumber: Hashable, Sendable {
  /// The expert.
  public var expert: Int
  /// The sublatent; nil for the expert itself.
  public var sublatent: Int?

  /// The latent of `expert`, or its sublatent.
  public init(expert: Int, sublatent: Int? = nil) {
    (self.expert, self.sublatent) = (expert, sublatent)
  }

  /// The latent with number `number` in a dictionary of `shape`.
  public init(_ number: Int, in shape: DictionaryShape) {
    let (expert, rest) = number.quotientAndRemainder(dividingBy: 1 + shape.sublatents)
    self.init(expert: expert, sublatent: rest == 0 ? nil : rest - 1)
  }

  /// The latent that `text` names: "12" for expert 12, "12.3" or "12/3" for its sublatent 3; nil if a
  /// dictionary of `shape` has no such latent.
  public init?(_ text: String, in shape: DictionaryShape) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == "." || $0 == "/" }
    guard parts.count <= 2, parts.allSatisfy({ $0.allSatisfy(\.isNumber) }),
      let expert = Int(parts[0]), (0..<shape.experts).contains(expert)
    else { return nil }
    self.init(expert: expert)
    guard parts.count == 2 else { return }
    guard let sublatent = Int(parts[1]), (0..<shape.sublatents).contains(sublatent) else {
      return nil
    }
    self.sublatent = sublatent
  }

  /// "12" for a latent, "12.3" for a sublatent.
  public var name: String { sublatent.map { "\(expert).\($0)" } ?? "\(expert)" }

  /// Its number in a dictionary of `shape`.
  public func number(in shape: DictionaryShape) -> Int {
    expert * (1 + shape.sublatents) + (sublatent.map { $0 + 1 } ?? 0)
  }
}

extension SparseAutoencoder {
  /// What a latent adds to a reconstruction for a code of 1 [d]: d_j, or Π↑ᵀ D_q for a sublatent.
  public func contribution(of latent: LatentNumber) -> [Float] {
    parameters.contribution(of: latent)
  }
}

extension Parameters {
  fileprivate func contribution(of latent: LatentNumber) -> [Float] {
    let first = latent.expert * shape.rowsPerExpert
    var result = [Float](repeating: 0, count: shape.width)
    func add(_ factor: Float, _ row: Span<Float>) {
      for column in row.indices { result[column] += factor * row[column] }
    }
    guard let sublatent = latent.sublatent else {
      add(1, decoderSide.row(first))
      return result
    }
    let atom = latent.expert * shape.sublatents + sublatent
    for axis in 0..<shape.subspace {
      add(subDecoder[atom, axis], decoderSide.row(first + 1 + axis))
    }
    return result
  }
}
