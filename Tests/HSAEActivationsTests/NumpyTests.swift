// `.npy` files: matrices of floats from NumPy are read; anything else is refused with a message.

import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

/// The bytes of a `.npy` file, format 1.0, with `header` and then `data`.
func npy(_ header: String, data: [UInt8], version: UInt8 = 1, length: Int? = nil) -> [UInt8] {
  var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [version, 0]
  appendBytes(of: UInt16(length ?? header.utf8.count), to: &bytes)
  return bytes + Array(header.utf8) + data
}

struct NumpyTests {
  private func open(_ bytes: [UInt8]) throws -> (any RowSource, [Float]) {
    try withTemporaryFolder { folder in
      try DurableFile.write(bytes, to: folder + "/a.npy")
      let rows = try openRows(path: folder + "/a.npy")
      return (rows, try rows.matrix(rows: 0..<rows.rowCount).elements)
    }
  }

  @Test(arguments: [
    Fixture.float16, .float32, .float64, .version2, .version3, .singleSafetensors,
  ])
  func filesOfOtherProgramsAreRead(fixture: Fixture) throws {
    let (rows, elements) = try open(fixture.bytes)
    #expect(rows.rowCount == 2 && rows.width == 3)
    let small: Float = fixture == .float16 ? 0x1p-24 : 6e-8
    #expect(elements == [1.5, -2, 0.25, 65504, small, 0])
    #expect(elements[5].sign == .minus)
  }

  @Test(arguments: [
    (Fixture.bigEndian, "big-endian"), (.integers, "'<i4'"), (.complex, "'<c8'"),
    (.fortran, "Fortran order"), (.oneDimension, "1 dimensions"), (.namedFields, "named fields"),
    (.safetensors, "holds 2 matrices of floats (W_enc, half)"),
  ])
  func filesWithoutOneFloatMatrixAreRefused(fixture: Fixture, words: String) {
    let found = failure { _ = try open(fixture.bytes) }
    #expect(found?.kind == .data)
    #expect(found?.message.contains(words) == true, "\(found?.message ?? "nothing")")
  }

  @Test func nonFiniteRowsAreNamed() throws {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1), }\n"
    for bits in [Float.nan, .infinity, -.infinity].map(\.bitPattern) {
      var data: [UInt8] = []
      for value in [0, 0, bits] { appendBytes(of: value, to: &data) }
      let found = failure { _ = try open(npy(header, data: data)) }
      #expect(found?.kind == .data)
      #expect(found?.message.contains("row 2 (counting from 0)") == true)
    }
  }

  /// A double beyond single precision is neither a NaN nor an infinity.
  @Test(arguments: [
    (1e39, "1e+39, a number beyond single precision"), (-1e300, "-1e+300"),
    (.nan, "a NaN or an infinity"), (.infinity, "a NaN or an infinity"),
  ])
  func doublesBeyondSinglePrecisionAreNamed(value: Double, words: String) {
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }\n"
    var data: [UInt8] = []
    for number in [0, 3.4e38, 1, value] { appendBytes(of: number.bitPattern, to: &data) }
    let found = failure { _ = try open(npy(header, data: data)) }
    #expect(found?.kind == .data)
    #expect(found?.message.contains("row 1 (counting from 0) holds \(words)") == true)
  }

  /// A row of doubles that single precision makes zeros is refused; a row of zeros, or with one larger number, is not.
  @Test func rowsBelowSinglePrecisionAreRefused() throws {
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }\n"
    for (last, isRefused) in [(1e-60, true), (-1e-60, true), (1e-30, false), (-0.0, false)] {
      var data: [UInt8] = []
      for number in [0, 0, 1, 1e-60, 0, last] { appendBytes(of: number.bitPattern, to: &data) }
      try withTemporaryFolder { folder in
        try DurableFile.write(npy(header, data: data), to: folder + "/rows.npy")
        let metadata = #"""
          {"zarr_format": 3, "node_type": "array", "shape": [3, 2], "data_type": "float64", "fill_value": 0.0,
           "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3, 1]}},
           "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
           "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {}}
          """#
        try Path.createDirectories(folder + "/zarr/c/0")
        try DurableFile.write(metadata, to: folder + "/zarr/zarr.json")
        for column in 0..<2 {
          var chunk: [UInt8] = []
          for row in 0..<3 {
            let start = (row * 2 + column) * 8
            chunk += data[start..<start + 8]
          }
          try DurableFile.write(chunk, to: folder + "/zarr/c/0/\(column)")
        }
        for name in ["rows.npy", "zarr"] {
          let found = failure { _ = try openRows(path: folder + "/" + name).matrix(rows: 0..<3) }
          #expect((found?.kind == .data) == isRefused, "\(name): \(found?.message ?? "")")
          #expect(
            !isRefused
              || found?.message.contains("row 2 (counting from 0) holds numbers below") == true)
        }
      }
    }
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Fixture.float32.bytes
    for count in 0..<bytes.count {
      #expect(failure { _ = try open(Array(bytes[..<count])) }?.kind == .data, "\(count) bytes")
    }
    #expect(failure { _ = try open(bytes + [0]) }?.message.contains("1 bytes follow") == true)
  }

  @Test(arguments: [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 0), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }",
    "{'descr': '<f4', 'fortran_order': False, }",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': (1, 1)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), 'more': 1}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)} x",
    "{'descr': '<f4, 'fortran_order': False, 'shape': (1, 1)}",
    "{'descr", "{", "", "[]", "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}",
  ])
  func hostileHeaders(header: String) {
    let found = failure { _ = try open(npy(header, data: [0, 0, 0, 0])) }
    #expect(found?.kind == .data)
  }

  @Test func hostileLengthsAndVersions() {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}"
    #expect(failure { _ = try open(npy(header, data: [0, 0, 0, 0])) } == nil)
    #expect(failure { _ = try open(npy(header, data: [0, 0, 0, 0], length: 65535)) } != nil)
    #expect(failure { _ = try open(npy(header, data: [0, 0, 0, 0], length: 3)) } != nil)
    #expect(failure { _ = try open(npy(header, data: [0, 0, 0, 0], version: 9)) } != nil)
    #expect(failure { _ = try open(npy(header, data: [0, 0, 0, 0], version: 2)) } != nil)
  }

  @Test func missingFilesAndFoldersAreRefused() {
    #expect(failure { _ = try openRows(path: "/nowhere/a.npy") }?.kind == .missing)
    #expect(failure { _ = try openRows(path: "/") }?.kind == .data)
    #expect(failure { _ = try open(Array("hello, world".utf8)) }?.kind == .data)
  }
}
