// Meta-structure (SAEBench 0.6.0, after Bussmann et al. 2503.17547, appendix D.1): how well a small dictionary explains the
// decoder rows of a dictionary. If it does so well, latents are made of shared parts.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

/// Trains a BatchTopK dictionary on decoder rows.
enum MetaStructure {
  /// Latents that are active in a row on average.
  static let active = 4
  /// Fewer decoder rows are not measured.
  static let leastLatents = 8
  /// Decoder rows in a step.
  private static let batch = 1_024
  /// Decoder rows that choose their latents together when the result is measured.
  private static let chunk = 4_096
  /// Limit on the active latents of one row when the result is measured.
  private static let mostActive = 32

  /// The settings of the dictionary for `count` rows of width `width`: those of SAEBench, as far as the trainer has them.
  static func configuration(
    count: Int, width: Int, steps: Int, seed: UInt64
  ) throws(Failure) -> TrainingConfiguration {
    var options = TrainingOptions()
    options.experts = max(active, (count + 3) / 4)
    (options.sublatents, options.subspace) = (0, 0)
    (options.activation, options.k) = (.batchtopk, Double(active))
    (options.bias, options.encoderBias) = (.geometricMedian, .zero)
    (options.steps, options.batch, options.seed) = (steps, batch, seed)
    (options.learningRate, options.schedule, options.warmup) = (5e-4, .constant, 0)
    // SAELens's trainer clips at 1. Its latents count as dead after 2,000 steps, more than there are.
    (options.clip, options.auxk) = (1, 0)
    (options.precision, options.normalize) = (.float32, Normalisation.none)
    return try TrainingConfiguration(options, streamOfWidth: width)
  }

  /// The share of the variance of `rows` [n × d] that a dictionary with n/4 latents, four active, explains after `steps`
  /// steps on them. It stays in memory. The result depends on `seed` and not on `threads`.
  ///
  /// Fails with `.unavailable` if there is not enough memory.
  static func explainedVariance(
    of rows: borrowing Matrix, steps: Int, seed: UInt64, threads: Int,
    progress: (_ step: Int) -> Void = { _ in }
  ) throws(Failure) -> Double {
    let trainer = try Trainer.beginStream(
      into: nil,
      configuration: configuration(
        count: rows.rows, width: rows.columns, steps: steps, seed: seed),
      threads: threads)
    // The bias begins with 0, as in SAELens, because the trainer is shown no rows before the first step.
    var generator = SeededGenerator(seed: seed).split(0x6D65_7461)
    var drawn = [Float](repeating: 0, count: batch * rows.columns)
    for step in 0..<steps {
      for place in 0..<batch {
        let row = rows.row(Int.random(in: 0..<rows.rows, using: &generator))
        for column in row.indices { drawn[place * rows.columns + column] = row[column] }
      }
      _ = try trainer.step(on: drawn, waited: 0)
      progress(step + 1)
    }
    return explainedVariance(of: rows, by: trainer.dictionary(), threads: threads)
  }

  /// The share of the variance of `rows` that `trained` explains with four active latents a row on average.
  ///
  /// As in SAEBench, 4,096 rows choose their strongest latents together, so the running threshold, which lags behind the
  /// weights, plays no part. A row has at most 32.
  private static func explainedVariance(
    of rows: borrowing Matrix, by trained: SparseAutoencoder, threads: Int
  ) -> Double {
    var shape = trained.shape
    shape.activeExperts = min(shape.experts, mostActive)
    let dictionary = SparseAutoencoder(
      parameters: trained.parameters.copy().forInference(shape: shape),
      activation: trained.activation,
      selection: .thresholds(
        LatentThresholds(encoderBias: trained.thresholds?.encoderBias ?? [])))
    var metrics = ReconstructionMetrics(width: rows.columns)
    for start in stride(from: 0, to: rows.rows, by: chunk) {
      let part = rows.gathered(start..<min(rows.rows, start + chunk))
      let codes = strongest(
        active * part.rows, of: dictionary.encode(part, threads: threads))
      let rebuilt = dictionary.decode(codes, threads: threads)
      metrics.add(
        rows: part.span, codes: codes, reconstruction: rebuilt.span, topLevel: rebuilt.span)
    }
    return metrics.summary.full.explainedVariance
  }

  /// The `count` strongest of `codes`, and those equal to the weakest of them.
  private static func strongest(_ count: Int, of codes: Codes) -> Codes {
    let values = codes.all.map(\.value).sorted(by: >)
    guard values.count > count else { return codes }
    var result = Codes()
    for row in codes { result.append(row.filter { $0.value >= values[count - 1] }) }
    return result
  }
}

extension StructureSuite {
  /// Adds meta-structure: the variance of `directions`, the decoder rows of the top level, that a small dictionary of
  /// them explains.
  static func addMetaStructure(
    _ directions: borrowing Matrix, _ run: LoadedRun, _ input: EvaluationInput,
    to result: inout SuiteResult
  ) {
    let options = input.options
    guard options.metaSteps > 0 else { return }
    guard directions.rows >= MetaStructure.leastLatents else {
      result.notes.append(
        "Meta-structure is not measured: \(run.name) has fewer than \(MetaStructure.leastLatents) latents."
      )
      return
    }
    var rows = directions.copy()
    rows.scaleRowsToUnit()
    let explained: Double
    do {
      explained = try MetaStructure.explainedVariance(
        of: rows, steps: options.metaSteps, seed: options.seed, threads: options.threads,
        progress: {
          input.progress($0, options.metaSteps, "steps of the dictionary of \(run.name)’s decoder")
        })
    } catch {
      // The other numbers of the suite are kept.
      result.notes.append("Meta-structure is not measured: \(error.message)")
      return
    }
    result.numbers.append(
      EvaluationNumber(
        "meta_structure", "meta-structure: variance of decoder rows explained by a quarter as many",
        explained))
  }
}
