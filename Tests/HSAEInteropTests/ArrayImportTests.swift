// Tests the import of Gemma Scope's and the H-SAE authors' arrays. Archives that unpack to too much or
// contradict their headers are rejected.

import HSAEActivations
import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

struct ArrayImportTests {
  private func arrays(_ source: SourceSAE, lowercased: Bool = false) -> [NpzArray] {
    source.saelensTensors.map {
      NpzArray(
        name: lowercased ? $0.name.lowercased() : $0.name, shape: $0.shape, values: $0.values)
    }
  }

  @Test(arguments: [false, true])
  func gemmaScopeComputesTheSame(compressed: Bool) throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE.jumpReLU(seed: 11, unitDecoder: !compressed)
      source.subtracts = false
      let place = folder + "/layer_20/width_16k/average_l0_71"
      try Path.createDirectories(place)
      try writeNpz(
        arrays(source, lowercased: compressed), compressed: compressed, to: place + "/params.npz")
      for path in [place, place + "/params.npz"] {
        let imported = try DictionaryImport(path: path)
        source.expectEqual(imported)
        #expect(imported.origin.layout == "Gemma Scope" && imported.origin.hook == "layer 20")
        #expect(imported.origin.hashes.keys.sorted() == ["params.npz"])
      }
    }
  }

  @Test func theAuthorsArrays() throws {
    try withTemporaryFolder { folder in
      let shape = DictionaryShape(
        width: 10, experts: 6, sublatents: 4, subspace: 3, activeExperts: 2)
      let parameters = Parameters.initial(shape: shape, seed: 3)
      var twin = ReferenceParameters(parameters)
      // Up projectors may have any length.
      twin.up = twin.up.map { Double(Float($0 * 1.7)) }
      var tensors = SourceSAE.authorsTensors(twin, shape)
      try SourceSAE.write(tensors, to: folder + "/a.safetensors")
      try writeNpz(
        tensors.map { NpzArray(name: $0.name, shape: $0.shape, values: $0.values) },
        compressed: false, to: folder + "/a.npz")
      var options = ImportOptions()
      options.k = 2
      options.subThreshold = 0.05
      var settings = ReferenceSettings.paper(width: 10)
      settings.subThreshold = 0.05
      var rows = Matrix(rows: 64, columns: 10)
      var generator = SeededGenerator(seed: 4)
      rows.forEachRow(threads: 1) { _, row in
        for column in row.indices { row[column] = Float.random(in: -1...1, using: &generator) }
      }
      rows.scaleRowsToUnit()
      let expected = twin.forward(rows.elements.map { Double($0) }, settings)
      for name in ["a.safetensors", "a.npz"] {
        let imported = try DictionaryImport(path: folder + "/" + name, options: options)
        #expect(imported.normalize == .unit && imported.origin.codeScale == 1)
        let codes = imported.dictionary.encode(rows)
        let rebuilt = imported.dictionary.decode(codes)
        for row in 0..<64 {
          #expect(codes[row].map(\.expert) == expected.codes[row].map(\.expert))
          #expect(codes[row].map(\.sublatent) == expected.codes[row].map(\.sublatent))
          for column in 0..<10 {
            #expect(
              abs(Double(rebuilt[row, column]) - expected.reconstruction[row * 10 + column]) < 1e-5)
          }
        }
      }
      let refusal = failure { _ = try DictionaryImport(path: folder + "/a.npz") }
      #expect(refusal?.kind == .usage && refusal?.message.contains("--k") == true)
      tensors.append(("bias", [10], [Double](repeating: 0.5, count: 10)))
      try SourceSAE.write(tensors, to: folder + "/b.safetensors")
      #expect(
        failure { _ = try DictionaryImport(path: folder + "/b.safetensors", options: options) }?
          .message.contains("bias") == true)
    }
  }

  @Test func invalidArchivesAreRefused() throws {
    try withTemporaryFolder { folder in
      let source = SourceSAE.jumpReLU(seed: 12)
      let good = arrays(source)
      let path = folder + "/params.npz"
      func refusal(_ members: [(name: String, bytes: [UInt8])], compressed: Bool = false) throws
        -> Failure?
      {
        try writeArchive(members, compressed: compressed, to: path)
        return failure { _ = try DictionaryImport(path: path) }
      }
      let members = good.map { (name: $0.name + ".npy", bytes: $0.bytes) }

      // A zip bomb: 256 MiB of zeros in 260 kB.
      let side = 8_192
      let header = NpzArray(name: "W_enc", shape: [side, side], values: []).bytes
      let bomb = header + [UInt8](repeating: 0, count: side * side * 4)
      let found = try refusal([("W_enc.npy", bomb)] + members.dropFirst(), compressed: true)
      #expect(found?.kind == .data && found?.message.contains("would unpack to") == true)
      #expect((Path.fileSize(path) ?? 0) < 1 << 20)

      // Headers that claim more data than there is.
      for shape in [[1 << 30, 1 << 30], [1 << 62, 1 << 62], [12, 41], [0, 40]] {
        var header = NpzArray(name: "W_enc", shape: shape, values: source.encoder)
        header.values = source.encoder
        let found = try refusal([("W_enc.npy", header.bytes)] + members.dropFirst())
        #expect(found?.kind == .data, "\(shape)")
      }
      let extra =
        members + [("scaling_factor.npy", NpzArray(name: "s", shape: [1], values: [2]).bytes)]
      #expect(try refusal(extra)?.message.contains("scaling_factor") == true)
      #expect(
        try refusal([("a.txt", [1, 2, 3])])?.message.contains("the format is not known") == true)

      // The checksum detects a changed bit.
      try writeNpz(good, compressed: false, to: path)
      var bytes = try MappedFile(path: path).copy()
      bytes[bytes.count / 3] ^= 1
      try DurableFile.write(bytes, to: path)
      #expect(failure { _ = try DictionaryImport(path: path) }?.kind == .data)
      try DurableFile.write(Array(bytes.prefix(bytes.count / 2)), to: path)
      #expect(failure { _ = try DictionaryImport(path: path) }?.kind == .data)
    }
  }
}
