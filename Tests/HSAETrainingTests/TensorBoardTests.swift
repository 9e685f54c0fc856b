// Event files, read by a parser that shares no code with the writer. They hold the records, a resumed run has
// every step once, and events that a crash cut off are dropped.

import Foundation
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

struct TensorBoardTests {
  /// A field of a message: its number, and its value as a number or as bytes.
  private struct Field {
    var number: Int
    var value: UInt64 = 0
    var bytes: [UInt8] = []
  }

  private func fields(_ bytes: [UInt8]) throws -> [Field] {
    var rest = bytes[...]
    func varint() throws -> UInt64 {
      var (value, shift) = (UInt64(0), UInt64(0))
      while true {
        guard let byte = rest.popFirst() else { throw Failure.data("It ends early.") }
        value += UInt64(byte % 128) << shift
        if byte < 128 { return value }
        shift += 7
      }
    }
    func fixed(_ count: Int) throws -> UInt64 {
      guard rest.count >= count else { throw Failure.data("It ends early.") }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).reversed().reduce(0) { $0 * 256 + UInt64($1) }
    }
    var result: [Field] = []
    while !rest.isEmpty {
      let key = try varint()
      var field = Field(number: Int(key / 8))
      switch key % 8 {
      case 0: field.value = try varint()
      case 1: field.value = try fixed(8)
      case 5: field.value = try fixed(4)
      default:
        let count = Int(try varint())
        guard rest.count >= count else { throw Failure.data("It ends early.") }
        field.bytes = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
      }
      result.append(field)
    }
    return result
  }

  /// CRC-32C bit by bit, masked.
  private func checksum(_ bytes: [UInt8]) -> UInt64 {
    var sum = UInt32.max
    for byte in bytes {
      for bit in 0..<8 {
        let odd = (sum ^ UInt32(byte >> bit)) & 1 == 1
        sum = sum / 2 ^ (odd ? 0x82F6_3B78 : 0)
      }
    }
    sum ^= UInt32.max
    return UInt64((sum >> 15 | sum << 17) &+ 0xA282_EAD8)
  }

  private struct Read {
    var version = ""
    var scalars: [Int: [String: Float]] = [:]
    var histograms: [Int: [String: [Field]]] = [:]
    /// The steps of events with scalars, in order.
    var steps: [Int] = []
  }

  private func read(_ path: String) throws -> Read {
    let names = try Path.list(path + "/tensorboard")
    #expect(names.count == 1 && names[0].hasPrefix("events.out.tfevents."))
    var bytes = try MappedFile(path: path + "/tensorboard/" + names[0]).copy()[...]
    func number(_ count: Int) -> UInt64 {
      defer { bytes = bytes.dropFirst(count) }
      return bytes.prefix(count).reversed().reduce(0) { $0 * 256 + UInt64($1) }
    }
    var result = Read()
    while !bytes.isEmpty {
      let head = Array(bytes.prefix(8))
      let length = Int(number(8))
      #expect(number(4) == checksum(head))
      let content = Array(bytes.prefix(length))
      try #require(content.count == length)
      bytes = bytes.dropFirst(length)
      #expect(number(4) == checksum(content))
      let event = try fields(content)
      let time = Double(bitPattern: try #require(event.first { $0.number == 1 }).value)
      #expect(time > 1.7e9)
      if let version = event.first(where: { $0.number == 3 }) {
        result.version = String(decoding: version.bytes, as: UTF8.self)
        continue
      }
      let step = Int(try #require(event.first { $0.number == 2 }).value)
      var hasScalars = false
      for value in try fields(try #require(event.first { $0.number == 5 }).bytes) {
        let parts = try fields(value.bytes)
        let tag = String(decoding: parts[0].bytes, as: UTF8.self)
        if let scalar = parts.first(where: { $0.number == 2 }) {
          hasScalars = true
          result.scalars[step, default: [:]][tag] = Float(bitPattern: UInt32(scalar.value))
        } else {
          result.histograms[step, default: [:]][tag] = try fields(parts[1].bytes)
        }
      }
      if hasScalars { result.steps.append(step) }
    }
    return result
  }

  @Test func eventsAreTheRecords() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.steps, options.recordEvery, options.checkpointEvery) = (40, 5, 10)
      let trainer = try fixture.create("run", options: options)
      trainer.writesEvents = true
      _ = try trainer.run { _, _ in }
      let events = try read(fixture.path("run"))
      #expect(events.version == "brain.Event:2")
      let records = try RunDirectory(path: fixture.path("run")).metrics()
      #expect(events.steps == records.map(\.step))
      for record in records {
        let scalars = try #require(events.scalars[record.step])
        #expect(scalars["loss/total"] == Float(record.loss))
        #expect(scalars["latents/l0"] == Float(record.l0))
        #expect(scalars["quality/explained_variance"] == record.explainedVariance.map { Float($0) })
      }
      #expect(events.histograms.keys.sorted() == [10, 20, 30, 40])
      let cosines = try #require(events.histograms[40]?["latents/encoder_decoder_cosine"])
      func value(_ number: Int) -> Double {
        Double(bitPattern: cosines.first { $0.number == number }?.value ?? 0)
      }
      #expect(value(1) >= -1.001 && value(2) <= 1.001 && value(1) <= value(2))
      #expect(value(3) == Double(trainer.configuration.shape.experts))
      let counts = try #require(cosines.first { $0.number == 7 }).bytes
      #expect(counts.count == 8 * 30)
    }
  }

  @Test func afterACrashEveryStepIsThereOnce() throws {
    try withTemporaryFolder { folder in
      let fixture = try TrainingFixture(in: folder)
      var options = fixture.options
      (options.steps, options.recordEvery, options.checkpointEvery, options.keep) = (40, 3, 10, 9)
      let source = try fixture.source()
      let path = fixture.path("run")
      var trainer: Trainer? = try fixture.create("run", options: options)
      trainer?.writesEvents = true
      _ = try trainer?.run { _, _ in }
      trainer = nil
      let whole = try read(path)
      let name = path + "/tensorboard/" + (try Path.list(path + "/tensorboard")[0])

      // Back to step 20, as after a crash, with half an event at the end.
      for step in ["30", "40"] { Path.removeAll(path + "/checkpoints/step-000000\(step)") }
      let bytes = try MappedFile(path: name).copy()
      try DurableFile.write(Array(bytes.dropLast(7)), to: name)
      trainer = try Trainer(resuming: path, source: source, with: TrainingResources(threads: 1))
      _ = try trainer?.run { _, _ in }
      trainer = nil
      let again = try read(path)
      #expect(again.steps == whole.steps)
      #expect(again.histograms.keys.sorted() == whole.histograms.keys.sorted())
      #expect(
        again.scalars.mapValues { $0["loss/total"] } == whole.scalars.mapValues { $0["loss/total"] }
      )

      // A run without event files: they are made from its records on request.
      Path.removeAll(path + "/tensorboard")
      trainer = try Trainer(resuming: path, source: source, with: TrainingResources(threads: 1))
      trainer?.writesEvents = true
      _ = try trainer?.run { _, _ in }
      trainer = nil
      #expect(try read(path).steps == whole.steps)
    }
  }

  @Test func damagedEventsAreLeftOut() throws {
    let events = (1...5).map { Event.summary(step: $0, time: 2e9, scalars: [("a", 1)]) }
    let whole = [Event.version(time: 2e9)] + events
    #expect(Event.kept(of: whole.flatMap(\.self), through: 5) == whole.flatMap(\.self))
    #expect(Event.kept(of: whole.flatMap(\.self), through: 3) == whole.prefix(4).flatMap(\.self))
    _ = Fuzz().feed([whole.flatMap(\.self)]) { _, bytes in
      let kept = Event.kept(of: bytes, through: 3)
      #expect(kept.count <= bytes.count)
    }
  }
}
