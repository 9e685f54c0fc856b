// The weights of a dictionary in the layout of the training engine. An expert's rows on the encoder side lie
// together, and so do its rows on the decoder side, so one visit to an expert reads contiguous memory once
// for all rows of the batch.

public import HSAETensors

/// The trainable numbers of a dictionary (`docs/method.md`, "Parameters").
///
/// Expert j's encoder side is the 1 + s rows [e_j; Π↓_j] of `encoderSide`, its decoder side the rows [d_j;
/// Π↑_j] of `decoderSide`, each of width d. Its sublatents' rows are j·a ..< (j+1)·a of `subEncoder` and
/// `subDecoder`, each of width s.
public struct Parameters: ~Copyable, Sendable {
  /// The sizes of the dictionary.
  public let shape: DictionaryShape
  /// [e_j; Π↓_j] for every expert j: m·(1+s) × d.
  public var encoderSide: Matrix
  /// [d_j; Π↑_j] for every expert j: m·(1+s) × d. Row d_j has unit norm.
  public var decoderSide: Matrix
  /// Sub-encoder rows: m·a × s.
  public var subEncoder: Matrix
  /// Sub-decoder rows, each of unit norm: m·a × s.
  public var subDecoder: Matrix
  /// Input bias: 1 × d, or 0 × d without one.
  public var bias: Matrix

  /// Parameters that are all zero, with room for a bias if `hasBias`.
  public init(shape: DictionaryShape, hasBias: Bool = false) {
    self.shape = shape
    let rows = shape.experts * shape.rowsPerExpert
    encoderSide = Matrix(rows: rows, columns: shape.width)
    decoderSide = Matrix(rows: rows, columns: shape.width)
    subEncoder = Matrix(rows: shape.experts * shape.sublatents, columns: shape.subspace)
    subDecoder = Matrix(rows: shape.experts * shape.sublatents, columns: shape.subspace)
    bias = Matrix(rows: hasBias ? 1 : 0, columns: shape.width)
  }

  /// Whether there is an input bias.
  public var hasBias: Bool { bias.rows == 1 }

  /// A second set of parameters with the same values.
  public func copy() -> Parameters {
    var result = Parameters(shape: shape, hasBias: hasBias)
    result.encoderSide.assign(from: encoderSide)
    result.decoderSide.assign(from: decoderSide)
    result.subEncoder.assign(from: subEncoder)
    result.subDecoder.assign(from: subDecoder)
    result.bias.assign(from: bias)
    return result
  }
}

/// The tensors of a dictionary by their names in files (`docs/method.md`, "Parameters").
public enum ParameterName: String, CaseIterable, Sendable {
  /// Top-level encoder rows e_j: m × d.
  case encoder = "W_enc"
  /// Top-level decoder rows d_j: m × d.
  case decoder = "W_dec"
  /// Down projectors: m × s × d.
  case down = "W_down"
  /// Up projectors, a row per subspace axis: m × s × d.
  case up = "W_up"
  /// Sub-encoder rows: m × a × s.
  case subEncoder = "sub_W_enc"
  /// Sub-decoder rows: m × a × s.
  case subDecoder = "sub_W_dec"
  /// Input bias: d.
  case bias = "b_dec"

  /// The tensor's shape in a dictionary of `shape`, slowest dimension first.
  public func dimensions(in shape: DictionaryShape) -> [Int] {
    switch self {
    case .encoder, .decoder: [shape.experts, shape.width]
    case .down, .up: [shape.experts, shape.subspace, shape.width]
    case .subEncoder, .subDecoder: [shape.experts, shape.sublatents, shape.subspace]
    case .bias: [shape.width]
    }
  }

  /// The tensors of a dictionary of `shape`.
  public static func names(in shape: DictionaryShape, hasBias: Bool) -> [ParameterName] {
    var names: [ParameterName] = [.encoder, .decoder]
    if !shape.isFlat { names += [.down, .up, .subEncoder, .subDecoder] }
    if hasBias { names.append(.bias) }
    return names
  }
}
