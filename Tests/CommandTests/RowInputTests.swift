// What people bring as rows, through the executable: rows of any length, and files whose tensor has to be named.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct RowInputTests {
  /// The numbers of the rows of `fixture`, all `factor` times as long.
  private func rows(_ fixture: CommandFixture, times factor: Float) throws -> [Float] {
    let bytes = fileBytes(fixture.data)
    return stride(from: bytes.count - 300 * 20 * 4, to: bytes.count, by: 4).map { place in
      let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << (8 * UInt32($1)) }
      return Float(bitPattern: bits) * factor
    }
  }

  /// The latents that `hsae encode` prints: for each row [expert, code, sublatent, code] one after another.
  private func codes(_ run: String, _ data: String) throws -> [[[Double]]] {
    let result = try runHSAE(["encode", run, data])
    try #require(result.code == 0, "\(result.errors)")
    return try result.output.split(separator: "\n").map { line in
      let tree = try JSONValue(parsing: Array(line.utf8), source: "output")
      return try #require(tree["latents"]?.array).map { $0.array?.compactMap(\.number) ?? [] }
    }
  }

  /// Rows that are all shorter or longer train the same dictionary and have the same codes.
  @Test func lengthsOfRowsDoNotMatter() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--steps", "20", "--precision", "float32"]
      #expect(try runHSAE(fixture.training("run", options)).code == 0)
      let expected = try codes(fixture.path("run"), fixture.data)
      #expect(expected.count == 300)
      // Powers of two only change the exponents of unit rows, so all bits are the same, as long as no number is
      // squared in another precision.
      let short = fixture.path("short.npy")
      try writeNumpy(try rows(fixture, times: 0x1p-30), width: 20, to: short)
      let trained = try runHSAE(
        ["train", short, "--out", fixture.path("other")] + CommandFixture.small + options)
      try #require(trained.code == 0, "\(trained.errors)")
      #expect(!fixture.weights("run").isEmpty && fixture.weights("run") == fixture.weights("other"))
      #expect(try codes(fixture.path("run"), short) == expected)
      // Lengths of about 1e-30 and 1e36.
      for factor: Float in [0x1p-99, 0x1p120] {
        let path = fixture.path("\(factor).npy")
        try writeNumpy(try rows(fixture, times: factor), width: 20, to: path)
        for (row, right) in zip(try codes(fixture.path("run"), path), expected) {
          #expect(row.map(\.first) == right.map(\.first))
          for (latent, other) in zip(row, right) {
            #expect(zip(latent, other).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
          }
        }
        // The squares of these norms are zero or infinite in single precision.
        let expected = try medianNorm(fixture.data) * Double(factor)
        #expect(abs(try medianNorm(path) / expected - 1) < 1e-5)
      }
    }
  }

  /// The median norm that `hsae info` prints.
  private func medianNorm(_ data: String) throws -> Double {
    let result = try runHSAE(["info", data, "--json"])
    try #require(result.code == 0, "\(result.errors)")
    let tree = try JSONValue(parsing: Array(result.output.utf8), source: "output")
    return try #require(tree["norms"]?["quantiles"]?.array?[3].number)
  }
}
