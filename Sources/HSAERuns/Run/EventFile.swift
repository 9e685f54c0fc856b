// The format of TensorBoard's event files: frames of TFRecord, each with an `Event` of TensorFlow's protocol buffers.
// Five messages and a few of their fields are enough, so they are encoded by hand:
//
//   Event           1 wall_time double · 2 step int64 · 3 file_version string · 5 summary
//   Summary         1 value (repeated)
//   Value           1 tag string · 2 simple_value float · 5 histo
//   HistogramProto  1 min · 2 max · 3 num · 4 sum · 5 sum_squares double · 6 bucket_limit · 7 bucket packed double
//
//   frame           length uint64 · crc of the length uint32 · the bytes · their crc uint32, little-endian

/// Encodes the fields of a protocol buffer.
private struct Message {
  var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func fixed(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Begins a field with its number and the form of its value (0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes).
  mutating func key(_ number: UInt64, _ form: UInt64) { varint(number << 3 | form) }

  mutating func double(_ number: UInt64, _ value: Double) {
    key(number, 1)
    fixed(value.bitPattern)
  }

  mutating func counted(_ number: UInt64, _ content: [UInt8]) {
    key(number, 2)
    varint(UInt64(content.count))
    bytes += content
  }

  mutating func doubles(_ number: UInt64, _ values: [Double]) {
    var packed = Message()
    for value in values { packed.fixed(value.bitPattern) }
    counted(number, packed.bytes)
  }
}

/// A histogram as event files have it.
package struct EventHistogram: Hashable, Sendable {
  /// The least and greatest value, the sum of values and of squares, and the number of values.
  package var least = 0.0
  package var greatest = 0.0
  package var sum = 0.0
  package var squares = 0.0
  package var count = 0
  /// The upper ends of the bins, in rising order.
  package var limits: [Double] = []
  /// The number of values in each bin.
  package var counts: [Double] = []

  /// The histogram of `values` that are finite, in 30 bins of equal width; nil if there are none.
  package init?(_ values: some Sequence<Double>) {
    let values = values.filter(\.isFinite)
    guard let low = values.min(), let high = values.max() else { return nil }
    let bins = 30
    let width = max((high - low) / Double(bins), 1e-12 * max(1, abs(high)))
    (least, greatest, count) = (low, high, values.count)
    limits = (1...bins).map { low + Double($0) * width }
    counts = [Double](repeating: 0, count: bins)
    for value in values {
      sum += value
      squares += value * value
      counts[min(bins - 1, Int((value - low) / width))] += 1
    }
  }
}

/// Encodes the events of a file.
package enum Event {
  /// The first event of a file.
  package static func version(time: Double) -> [UInt8] {
    var event = Message()
    event.double(1, time)
    event.counted(3, Array("brain.Event:2".utf8))
    return framed(event.bytes)
  }

  /// Numbers and histograms of one step, by name.
  package static func summary(
    step: Int, time: Double, scalars: [(name: String, value: Double)],
    histograms: [(name: String, value: EventHistogram)] = []
  ) -> [UInt8] {
    var summary = Message()
    for (name, number) in scalars {
      var value = Message()
      value.counted(1, Array(name.utf8))
      value.key(2, 5)
      value.fixed(Float(number).bitPattern)
      summary.counted(1, value.bytes)
    }
    for (name, histogram) in histograms {
      var content = Message()
      content.double(1, histogram.least)
      content.double(2, histogram.greatest)
      content.double(3, Double(histogram.count))
      content.double(4, histogram.sum)
      content.double(5, histogram.squares)
      content.doubles(6, histogram.limits)
      content.doubles(7, histogram.counts)
      var value = Message()
      value.counted(1, Array(name.utf8))
      value.counted(5, content.bytes)
      summary.counted(1, value.bytes)
    }
    var event = Message()
    event.double(1, time)
    event.key(2, 0)
    event.varint(UInt64(max(0, step)))
    event.counted(5, summary.bytes)
    return framed(event.bytes)
  }

  private static func framed(_ bytes: [UInt8]) -> [UInt8] {
    var frame = Message()
    frame.fixed(UInt64(bytes.count))
    frame.fixed(maskedCRC(frame.bytes[...]))
    frame.bytes += bytes
    frame.fixed(maskedCRC(bytes[...]))
    return frame.bytes
  }

  /// The frames of `bytes` whose step is at most `step`. They end before the first one that is damaged or cut off.
  package static func kept(of bytes: [UInt8], through step: Int) -> [UInt8] {
    var kept: [UInt8] = []
    var place = 0
    while bytes.count - place >= 16 {
      let length = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[place + $1]) << (8 * UInt64($1)) }
      guard length <= UInt64(bytes.count - place - 16) else { break }
      let end = place + 12 + Int(length)
      func sum(_ at: Int) -> UInt32 {
        (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
      }
      let content = bytes[place + 12..<end]
      guard sum(place + 8) == maskedCRC(bytes[place..<place + 8]), sum(end) == maskedCRC(content)
      else { break }
      if (self.step(of: content) ?? .max) <= step { kept += bytes[place..<end + 4] }
      place = end + 4
    }
    return kept
  }

  /// The step of an event that `summary` wrote, and 0 for the first event, which has none; nil for other events.
  private static func step(of event: ArraySlice<UInt8>) -> Int? {
    // 9 bytes of wall_time come first, then the step.
    guard event.count > 9, event.first == 0x09 else { return nil }
    let rest = event.dropFirst(9)
    guard rest.first == 0x10 else { return 0 }
    var value: UInt64 = 0
    for (index, byte) in rest.dropFirst().prefix(9).enumerated() {
      value |= UInt64(byte & 0x7F) << (7 * UInt64(index))
      if byte < 0x80 { return Int(exactly: value) }
    }
    return nil
  }

  // MARK: Checksums

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
  }

  /// CRC-32C (Castagnoli) as TFRecord masks it.
  private static func maskedCRC(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes { sum = sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
    sum = ~sum
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}
