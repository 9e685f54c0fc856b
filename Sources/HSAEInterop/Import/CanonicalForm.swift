// From a dictionary as others have it to ours: rows scaled to 1 and not to √d, the bias subtracted first,
// decoder rows of unit norm. Each step is exact but for rounding, or refused by name; together they leave
//
//   our codes = codes of the source × codeScale × norms[j].

import HSAEModels
import HSAESupport
import HSAETensors
import HSAERuns

/// A dictionary in our form, and how it relates to its source.
struct CanonicalDictionary: ~Copyable {
  var parameters: Parameters
  var thresholds: LatentThresholds?
  var activation: ActivationFunction
  /// What is done to rows before it sees them.
  let normalize: Normalisation
  /// Where it came from.
  var origin: Origin
  /// Our codes over those of the source, times `norms`.
  var codeScale: Double
  /// The norm of each decoder row of the source, where codes were multiplied by it; empty where they were not.
  var norms: [Float] = []
  /// Puts `source` into our form.
  ///
  /// Fails with `.data` where that would change which latents are active.
  init(_ source: consuming SourceDictionary) throws(Failure) {
    let (path, rule, scale) = (source.path, source.rule, source.inputScale)
    let (subtractsBias, scalesRows) = (source.subtractsBias, source.scalesRows)
    activation = source.activation
    var encoderBias = source.encoderBias
    var threshold = source.threshold
    origin = source.origin
    normalize = scalesRows ? .unit : .original
    codeScale = 1 / scale
    parameters = source.parameters
    if !subtractsBias, parameters.hasBias {
      encoderBias = Self.addingProducts(with: parameters, to: encoderBias)
      origin.notes.append(
        "Its encoder does not subtract b_dec; ours does, so W_enc·b_dec was added to b_enc.")
    }
    if scale != 1 {
      // Ours sees x where the source saw ρx: all that is not multiplied by x is divided by ρ.
      let factor = Float(1 / scale)
      for column in 0..<(parameters.hasBias ? parameters.shape.width : 0) {
        parameters.bias[0, column] *= factor
      }
      encoderBias = encoderBias.map { $0 * factor }
      threshold = threshold.map { $0 * factor }
      activation.threshold *= factor
      activation.subThreshold *= factor
      origin.notes.append(
        scalesRows
          ? "It scales rows to the norm \(scale), ours to 1: biases, thresholds and codes are divided by that."
          : "It multiplies rows by \(scale) first: biases, thresholds and codes are divided by that."
      )
    }
    try normaliseDecoder(rule, path: path, &encoderBias, &threshold)
    if encoderBias.allSatisfy({ $0 == 0 }) { encoderBias = [] }
    if threshold.allSatisfy({ $0 <= 0 }) { threshold = [] }
    let thresholds = LatentThresholds(encoderBias: encoderBias, threshold: threshold)
    self.thresholds = thresholds.isEmpty ? nil : thresholds
  }

  /// `bias` plus the product of each encoder row with b_dec, summed in double.
  private static func addingProducts(
    with parameters: borrowing Parameters, to bias: [Float]
  ) -> [Float] {
    let shape = parameters.shape
    return (0..<shape.experts).map { latent in
      let row = parameters.encoderSide.row(latent * shape.rowsPerExpert)
      var sum = bias.isEmpty ? 0 : Double(bias[latent])
      for column in row.indices { sum += Double(row[column]) * Double(parameters.bias[0, column]) }
      return Float(sum)
    }
  }

  /// How far a decoder row's norm may be from 1 (or, of sublatents and TopK, from that of the others) and
  /// count as rounding.
  private static let rounding = 1e-3
  /// Decoder rows of a smaller norm are taken for zero.
  private static let zero = 1e-8

  /// Gives decoder rows unit norm. Where a latent's code is multiplied by its row's norm, so are its encoder
  /// row, bias and threshold.
  private mutating func normaliseDecoder(
    _ rule: SourceDictionary.Rule, path: String, _ encoderBias: inout [Float],
    _ threshold: inout [Float]
  ) throws(Failure) {
    let shape = parameters.shape
    let norms = (0..<shape.experts).map {
      Self.norm(parameters.decoderSide.row($0 * shape.rowsPerExpert))
    }
    if norms.contains(where: { !($0 <= 1e30) }) {
      throw .data("\(path): a decoder row is too long to be scaled; the weights are damaged.")
    }
    try normaliseSublatents(path: path)
    // Rounding of our own files: left as they are, so that weights come back to the bit.
    if norms.allSatisfy({ abs($0 - 1) <= 5e-6 }) { return }
    if case .topK(rescaled: false) = rule {
      let mean = norms.reduce(0, +) / Double(norms.count)
      if let odd = norms.firstIndex(where: { abs($0 / mean - 1) > Self.rounding }) {
        throw .data(
          "\(path): decoder row \(odd) has the norm \(norms[odd]), and their mean is \(mean): scaling them to"
            + " 1 would change which k latents are largest; fold the norms into the encoder where it was"
            + " trained (SAELens: fold_W_dec_norm).")
      }
    }
    var silent = 0
    for latent in 0..<shape.experts {
      let norm = norms[latent]
      let row = latent * shape.rowsPerExpert
      if norm < Self.zero {
        silent += 1
        parameters.encoderSide.scaleRow(row, by: 0)
        parameters.decoderSide.scaleRow(row, by: 0)
        parameters.decoderSide[row, latent % shape.width] = 1
        if !encoderBias.isEmpty { encoderBias[latent] = 0 }
        continue
      }
      parameters.encoderSide.scaleRow(row, by: norm)
      parameters.decoderSide.scaleRow(row, by: 1 / norm)
      if !encoderBias.isEmpty { encoderBias[latent] = Float(Double(encoderBias[latent]) * norm) }
      if !threshold.isEmpty { threshold[latent] = Float(Double(threshold[latent]) * norm) }
    }
    if silent > 0 {
      origin.notes.append("\(counted(silent, "latent")) with a decoder row of zeros are silent.")
    }
    if case .topK(rescaled: true) = rule {
      origin.notes.append(
        "Norms of decoder rows were folded into the encoder; its codes have them already.")
    } else {
      self.norms = norms.map { Float($0) }
      origin.notes.append(
        "Decoder rows have unit norm here: codes are multiplied by the norm they had.")
    }
  }

  /// Gives rows of the sub-decoder unit norm, which they have but for rounding.
  private mutating func normaliseSublatents(path: String) throws(Failure) {
    for atom in 0..<parameters.subDecoder.rows {
      let norm = Self.norm(parameters.subDecoder.row(atom))
      guard abs(norm - 1) <= Self.rounding else {
        throw .data(
          "\(path): decoder row \(atom) of the sublatents has the norm \(norm), not 1: scaling it would change"
            + " which sublatent is largest.")
      }
      if abs(norm - 1) > 5e-6 { parameters.subDecoder.scaleRow(atom, by: 1 / norm) }
    }
  }

  private static func norm(_ row: Span<Float>) -> Double {
    var sum = 0.0
    for column in row.indices { sum += Double(row[column]) * Double(row[column]) }
    return sum.squareRoot()
  }
}

extension Matrix {
  /// Multiplies row `row` by `factor`.
  fileprivate mutating func scaleRow(_ row: Int, by factor: Double) {
    var values = mutableRow(row)
    for column in values.indices { values[column] = Float(Double(values[column]) * factor) }
  }
}
