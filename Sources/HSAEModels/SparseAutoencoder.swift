// A trained dictionary ready to use: weights and activation settings, with encode and decode.
// Training it is `HSAETraining`'s, reading it from a folder too.

public import HSAETensors

/// A dictionary one can encode with: immutable, so it may be shared between threads.
public final class SparseAutoencoder: Sendable {
  /// Thresholds and slopes.
  public let activation: ActivationSettings
  /// The weights.
  public let parameters: Parameters
  /// The sizes.
  public var shape: DictionaryShape { parameters.shape }

  /// A dictionary that owns `parameters`.
  public init(parameters: consuming Parameters, activation: ActivationSettings) {
    self.parameters = parameters
    self.activation = activation
  }

  /// The codes of every row of `rows` [n × d], already normalised as in training.
  ///
  /// The result does not depend on `threads`.
  public func encode(_ rows: borrowing Matrix, threads: Int = 2) -> Codes {
    precondition(rows.columns == shape.width, "Rows of width \(rows.columns), not \(shape.width).")
    return Codes()
  }

  /// The reconstructions x̂ [n × d] of `codes`; with `topLevelOnly`, x̂_high.
  public func decode(_ codes: Codes, topLevelOnly: Bool = false, threads: Int = 2) -> Matrix {
    Matrix(rows: codes.count, columns: shape.width)
  }
}
