// Training finds a planted dictionary. This is the one test of whether training works; the others test whether
// it agrees with itself.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct RecoveryTests {
  /// The absolute cosine of two rows.
  private func cosine(_ a: [Float], _ b: [Float]) -> Double {
    let product = zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    let norms = [a, b].map { row in row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
    return abs(product) / max(norms[0] * norms[1], 1e-30)
  }

  /// 16 parents of 4 children each in 32 dimensions, two families in a row. Every parent gets a latent whose
  /// decoder row has its direction, and sublatents explain most of what a flat dictionary of the same sizes
  /// cannot.
  @Test func aPlantedHierarchyIsFound() throws {
    try withTemporaryFolder { folder in
      let planted = PlantedHierarchy(
        width: 32, parents: 16, children: 4, subspace: 3, active: 2, seed: 7)
      let path = Path.join(folder, "rows.npy")
      try writeNumpy(planted.rows(4096), width: 32, to: path)
      let source = try openRows(path: path)
      func train(_ name: String, sublatents: Int) throws -> (SparseAutoencoder, MetricsRecord) {
        var options = TrainingOptions()
        options.experts = 32
        options.sublatents = sublatents
        options.subspace = sublatents == 0 ? 0 : 4
        options.k = 2
        options.steps = 2000
        options.batch = 512
        options.learningRate = 1e-2
        options.precision = .float32
        if sublatents > 0 {
          // Parents should fit as well as they can alone, and no child should be below a threshold.
          options.beta = 1
          options.thresholdSub = 0
        }
        let configuration = try TrainingConfiguration(
          options,
          data: DataDescription(
            path: path, fingerprint: source.fingerprint, rows: source.rowCount,
            width: source.width))
        let run = Path.join(folder, name)
        let trainer = try Trainer.begin(
          at: run, configuration: configuration, source: source, with: TrainingResources(threads: 2)
        )
        _ = try trainer.run { _, _ in }
        return (try RunDirectory(path: run).dictionary().model, trainer.lastRecord)
      }

      let (model, record) = try train("hierarchical", sublatents: 8)
      let (_, flat) = try train("flat", sublatents: 0)
      #expect(record.reconstruction < 0.02)
      #expect(record.reconstruction < 0.2 * flat.reconstruction)

      let decoder = model.parameters.decoderSide.elements
      let stride = model.shape.rowsPerExpert * model.shape.width
      let cosines = planted.parentDirections.map { parent in
        (0..<model.shape.experts).map { expert in
          cosine(parent, Array(decoder[expert * stride..<expert * stride + model.shape.width]))
        }.max() ?? 0
      }
      #expect((cosines.min() ?? 0) > 0.9, "\(cosines)")
      #expect(cosines.reduce(0, +) / Double(cosines.count) > 0.97, "\(cosines)")
    }
  }
}
