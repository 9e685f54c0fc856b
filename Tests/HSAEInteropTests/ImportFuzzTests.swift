// Imports damaged files of other tools: the importer returns a usable dictionary or fails with one sentence.
// It never traps, and never allocates memory just because a header claims it.

import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@Suite(.serialized)
struct ImportFuzzTests {
  /// Imports `path` and uses the dictionary; expects a message of one sentence if the import fails.
  private func check(
    _ path: String, _ iteration: Int, _ options: ImportOptions = ImportOptions()
  ) {
    do {
      let imported = try DictionaryImport(path: path, options: options)
      let width = imported.dictionary.shape.width
      if width <= 64 {
        let rows = Matrix(
          rows: 2, columns: width, elements: (0..<2 * width).map { Float($0 % 5) - 2 })
        _ = imported.dictionary.decode(imported.dictionary.encode(rows, threads: 1), threads: 1)
      }
    } catch {
      let isExpected = [.data, .usage, .missing].contains(error.kind) && error.message.count < 1000
      #expect(isExpected, "\(iteration): \(error)")
    }
  }

  @Test func archives() throws {
    try Fuzz.withFolder { folder in
      var originals: [[UInt8]] = []
      let path = folder + "/params.npz"
      for compressed in [false, true] {
        let source = SourceSAE.jumpReLU(seed: 13)
        try writeNpz(
          source.saelensTensors.map {
            NpzArray(name: $0.name, shape: $0.shape, values: $0.values)
          }, compressed: compressed, to: path)
        originals.append(try MappedFile(path: path).copy())
      }
      let grown = try Fuzz().feed(originals) { iteration, bytes in
        try Fuzz.put(bytes, at: path)
        check(path, iteration)
      }
      #expect(grown <= Fuzz.memoryBound)
    }
  }

  @Test(arguments: ["a.npz", "a.safetensors"])
  func authorsArrays(_ name: String) throws {
    try Fuzz.withFolder { folder in
      let shape = DictionaryShape(
        width: 10, experts: 6, sublatents: 4, subspace: 3, activeExperts: 2)
      var options = ImportOptions()
      options.k = shape.activeExperts
      let tensors = SourceSAE.authorsTensors(
        ReferenceParameters(Parameters.initial(shape: shape, seed: 16)), shape)
      let path = folder + "/" + name
      var originals: [[UInt8]] = []
      for compressed in name.hasSuffix("npz") ? [false, true] : [false] {
        if name.hasSuffix("npz") {
          try writeNpz(
            tensors.map { NpzArray(name: $0.name, shape: $0.shape, values: $0.values) },
            compressed: compressed, to: path)
        } else {
          try SourceSAE.write(tensors, to: path)
        }
        originals.append(try MappedFile(path: path).copy())
        #expect(try DictionaryImport(path: path, options: options).origin.layout == "H-SAE authors")
      }
      let grown = try Fuzz().feed(originals) { iteration, bytes in
        try Fuzz.put(bytes, at: path)
        check(path, iteration, options)
      }
      #expect(grown <= Fuzz.memoryBound)
    }
  }

  /// Damages the file `name` of the folder that `write` fills.
  private func damage(_ name: String, _ write: (String) throws -> Void) throws {
    try Fuzz.withFolder { folder in
      try write(folder)
      let path = folder + "/" + name
      let original = try MappedFile(path: path).copy()
      let grown = try Fuzz().feed([original]) { iteration, bytes in
        try Fuzz.put(bytes, at: path)
        check(folder, iteration)
      }
      #expect(grown <= Fuzz.memoryBound)
    }
  }

  @Test(arguments: ["cfg.json", "sae_weights.safetensors", "activation_scaler.json"])
  func saelensFolders(_ name: String) throws {
    var source = SourceSAE.jumpReLU(seed: 14)
    source.scaling = .factor(0.5)
    try damage(name) { try source.writeSAELens(to: $0) }
  }

  @Test(arguments: ["cfg.json", "sae_weights.safetensors"])
  func exportedFolders(_ name: String) throws {
    try Fuzz.withFolder { folder in
      let run = try SourceSAE.hierarchicalRun(folder)
      let path = folder + "/exported"
      try SAELensExport(run, attributes: nil).write(to: path)
      let original = try MappedFile(path: path + "/" + name).copy()
      let grown = try Fuzz().feed([original]) { iteration, bytes in
        try Fuzz.put(bytes, at: path + "/" + name)
        check(path, iteration)
      }
      #expect(grown <= Fuzz.memoryBound)
    }
  }

  @Test(arguments: [true, false])
  func topKFolders(unitDecoder: Bool) throws {
    var source = SourceSAE(seed: 17, unitDecoder: unitDecoder)
    source.k = 5
    try damage("cfg.json") { try source.writeSAELens(to: $0) }
  }

  @Test(arguments: ["config.json", "params.safetensors"])
  func gemmaScopeFolders(_ name: String) throws {
    let source = SourceSAE.jumpReLU(seed: 19)
    try damage(name) { try source.writeGemmaScope(to: $0) }
  }

  @Test(arguments: ["cfg.json", "activation_whitening.safetensors"])
  func whitenedFolders(_ name: String) throws {
    var source = SourceSAE(seed: 20, unitDecoder: false)
    let width = source.width
    let one = (0..<width * width).map { $0 / width == $0 % width ? 1.0 : 0 }
    source.scaling = .whitening(
      .init(mean: Array(repeating: 0.5, count: width), matrix: one, inverse: one))
    try damage(name) { try source.writeSAELens(to: $0) }
  }

  @Test(arguments: ["cfg.json", "sae.safetensors"])
  func sparsifyFolders(_ name: String) throws {
    var source = SourceSAE(seed: 15, unitDecoder: true)
    source.k = 5
    try damage(name) { try source.writeSparsify(to: $0) }
  }
}
