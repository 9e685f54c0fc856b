// Writes small GGUF files byte by byte after the format's description, to test the reader independently.

import Foundation
import HSAESupport

/// A GGUF file under construction: metadata and matrices.
struct GGUFBuilder {
  /// A matrix's storage type, with GGUF's number for it.
  enum Storage: UInt32 {
    case float32 = 0
    case float16 = 1
    case q8 = 8
  }

  private var metadata: [UInt8] = []
  private var metadataCount = 0
  private var tensors: [(name: String, rows: Int, columns: Int, storage: Storage, data: [UInt8])] =
    []

  static func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  static func text(_ text: String) -> [UInt8] { raw(Array(text.utf8)) }

  private static func raw(_ bytes: [UInt8]) -> [UInt8] { little(UInt64(bytes.count)) + bytes }

  mutating func add(_ key: String, text: String) {
    metadata += Self.text(key) + Self.little(UInt32(8)) + Self.text(text)
    metadataCount += 1
  }

  mutating func add(_ key: String, number: Float) {
    metadata += Self.text(key) + Self.little(UInt32(6)) + Self.little(number.bitPattern)
    metadataCount += 1
  }

  mutating func add(_ key: String, texts: [[UInt8]]) {
    metadata += Self.text(key) + Self.little(UInt32(9)) + Self.little(UInt32(8))
    metadata += Self.little(UInt64(texts.count)) + texts.flatMap(Self.raw)
    metadataCount += 1
  }

  mutating func add(_ key: String, integers: [Int32]) {
    metadata += Self.text(key) + Self.little(UInt32(9)) + Self.little(UInt32(5))
    metadata += Self.little(UInt64(integers.count)) + integers.flatMap(Self.little)
    metadataCount += 1
  }

  mutating func add(_ name: String, rows: [[Float]], storage: Storage) {
    let data = rows.flatMap { row -> [UInt8] in
      switch storage {
      case .float32: row.flatMap { Self.little($0.bitPattern) }
      case .float16: row.flatMap { Self.little(Float16($0).bitPattern) }
      case .q8: Self.q8(row)
      }
    }
    tensors.append((name, rows.count, rows[0].count, storage, data))
  }

  /// Blocks of 32: a float16 scale, then 32 signed bytes.
  private static func q8(_ row: [Float]) -> [UInt8] {
    stride(from: 0, to: row.count, by: 32).flatMap { start -> [UInt8] in
      let block = row[start..<start + 32]
      let scale = Float16((block.map(abs).max() ?? 0) / 127)
      let codes = block.map { scale == 0 ? Int8(0) : Int8(($0 / Float(scale)).rounded()) }
      return little(scale.bitPattern) + codes.map { UInt8(bitPattern: $0) }
    }
  }

  /// The file's bytes.
  func bytes() -> [UInt8] {
    var head = Array("GGUF".utf8) + Self.little(UInt32(3))
    head += Self.little(UInt64(tensors.count)) + Self.little(UInt64(metadataCount)) + metadata
    var data: [UInt8] = []
    for tensor in tensors {
      head += Self.text(tensor.name) + Self.little(UInt32(2))
      head += Self.little(UInt64(tensor.columns)) + Self.little(UInt64(tensor.rows))
      head += Self.little(tensor.storage.rawValue) + Self.little(UInt64(data.count))
      data += tensor.data
      data += [UInt8](repeating: 0, count: (32 - data.count % 32) % 32)
    }
    head += [UInt8](repeating: 0, count: (32 - head.count % 32) % 32)
    return head + data
  }
}

/// A folder that is removed when the test lets go of it.
final class Scratch {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "hsae-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let path = path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }
}
