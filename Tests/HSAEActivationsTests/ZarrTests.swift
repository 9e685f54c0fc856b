// Zarr v3 arrays: the metadata zarr-python writes, chunks of any shape, and refused arrays.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

/// `zarr.json` of an array as zarr-python 3.1 writes it for `shape=(7, 3), chunks=(3, 2),
/// dtype='f2', compressors=None`.
let zarrMetadata = """
  {"shape": [7, 3], "data_type": "float16", "chunk_grid": {"name": "regular", "configuration":
  {"chunk_shape": [3, 2]}}, "chunk_key_encoding": {"name": "default", "configuration":
  {"separator": "/"}}, "fill_value": 0.0, "codecs": [{"name": "bytes", "configuration":
  {"endian": "little"}}], "attributes": {}, "zarr_format": 3, "node_type": "array",
  "storage_transformers": []}
  """

struct ZarrTests {
  /// Writes the array whose element i (row-major) is i / 4, but not chunk (2, 0).
  private func write(to folder: String, metadata: String = zarrMetadata, separator: String = "/")
    throws
  {
    try DurableFile.write(metadata, to: folder + "/zarr.json")
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)] {
      var bytes: [UInt8] = []
      for i in row * 3..<row * 3 + 3 {
        for j in column * 2..<column * 2 + 2 {
          let value: Float = i < 7 && j < 3 ? Float(i * 3 + j) / 4 : 0
          appendBytes(of: float16Bits(value), to: &bytes)
        }
      }
      let path = folder + "/c\(separator)\(row)\(separator)\(column)"
      try Path.createDirectories(Path.parent(path))
      try DurableFile.write(bytes, to: path)
    }
  }

  @Test func chunksOfAnyShapeAreReadAndMissingOnesAreFill() throws {
    try withTemporaryFolder { folder in
      try write(to: folder)
      let rows = try openRows(path: folder)
      #expect(rows.summary == "Zarr array, 7 rows of width 3, float16")
      let expected = (0..<21).map { $0 == 18 || $0 == 19 ? 0 : Float($0) / 4 }
      #expect(try rows.matrix(rows: 0..<7).elements == expected)
      var two: [Float] = .init(repeating: 9, count: 6)
      var span = two.mutableSpan
      try rows.read([5, 2].span, into: &span)
      #expect(two == [15, 16, 17, 6, 7, 8].map { $0 / 4 })
      #expect(try openRows(path: folder).fingerprint == rows.fingerprint)

      try DurableFile.write([1, 2], to: folder + "/c/0/0")
      #expect(failure { _ = try openRows(path: folder) }?.message.contains("2 bytes") == true)
      try DurableFile.write([UInt8](repeating: 0x7C, count: 12), to: folder + "/c/0/0")
      let damaged = try openRows(path: folder)
      #expect(damaged.fingerprint != rows.fingerprint)
      let found = failure { _ = try damaged.matrix(rows: 1..<2) }
      #expect(found?.message.contains("row 1 (counting from 0)") == true)
    }
  }

  @Test func otherChunkNames() throws {
    try withTemporaryFolder { folder in
      let metadata = zarrMetadata.replacing(#""separator": "/""#, with: #""separator": ".""#)
      try write(to: folder, metadata: metadata, separator: ".")
      #expect(try openRows(path: folder).matrix(rows: 6..<7).elements == [0, 0, 5])
    }
  }

  @Test(arguments: [
    (#""bytes""#, #""zstd""#, "the codec \"zstd\""),
    (#""little""#, #""big""#, "not little-endian"),
    (#""float16""#, #""complex64""#, "complex64"),
    (#""float16""#, #""int16""#, "floats are needed"),
    (#""regular""#, #""rectangular""#, "regular"),
    (#""name": "default""#, #""name": "hashed""#, "chunk_key_encoding"),
    (#""separator": "/""#, #""separator": "..""#, "separator"),
    (#""fill_value": 0.0"#, #""fill_value": "x""#, "fill_value"),
    (#""zarr_format": 3"#, #""zarr_format": 2"#, "Zarr format 3"),
    (#""node_type": "array""#, #""node_type": "tree""#, "node_type"),
    (#""storage_transformers": []"#, #""storage_transformers": [{"name": "x"}]"#, "transformers"),
    (#""attributes": {}"#, #""attributes": {}, "extra": 1"#, "extension \"extra\""),
    ("[7, 3]", "[7, 3, 1]", "3 dimensions"), ("[7, 3]", "[]", "0 dimensions"),
    ("[7, 3]", "[0, 3]", "a matrix"), ("[7, 3]", "[21]", "1 dimensions"),
    ("[7, 3]", "[-7, 3]", "impossible"), ("[3, 2]", "[0, 2]", "impossible"),
    ("[7, 3]", "[9223372036854775807, 3]", "impossible"),
    ("[7, 3]", "[0, 9223372036854775807]", "impossible"),
    ("[7, 3]", "[72057594037927935, 72057594037927935]", "too large"),
    ("[3, 2]", "[72057594037927935, 72057594037927935]", "too large"),
    ("[7, 3]", "[7000000000, 3]", "chunks; at most"),
    (#"[{"name": "bytes", "configuration":"#, #"[{"name": "bytes", "configuratio":"#, "endian"),
  ])
  func unsupportedMetadataIsRefusedByName(old: String, new: String, words: String) throws {
    try withTemporaryFolder { folder in
      let metadata = zarrMetadata.replacing("\n", with: " ").replacing(old, with: new)
      #expect(metadata.contains(new))
      try write(to: folder, metadata: metadata)
      let found = failure { _ = try openRows(path: folder) }
      #expect(found?.kind == .data)
      #expect(found?.message.contains(words) == true, "\(found?.message ?? "nothing")")
    }
  }

  @Test func toleratedExtensionsAndFills() throws {
    try withTemporaryFolder { folder in
      let metadata = zarrMetadata.replacing("0.0", with: #""NaN""#).replacing(
        #""attributes": {}"#, with: #""attributes": {}, "x": {"must_understand": false}"#)
      try write(to: folder, metadata: metadata)
      let rows = try openRows(path: folder)
      #expect(try rows.matrix(rows: 0..<1).elements == [0, 0.25, 0.5])
      #expect(failure { _ = try rows.matrix(rows: 6..<7) }?.message.contains("row 6") == true)
    }
  }

  /// Fill values in hexadecimal are the bits of the type; numbers are rounded to it. The right values are NumPy's:
  /// np.array(bits, "<u2").view("f2"), and np.float16(0.1).
  @Test(
    arguments: [
      (#""0x0000""#, 0), (#""0x8000""#, 0), (#""0x3c00""#, 1), (#""0xC170""#, -2.71875),
      ("0.1", 0.0999755859375), ("-2", -2),
    ] as [(String, Float)])
  func missingChunksHaveTheFillValue(fill: String, value: Float) throws {
    try withTemporaryFolder { folder in
      try write(to: folder, metadata: zarrMetadata.replacing("0.0", with: fill))
      #expect(try openRows(path: folder).matrix(rows: 6..<7).elements == [value, value, 5])
    }
  }

  @Test(arguments: [
    (#""0x7e00""#, "row 6"), (#""-Infinity""#, "row 6"), ("1e39", "1e+39"), ("70000", "70000"),
    (#""0x00000000""#, "float16"), (#""0x00""#, "float16"), (#""0x+000""#, "float16"),
    ("null", "float16"),
  ])
  func otherFillValuesAreRefused(fill: String, words: String) throws {
    try withTemporaryFolder { folder in
      try write(to: folder, metadata: zarrMetadata.replacing("0.0", with: fill))
      let found = failure { _ = try openRows(path: folder).matrix(rows: 6..<7) }
      #expect(
        found?.kind == .data && found?.message.contains(words) == true, "\(found?.message ?? "")")
    }
  }

  /// np.array(bits, "<u4").view("f4"), and "<u8" as "f8"; bfloat16 is the upper half of a float32.
  @Test(
    arguments: [
      (ZarrType.float32, "0x00000000", 0), (.float32, "0x3f800000", 1),
      (.float32, "0xc02df84d", -2.71828),
      (.float64, "0x3ff8000000000000", 1.5), (.bfloat16, "0x4049", 3.140625),
    ] as [(ZarrType, String, Float)])
  func fillValuesOfOtherTypes(type: ZarrType, fill: String, value: Float) throws {
    try withTemporaryFolder { folder in
      let metadata = zarrMetadata.replacing("0.0", with: "\"\(fill)\"").replacing(
        "float16", with: type.rawValue)
      try DurableFile.write(metadata, to: folder + "/zarr.json")
      #expect(
        try openRows(path: folder).matrix(rows: 0..<7).elements
          == Array(repeating: value, count: 21))
    }
  }

  /// Python writes NaN in attributes.
  @Test func attributesMayHoldNaN() throws {
    try withTemporaryFolder { folder in
      let attributes = #""attributes": {"scale": NaN}"#
      try write(
        to: folder, metadata: zarrMetadata.replacing(#""attributes": {}"#, with: attributes))
      #expect(try openRows(path: folder).rowCount == 7)
    }
  }

  /// Folders of Zarr that are not what hsae reads are called what they are.
  @Test func otherZarrFolders() throws {
    try withTemporaryFolder { folder in
      try DurableFile.write(#"{"zarr_format": 2}"#, to: folder + "/.zarray")
      let old = failure { _ = try openRows(path: folder) }
      #expect(old?.message.contains("Zarr version 2") == true)
      try DurableFile.write(
        #"{"zarr_format": 3, "node_type": "group", "attributes": {}}"#, to: folder + "/zarr.json")
      let group = failure { _ = try openRows(path: folder) }
      #expect(group?.message.contains("give the array in it") == true)
    }
  }

  @Test func aFolderWithoutMetadata() throws {
    try withTemporaryFolder { folder in
      #expect(failure { _ = try openRows(path: folder) }?.kind == .data)
      #expect(failure { _ = try ActivationStore(path: folder) }?.kind == .missing)
    }
  }
}
