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
  /// Encoder bias: m, or empty without one.
  public var encoderBias: [Double]
  /// Learned thresholds: m, or empty without them.
  public var thresholds: [Double]

  /// Parameters that are all zero, with room for an input bias if `hasBias`.
  public init(shape: DictionaryShape, hasBias: Bool = false) {
    self.init(shape: shape, vectors: hasBias ? .inputBias : [])
  }

  /// Parameters that are all zero, with room for `vectors`.
  public init(shape: DictionaryShape, vectors: TrainedVectors) {
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
    bias = vectors.contains(.inputBias) ? zeros(.bias) : []
    encoderBias = vectors.contains(.encoderBias) ? zeros(.encoderBias) : []
    thresholds = vectors.contains(.thresholds) ? zeros(.thresholds) : []
  }

  /// Whether there is an input bias.
  public var hasBias: Bool { !bias.isEmpty }

  /// The vectors that there are.
  public var vectors: TrainedVectors {
    var result: TrainedVectors = []
    if !bias.isEmpty { result.insert(.inputBias) }
    if !encoderBias.isEmpty { result.insert(.encoderBias) }
    if !thresholds.isEmpty { result.insert(.thresholds) }
    return result
  }

  /// The tensors that this dictionary has.
  public var names: [ParameterName] { ParameterName.names(in: shape, vectors: vectors) }

  /// The tensor called `name`; empty if there is none. A new value must have as many elements as the old one.
  public subscript(name: ParameterName) -> [Double] {
    get { self[keyPath: Self.path(name)] }
    set {
      precondition(
        newValue.count == self[name].count,
        "\(name.rawValue) has \(self[name].count) elements, not \(newValue.count).")
      self[keyPath: Self.path(name)] = newValue
    }
  }

  private static func path(_ name: ParameterName) -> WritableKeyPath<Self, [Double]> {
    switch name {
    case .encoder: \.encoder
    case .decoder: \.decoder
    case .down: \.down
    case .up: \.up
    case .subEncoder: \.subEncoder
    case .subDecoder: \.subDecoder
    case .bias: \.bias
    case .encoderBias: \.encoderBias
    case .thresholds: \.thresholds
    }
  }

  /// The numbers of `parameters` in double precision.
  public init(_ parameters: borrowing Parameters) {
    self.init(shape: parameters.shape, vectors: parameters.vectors)
    for name in names {
      let layout = RowLayout(name, shape)
      let elements = parameters[layout.part].elements
      self[name] = (0..<layout.experts).flatMap { elements[layout.target($0)].map(Double.init) }
    }
  }

  /// The same numbers in the engine's layout, rounded to single precision.
  public func rounded() -> Parameters {
    var result = Parameters(shape: shape, vectors: vectors)
    for name in names {
      let (layout, values) = (RowLayout(name, shape), self[name])
      var target = result[layout.part].mutableSpan
      for expert in 0..<layout.experts {
        for (index, source) in zip(layout.target(expert), layout.source(expert)) {
          target[index] = Float(values[source])
        }
      }
    }
    return result
  }
}
