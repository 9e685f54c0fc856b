// Converts little-endian numbers in files to 32-bit floats and back. The loops over bits vectorise on every
// processor and give the same result on all of them.

import HSAESupport

/// The floating-point formats a file's rows may have.
public enum ElementType: String, Sendable, CaseIterable {
  /// IEEE half precision.
  case float16
  /// The upper half of a 32-bit float.
  case bfloat16
  /// IEEE single precision.
  case float32
  /// IEEE double precision; read, rounded to single.
  case float64

  /// Bytes per element.
  public var size: Int {
    switch self {
    case .float16, .bfloat16: 2
    case .float32: 4
    case .float64: 8
    }
  }
}

extension ElementType {
  /// Fills `floats` from `bytes`, as many little-endian elements of this type.
  ///
  /// Returns whether all of them are finite (a float64 beyond single precision is not).
  @discardableResult
  package func decode(_ bytes: RawSpan, into floats: inout MutableSpan<Float>) -> Bool {
    let count = floats.count
    precondition(
      bytes.byteCount == count * size, "\(bytes.byteCount) bytes are not \(count) numbers.")
    // Safe: both buffers hold `count` elements (checked above), and unaligned loads are allowed.
    return unsafe bytes.withUnsafeBytes { source in
      unsafe floats.withUnsafeMutableBufferPointer { target in
        guard let from = source.baseAddress, let to = target.baseAddress else { return true }
        return switch self {
        case .float16: unsafe decodeBits(from, to, count, float(half:))
        case .bfloat16:
          unsafe decodeBits(from, to, count) { (bits: UInt16) in
            Float(bitPattern: UInt32(bits) << 16)
          }
        case .float32: unsafe decodeBits(from, to, count) { Float(bitPattern: $0) }
        case .float64: unsafe decodeBits(from, to, count) { Float(Double(bitPattern: $0)) }
        }
      }
    }
  }

  /// `value` rounded to this type, in single precision; infinite if it is beyond either.
  func rounded(_ value: Double) -> Float {
    var bytes: [UInt8] = []
    encode([Float(value)].span, to: &bytes)
    var floats: [Float] = [0]
    var span = floats.mutableSpan
    // Safe: a view of integers as bytes, whose number `decode` checks.
    unsafe decode(bytes.span.bytes, into: &span)
    return floats[0]
  }

  /// What a number that is not finite may be, for messages.
  static let notFinite = "a NaN or an infinity"

  /// What the first number in `bytes` is that `decode` does not make finite, for messages: "a NaN or an infinity", or a
  /// double beyond single precision.
  package func notFinite(in bytes: RawSpan) -> String {
    guard self == .float64 else { return Self.notFinite }
    for start in stride(from: 0, to: bytes.byteCount - 7, by: 8) {
      // Safe: 8 bytes follow `start`, and any bits are an integer.
      let bits = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self)
      let value = Double(bitPattern: UInt64(littleEndian: bits))
      if Float(value).isFinite { continue }
      return value.isFinite
        ? "\(value), a number beyond single precision (3.4e38); scale the numbers" : Self.notFinite
    }
    return Self.notFinite
  }

  /// What a row is that `vanished`, for messages.
  static let tooSmall = "numbers below single precision (1e-45) only; scale the numbers"

  /// Whether `decode` made only zeros, `floats`, of `bytes` that have other numbers. Such rows would be zero rows.
  func vanished(_ bytes: RawSpan, to floats: Span<Float>) -> Bool {
    guard self == .float64, floats.indices.allSatisfy({ floats[$0] == 0 }) else { return false }
    return stride(from: 0, to: bytes.byteCount - 7, by: 8).contains { start in
      // Safe: 8 bytes follow `start`, and any bits are an integer. The first bit is the sign.
      unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self).littleEndian << 1
        != 0
    }
  }

  /// Appends `floats` to `bytes` as little-endian elements of this type, rounded to nearest even.
  func encode(_ floats: Span<Float>, to bytes: inout [UInt8]) {
    for index in floats.indices {
      let value = floats[index]
      switch self {
      case .float16: appendBytes(of: float16Bits(value), to: &bytes)
      case .bfloat16: appendBytes(of: bfloat16Bits(value), to: &bytes)
      case .float32: appendBytes(of: value.bitPattern, to: &bytes)
      case .float64: appendBytes(of: Double(value).bitPattern, to: &bytes)
      }
    }
  }
}

extension MutableSpan where Element: Copyable {
  /// The elements `range`, to write. (The standard library's method has a provisional name.)
  @inline(__always)
  @_lifetime(&self)
  package mutating func part(_ range: Range<Int>) -> MutableSpan<Element> {
    _mutatingExtracting(range)
  }
}

// Safe: the bytes are copied before the closure ends.
/// Appends the bytes of `value`, little-endian.
@inline(__always)
func appendBytes(of value: some FixedWidthInteger, to bytes: inout [UInt8]) {
  unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
}

/// Fills `to` with `count` numbers, each `value(bits)` of the bits at `from`. Returns whether all are finite.
@inline(__always)
private func decodeBits<Bits: FixedWidthInteger>(
  _ from: UnsafeRawPointer, _ to: UnsafeMutablePointer<Float>, _ count: Int,
  _ value: (Bits) -> Float
) -> Bool {
  var largest: UInt32 = 0
  for index in 0..<count {
    // Safe: the caller passes `count` elements on both sides.
    let bits = unsafe from.loadUnaligned(
      fromByteOffset: MemoryLayout<Bits>.size &* index, as: Bits.self)
    let value = value(Bits(littleEndian: bits))
    largest = max(largest, value.bitPattern & 0x7FFF_FFFF)
    unsafe to[index] = value
  }
  return largest < 0x7F80_0000
}

/// The half-precision number with the bits `half`.
@inline(__always)
private func float(half: UInt16) -> Float {
  let bits = UInt32(half)
  let magnitude = bits & 0x7FFF
  let shifted = magnitude << 13
  // Normal numbers get 127 - 15 added to their exponent; infinities and NaNs get all its bits. A subnormal
  // number is made normal, and what that added is subtracted, which is exact.
  let normal = Float(bitPattern: shifted &+ (112 << 23))
  let special = Float(bitPattern: shifted | 0x7F80_0000)
  let subnormal = Float(bitPattern: shifted &+ (113 << 23)) - Float(bitPattern: 113 << 23)
  let value = magnitude < 0x400 ? subnormal : (magnitude < 0x7C00 ? normal : special)
  return Float(bitPattern: value.bitPattern | (bits & 0x8000) << 16)
}

/// `value` in half precision, rounded to nearest even; numbers beyond its range become infinite.
func float16Bits(_ value: Float) -> UInt16 {
  let sign = UInt32(value.bitPattern >> 16) & 0x8000
  let magnitude = value.bitPattern & 0x7FFF_FFFF
  let result: UInt32
  if magnitude > 0x7F80_0000 {
    result = 0x7E00
  } else if magnitude >= 0x4780_0000 {
    result = 0x7C00
  } else if magnitude < 0x3880_0000 {
    // Adding 0.5 puts the bits of a subnormal half at the end, rounded by the processor.
    result = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
  } else {
    let even = (magnitude >> 13) & 1
    result = (magnitude &- (112 << 23) &+ 0xFFF &+ even) >> 13
  }
  return UInt16(truncatingIfNeeded: result | sign)
}

/// `value` in bfloat16, rounded to nearest even.
func bfloat16Bits(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if bits & 0x7FFF_FFFF > 0x7F80_0000 { return UInt16(truncatingIfNeeded: bits >> 16 | 0x40) }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
}
