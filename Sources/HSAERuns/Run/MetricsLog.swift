// metrics.jsonl: one JSON object a line, one line a record. Appended as training goes; after a
// resume, lines beyond the checkpoint are dropped, so that the file reads as if nothing had happened.

internal import Foundation
package import HSAESupport

/// One record of a run: what was measured at one step.
public struct MetricsRecord: Codable, Hashable, Sendable {
  /// Steps done, this one included.
  public var step = 0
  /// Rows seen.
  public var tokens = 0
  /// The whole loss, with the coefficients in force.
  public var loss = 0.0
  /// Mean ‖x − x̂‖².
  public var reconstruction = 0.0
  /// Mean ‖x − x̂_high‖².
  public var topReconstruction = 0.0
  /// L_ortho, unweighted; absent where its weight was 0.
  public var ortho: Double?
  /// L_sparse, unweighted.
  public var l1 = 0.0
  /// The auxiliary loss, unweighted.
  public var auxk = 0.0
  /// 1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² on this batch, which is of training rows. Optional, unlike ``loss``, because
  /// it is a share of the batch's variance: nil where all its rows are equal, as in a batch of one row.
  public var explainedVariance: Double?
  /// Mean number of active experts.
  public var l0 = 0.0
  /// Mean share of latents at or above the threshold, where the penalty reaches them all.
  public var aboveThreshold: Double?
  /// Latents that have not fired in the last million rows; 0 before so many were seen.
  public var deadLatents = 0
  /// Sublatents likewise.
  public var deadSublatents = 0
  /// The learning rate of this step.
  public var learningRate = 0.0
  /// Global norm of the gradient, before clipping.
  public var gradientNorm = 0.0
  /// Rows per second since the last record.
  public var tokensPerSecond = 0.0
  /// Seconds of training so far.
  public var seconds = 0.0

  /// A record of zeros.
  public init() {}
}

/// The file of a run's records.
package struct MetricsLog: ~Copyable {
  private let file: Descriptor
  private var size: Int

  /// Opens the log at `path` to append, keeping only the records up to step `step`.
  package init(path: String, keepingThrough step: Int) throws(Failure) {
    let kept = try Self.read(path).filter { $0.step <= step }
    var text = ""
    for record in kept { text += try Self.line(record) }
    try DurableFile.write(text, to: path)
    file = try Descriptor(updating: path)
    size = text.utf8.count
  }

  /// Appends one record.
  package mutating func append(_ record: MetricsRecord) throws(Failure) {
    let line = Array(try Self.line(record).utf8)
    try unsafe file.write(line.span.bytes, at: size)
    size += line.count
  }

  /// Returns when all records have reached the disk.
  package func synchronize() throws(Failure) { try file.synchronize() }

  /// The records in the file at `path`, none if it is not there. A last line that was cut off by a
  /// crash is passed over.
  package static func read(_ path: String) throws(Failure) -> [MetricsRecord] {
    guard Path.exists(path) else { return [] }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .missing("\(path): the file cannot be read.")
    }
    var records: [MetricsRecord] = []
    let lines = data.split(separator: UInt8(ascii: "\n"))
    for (index, line) in lines.enumerated() {
      do {
        records.append(try JSONDecoder().decode(MetricsRecord.self, from: Data(line)))
      } catch {
        if index == lines.count - 1 { break }
        throw .data("\(path): line \(index + 1) is not a metrics record; repair or remove it.")
      }
    }
    return records
  }

  private static func line(_ record: MetricsRecord) throws(Failure) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(record), as: UTF8.self) + "\n"
    } catch { throw Failure(.software, "A metrics record cannot be written as JSON: \(error)") }
  }
}
