// zarr-python and TensorStore read our stores, and we read arrays of zarr-python. These tests run if
// HSAE_INTEROP_PYTHON names a Python that has both (`scripts/interop-python.sh` makes one).

import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

private let python = ProcessInfo.processInfo.environment["HSAE_INTEROP_PYTHON"] ?? ""

@Suite(.enabled(if: !python.isEmpty)) struct ZarrInteropTests {
  /// The script's description of an array.
  private struct Line: Decodable, Hashable {
    var reader: String
    var name: String
    var shape: [Int]
    var type: String
    var sha256: String
  }

  private func run(_ arguments: String...) throws -> [Line] {
    let script = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../dev/interop/zarr_interop.py").standardizedFileURL.path
    let result = try RunningCommand(python, [script] + arguments).result()
    try #require(result.code == 0, "\(result.errors)")
    return try result.output.split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8))
    }
  }

  /// Checks that both libraries read the same as we do from every array of the store at `path`.
  private func check(_ path: String, arrays: Set<String>) throws {
    let lines = try run("read", path)
    #expect(Set(lines.map(\.name)) == arrays)
    #expect(lines.count == 2 * arrays.count && Set(lines.map(\.reader)) == ["zarr", "tensorstore"])
    for line in lines {
      let array = try ZarrArray(path: Path.join(path, line.name))
      #expect(line.shape == array.layout.shape && line.type == array.layout.type.rawValue)
      #expect(try line.sha256 == SHA256.hash(array.allBytes()), "\(line.reader) \(line.name)")
    }
  }

  @Test func bothReadAnUnembeddingStore() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      var rows = Matrix(rows: 50_000, columns: 3)
      for row in 0..<rows.rows { rows[row, row % 3] = 1 / Float(row + 1) }
      var attributes = StoreAttributes(
        kind: .unembedding, modelName: "tiny", modelSHA256: "0", hookPoint: "unembedding")
      attributes.notes = ["é": "\"quoted\" \u{2028}"]
      try ActivationStore.create(
        at: path, attributes: attributes, rows: rows,
        norms: (0..<rows.rows).map { Float($0) / 7 }, tokens: (0..<rows.rows).map { Int32($0) },
        vocabulary: (0..<rows.rows).map { "token \($0) é" }, mean: [1, 2, 3],
        whitening: (0..<9).map { Float($0) }, shuffleSeed: 1)
      try check(
        path,
        arrays: [
          "directions", "norms", "tokens", "vocabulary/bytes", "vocabulary/offsets", "mean",
          "whitening",
        ])
    }
  }

  @Test func bothReadAResidualStreamStore() throws {
    try withTemporaryFolder { folder in
      try writeResidualStore(at: folder, count: 1000, chunkRows: 64, flags: [5: 1, 999: 2])
      // A chunk without written rows.
      Path.removeAll(folder + "/directions/c/3")
      Path.removeAll(folder + "/tokens/c/3")
      try check(
        folder, arrays: ["directions", "norms", "tokens", "documents", "positions", "flags"])
    }
  }

  @Test func weReadWhatZarrPythonWrites() throws {
    try withTemporaryFolder { folder in
      let lines = try run("write", folder)
      #expect(lines.count == 4)
      for line in lines {
        let rows = try openRows(path: Path.join(folder, line.name))
        #expect([rows.rowCount, rows.width] == line.shape)
        var bytes: [UInt8] = []
        ElementType.float32.encode(
          try rows.matrix(rows: 0..<rows.rowCount).elements.span, to: &bytes)
        #expect(SHA256.hash(bytes) == line.sha256, "\(line.name)")
      }
      let run = folder + "/run"
      let result = try runHSAE([
        "train", folder + "/single", "--experts", "8", "--sublatents", "2", "--subspace", "2",
        "--k",
        "2", "--batch", "64", "--steps", "3", "--out", run,
      ])
      #expect(result.code == 0, "\(result.errors)")
    }
  }
}
