// How rows of a model are scaled for a dictionary, and how reconstructions get back into the scale of the model.

public import HSAETensors

/// How the rows that a dictionary sees differ from those of the model.
public enum RowScale: Hashable, Sendable {
  /// Not at all.
  case own
  /// x / ‖x‖.
  case unit
  /// (x − μ) / (‖x − μ‖ + ε), with the mean μ of the row's numbers: layer normalisation over √(d − 1).
  case centred
}

/// What brings the reconstruction of each of n rows back into the scale of the model: x̂ · factor + mean.
public struct RowScaling: Hashable, Sendable {
  /// The factors [n].
  public var factors: [Float]
  /// The means [n]; empty if they are 0.
  public var means: [Float]

  /// A scaling of the given parts.
  public init(factors: [Float], means: [Float] = []) {
    (self.factors, self.means) = (factors, means)
  }
}

extension RowScale {
  /// Scales `rows`, which are as the model computes them, and returns what undoes it.
  public func apply(to rows: inout Matrix) -> RowScaling {
    switch self {
    case .own: return RowScaling(factors: Array(repeating: 1, count: rows.rows))
    case .unit:
      let norms = rows.rowNorms()
      rows.scaleRowsToUnit()
      return RowScaling(factors: norms)
    case .centred:
      let (means, norms) = rows.rowCentres()
      rows.centreRowsToUnit()
      return RowScaling(factors: norms, means: means)
    }
  }
}

extension RowScaling {
  /// Number `column` of row `row`, of which `value` is the reconstruction.
  public func restored(_ value: Float, row: Int) -> Float {
    let scaled = value * factors[row]
    return means.isEmpty ? scaled : scaled + means[row]
  }
}

extension Normalisation {
  /// Whether rows of a store get back the lengths that they had in the model.
  public var restoresLengths: Bool { self == .original || self == .layerNorm }

  /// Normalises `rows` of `width` numbers. Those of a store have their lengths already, if ``restoresLengths``.
  public func apply(to rows: inout MutableSpan<Float>, width: Int) {
    switch self {
    case .none, .original: break
    case .unit: scaleRowsToUnit(&rows, width: width)
    case .layerNorm: centreRowsToUnit(&rows, width: width)
    }
  }

  /// Normalises the rows of `rows` (see ``apply(to:width:)``).
  public func apply(to rows: inout Matrix) {
    guard rows.columns > 0 else { return }
    let width = rows.columns
    var span = rows.mutableSpan
    apply(to: &span, width: width)
  }
}
