// Writes and reads metrics.jsonl: one record a line, a JSON object. When a run is resumed, lines beyond the checkpoint
// are dropped, so that every step is there once.

internal import Foundation
package import HSAESupport

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

  /// The records in the file at `path`, none if it is not there. A last line that a crash cut off is skipped.
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
