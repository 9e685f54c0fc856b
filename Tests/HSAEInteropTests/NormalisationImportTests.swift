// Imports whose rows are layer-normalised or whitened, and TopK SAEs whose decoder rows have different norms: codes
// and reconstructions equal those of the formulas in SAELens's `sae.py` and `topk_sae.py`.

import HSAEActivations
import HSAEInterop
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

struct NormalisationImportTests {
  /// A source of each kind: ReLU, JumpReLU, TopK, TopK with pre-activations times decoder norms.
  private func sources(_ scaling: SourceSAE.Scaling, subtracts: Bool) -> [SourceSAE] {
    var plain = SourceSAE(seed: 63, unitDecoder: false)
    plain.k = 5
    var rescaled = plain
    rescaled.rescaled = true
    let all = [
      SourceSAE(seed: 61, unitDecoder: false), SourceSAE.jumpReLU(seed: 62), plain, rescaled,
    ]
    return all.map { source in
      var source = source
      (source.scaling, source.subtracts) = (scaling, subtracts)
      return source
    }
  }

  @Test(arguments: [true, false])
  func layerNorm(subtracts: Bool) throws {
    try withTemporaryFolder { folder in
      for (number, source) in sources(.layerNorm, subtracts: subtracts).enumerated() {
        let path = folder + "/\(number)"
        try source.writeSAELens(to: path)
        let imported = try DictionaryImport(path: path)
        #expect(imported.normalize == .layerNorm)
        source.expectEqual(imported)
        // The run's export is normalised in the same way, and so is its import.
        try imported.write(to: path + "-run")
        try SAELensExport(RunDirectory(path: path + "-run"), attributes: nil).write(
          to: path + "-back")
        let cfg = try JSONFile.readTree(from: path + "-back/cfg.json")
        #expect(cfg["normalize_activations"]?.string == "layer_norm")
        let back = try DictionaryImport(path: path + "-back")
        #expect(back.normalize == .layerNorm)
        var rows = Matrix(
          rows: 50, columns: 12, elements: source.rows(50, seed: 6).flatMap { $0.map { Float($0) } }
        )
        Normalisation.layerNorm.apply(to: &rows)
        let codes = [imported, back].map { $0.dictionary.encode(rows, threads: 1).all }
        #expect(codes[0].map(\.expert) == codes[1].map(\.expert) && codes[0].count > 50)
        for (one, other) in zip(codes[0], codes[1]) { #expect(abs(one.value - other.value) < 1e-5) }
        // Codes of a run are √11 times smaller than those of its export.
        #expect(abs(back.origin.codeScale * 11.0.squareRoot() - 1) < 1e-6)
      }
    }
  }

  /// A row of the length 1e-3, where SAELens's ε is felt, and one of equal numbers.
  @Test func layerNormOfSmallRows() {
    let row: [Double] = [0.0003, -0.0001, 0.0002, 0.0005]
    let mean = row.reduce(0, +) / 4
    let deviation = (row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 3).squareRoot()
    var rows = Matrix(rows: 2, columns: 4, elements: row.map { Float($0) } + [7, 7, 7, 7])
    Normalisation.layerNorm.apply(to: &rows)
    for column in 0..<4 {
      let expected = (row[column] - mean) / (deviation + 1e-5) / 3.0.squareRoot()
      #expect(abs(Double(rows[0, column]) - expected) < 1e-6)
      #expect(rows[1, column] == 0)
    }
    #expect(deviation < 3e-4)
  }

  @Test(arguments: [true, false])
  func whitening(subtracts: Bool) throws {
    try withTemporaryFolder { folder in
      let whitening = Self.whitening(width: 12, seed: 64)
      for (number, source) in sources(.whitening(whitening), subtracts: subtracts).enumerated() {
        let path = folder + "/\(number)"
        try source.writeSAELens(to: path)
        let imported = try DictionaryImport(path: path)
        #expect(imported.normalize == .original)
        #expect(imported.origin.notes.contains { $0.contains("whitening") })
        if source.rescaled {
          // The norms that codes are multiplied by are in the codes already.
          var folded = source
          folded.rescaled = false
          let norms = source.decoderNorms
          for latent in 0..<source.latents {
            folded.encoderBias[latent] *= norms[latent]
            for column in 0..<source.width {
              folded.encoder[column * source.latents + latent] *= norms[latent]
              folded.decoder[latent * source.width + column] /= norms[latent]
            }
          }
          folded.expectEqual(imported)
          // A training checkpoint of a batchtopk SAE: the threshold and the codes include the same norms.
          try source.writeSAELens(to: path + "-trained", ["architecture": .string("batchtopk")])
          try SourceSAE.write(
            source.saelensTensors + [("topk_threshold", [], [0.6])],
            to: path + "-trained/sae_weights.safetensors")
          folded.k = nil
          folded.threshold = Array(repeating: Double(Float(0.6)), count: source.latents)
          folded.expectEqual(try DictionaryImport(path: path + "-trained"))
        } else {
          source.expectEqual(imported)
        }
      }
      let source = sources(.whitening(whitening), subtracts: true)[0]
      try source.writeSAELens(to: folder + "/damaged")
      try SourceSAE.write(
        [("mean", [12], whitening.mean), ("matrix", [12, 11], Array(repeating: 0, count: 132))],
        to: folder + "/damaged/activation_whitening.safetensors")
      #expect(failure { _ = try DictionaryImport(path: folder + "/damaged") }?.kind == .data)
      Path.removeAll(folder + "/damaged/activation_whitening.safetensors")
      let missing = failure { _ = try DictionaryImport(path: folder + "/damaged") }
      #expect(missing?.message.contains("fold_activation_whitening") == true)
    }
  }

  /// A matrix near a diagonal, and its inverse by elimination, both rounded to floats as in files.
  private static func whitening(width: Int, seed: UInt64) -> SourceSAE.Whitening {
    var generator = SeededGenerator(seed: seed)
    func number(_ range: ClosedRange<Double>) -> Double {
      Double(Float(Double.random(in: range, using: &generator)))
    }
    let matrix = (0..<width * width).map { index in
      number(-0.15...0.15) + (index / width == index % width ? 1 : 0)
    }.map { Double(Float($0)) }
    // Gauss-Jordan elimination of [M | 1]; diagonally strong, so no pivot is needed.
    var left = matrix
    var right = (0..<width * width).map { $0 / width == $0 % width ? 1.0 : 0 }
    for pivot in 0..<width {
      let scale = 1 / left[pivot * width + pivot]
      for column in 0..<width {
        left[pivot * width + column] *= scale
        right[pivot * width + column] *= scale
      }
      for row in 0..<width where row != pivot {
        let factor = left[row * width + pivot]
        for column in 0..<width {
          left[row * width + column] -= factor * left[pivot * width + column]
          right[row * width + column] -= factor * right[pivot * width + column]
        }
      }
    }
    return SourceSAE.Whitening(
      mean: (0..<width).map { _ in number(-1...1) }, matrix: matrix,
      inverse: right.map { Double(Float($0)) })
  }

  /// The k largest are chosen before codes are multiplied by the norms; also a latent without a direction can be among
  /// them.
  @Test(arguments: [true, false])
  func topKWithUnequalNorms(subtracts: Bool) throws {
    try withTemporaryFolder { folder in
      var source = SourceSAE(seed: 65, unitDecoder: false)
      (source.k, source.subtracts) = (5, subtracts)
      for column in 0..<source.width { source.decoder[7 * source.width + column] = 0 }
      try source.writeSAELens(to: folder + "/sae")
      let imported = try DictionaryImport(path: folder + "/sae")
      source.expectEqual(imported)
      #expect(imported.codeScale.count == source.latents && imported.codeScale[7] == 0)
      #expect(imported.dictionary.shape.activeExperts == 5 && !imported.origin.isUnbounded)
      // The run on disk, its export, and the import of that compute the same.
      try imported.write(to: folder + "/run")
      let run = try RunDirectory(path: folder + "/run")
      #expect(try run.dictionary().model.thresholds == imported.dictionary.thresholds)
      let export = try SAELensExport(run, attributes: nil)
      #expect(export.architecture == .topk)
      try export.write(to: folder + "/back")
      let cfg = try JSONFile.readTree(from: folder + "/back/cfg.json")
      #expect(cfg["rescale_acts_by_decoder_norm"]?.bool == false)
      source.expectEqual(try DictionaryImport(path: folder + "/back"))
      if subtracts {
        try source.writeSparsify(to: folder + "/layers.1")
        source.expectEqual(try DictionaryImport(path: folder + "/layers.1"))
      }
    }
  }
}
