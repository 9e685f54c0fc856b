// Known answers for reconstruction metrics, usage counts and the gain of sublatents.

import HSAEModels
import HSAETensors
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
    // Two vectors about the mean (2, 2); the second is rebuilt perfectly.
    let rows: [Float] = [1, 2, 3, 2]
    let full: [Float] = [1, 1, 3, 2]
    let top: [Float] = [0, 0, 3, 2]
    var metrics = ReconstructionMetrics(width: 2)
    metrics.add(
      rows: rows.span, codes: codes([1, 2]), reconstruction: full.span, topLevel: top.span)
    let summary = metrics.summary
    #expect(summary.vectors == 2)
    #expect(summary.l0 == 1.5)
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

  @Test func chunksAndMergesAgreeWithTheWhole() {
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
    var merged = measure([0..<13, 13..<14])
    merged.merge(measure([14..<50]))
    // Values about 1000 with a spread about 1: nothing may cancel.
    #expect(abs(merged.summary.full.explainedVariance - whole.full.explainedVariance) < 1e-9)
    #expect(abs(merged.summary.topLevel.squaredError - whole.topLevel.squaredError) < 1e-9)
    #expect(measure([0..<20, 20..<50]).summary == measure([0..<20, 20..<50]).summary)
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

  @Test func usageCountsDeadAndRelevant() {
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
    #expect(usage.relevant == [0, 1, 0, 0, 0, 0])
    #expect(usage.deadExperts == 1 && usage.neverChosenSublatents == 4)
    #expect(usage.deadSublatents == 5)
    #expect(usage.expertDensity == [1, 0, 0.5])
    var twice = usage
    twice.merge(usage)
    #expect(twice.vectors == 4 && twice.experts == [4, 0, 2])
  }

  @Test func histogramBins() {
    let histogram = DensityHistogram(
      counts: [0, 1, 10, 100, 1000], vectors: 1000, lowest: -2, binWidth: 0.5)
    // 10⁻³ is below the range and goes to the first bin, 1 to the last.
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
