// The header of a `.safetensors` file: 8 bytes of length, then JSON. It is checked in full before any tensor
// is read: sizes, shapes whose product fits, and byte ranges that follow each other without gap or overlap to the end of
// the file. A tensor of a type that is not known is listed and cannot be read; the others can.

import HSAESupport

/// The element types of the format whose sizes are known here. It has others, and new ones come.
public enum SafetensorsType: String, Sendable, CaseIterable {
  /// IEEE double precision.
  case float64 = "F64"
  /// IEEE single precision.
  case float32 = "F32"
  /// IEEE half precision.
  case float16 = "F16"
  /// The upper half of single precision.
  case bfloat16 = "BF16"
  /// Integers of 64 bits.
  case int64 = "I64"
  /// Integers of 64 bits without a sign.
  case uint64 = "U64"
  /// Integers of 32 bits.
  case int32 = "I32"
  /// Integers of 32 bits without a sign.
  case uint32 = "U32"
  /// Integers of 16 bits.
  case int16 = "I16"
  /// Integers of 16 bits without a sign.
  case uint16 = "U16"
  /// Bytes with a sign.
  case int8 = "I8"
  /// Bytes.
  case uint8 = "U8"
  /// Truth values, a byte each.
  case bool = "BOOL"
  /// Eight-bit floats with 5 bits of exponent; they can be listed but not read.
  case float8e5m2 = "F8_E5M2"
  /// Eight-bit floats with 4 bits of exponent; they can be listed but not read.
  case float8e4m3 = "F8_E4M3"

  /// Bytes per element.
  public var size: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool, .float8e5m2, .float8e4m3: 1
    }
  }

  /// The float type to read it as; nil for all others.
  public var elementType: ElementType? {
    switch self {
    case .float64: .float64
    case .float32: .float32
    case .float16: .float16
    case .bfloat16: .bfloat16
    default: nil
    }
  }
}

/// One tensor of a `.safetensors` file.
public struct SafetensorsTensor: Sendable, Hashable {
  /// Its name.
  public let name: String
  /// The name of its element type, as the file has it.
  public let typeName: String
  /// Its dimensions, slowest first; empty for a single number.
  public let shape: [Int]
  /// The range of its bytes in its file.
  public let bytes: Range<Int>
  /// The number of its file among those that an index joins; 0 for a single file.
  let file: Int

  /// Its element type; nil if that is not known.
  public var type: SafetensorsType? { SafetensorsType(rawValue: typeName) }
  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }
}

struct SafetensorsHeader {
  /// The longest header that is read: the limit of the format's reference implementation.
  static let maximumLength = 100_000_000

  var metadata: [String: String] = [:]
  /// In the order of their bytes.
  var tensors: [SafetensorsTensor] = []

  /// The header of `file`, which has the number `number` among those that an index joins.
  init(_ file: MappedFile, number: Int = 0) throws(Failure) {
    let path = file.path
    let bytes = file.bytes
    guard bytes.byteCount >= 8 else {
      throw .data("\(path): \(bytes.byteCount) bytes are too few for a .safetensors file.")
    }
    var claimed: UInt64 = 0
    for (index, byte) in file.copy(0..<8).enumerated() { claimed |= UInt64(byte) << (8 * index) }
    guard claimed <= UInt64(Self.maximumLength) || claimed > UInt64(bytes.byteCount - 8) else {
      throw .data(
        "\(path), byte 0: the header has \(claimed) bytes; the format allows \(Self.maximumLength)."
      )
    }
    guard claimed <= UInt64(bytes.byteCount - 8) else {
      throw .data(
        "\(path), byte 0: a header of \(claimed) bytes is too long for this file; it was cut short"
          + " or is not a .safetensors file.")
    }
    let dataStart = 8 + Int(claimed)
    let text = file.copy(8..<dataStart)
    let tree = try JSONValue(
      parsing: text, source: path, offset: 8, limits: JSONLimits(depth: 8, values: 2_000_000))
    guard let members = tree.object else {
      throw .data("\(path), byte 8: the header is not a JSON object.")
    }
    for (name, value) in members {
      if name == "__metadata__" {
        metadata = try Self.metadata(value, path: path)
      } else {
        tensors.append(
          try Self.tensor(
            name, value, start: dataStart, end: bytes.byteCount, file: number, path: path))
      }
    }
    tensors.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name)
        < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
    }
    var expected = dataStart
    for tensor in tensors {
      guard tensor.bytes.lowerBound == expected else {
        throw .data(
          "\(path): tensor \"\(tensor.name)\" begins at byte \(tensor.bytes.lowerBound) and not at"
            + " \(expected), where the one before ends; the header is damaged.")
      }
      expected = tensor.bytes.upperBound
    }
    guard expected == bytes.byteCount else {
      throw .data(
        "\(path): the tensors end at byte \(expected), but the file has \(bytes.byteCount) bytes; it"
          + " was cut short or something was added.")
    }
  }

  private static func metadata(
    _ value: JSONValue, path: String
  ) throws(Failure) -> [String: String] {
    guard let object = value.object else {
      throw .data("\(path): \"__metadata__\" is not a JSON object.")
    }
    var result: [String: String] = [:]
    for (key, value) in object {
      guard let text = value.string else {
        throw .data("\(path): \"\(key.prefix(60))\" of \"__metadata__\" is not a string.")
      }
      result[key] = text
    }
    return result
  }

  private static func tensor(
    _ name: String, _ value: JSONValue, start: Int, end: Int, file: Int, path: String
  ) throws(Failure) -> SafetensorsTensor {
    let shown = "\(path): tensor \"\(name.prefix(80))\""
    guard let typeName = value["dtype"]?.string, let shape = value["shape"]?.integers,
      let offsets = value["data_offsets"]?.integers, offsets.count == 2
    else {
      throw .data("\(shown) lacks a sound dtype, shape or data_offsets; the header is damaged.")
    }
    guard offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= end - start else {
      throw .data(
        "\(shown) lies at \(offsets[0])..<\(offsets[1]) of \(end - start) bytes of data; the file was"
          + " cut short or is damaged.")
    }
    let type = SafetensorsType(rawValue: typeName)
    var size = type?.size ?? 1
    for dimension in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else {
        throw .data("\(shown) has the shape \(shape.prefix(8)), which is impossible.")
      }
      size = product
    }
    guard shape.count <= 32, type == nil || size == offsets[1] - offsets[0] else {
      throw .data(
        "\(shown) has the shape \(shape.prefix(32)) of type \(typeName), \(size) bytes, but"
          + " \(offsets[1] - offsets[0]) bytes of data; the header is damaged.")
    }
    return SafetensorsTensor(
      name: name, typeName: typeName, shape: shape, bytes: start + offsets[0]..<start + offsets[1],
      file: file)
  }
}
