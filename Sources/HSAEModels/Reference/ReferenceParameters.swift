// The weights of the reference implementation: a plain array of doubles for each tensor of `docs/method.md`'s
// table. Gradients and Adam's moments have the same type.

import HSAETensors

/// The trainable numbers of a dictionary in double precision: one row-major array for each tensor, in the
/// shapes of `docs/method.md` (and of `ParameterName.dimensions(in:)`).
public struct ReferenceParameters: Hashable, Sendable {
  /// The sizes of the dictionary.
  public let shape: DictionaryShape
  /// Top-level encoder rows e_j: m × d.
  public var encoder: [Double]
  /// Top-level decoder rows d_j: m × d.
  public var decoder: [Double]
  /// Down projectors: m × s × d.
  public var down: [Double]
  /// Up projectors, a row per subspace axis: m × s × d.
  public var up: [Double]
  /// Sub-encoder rows: m × a × s.
  public var subEncoder: [Double]
  /// Sub-decoder rows: m × a × s.
  public var subDecoder: [Double]
  /// Input bias: d, or empty without one.
  public var bias: [Double]

  /// Parameters that are all zero.
  public init(shape: DictionaryShape, hasBias: Bool = false) {
    self.shape = shape
    func zeros(_ name: ParameterName) -> [Double] {
      [Double](repeating: 0, count: name.dimensions(in: shape).reduce(1, *))
    }
    encoder = zeros(.encoder)
    decoder = zeros(.decoder)
    down = zeros(.down)
    up = zeros(.up)
    subEncoder = zeros(.subEncoder)
    subDecoder = zeros(.subDecoder)
    bias = hasBias ? zeros(.bias) : []
  }

  /// Whether there is an input bias.
  public var hasBias: Bool { !bias.isEmpty }

  /// The tensors that this dictionary has.
  public var names: [ParameterName] { ParameterName.names(in: shape, hasBias: hasBias) }

  /// The tensor called `name`; empty if there is none. A new value must have as many elements as the old one.
  public subscript(name: ParameterName) -> [Double] {
    get {
      switch name {
      case .encoder: encoder
      case .decoder: decoder
      case .down: down
      case .up: up
      case .subEncoder: subEncoder
      case .subDecoder: subDecoder
      case .bias: bias
      }
    }
    set {
      precondition(
        newValue.count == self[name].count,
        "\(name.rawValue) has \(self[name].count) elements, not \(newValue.count).")
      switch name {
      case .encoder: encoder = newValue
      case .decoder: decoder = newValue
      case .down: down = newValue
      case .up: up = newValue
      case .subEncoder: subEncoder = newValue
      case .subDecoder: subDecoder = newValue
      case .bias: bias = newValue
      }
    }
  }

  /// The numbers of `parameters` in double precision.
  public init(_ parameters: borrowing Parameters) {
    let shape = parameters.shape
    self.init(shape: shape, hasBias: parameters.hasBias)
    for expert in 0..<shape.experts {
      let side = expert * shape.rowsPerExpert
      for column in 0..<shape.width {
        encoder[expert * shape.width + column] = Double(parameters.encoderSide[side, column])
        decoder[expert * shape.width + column] = Double(parameters.decoderSide[side, column])
      }
      for axis in 0..<shape.subspace {
        for column in 0..<shape.width {
          let index = (expert * shape.subspace + axis) * shape.width + column
          down[index] = Double(parameters.encoderSide[side + 1 + axis, column])
          up[index] = Double(parameters.decoderSide[side + 1 + axis, column])
        }
      }
    }
    subEncoder = parameters.subEncoder.elements.map(Double.init)
    subDecoder = parameters.subDecoder.elements.map(Double.init)
    bias = parameters.bias.elements.map(Double.init)
  }

  /// The same numbers in the engine's layout, rounded to single precision.
  public func rounded() -> Parameters {
    var result = Parameters(shape: shape, hasBias: hasBias)
    for expert in 0..<shape.experts {
      let side = expert * shape.rowsPerExpert
      for column in 0..<shape.width {
        result.encoderSide[side, column] = Float(encoder[expert * shape.width + column])
        result.decoderSide[side, column] = Float(decoder[expert * shape.width + column])
      }
      for axis in 0..<shape.subspace {
        for column in 0..<shape.width {
          let index = (expert * shape.subspace + axis) * shape.width + column
          result.encoderSide[side + 1 + axis, column] = Float(down[index])
          result.decoderSide[side + 1 + axis, column] = Float(up[index])
        }
      }
    }
    for row in 0..<shape.experts * shape.sublatents {
      for column in 0..<shape.subspace {
        result.subEncoder[row, column] = Float(subEncoder[row * shape.subspace + column])
        result.subDecoder[row, column] = Float(subDecoder[row * shape.subspace + column])
      }
    }
    for column in bias.indices { result.bias[0, column] = Float(bias[column]) }
    return result
  }
}
