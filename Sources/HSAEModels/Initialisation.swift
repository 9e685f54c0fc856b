// The weights that a training run starts from. `HSAERuns` reads weights from files, and `HSAETraining` sets
// the first value of a bias.

import HSAETensors

extension Parameters {
  /// Fresh weights, as the column "initial value" of `docs/method.md`'s table describes them:
  ///
  /// - `W_enc`: U(±√(6/d)) (He uniform, fan-in d);
  /// - `W_dec`: e_j / ‖e_j‖;
  /// - `W_down`: He uniform, each row scaled to unit norm; `W_up` = `W_down`;
  /// - `sub_W_enc`: He uniform (fan-in s), each row scaled to unit norm; `sub_W_dec` = `sub_W_enc`;
  /// - `b_dec`, if there is one: 0; the caller sets it.
  ///
  /// Expert j draws from stream j of `seed`, in this order. So its weights depend only on the seed, j, d, s
  /// and a, and not on threads or m. `shape` may describe a part of a dictionary; `firstExpert` is the number
  /// of the part's first expert.
  public static func initial(
    shape: DictionaryShape, seed: UInt64, hasBias: Bool = false, firstExpert: Int = 0
  ) -> Parameters {
    initial(
      shape: shape, seed: seed, vectors: hasBias ? .inputBias : [], firstExpert: firstExpert)
  }

  /// The same with `vectors`, which are all 0; the caller sets them.
  public static func initial(
    shape: DictionaryShape, seed: UInt64, vectors: TrainedVectors, firstExpert: Int = 0
  ) -> Parameters {
    precondition(shape.complaint == nil, "These sizes are not valid: \(shape).")
    var result = Parameters(shape: shape, vectors: vectors)
    let root = SeededGenerator(seed: seed)
    let bound = (6 / Double(shape.width)).squareRoot()
    let subBound = (6 / Double(max(1, shape.subspace))).squareRoot()
    for expert in 0..<shape.experts {
      var generator = root.split(UInt64(firstExpert + expert))
      for row in expert * shape.rowsPerExpert..<(expert + 1) * shape.rowsPerExpert {
        draw(
          row, of: &result.encoderSide, and: &result.decoderSide, bound, &generator,
          isUnit: row % shape.rowsPerExpert > 0)
      }
      for row in expert * shape.sublatents..<(expert + 1) * shape.sublatents {
        draw(row, of: &result.subEncoder, and: &result.subDecoder, subBound, &generator)
      }
    }
    return result
  }
}

/// Sets row `row` of both sides to uniform numbers from (-bound, bound), scaled to unit norm; on the encoder's
/// side only if `isUnit`. No number is zero, because `nextSymmetric` never draws zero.
private func draw(
  _ row: Int, of encoder: inout Matrix, and decoder: inout Matrix, _ bound: Double,
  _ generator: inout SeededGenerator, isUnit: Bool = true
) {
  var left = encoder.mutableRow(row)
  var right = decoder.mutableRow(row)
  let values = left.indices.map { _ in bound * generator.nextSymmetric() }
  let factor = 1 / values.reduce(0) { $0 + $1 * $1 }.squareRoot()
  for column in values.indices {
    right[column] = Float(values[column] * factor)
    left[column] = isUnit ? right[column] : Float(values[column])
  }
}
