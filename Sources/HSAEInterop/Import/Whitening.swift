// The whitening of rows that SAELens trains with (`normalize_activations: covariance_whitening`) and folds into the
// weights when training ends. Checkpoints of training are not folded: they have the matrices in a file of their own.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// The SAE sees z = (x − mean)·M, and its reconstruction ẑ is of x̂ = ẑ·M⁻¹ + mean.
struct Whitening {
  static let file = "activation_whitening.safetensors"

  private let path: String
  private let width: Int
  private let mean: [Double]
  /// Mᵀ and M⁻¹, rows of `rowVectors` vectors; what is beyond the width is 0.
  private let transposed: [SIMD8<Double>]
  private let inverse: [SIMD8<Double>]
  private let rowVectors: Int

  /// Reads the file at `path`, for rows of `width`.
  init(path: String, width: Int) throws(Failure) {
    let file = try SafetensorsFile(path: path)
    for name in ["matrix", "inverse_matrix"] { try file.require(name, [width, width]) }
    (self.path, self.width) = (path, width)
    mean = try file.vector("mean", count: width).map(Double.init)
    let rowVectors = (width + 7) / 8
    self.rowVectors = rowVectors
    func read(_ name: String, transposed: Bool) throws(Failure) -> [SIMD8<Double>] {
      var vectors = [SIMD8<Double>](repeating: .zero, count: width * rowVectors)
      try file.read(name, count: width) { (first, part) throws(Failure) in
        for index in part.indices {
          let place = (first + index).quotientAndRemainder(dividingBy: width)
          let (row, column) =
            transposed ? (place.remainder, place.quotient) : (place.quotient, place.remainder)
          vectors[row * rowVectors + column / 8][column % 8] = Double(part[index])
        }
      }
      return vectors
    }
    inverse = try read("inverse_matrix", transposed: false)
    transposed = try read("matrix", transposed: true)
  }

  /// Changes the flat dictionary `source`, which sees z, into one that sees x: with encoder rows e and decoder rows d,
  ///
  ///     e' = M·e,  d' = d·M⁻¹,  b_dec' = b_dec·M⁻¹ + mean,  b_enc' = b_enc − mean·e' − b_dec·e
  ///
  /// and an encoder that does not subtract b_dec'. If pre-activations or codes are multiplied by the norms of decoder
  /// rows, these are the norms before the change, so they go into the encoder and the thresholds first.
  func fold(into source: inout SourceDictionary) throws(Failure) {
    let shape = source.parameters.shape
    let latents = shape.experts
    var bias = source.encoderBias.map(Double.init)
    if bias.isEmpty { bias = [Double](repeating: 0, count: latents) }
    var norms = [Double](repeating: 1, count: latents)
    if source.rule == .topK(rescaled: true) || source.codesIncludeNorms {
      norms = source.parameters.decoderSide.rowNorms().map { max(Double($0), 1e-8) }
      if source.rule == .topK(rescaled: true) { source.rule = .topK(rescaled: false) }
      source.codesIncludeNorms = false
      source.threshold = zip(source.threshold, norms).map { Float(Double($0) * $1) }
    }
    let decoderBias = (0..<width).map {
      source.parameters.hasBias ? Double(source.parameters.bias[0, $0]) : 0
    }
    // A strip of latents is folded at a time, so each matrix is read once for all of them.
    let strip = 64
    var largest = 0.0
    for first in stride(from: 0, to: latents, by: strip) {
      let rows = first..<min(latents, first + strip)
      let encoder = rows.map { latent in
        source.parameters.encoderSide.row(latent).doubles.map { $0 * norms[latent] }
      }
      let decoder = rows.map { latent in
        source.parameters.decoderSide.row(latent).doubles.map { $0 / norms[latent] }
      }
      let (newEncoder, newDecoder) = (products(encoder, transposed), products(decoder, inverse))
      for (place, latent) in rows.enumerated() {
        var shift = 0.0
        for column in 0..<width {
          largest = max(
            largest, abs(newEncoder[place][column]), abs(newDecoder[place][column]))
          shift += mean[column] * newEncoder[place][column]
          if source.subtractsBias { shift += decoderBias[column] * encoder[place][column] }
          source.parameters.encoderSide[latent, column] = Float(newEncoder[place][column])
          source.parameters.decoderSide[latent, column] = Float(newDecoder[place][column])
        }
        bias[latent] = bias[latent] * norms[latent] - shift
      }
    }
    let newBias = products([decoderBias], inverse)[0]
    // Weights of a sound file are far below this.
    guard (bias + newBias + mean).allSatisfy({ abs($0) < 1e30 }), largest < 1e30 else {
      throw .data(
        "\(path): folded into the weights, these matrices give numbers that are too large.")
    }
    source.encoderBias = bias.map { Float($0) }
    source.subtractsBias = false
    for column in 0..<width {
      source.parameters.bias[0, column] = Float(newBias[column] + mean[column])
    }
    source.origin.notes.append(
      "The whitening of rows that it was trained with was folded into its weights.")
  }

  /// Each of `rows` times `matrix`.
  private func products(_ rows: [[Double]], _ matrix: [SIMD8<Double>]) -> [[Double]] {
    var sums = [SIMD8<Double>](repeating: .zero, count: rows.count * rowVectors)
    // A row of the matrix is read once for all rows.
    for inner in 0..<width {
      for (place, row) in rows.enumerated() where row[inner] != 0 {
        let factor = SIMD8(repeating: row[inner])
        for index in 0..<rowVectors {
          sums[place * rowVectors + index] += factor * matrix[inner * rowVectors + index]
        }
      }
    }
    return rows.indices.map { place in
      (0..<width).map { sums[place * rowVectors + $0 / 8][$0 % 8] }
    }
  }
}

extension Span where Element == Float {
  /// The numbers in double precision.
  fileprivate var doubles: [Double] { indices.map { Double(self[$0]) } }
}
