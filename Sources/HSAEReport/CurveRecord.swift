// Reads the records of `metrics.jsonl`, which `HSAETraining` writes. Every number is optional and no line is an error.

import Foundation

/// One record of a training run. A number that is missing, null or not finite is nil.
public struct CurveRecord: Hashable, Sendable {
  /// The numbers of the record by their key.
  public var values: [String: Double]

  /// A record with the finite ones of `values`.
  public init(_ values: [String: Double]) { self.values = values.filter(\.value.isFinite) }

  /// The number for `key`; nil if it is missing.
  public subscript(key: Key) -> Double? { values[key.rawValue] }

  /// The keys the page knows; the raw value is the name in the file.
  public enum Key: String, CaseIterable, Sendable {
    /// Optimizer steps taken.
    case step
    /// Rows trained on.
    case tokens
    /// The whole objective.
    case loss
    /// Mean ‖x − x̂‖².
    case reconstruction
    /// Mean ‖x − x̂_high‖².
    case topReconstruction
    /// The orthogonality penalty, unweighted.
    case ortho
    /// The sparse penalty, unweighted.
    case l1
    /// The auxiliary loss, unweighted.
    case auxk
    /// Explained variance of the batch.
    case explainedVariance
    /// Mean number of active experts.
    case l0
    /// Latents not active for any of the last rows.
    case deadLatents
    /// Sublatents not chosen for any of the last rows.
    case deadSublatents
    /// The learning rate of the step.
    case learningRate
    /// The gradient's norm before clipping.
    case gradientNorm
    /// Rows per second.
    case tokensPerSecond
    /// Seconds since the run began.
    case seconds
  }

  /// The records of a JSON-lines file, in its order. Skips lines that are not JSON objects, such as a last line cut
  /// off by a crash. Bare NaN and Infinity, which are not JSON, count as missing.
  public static func parse(jsonLines text: String) -> [CurveRecord] {
    text.split(whereSeparator: \.isNewline).compactMap { line in
      (object(String(line)) ?? object(withoutBareNaN(String(line)))).map(CurveRecord.init)
    }
  }

  private static func object(_ line: String) -> [String: Double]? {
    (try? JSONDecoder().decode([String: LooseNumber].self, from: Data(line.utf8)))?
      .compactMapValues(\.value)
  }

  private static func withoutBareNaN(_ line: String) -> String {
    line.replacing(/:\s*[-+]?(NaN|nan|Infinity|Inf|inf)/, with: ": null")
  }
}

/// A number; anything else counts as missing.
private struct LooseNumber: Decodable {
  var value: Double?

  init(from decoder: any Decoder) throws {
    value = try? decoder.singleValueContainer().decode(Double.self)
  }
}
