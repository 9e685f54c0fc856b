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
    precondition(shape.complaint == nil, "These sizes make no dictionary: \(shape).")
    var result = Parameters(shape: shape, hasBias: hasBias)
    let root = SeededGenerator(seed: seed)
    let bound = (6 / Double(shape.width)).squareRoot()
    let subBound = (6 / Double(max(1, shape.subspace))).squareRoot()
    var row = [Double](repeating: 0, count: shape.width)
    var subRow = [Double](repeating: 0, count: shape.subspace)
    for expert in 0..<shape.experts {
      var generator = root.split(UInt64(firstExpert + expert))
      let first = expert * shape.rowsPerExpert
      draw(&row, bound, &generator)
      store(row, scaledBy: 1, in: &result.encoderSide, row: first)
      store(row, scaledBy: inverseNorm(row), in: &result.decoderSide, row: first)
      for axis in 0..<shape.subspace {
        draw(&row, bound, &generator)
        store(row, scaledBy: inverseNorm(row), in: &result.encoderSide, row: first + 1 + axis)
        store(row, scaledBy: inverseNorm(row), in: &result.decoderSide, row: first + 1 + axis)
      }
      for sublatent in 0..<shape.sublatents {
        let index = expert * shape.sublatents + sublatent
        draw(&subRow, subBound, &generator)
        store(subRow, scaledBy: inverseNorm(subRow), in: &result.subEncoder, row: index)
        store(subRow, scaledBy: inverseNorm(subRow), in: &result.subDecoder, row: index)
      }
    }
    return result
  }
}

/// Fills `row` with uniform numbers from (-bound, bound), none of them zero.
private func draw(_ row: inout [Double], _ bound: Double, _ generator: inout SeededGenerator) {
  for index in row.indices { row[index] = bound * generator.nextSymmetric() }
}

/// 1 / ‖row‖. The row is not zero: `draw` never draws zero.
private func inverseNorm(_ row: [Double]) -> Double {
  1 / row.reduce(0) { $0 + $1 * $1 }.squareRoot()
}

private func store(
  _ values: [Double], scaledBy factor: Double, in matrix: inout Matrix, row index: Int
) {
  var row = matrix.mutableRow(index)
  for column in values.indices { row[column] = Float(values[column] * factor) }
}
