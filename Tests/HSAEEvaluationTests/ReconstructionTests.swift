// Tests reconstruction metrics, usage counts and the gain of sublatents on known answers.

import HSAEActivations
import HSAEModels
import HSAERuns
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct ReconstructionTests {
  private func codes(_ sizes: [Int]) -> Codes {
    var codes = Codes()
    for size in sizes {
      codes.append((0..<size).map { Code(expert: $0, value: Float(size - $0)) })
    }
    return codes
  }

  @Test func knownAnswers() {
    // Two rows about the mean (2, 2); the second is rebuilt perfectly.
    let rows: [Float] = [1, 2, 3, 2]
    let full: [Float] = [1, 1, 3, 2]
    let top: [Float] = [0, 0, 3, 2]
    var metrics = ReconstructionMetrics(width: 2)
    metrics.add(
      rows: rows.span, codes: codes([1, 2]), reconstruction: full.span, topLevel: top.span)
    let summary = metrics.summary
    #expect(summary.vectors == 2)
    #expect(summary.l0 == 1.5 && summary.codes == 1.5)
    #expect(summary.full.squaredError == 0.5)
    #expect(summary.full.explainedVariance == 1 - 1.0 / 2)
    #expect(summary.full.legacyExplainedVariance == 0.5)
    #expect(abs(summary.full.cosine - (3 / (10.0).squareRoot() + 1) / 2) < 1e-12)
    #expect(abs(summary.full.normRatio - ((2.0 / 5).squareRoot() + 1) / 2) < 1e-12)
    #expect(summary.topLevel.squaredError == 2.5)
    #expect(summary.topLevel.explainedVariance == 1 - 5.0 / 2)
    #expect(summary.topLevel.cosine == 0.5)
    #expect(summary.topLevel.normRatio == 0.5)
  }

  @Test func chunksAgreeWithTheWhole() {
    var generator = SeededGenerator(seed: 3)
    let (count, width) = (50, 7)
    func random() -> [Float] {
      (0..<count * width).map { _ in Float.random(in: -1...1, using: &generator) + 1000 }
    }
    let (rows, full, top) = (random(), random(), random())
    func measure(_ ranges: [Range<Int>]) -> ReconstructionMetrics {
      var metrics = ReconstructionMetrics(width: width)
      for range in ranges {
        let part = range.lowerBound * width..<range.upperBound * width
        metrics.add(
          rows: rows.span.extracting(part), codes: codes(range.map { _ in 1 }),
          reconstruction: full.span.extracting(part), topLevel: top.span.extracting(part))
      }
      return metrics
    }
    let whole = measure([0..<50]).summary
    let parts = measure([0..<13, 13..<14, 14..<50]).summary
    // Values are about 1000 and vary by 1, so sums of squares would cancel.
    #expect(abs(parts.full.explainedVariance - whole.full.explainedVariance) < 1e-9)
    #expect(abs(parts.topLevel.squaredError - whole.topLevel.squaredError) < 1e-9)
    #expect(measure([0..<20, 20..<50]).summary == measure([0..<20, 20..<50]).summary)
  }

  /// `ReconstructionMetrics` and the suite `core` agree with slow sums by the formulas.
  @Test func bothMeasurementsAgreeWithTheFormulas() throws {
    let (count, width) = (300, 20)
    let planted = PlantedHierarchy(
      width: width, parents: 12, children: 3, subspace: 2, active: 2, seed: 1)
    let shape = DictionaryShape(
      width: width, experts: 12, sublatents: 3, subspace: 2, activeExperts: 3)
    let run = try EvaluationFixture.run("random", shape) { parameters in
      parameters = Parameters.initial(shape: shape, seed: 8)
    }
    try withTemporaryFolder { folder in
      let path = folder + "/rows.npy"
      try writeNumpy(planted.rows(count), width: width, to: path)
      let source = try openRows(path: path)
      var rows = try source.matrix(rows: 0..<count)
      let lengths = rows.rowNorms().map { Double($0) }
      rows.scaleRowsToUnit()
      let codes = run.dictionary.encode(rows)
      let full = run.dictionary.decode(codes)
      let top = run.dictionary.decode(codes, topLevelOnly: true)
      var metrics = ReconstructionMetrics(width: width)
      metrics.add(rows: rows.span, codes: codes, reconstruction: full.span, topLevel: top.span)
      let result = try CoreSuite.evaluate([run], EvaluationFixture.input(source))[0]
      let summary = metrics.summary
      #expect(result["l0"]?.value == summary.l0)
      let ones = [Double](repeating: 1, count: count)
      let scaled = (0..<count).map { vector(rows.row($0)) }
      for (quality, back, suffix) in [
        (summary.full, (0..<count).map { vector(full.row($0)) }, ""),
        (summary.topLevel, (0..<count).map { vector(top.row($0)) }, "_top_level"),
      ] {
        let slow = slowNumbers(scaled, back, lengths: ones)
        for (key, value) in slow {
          let number = try #require(result[key + suffix]).value
          #expect(abs(number - value) < 1e-9, "\(key)\(suffix)")
        }
        for (key, value) in [
          ("explained_variance", quality.explainedVariance), ("mse", quality.squaredError),
          ("explained_variance_legacy", quality.legacyExplainedVariance),
          ("cosine", quality.cosine), ("norm_ratio", quality.normRatio),
        ] {
          #expect(abs(try #require(slow[key]) - value) < 1e-9, "\(key)\(suffix)")
        }
        for (key, value) in slowNumbers(scaled, back, lengths: lengths) {
          guard let number = result[key + "_unscaled" + suffix] else { continue }
          #expect(abs(number.value - value) < 1e-9 * max(1, abs(value)), "\(key)\(suffix)")
        }
      }
    }
  }

  private func vector(_ row: Span<Float>) -> [Double] { row.indices.map { Double(row[$0]) } }

  /// The suite's numbers of rows and their reconstructions, both times `lengths`, formula by formula.
  private func slowNumbers(
    _ rows: [[Double]], _ reconstructions: [[Double]], lengths: [Double]
  ) -> [String: Double] {
    func scaled(_ rows: [[Double]]) -> [[Double]] {
      zip(rows, lengths).map { row, length in row.map { length * $0 } }
    }
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    func distance(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    func sum(_ values: [Double]) -> Double { values.reduce(0, +) }
    let (x, back, count) = (scaled(rows), scaled(reconstructions), Double(rows.count))
    let mean = x[0].indices.map { column in sum(x.map { $0[column] }) / count }
    let errors = zip(x, back).map { distance($0, $1) }
    let spreads = x.map { distance($0, mean) }
    let (dots, norms) = (zip(x, back).map { dot($0, $1) }, x.map { dot($0, $0) })
    let rebuilt = back.map { dot($0, $0) }
    return [
      "explained_variance": 1 - sum(errors) / sum(spreads),
      "explained_variance_legacy": sum(zip(errors, spreads).map { 1 - $0 / $1 }) / count,
      "mse": sum(errors) / count,
      "cosine": sum(zip(dots, zip(norms, rebuilt)).map { $0 / ($1.0 * $1.1).squareRoot() }) / count,
      "norm_ratio": sum(zip(rebuilt, norms).map { ($0 / $1).squareRoot() }) / count,
      "relative_reconstruction_bias": sum(rebuilt) / sum(dots),
    ]
  }

  @Test func emptyAndConstantSetsAreZeroNotNaN() {
    let empty = ReconstructionMetrics(width: 3).summary
    #expect(empty.full.explainedVariance == 0 && empty.l0 == 0)
    var constant = ReconstructionMetrics(width: 1)
    let (rows, zeros): ([Float], [Float]) = ([0, 0], [0, 0])
    constant.add(
      rows: rows.span, codes: codes([0, 0]), reconstruction: zeros.span, topLevel: zeros.span)
    #expect(constant.summary.full.explainedVariance == 0)
    #expect(constant.summary.full.cosine == 0 && constant.summary.full.normRatio == 0)
  }

  @Test func usageCountsDeadAndActive() {
    let shape = DictionaryShape(
      width: 4, experts: 3, sublatents: 2, subspace: 1, activeExperts: 2)
    var usage = LatentUsage(shape: shape, subThreshold: 0.5)
    var codes = Codes()
    codes.append([
      Code(expert: 0, value: 2, sublatent: 1, subValue: 0.5),
      Code(expert: 2, value: 1, sublatent: 0, subValue: 0.4),
    ])
    codes.append([Code(expert: 0, value: 1, sublatent: 1, subValue: -0.1)])
    usage.add(codes)
    #expect(usage.experts == [2, 0, 1])
    #expect(usage.chosen == [0, 2, 0, 0, 1, 0])
    #expect(usage.active == [0, 1, 0, 0, 0, 0])
    #expect(usage.deadExperts == 1 && usage.neverChosenSublatents == 4)
    #expect(usage.deadSublatents == 5)
    #expect(usage.expertDensity == [1, 0, 0.5])
    usage.add(codes)
    #expect(usage.rows == 4 && usage.experts == [4, 0, 2])
  }

  @Test func histogramBins() {
    let histogram = DensityHistogram(
      counts: [0, 1, 10, 100, 1000], vectors: 1000, lowest: -2, binWidth: 0.5)
    // 10⁻³ is below the range and goes to the first bin; 1 goes to the last.
    #expect(histogram.counts == [2, 0, 1, 1])
    #expect(histogram.dead == 1 && histogram.total == 5)
  }

  @Test func gainOfASublatent() {
    // One expert, one axis: x̂ = z d + c u with d = (1, 0), u = (0, 1).
    let shape = DictionaryShape(
      width: 2, experts: 1, sublatents: 1, subspace: 1, activeExperts: 1)
    var parameters = Parameters(shape: shape)
    parameters.decoderSide[0, 0] = 1
    parameters.decoderSide[1, 1] = 1
    parameters.subDecoder[0, 0] = 1
    let dictionary = SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0, subThreshold: 0.1))
    var codes = Codes()
    codes.append([Code(expert: 0, value: 1, sublatent: 0, subValue: 2)])
    codes.append([Code(expert: 0, value: 1, sublatent: 0, subValue: 0.05)])
    let rows: [Float] = [1, 3, 1, 0]
    let reconstruction: [Float] = [1, 2, 1, 0.05]
    var gain = SublatentGain(experts: 1)
    gain.add(
      rows: rows.span, codes: codes, reconstruction: reconstruction.span, dictionary: dictionary)
    // With: (0, 1), error 1. Without: (0, 3), error 9. The second row is below the threshold.
    #expect(gain.with == [1] && gain.without == [9])
    #expect(abs(gain.share(expert: 0) - 8.0 / 9) < 1e-6)
  }
}
