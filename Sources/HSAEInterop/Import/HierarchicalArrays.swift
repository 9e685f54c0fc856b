// Reads the arrays of a hierarchical dictionary in two layouts: that of `hsae export`, and that of the
// paper's authors, with other names and some arrays transposed.

import HSAEModels
import HSAESupport
import HSAETensors

/// The layout of a hierarchical dictionary's arrays in a file.
struct HierarchicalArrays {
  var encoder: String
  var decoder: String
  var down: String
  var up: String
  var subEncoder: String
  var subDecoder: String
  var bias: String
  /// True: the decoder is [d, m], the up projectors [m, d, s], the sub-decoder [m, s, a]. False: [m, d], [m,
  /// s, d], [m, a, s].
  var isTransposed: Bool
  var needsBias: Bool

  /// The layout of `hsae export`.
  static let saelens = HierarchicalArrays(
    encoder: "encoder", decoder: "decoder", down: "down", up: "up", subEncoder: "sub_encoder",
    subDecoder: "sub_decoder", bias: "bias", isTransposed: false, needsBias: true)

  /// The vectors of `hsae export` for dictionaries that were trained with BatchTopK or JumpReLU: a number for each expert.
  static let encoderBias = "encoder_bias"
  static let thresholds = "expert_threshold"

  /// All names.
  var names: Set<String> {
    [encoder, decoder, down, up, subEncoder, subDecoder, bias, Self.encoderBias, Self.thresholds]
  }

  /// The layout of the paper's authors (`sae/moe_eqx.py`).
  static let authors = HierarchicalArrays(
    encoder: "top_level_autoencoder.encoder", decoder: "top_level_autoencoder.decoder",
    down: "W_down", up: "W_up", subEncoder: "encoder_weights", subDecoder: "decoder_weights",
    bias: "bias", isTransposed: true, needsBias: false)

  /// Fails with `.data` unless `arrays` has all arrays of a dictionary of `shape`. Call this before
  /// allocating memory.
  func check(_ arrays: some WeightArrays, _ shape: DictionaryShape) throws(Failure) {
    let (d, m, s, a) = (shape.width, shape.experts, shape.subspace, shape.sublatents)
    try arrays.require(encoder, [m, d])
    try arrays.require(decoder, stored([m, d]))
    if needsBias || arrays.has(bias) { try arrays.require(bias, [d]) }
    if shape.isFlat { return }
    try arrays.require(down, [m, s, d])
    try arrays.require(up, stored([m, s, d]))
    try arrays.require(subEncoder, [m, a, s])
    try arrays.require(subDecoder, stored([m, a, s]))
  }

  /// The shape in the file of an array that some layouts transpose.
  private func stored(_ shape: [Int]) -> [Int] {
    isTransposed ? shape.dropLast(2) + shape.suffix(2).reversed() : shape
  }

  /// Reads the arrays into `parameters`; the bias only if `parameters` has one.
  func read(
    _ arrays: some WeightArrays, into parameters: inout Parameters
  ) throws(Failure) {
    let shape = parameters.shape
    let (d, m, s, a) = (shape.width, shape.experts, shape.subspace, shape.sublatents)
    func top(_ expert: Int) -> Int { expert * shape.rowsPerExpert }
    func axis(_ index: Int) -> Int { index / s * shape.rowsPerExpert + 1 + index % s }
    func read(
      _ name: String, _ shape: [Int], into matrix: inout Matrix, row: (Int) -> Int
    ) throws(Failure) {
      if isTransposed {
        try arrays.transposedRows(name, shape: stored(shape), into: &matrix, row: row)
      } else {
        try arrays.rows(name, shape: shape, into: &matrix, row: row)
      }
    }
    try arrays.rows(encoder, shape: [m, d], into: &parameters.encoderSide, row: top)
    try read(decoder, [m, d], into: &parameters.decoderSide, row: top)
    if parameters.hasBias {
      try arrays.rows(bias, shape: [d], into: &parameters.bias) { $0 }
    }
    if shape.isFlat { return }
    try arrays.rows(down, shape: [m, s, d], into: &parameters.encoderSide, row: axis)
    try arrays.rows(subEncoder, shape: [m, a, s], into: &parameters.subEncoder) { $0 }
    try read(up, [m, s, d], into: &parameters.decoderSide, row: axis)
    try read(subDecoder, [m, a, s], into: &parameters.subDecoder) { $0 }
  }
}
