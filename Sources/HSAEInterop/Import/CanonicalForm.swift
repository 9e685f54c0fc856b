// Converts a dictionary of another tool to hsae's form: rows scaled to norm 1 (not √d), the bias subtracted
// before encoding, decoder rows of unit norm. Each step is exact except for rounding; a dictionary that
// cannot be converted is rejected with a message. The result satisfies
//
//   our codes = codes of the source × codeScale × norms[j].

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// A dictionary in hsae's form, with the relation to its source.
struct CanonicalDictionary: ~Copyable {
  var parameters: Parameters
  var thresholds: LatentThresholds?
  var activation: ActivationFunction
  /// How rows are scaled for it.
  let normalize: Normalisation
  /// Where it came from.
  var origin: Origin
  /// Our codes are codes of the source times this, times `norms`.
  var codeScale: Double
  /// The norms of the source's decoder rows, if codes were multiplied by them; else empty.
  var norms: [Float] = []
  /// Whether the k largest codes are chosen before codes are multiplied by `norms`.
  private var selectsBeforeNorms = false
  /// Whether the source's codes are already multiplied by the norms of decoder rows.
  private var codesIncludeNorms = false

  /// Converts `source`. Fails with `.data` if that would change which latents are active.
  init(_ source: consuming SourceDictionary) throws(Failure) {
    let (path, rule, scale) = (source.path, source.rule, source.inputScale)
    let (subtractsBias, scalesRows) = (source.subtractsBias, source.scalesRows)
    codesIncludeNorms = source.codesIncludeNorms || source.rule == .topK(rescaled: true)
    activation = source.activation
    var encoderBias = source.encoderBias
    var threshold = source.threshold
    origin = source.origin
    normalize = source.centresRows ? .layerNorm : scalesRows ? .unit : .original
    codeScale = 1 / scale
    parameters = source.parameters
    if !subtractsBias, parameters.hasBias {
      encoderBias = Self.addingProducts(with: parameters, to: encoderBias)
      origin.notes.append(
        "Its encoder does not subtract b_dec but hsae's does, so W_enc·b_dec was added to b_enc.")
    }
    if scale != 1 {
      // Our encoder sees x where the source saw ρx, so everything that is not multiplied by x is divided by ρ.
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
          ? "It scales rows to the norm \(scale), hsae to 1: biases, thresholds and codes are divided by \(scale)."
          : "It multiplies rows by \(scale) first: biases, thresholds and codes are divided by \(scale)."
      )
    }
    try normaliseDecoder(rule, path: path, &encoderBias, &threshold)
    if encoderBias.allSatisfy({ $0 == 0 }) { encoderBias = [] }
    if threshold.allSatisfy({ $0 <= 0 }) { threshold = [] }
    let thresholds = LatentThresholds(
      encoderBias: encoderBias, threshold: threshold, codeScale: selectsBeforeNorms ? norms : [])
    self.thresholds = thresholds.isEmpty ? nil : thresholds
  }

  /// `bias` plus the product of each encoder row with b_dec, summed in double precision.
  static func addingProducts(
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

  /// Relative differences of norms up to this count as rounding.
  private static let rounding = 1e-3
  /// Decoder rows of a smaller norm count as zero.
  private static let zero = 1e-8

  /// Gives decoder rows unit norm. A latent's encoder row, bias and threshold are multiplied by its decoder
  /// row's norm.
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
    // Such differences are rounding in files that hsae exported: unchanged, the weights come back bit for bit.
    if norms.allSatisfy({ abs($0 - 1) <= 5e-6 }) { return }
    if case .topK(rescaled: false) = rule {
      let mean = norms.reduce(0, +) / Double(norms.count)
      // Encoder rows times different norms would have other largest products.
      if let odd = norms.firstIndex(where: { abs($0 - mean) > 5e-6 * mean }) {
        guard activation.slope == 0 else {
          throw .data(
            "\(path): decoder row \(odd) has the norm \(norms[odd]), but the mean norm is \(mean): scaling rows to"
              + " 1 would change which k experts are active. Scale all decoder rows to norm 1 in the tool that"
              + " trained it.")
        }
        keepNorms(norms)
        return
      }
      activation.threshold *= Float(mean)
    }
    var dead = 0
    for latent in 0..<shape.experts {
      let norm = norms[latent]
      let row = latent * shape.rowsPerExpert
      if norm < Self.zero {
        dead += 1
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
    if dead > 0 {
      origin.notes.append(
        "\(counted(dead, "latent")) with a decoder row of zeros \(dead == 1 ? "is" : "are") dead.")
    }
    if codesIncludeNorms {
      origin.notes.append(
        "Norms of decoder rows were folded into the encoder; the source's codes already include them."
      )
    } else {
      self.norms = norms.map { Float($0) }
      origin.notes.append(
        "Decoder rows have unit norm here: codes are multiplied by the norm they had.")
    }
  }

  /// Gives decoder rows unit norm and leaves the encoder as it is: codes are multiplied by `norms` after the k
  /// largest were chosen.
  private mutating func keepNorms(_ norms: [Double]) {
    let shape = parameters.shape
    for (latent, norm) in norms.enumerated() {
      let row = latent * shape.rowsPerExpert
      parameters.decoderSide.scaleRow(row, by: norm < Self.zero ? 0 : 1 / norm)
      if norm < Self.zero { parameters.decoderSide[row, latent % shape.width] = 1 }
    }
    self.norms = norms.map { $0 < Self.zero ? 0 : Float($0) }
    selectsBeforeNorms = true
    origin.notes.append(
      "Decoder rows have unit norm here. As in the source, the k largest codes are chosen before they are multiplied"
        + " by the norms that decoder rows had.")
    let zeros = norms.count { $0 < Self.zero }
    if zeros > 0 {
      origin.notes.append(
        "\(counted(zeros, "latent")) with a decoder row of zeros \(zeros == 1 ? "adds" : "add") nothing, but can be among"
          + " the k largest, as in the source.")
    }
  }

  /// Corrects the rounding of the sub-decoder's unit rows. Fails with `.data` if they are not unit rows.
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
  fileprivate mutating func scaleRow(_ row: Int, by factor: Double) {
    var values = mutableRow(row)
    for column in values.indices { values[column] = Float(Double(values[column]) * factor) }
  }
}
