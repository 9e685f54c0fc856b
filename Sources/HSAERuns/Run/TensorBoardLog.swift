// Writes RUN/tensorboard/events.out.tfevents.…: the records of metrics.jsonl for TensorBoard, and histograms at each
// checkpoint. When a run is resumed, events beyond the checkpoint are dropped, as in metrics.jsonl.

internal import Foundation
internal import HSAEDistribution
package import HSAEModels
package import HSAESupport
internal import HSAETensors

/// The events of a run.
package struct TensorBoardLog: ~Copyable {
  private let file: Descriptor
  private var size: Int

  /// The folder of a run's events. A resumed run that has it appends to it.
  package static func folder(ofRun path: String) -> String { Path.join(path, "tensorboard") }

  /// Opens the events of the run at `path` to append, keeping only those up to step `step`.
  ///
  /// If there are records but no events yet, events are made from the records.
  package init(run path: String, keepingThrough step: Int) throws(Failure) {
    let folder = Self.folder(ofRun: path)
    try Path.createDirectories(folder)
    let names = try Path.list(folder).filter { $0.contains("tfevents") && !$0.hasPrefix(".") }
    let now = Date().timeIntervalSince1970
    let name = names.first ?? "events.out.tfevents.\(Int(now)).hsae"
    let place = Path.join(folder, name)
    var bytes =
      names.isEmpty ? [] : Event.kept(of: try MappedFile(path: place).copy(), through: step)
    if bytes.isEmpty {
      bytes = Event.version(time: now)
      for record in try MetricsLog.read(RunDirectory.metricsFile(path)) where record.step <= step {
        bytes += Self.event(record, time: now)
      }
    }
    try DurableFile.write(bytes, to: place)
    file = try Descriptor(updating: place)
    size = bytes.count
  }

  /// Appends one record.
  package mutating func append(_ record: MetricsRecord) throws(Failure) {
    try append(Self.event(record, time: Date().timeIntervalSince1970))
  }

  /// Appends histograms of step `step`.
  package mutating func append(
    step: Int, histograms: [(name: String, value: EventHistogram)]
  ) throws(Failure) {
    if histograms.isEmpty { return }
    try append(
      Event.summary(
        step: step, time: Date().timeIntervalSince1970, scalars: [], histograms: histograms))
  }

  private mutating func append(_ bytes: [UInt8]) throws(Failure) {
    try unsafe file.write(bytes.span.bytes, at: size)
    size += bytes.count
  }

  /// The metrics of a record that have a tag.
  private static func event(_ record: MetricsRecord, time: Double) -> [UInt8] {
    let scalars = MetricsRecord.fields.compactMap { field -> (name: String, value: Double)? in
      guard let tag = field.tag, let value = field.number(record) else { return nil }
      return (tag, value)
    }
    return Event.summary(step: record.step, time: time, scalars: scalars)
  }
}

extension TrainingState {
  /// The histograms at a checkpoint: log₁₀ of the share of rows for which latents and sublatents are active, and the
  /// cosine of each latent's encoder and decoder rows.
  package borrowing func eventHistograms() -> [(name: String, value: EventHistogram)] {
    let weight = usage.rateWeight
    func densities(_ rates: [Float]) -> EventHistogram? {
      EventHistogram(
        rates.lazy.filter { $0 > 0 }.map { Foundation.log10(Double($0) / weight) })
    }
    var cosines: [Double] = []
    for expert in 0..<shape.experts {
      let e = parameters.encoderSide.row(expert * shape.rowsPerExpert)
      let d = parameters.decoderSide.row(expert * shape.rowsPerExpert)
      let norms = Double(dot(e, e)) * Double(dot(d, d))
      if norms > 0 { cosines.append(Double(dot(e, d)) / norms.squareRoot()) }
    }
    let all: [(name: String, value: EventHistogram?)] = [
      ("latents/log10_density", densities(usage.latentRate)),
      ("latents/log10_density_sublatents", densities(usage.sublatentRate)),
      ("latents/encoder_decoder_cosine", EventHistogram(cosines)),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }
}
