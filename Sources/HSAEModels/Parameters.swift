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
  /// Input bias b_dec: 1 × d, or 0 × d without one.
  public var bias: Matrix
  /// Encoder bias b_enc of the top-level latents: 1 × m, or 0 × m without one.
  public var encoderBias: Matrix
  /// Learned thresholds θ of the top-level latents (JumpReLU): 1 × m, or 0 × m without them.
  public var thresholds: Matrix

  /// Parameters that are all zero, with room for an input bias if `hasBias`.
  public init(shape: DictionaryShape, hasBias: Bool = false) {
    self.init(shape: shape, vectors: hasBias ? .inputBias : [])
  }

  /// Parameters that are all zero, with room for `vectors`.
  public init(shape: DictionaryShape, vectors: TrainedVectors) {
    self.shape = shape
    let rows = shape.experts * shape.rowsPerExpert
    encoderSide = Matrix(rows: rows, columns: shape.width)
    decoderSide = Matrix(rows: rows, columns: shape.width)
    subEncoder = Matrix(rows: shape.experts * shape.sublatents, columns: shape.subspace)
    subDecoder = Matrix(rows: shape.experts * shape.sublatents, columns: shape.subspace)
    bias = Matrix(rows: vectors.contains(.inputBias) ? 1 : 0, columns: shape.width)
    encoderBias = Matrix(rows: vectors.contains(.encoderBias) ? 1 : 0, columns: shape.experts)
    thresholds = Matrix(rows: vectors.contains(.thresholds) ? 1 : 0, columns: shape.experts)
  }

  /// Whether there is an input bias.
  public var hasBias: Bool { bias.rows == 1 }

  /// The vectors that there are.
  public var vectors: TrainedVectors {
    var result: TrainedVectors = []
    if bias.rows == 1 { result.insert(.inputBias) }
    if encoderBias.rows == 1 { result.insert(.encoderBias) }
    if thresholds.rows == 1 { result.insert(.thresholds) }
    return result
  }

  /// The same matrices and input bias in a dictionary of `shape`, which may have another k. Encoder bias and
  /// thresholds are left out: after training they are part of the `Selection`.
  public consuming func forInference(shape: DictionaryShape) -> Parameters {
    var result = Parameters(shape: shape, hasBias: hasBias)
    for part in Part.allCases where part != .encoderBias && part != .thresholds {
      result[part].assign(from: self[part])
    }
    return result
  }

  /// A second set of parameters with the same values.
  public func copy() -> Parameters { copy(with: vectors) }

  /// A second set with the same values and other vectors: those that are new are 0.
  public func copy(with vectors: TrainedVectors) -> Parameters {
    var result = Parameters(shape: shape, vectors: vectors)
    for part in Part.allCases where result[part].rows == self[part].rows {
      result[part].assign(from: self[part])
    }
    return result
  }

  /// The matrices, each of which holds one or two of the tensors.
  package enum Part: Int, CaseIterable, Sendable {
    case encoderSide, decoderSide, subEncoder, subDecoder, bias, encoderBias, thresholds

    /// Whether each expert has elements of its own in this matrix.
    package var isByExpert: Bool { self != .bias }

    /// The number of elements of this matrix in a dictionary with `vectors`.
    package func count(_ shape: DictionaryShape, _ vectors: TrainedVectors) -> Int {
      switch self {
      case .encoderSide, .decoderSide: shape.experts * shape.rowsPerExpert * shape.width
      case .subEncoder, .subDecoder: shape.experts * shape.sublatents * shape.subspace
      case .bias: vectors.contains(.inputBias) ? shape.width : 0
      case .encoderBias: vectors.contains(.encoderBias) ? shape.experts : 0
      case .thresholds: vectors.contains(.thresholds) ? shape.experts : 0
      }
    }
  }

  /// The matrix `part`.
  package subscript(part: Part) -> Matrix {
    _read {
      switch part {
      case .encoderSide: yield encoderSide
      case .decoderSide: yield decoderSide
      case .subEncoder: yield subEncoder
      case .subDecoder: yield subDecoder
      case .bias: yield bias
      case .encoderBias: yield encoderBias
      case .thresholds: yield thresholds
      }
    }
    _modify {
      switch part {
      case .encoderSide: yield &encoderSide
      case .decoderSide: yield &decoderSide
      case .subEncoder: yield &subEncoder
      case .subDecoder: yield &subDecoder
      case .bias: yield &bias
      case .encoderBias: yield &encoderBias
      case .thresholds: yield &thresholds
      }
    }
  }
}

/// The vectors that a dictionary may have beside its matrices.
public struct TrainedVectors: OptionSet, Hashable, Sendable {
  /// One bit for each vector.
  public let rawValue: Int
  /// The vectors with the bits of `rawValue`.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The input bias b_dec, subtracted from a row and added to its reconstruction.
  public static let inputBias = TrainedVectors(rawValue: 1)
  /// The encoder bias b_enc of the top-level latents.
  public static let encoderBias = TrainedVectors(rawValue: 2)
  /// The learned thresholds θ of the top-level latents.
  public static let thresholds = TrainedVectors(rawValue: 4)
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
  /// Encoder bias of the top-level latents: m.
  case encoderBias = "b_enc"
  /// Learned thresholds of the top-level latents: m.
  case thresholds = "threshold"

  /// The tensor's shape in a dictionary of `shape`, slowest dimension first.
  public func dimensions(in shape: DictionaryShape) -> [Int] {
    switch self {
    case .encoder, .decoder: [shape.experts, shape.width]
    case .down, .up: [shape.experts, shape.subspace, shape.width]
    case .subEncoder, .subDecoder: [shape.experts, shape.sublatents, shape.subspace]
    case .bias: [shape.width]
    case .encoderBias, .thresholds: [shape.experts]
    }
  }

  /// The tensors of a dictionary of `shape` with `vectors`.
  public static func names(
    in shape: DictionaryShape, vectors: TrainedVectors
  ) -> [ParameterName] {
    var names: [ParameterName] = [.encoder, .decoder]
    if !shape.isFlat { names += [.down, .up, .subEncoder, .subDecoder] }
    if vectors.contains(.inputBias) { names.append(.bias) }
    if vectors.contains(.encoderBias) { names.append(.encoderBias) }
    if vectors.contains(.thresholds) { names.append(.thresholds) }
    return names
  }
}

/// Where the elements of one tensor are in its matrix: for each expert, `count` in a row.
package struct RowLayout {
  /// The matrix that holds the tensor.
  package let part: Parameters.Part
  /// The experts that have elements of their own; 1 for the bias.
  package let experts: Int
  /// The number of elements that one expert has.
  package let count: Int
  private let stride: Int
  private let offset: Int

  package init(_ name: ParameterName, _ shape: DictionaryShape) {
    let (d, sub) = (shape.width, shape.sublatents * shape.subspace)
    let side = shape.rowsPerExpert * d
    experts = name == .bias ? 1 : shape.experts
    (part, count, stride, offset) =
      switch name {
      case .encoder: (.encoderSide, d, side, 0)
      case .decoder: (.decoderSide, d, side, 0)
      case .down: (.encoderSide, shape.subspace * d, side, d)
      case .up: (.decoderSide, shape.subspace * d, side, d)
      case .subEncoder: (.subEncoder, sub, sub, 0)
      case .subDecoder: (.subDecoder, sub, sub, 0)
      case .bias: (.bias, d, 0, 0)
      case .encoderBias: (.encoderBias, 1, 1, 0)
      case .thresholds: (.thresholds, 1, 1, 0)
      }
  }

  /// The elements of the tensor that belong to expert `expert`.
  package func source(_ expert: Int) -> Range<Int> { expert * count..<(expert + 1) * count }

  /// The elements of the matrix that belong to expert `expert`.
  package func target(_ expert: Int) -> Range<Int> {
    let start = expert * stride + offset
    return start..<start + count
  }
}
