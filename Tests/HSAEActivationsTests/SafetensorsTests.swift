// `.safetensors` files: round trips, a file of the Python package, hostile headers.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

/// The bytes of a `.safetensors` file with `header` and then `data`.
func safetensors(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
  var bytes: [UInt8] = []
  appendBytes(of: length ?? UInt64(header.utf8.count), to: &bytes)
  return bytes + Array(header.utf8) + data
}

struct SafetensorsTests {
  private func open(_ bytes: [UInt8]) throws -> SafetensorsFile {
    try withTemporaryFolder { folder in
      try DurableFile.write(bytes, to: folder + "/a.safetensors")
      return try SafetensorsFile(path: folder + "/a.safetensors")
    }
  }

  @Test func filesWrittenByPythonAreRead() throws {
    let file = try open(Fixture.safetensors.bytes)
    #expect(file.metadata == ["made": "by \"Python\""])
    #expect(Set(file.tensors.map(\.name)) == ["W_enc", "half", "count"])
    #expect(file["W_enc"]?.shape == [2, 3])
    #expect(try file.floats("W_enc") == [1.5, -2, 0.25, 65504, 6e-8, 0])
    #expect(try file.floats("half") == [1.5, -2, 0.25, 65504, 0x1p-24, 0])
    #expect(try file.matrix("half").rows == 2)
    #expect(failure { _ = try file.floats("count") }?.message.contains("I64") == true)
    #expect(failure { _ = try file.floats("W_dec") }?.message.contains("\"W_dec\"") == true)
    #expect(failure { _ = try file.tensor("W_enc", shape: [3, 2]) }?.kind == .data)
    let rows = try MappedRows(file, tensor: "half")
    #expect(try rows.matrix(rows: 1..<2).elements == [65504, 0x1p-24, 0])
    #expect(failure { _ = try MappedRows(file, tensor: "count") }?.kind == .data)
  }

  @Test func roundTrip() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/w.safetensors"
      var writer = try SafetensorsWriter(
        path: path,
        tensors: [
          .init("a", shape: [2, 1, 2]), .init("empty", shape: [0, 4]),
          .init("half \"é\"", shape: [3], type: .float16), .init("one", shape: [], type: .bfloat16),
          .init("steps", shape: [1], type: .int64),
          .init("double", shape: [100_000], type: .float64),
        ], metadata: ["key": "line\nend"])
      #expect(!Path.exists(path))
      try writer.append("a", [1, 2])
      try writer.append("a", [3])
      try writer.append("a", [-4])
      try writer.append("half \"é\"", [0.1, -0, 70000])
      try writer.append("one", [1.00390625])
      try unsafe writer.append("steps", bytes: [Int64(7)].span.bytes)
      let doubles = (0..<100_000).map { Float($0) / 3 }
      try writer.append("double", doubles)
      let hash = try writer.finish()
      #expect(try SHA256.hash(file: path) == hash)
      let file = try SafetensorsFile(path: path)
      #expect(file.metadata == ["key": "line\nend"])
      #expect(file["a"]?.bytes.lowerBound.isMultiple(of: 8) == true)
      #expect(try file.floats("a") == [1, 2, 3, -4])
      #expect(try file.matrix("a").rows == 2)
      #expect(try file.floats("empty") == [])
      let half = try file.tensor("half \"é\"")
      #expect(failure { _ = try file.floats(half.name) }?.message.contains("element 2") == true)
      #expect(try file.floats("one") == [1])
      #expect(try file.floats("double") == doubles)
      let steps = try file.tensor("steps")
      #expect(unsafe file.bytes(of: steps).unsafeLoadUnaligned(as: Int64.self) == 7)
      var part: [Float] = [0, 0]
      var span = part.mutableSpan
      try file.read(try file.tensor("a"), elements: 1..<3, into: &span)
      #expect(part == [2, 3])
    }
  }

  /// A matrix without elements is not one to choose.
  @Test func emptyTensorsAreNoRows() throws {
    var data: [UInt8] = []
    for value in [Float(1), -2] { appendBytes(of: value.bitPattern, to: &data) }
    let header =
      #"{"empty":{"dtype":"F32","shape":[10,0],"data_offsets":[0,0]},"#
      + #""w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#
    let file = try open(safetensors(header, data: data))
    #expect(try MappedRows(file).matrix(rows: 0..<2).elements == [1, -2])
  }

  /// Types that are not read, known or not, and of less than a byte, leave the other tensors readable.
  @Test(arguments: [
    ("C64", 1, 8), ("F8_E8M0", 3, 3), ("F4", 4, 2), ("F8_E4M3", 2, 2), ("NEW9", 5, 7),
  ])
  func tensorsOfOtherTypesLeaveTheRestReadable(type: String, count: Int, size: Int) throws {
    var data = [UInt8](repeating: 0xFF, count: size)
    for value in [Float(1), -2] { appendBytes(of: value.bitPattern, to: &data) }
    let header =
      #"{"scale":{"dtype":"\#(type)","shape":[\#(count)],"data_offsets":[0,\#(size)]},"#
      + #""w":{"dtype":"F32","shape":[2,1],"data_offsets":[\#(size),\#(size + 8)]}}"#
    let file = try open(safetensors(header, data: data))
    #expect(try file.floats("w") == [1, -2])
    #expect(try MappedRows(file).matrix(rows: 0..<2).elements == [1, -2])
    #expect(file["scale"]?.typeName == type && file["scale"]?.count == count)
    let found = failure { _ = try file.floats("scale") }
    #expect(found?.message.contains("\"scale\" has the type \(type)") == true)
  }

  @Test func anUnfinishedFileIsRemoved() throws {
    try withTemporaryFolder { folder in
      do {
        var writer = try SafetensorsWriter(
          path: folder + "/w", tensors: [.init("a", shape: [2])])
        try writer.append("a", [1])
      }
      #expect(try Path.list(folder) == [])
      let found = failure {
        _ = try SafetensorsWriter(path: folder + "/no/w", tensors: []).finish()
      }
      #expect(found?.kind == .cannotCreate)
    }
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Fixture.safetensors.bytes
    for count in 0..<bytes.count {
      #expect(failure { _ = try open(Array(bytes[..<count])) }?.kind == .data, "\(count) bytes")
    }
    #expect(failure { _ = try open(bytes + [0]) }?.kind == .data)
  }

  @Test(arguments: [
    "{}x", "[]", "{", "",
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"shape":[1]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}}"#,
    #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}}"#,
    #"{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":33,"shape":[1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F33","shape":[9223372036854775807,2],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,3]}}"#,
    #"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, #"{"a":[]}"#, #"{"a":null}"#,
    #"{"__metadata__":[],"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    #"{"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#,
    #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
    #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
  ])
  func hostileHeaders(header: String) {
    #expect(failure { _ = try open(safetensors(header, data: [0, 0, 0, 0])) }?.kind == .data)
  }

  @Test func hostileLengths() {
    let header = #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    #expect(failure { _ = try open(safetensors(header, data: [0, 0, 0, 0])) } == nil)
    for length: UInt64 in [.max, 1 << 63, 1 << 40, 100_000_001, 59, 0] {
      let bytes = safetensors(header, data: [0, 0, 0, 0], length: length)
      #expect(failure { _ = try open(bytes) }?.kind == .data, "\(length)")
    }
    let deep = String(repeating: #"{"a":"#, count: 50_000)
    #expect(failure { _ = try open(safetensors(deep)) }?.message.contains("too deep") == true)
  }
}
