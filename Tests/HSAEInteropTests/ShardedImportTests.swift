// Weights in several `.safetensors` files with an index: the import is that of the one file.

import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

struct ShardedImportTests {
  @Test func foldersOfOtherTools() throws {
    try withTemporaryFolder { folder in
      let saelens = SourceSAE.jumpReLU(seed: 21)
      try saelens.writeSAELens(to: folder + "/saelens")
      let index = try divideSafetensors(folder + "/saelens/sae_weights.safetensors", into: 3)
      let imported = try DictionaryImport(path: folder + "/saelens")
      saelens.expectEqual(imported)
      #expect(
        imported.origin.hashes.keys.sorted() == [
          "cfg.json", "sae_weights-00001-of-00003.safetensors",
          "sae_weights-00002-of-00003.safetensors", "sae_weights-00003-of-00003.safetensors",
          "sae_weights.safetensors.index.json",
        ])
      #expect(imported.origin.hashes[Path.name(index)] == (try SHA256.hash(file: index)))
      // The index stands for its folder; one of the files does not.
      saelens.expectEqual(try DictionaryImport(path: index))
      let one = folder + "/saelens/sae_weights-00001-of-00003.safetensors"
      let refusal = failure { _ = try DictionaryImport(path: one) }
      #expect(refusal?.kind == .data)
      for part in [one, "one of several files", "give the folder", "safetensors.index.json"] {
        #expect(refusal?.message.contains(part) == true, "\(refusal as Any)")
      }
      // Other commands say that it has to be imported.
      for place in [folder + "/saelens", index] {
        let found = failure { _ = try RunDirectory(path: place) }
        #expect(found?.message.contains("dictionary of SAELens; run hsae import first") == true)
      }

      var sparsify = SourceSAE(seed: 22, unitDecoder: true)
      sparsify.k = 5
      try sparsify.writeSparsify(to: folder + "/layers.10")
      try divideSafetensors(folder + "/layers.10/sae.safetensors", into: 2)
      sparsify.expectEqual(try DictionaryImport(path: folder + "/layers.10"))
      let found = failure { _ = try RunDirectory(path: folder + "/layers.10") }
      #expect(
        found?.kind == .data && found?.message.contains("of sparsify; run hsae import") == true)
      // A part that is missing is named, and nothing is imported.
      let part = folder + "/layers.10/sae-00002-of-00002.safetensors"
      Path.removeAll(part)
      let missing = failure { _ = try DictionaryImport(path: folder + "/layers.10") }
      #expect(missing?.kind == .missing && missing?.message.contains(part) == true)
    }
  }

  @Test func filesOfArrays() throws {
    try withTemporaryFolder { folder in
      let shape = DictionaryShape(
        width: 10, experts: 6, sublatents: 4, subspace: 3, activeExperts: 2)
      let twin = ReferenceParameters(Parameters.initial(shape: shape, seed: 3))
      let path = folder + "/a.safetensors"
      try SourceSAE.write(SourceSAE.authorsTensors(twin, shape), to: path)
      var options = ImportOptions()
      options.k = 2
      let whole = try DictionaryImport(path: path, options: options)
      let index = try divideSafetensors(path, into: 2)
      let parts = try DictionaryImport(path: index, options: options)
      let rows = Matrix(rows: 20, columns: 10, elements: (0..<200).map { Float($0 * 7 % 23) - 11 })
      #expect(parts.dictionary.encode(rows).all == whole.dictionary.encode(rows).all)
    }
  }
}
