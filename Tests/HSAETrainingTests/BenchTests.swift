// The counted cost of a step, the limit, and the planted rows of `hsae bench`.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

@Suite struct BenchTests {
  /// `method.md`, "Cost per token": 21.0 M of 21.3 M operations at these sizes.
  @Test func thePapersFormulaIsCounted() {
    let shape = DictionaryShape(
      width: 640, experts: 16_384, sublatents: 16, subspace: 4, activeExperts: 32)
    func rowCost(moments: Precision) -> RowCost {
      RowCost(
        shape: shape, batch: 8192, precision: .bfloat16, moments: moments, ortho: true,
        aboveThreshold: 0.01)
    }
    let cost = rowCost(moments: .float32)
    #expect(cost.encoding == 20_971_520)
    #expect(cost.paperForward == 20_971_520 + 327_680 + 4096 + 256 + 40_960)
    #expect(cost.forward == cost.paperForward + 40_960)
    #expect(cost.orthogonality == 6 * 16_384 * 640 * 640 / 8192)
    #expect(cost.optimizerBytes == 28 * Double(shape.parameterCount) / 8192)
    #expect(
      rowCost(moments: .bfloat16).optimizerBytes == 20 * Double(shape.parameterCount) / 8192)
    let parts =
      cost.forward + cost.backward + cost.penalty + cost.orthogonality + cost.optimizer
    #expect(cost.operations == parts)
    // Forward 2 passes over the 1 + s rows of an expert, backward 3, besides its sub-dictionary.
    let (rows, subDictionary) = (5 * 2 * 5 * 640, 6 * 16 * 4 + 6 * 4)
    #expect(cost.pairOperations == Double(32 * (rows + subDictionary)))
    #expect(cost.pairBytes == 32 * 640 * (4 + 16 + 6))
    // The slower of operations and bytes decides.
    var rates = LimitRates(
      product: 1, productFloat32: 1e11, bandwidth: 1, cacheBandwidth: 1e11)
    #expect(cost.pairSeconds(rates) == cost.pairOperations / 1e11)
    rates.cacheBandwidth = 1e9
    #expect(cost.pairSeconds(rates) == cost.pairBytes / 1e9)
  }

  /// The limit of `docs/architecture.md`, also for the flat dictionary, which has no orthogonality penalty.
  @Test func theLimitIsProductsAndOnePassOverParameters() throws {
    var options = TrainingOptions()
    options.preset = .gemma270M
    let configuration = try TrainingConfiguration(
      options, data: DataDescription(path: "rows", fingerprint: "", rows: 100_000, width: 640))
    let (product, bandwidth) = (1e12, 5e10)
    let (m, d) = (16_384.0, 640.0)
    #expect(
      configuration.limitSeconds(product: product, bandwidth: bandwidth)
        == (2 * 8192 * m * d + 6 * m * d * d) / product
        + 28 * (m * (2 * 5 * d + 2 * 16 * 4)) / bandwidth)
    let flat = configuration.flatCounterpart
    #expect(flat.shape.isFlat && flat.complaint == nil && flat.shape.activeExperts == 32)
    #expect(
      flat.limitSeconds(product: product, bandwidth: bandwidth)
        == 2 * 8192 * m * d / product + 28 * (m * 2 * d) / bandwidth)
  }

  @Test(arguments: [
    (Preset.paper, 16_384, 16, 4), (.paper8k, 8_192, 16, 4), (.paper16k16, 16_384, 16, 4),
    (.paper16k64, 16_384, 64, 8), (.paper32k64, 32_768, 64, 8), (.gemma270M, 16_384, 16, 4),
    (.unembedding, 2_048, 32, 5),
  ])
  func presetsHaveTheirSizes(_ preset: Preset, experts: Int, sublatents: Int, subspace: Int) throws
  {
    var options = TrainingOptions()
    options.preset = preset
    let configuration = try TrainingConfiguration(
      options,
      data: DataDescription(
        path: "rows", fingerprint: "", rows: 1_000_000_000, width: preset.width))
    #expect(configuration.shape.experts == experts)
    #expect(configuration.shape.sublatents == sublatents)
    #expect(configuration.shape.subspace == subspace)
    #expect(configuration.shape.activeExperts == (preset == .unembedding ? 5 : 32))
    let small = preset == .unembedding || preset == .gemma270M
    #expect(configuration.batch == (small ? 8192 : 32_512))
    #expect(preset.width == (small ? 640 : 2304))
  }

  @Test func plantedRowsAreUnitRowsOfADictionary() throws {
    try withTemporaryFolder { folder in
      var planted = PlantedRows(width: 48)
      (planted.count, planted.parents, planted.active) = (1500, 40, 3)
      let path = Path.join(folder, planted.fileName)
      try planted.write(to: path)
      let source = try openRows(path: path)
      #expect(source.rowCount == 1500 && source.width == 48)
      let rows = try source.matrix(rows: 0..<1500)
      for index in 0..<rows.rows {
        let row = rows.row(index)
        var squares: Float = 0
        for column in row.indices { squares += row[column] * row[column] }
        #expect(abs(squares - 1) < 1e-2)
      }
      // The same seed gives the same bytes, another seed others.
      let again = Path.join(folder, "again.safetensors")
      try planted.write(to: again)
      #expect(fileBytes(path) == fileBytes(again))
      planted.seed = 1
      try planted.write(to: again)
      #expect(fileBytes(path) != fileBytes(again))
    }
  }

  @Test func theMedianIsTheMiddle() {
    #expect(median([3, 1, 2]) == 2)
    #expect(median([4, 1, 2, 3]) == 2.5)
  }
}
