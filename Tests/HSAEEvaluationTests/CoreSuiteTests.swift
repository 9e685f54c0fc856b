// Tests the suite `core` on cases with known answers: perfect and zero reconstructions, the mean, a planted
// two-level dictionary. Results depend only on the seed.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation

@Suite struct CoreSuiteTests {
  private let model = SyntheticModel(width: 16, contextLength: 64)

  private func value(_ result: SuiteResult, _ key: String) throws -> Double {
    try #require(result[key]).value
  }

  @Test func perfectAndZeroReconstructions() throws {
    try withTemporaryFolder { folder in
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(60))
      let runs = [
        try EvaluationFixture.perfect(16), try EvaluationFixture.constant("zero", 16),
      ]
      let results = try CoreSuite.evaluate(
        runs, EvaluationFixture.input(store, model: model))
      let (perfect, zero) = (results[0], results[1])
      #expect(perfect.evaluatedOn.contains("held-out rows of"))
      for key in [
        "explained_variance", "cosine", "norm_ratio", "relative_reconstruction_bias",
        "explained_variance_legacy_unscaled", "relative_reconstruction_bias_unscaled",
      ] {
        #expect(abs(try value(perfect, key) - 1) < 1e-5, "\(key)")
      }
      for key in ["ce_loss_score", "kl_div_score"] {
        #expect(abs(try value(perfect, key) - 1) < 1e-4, "\(key)")
        #expect(abs(try value(zero, key)) < 1e-6, "\(key)")
      }
      #expect(abs(try value(perfect, "ce_loss_own_difference")) < 1e-3)
      #expect(abs(try value(perfect, "ce_loss") - value(perfect, "ce_loss_spliced")) < 1e-3)
      // With reconstructions of zero, the model predicts the same as with zeros.
      #expect(abs(try value(zero, "ce_loss_spliced") - value(zero, "ce_loss_zero")) < 1e-6)
      #expect(abs(try value(zero, "ce_loss_zero") - 5.5530) < 1e-3, "ln 258 for no information")
      #expect(try value(zero, "kl_div_zero") > 0.1)
      #expect(try value(zero, "dead_latents") == 1 && value(zero, "l0") == 0)
      #expect(abs(try value(zero, "mse") - 1) < 1e-3)
      #expect(try value(zero, "explained_variance") < 0.01, "zero is not the mean")
      #expect(try value(perfect, "mse_unscaled") < 1e-3 && value(zero, "mse_unscaled") > 0.1)
    }
  }

  /// If one of the runs was whitened, errors of all are measured in its space too: by the definition, with its W.
  @Test func errorsAreMeasuredInTheWhitenedSpaceToo() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/rows.npy"
      try writeNumpy(shifted(400, width: 6), width: 6, to: path)
      let source = try openRows(path: path)
      let half = try EvaluationFixture.changed(
        EvaluationFixture.run(
          "half",
          DictionaryShape(width: 6, experts: 12, sublatents: 0, subspace: 0, activeExperts: 2),
          normalize: Normalisation.none
        ) {
          for latent in 0..<12 {
            let sign: Float = latent < 6 ? 1 : -1
            $0.encoderSide[latent, latent % 6] = sign
            $0.decoderSide[latent, latent % 6] = sign
          }
        }, folder + "/run"
      ) { $0.whitening = WhiteningSettings(source: .activations) }
      let matrix: [Double] = (0..<36).map { $0 % 7 == 0 ? 3 : Double($0 * 7 % 5) }
      try Path.createDirectories(folder + "/run")
      try Whitening(mean: [Double](repeating: 0, count: 6), matrix: matrix, inverse: matrix)
        .write(to: RunDirectory.whiteningFile(folder + "/run"))
      let perfect = try EvaluationFixture.perfect(6, normalize: Normalisation.none)
      let results = try CoreSuite.evaluate([half, perfect], EvaluationFixture.input(source))
      let key = "explained_variance_whitened_activations"
      #expect(abs(try value(results[1], key) - 1) < 1e-5)
      let x = try source.matrix(rows: 0..<400)
      let rebuilt = half.dictionary.decode(half.dictionary.encode(x, threads: 1), threads: 1)
      let mean = x.meanRow()
      func squares(_ difference: (Int, Int) -> Double) -> Double {
        var sum = 0.0
        for row in 0..<400 {
          for column in 0..<6 {
            let z = (0..<6).reduce(0) { $0 + difference(row, $1) * matrix[$1 * 6 + column] }
            sum += z * z
          }
        }
        return sum
      }
      let error = squares { Double(x[$0, $1]) - Double(rebuilt[$0, $1]) }
      let spread = squares { Double(x[$0, $1]) - mean[$1] }
      #expect(abs(try value(results[0], key) - (1 - error / spread)) < 1e-4)
      #expect(try value(results[0], key) != value(results[0], "explained_variance"))
      #expect(results[0]["explained_variance_whitened_unembedding"] == nil)
      #expect(try CoreSuite.evaluate([perfect], EvaluationFixture.input(source))[0][key] == nil)
    }
  }

  @Test func theMeanExplainsNothing() throws {
    try withTemporaryFolder { folder in
      let rows = shifted(400, width: 6)
      let path = folder + "/rows.npy"
      try writeNumpy(rows, width: 6, to: path)
      let mean = (0..<6).map { column in
        stride(from: column, to: rows.count, by: 6).reduce(Float(0)) { $0 + rows[$1] } / 400
      }
      let source = try openRows(path: path)
      let runs = [
        try EvaluationFixture.constant(
          "mean", 6, bias: mean, normalize: .none, fingerprint: source.fingerprint),
        try EvaluationFixture.perfect(6, normalize: .none),
      ]
      let results = try CoreSuite.evaluate(runs, EvaluationFixture.input(source))
      #expect(abs(try value(results[0], "explained_variance")) < 1e-5)
      #expect(abs(try value(results[1], "explained_variance") - 1) < 1e-5)
      // SAEBench's variant hardly centres, so the mean counts as a good reconstruction.
      #expect(try value(results[0], "explained_variance_saebench") > 0.8)
      #expect(results[0].notes.contains { $0.contains("No rows were held out") })
      #expect(!results[1].notes.contains { $0.contains("No rows were held out") })
      #expect(results[1].notes.contains("perfect was trained on other rows: rows."))
      #expect(results[0]["ce_loss_score"] == nil)
    }
  }

  /// Results tell for each run whether it was trained on the rows, on others, or that this is not known.
  @Test func whichRowsAreTrainingRows() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/rows.npy"
      try writeNumpy(shifted(8, width: 6), width: 6, to: path)
      let source = try openRows(path: path)
      let other = try EvaluationFixture.constant("other", 6, fingerprint: "another")
      let own = try EvaluationFixture.constant("own", 6, fingerprint: source.fingerprint)
      let imported = EvaluationFixture.changed(other, "imported")
      let streamed = EvaluationFixture.changed(other, "streamed") {
        $0.data.fingerprint = "stream"
      }
      func results(_ runs: LoadedRun...) throws -> [SuiteResult] {
        try CoreSuite.evaluate(runs, EvaluationFixture.input(source))
      }
      let rows = "8 rows of rows.npy"
      func expect(_ runs: LoadedRun..., says aside: String) throws {
        for result in try CoreSuite.evaluate(runs, EvaluationFixture.input(source)) {
          #expect(result.evaluatedOn == rows + aside)
        }
      }
      try expect(own, says: ", training rows among them")
      try expect(other, says: ", which no run was trained on")
      try expect(own, other, says: ", training rows of own among them")
      try expect(own, imported, says: ", training rows of own among them")
      try expect(imported, says: "")
      try expect(streamed, other, says: "")
      let all = try results(own, other, imported, streamed)
      #expect(all.map(\.isHeldOut) == [false, false, nil, nil])
      for (result, note) in zip(
        all,
        [
          "these are rows own was trained on.", "other was trained on other rows: rows.",
          "imported was imported", "streamed was trained on rows that a program gave it",
        ])
      {
        #expect(result.notes.contains { $0.contains(note) }, "\(note): \(result.notes)")
      }
      #expect(try results(own)[0].notes.contains { $0.contains("rows the runs were trained on.") })

      // A store's held-out documents are held out for all runs, but an imported run may have seen them.
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let wide = try EvaluationFixture.constant("wide", 16, fingerprint: store.fingerprint)
      let held = try CoreSuite.evaluate(
        [wide, EvaluationFixture.changed(wide, "imported")], EvaluationFixture.input(store))
      #expect(held.map(\.isHeldOut) == [true, nil])
      #expect(held.allSatisfy { $0.evaluatedOn.hasSuffix("documents of store") })
      let count = try #require(held[0].evaluatedOn.split(separator: " ").first)
      #expect(
        held[0].notes == [
          "Without --model the model's losses are not measured.",
          "Dead latents are those that were active for none of the \(count) rows measured here; in more rows fewer"
            + " are dead.",
        ])
    }
  }

  /// For a run that sees rows at their own lengths, the numbers of unscaled rows equal the others, so it can be
  /// compared with a run that scales rows.
  @Test func runsThatDoNotScaleRowsAreComparedByUnscaledRows() throws {
    try withTemporaryFolder { folder in
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let runs = [
        try EvaluationFixture.perfect(16),
        try EvaluationFixture.constant("long", 16, normalize: .original),
      ]
      let results = try CoreSuite.evaluate(runs, EvaluationFixture.input(store))
      for key in ["explained_variance", "explained_variance_legacy", "mse"] {
        let plain = try #require(results[1][key])
        let unscaled = try #require(results[1][key + "_unscaled"])
        #expect(plain.value == unscaled.value && plain.interval == unscaled.interval, "\(key)")
        #expect(results[0][key + "_unscaled"] != nil)
      }
      #expect(results[1]["relative_reconstruction_bias_unscaled"] != nil)
      #expect(
        results.allSatisfy { $0.notes.contains { $0.contains("by the numbers of unscaled rows") } })
      let alone = try CoreSuite.evaluate([runs[1]], EvaluationFixture.input(store))
      #expect(!alone[0].notes.contains { $0.contains("unscaled") })
      Definitions.expect(results)
      // Rows of a matrix have lengths too; the error of a zero reconstruction is the squared length.
      try writeNumpy(shifted(40, width: 6), width: 6, to: folder + "/rows.npy")
      let zeros = try [Normalisation.unit, .original].map {
        try EvaluationFixture.constant("\($0)", 6, normalize: $0)
      }
      let short = try CoreSuite.evaluate(
        zeros, EvaluationFixture.input(try openRows(path: folder + "/rows.npy")))
      #expect(short.map(\.seesUnitRows) == [true, false])
      let errors = try short.map { try value($0, "mse") }
      #expect(abs(errors[0] - 1) < 1e-3 && errors[1] > 50)
      for key in ["explained_variance", "explained_variance_legacy", "mse"] {
        let a = try value(short[0], key + "_unscaled")
        let b = try value(short[1], key + "_unscaled")
        #expect(abs(a - b) < 1e-4 * abs(b), "\(key)")
      }
      // A flat run of equal m, k and seed is not a baseline if it scales rows in another way.
      let h = try EvaluationFixture.run(
        "h",
        DictionaryShape(width: 16, experts: 4, sublatents: 2, subspace: 1, activeExperts: 2))
      let flat = try EvaluationFixture.constant("flat", 16)
      #expect(Comparison.baseline(of: 0, among: [h, runs[1], flat]) == 2)
      #expect(Comparison.baseline(of: 0, among: [h, runs[1]]) == nil)
    }
  }

  /// Layer-normalised rows come back with their means: in the numbers of unscaled rows, and in splices.
  @Test func layerNormalisedRows() throws {
    try withTemporaryFolder { folder in
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let runs = [
        try EvaluationFixture.perfect(16, normalize: .layerNorm),
        try EvaluationFixture.constant("zero", 16, normalize: .layerNorm),
        try EvaluationFixture.constant("own", 16, normalize: .original),
      ]
      let input = EvaluationFixture.input(store, model: model)
      let results = try CoreSuite.evaluate(runs, input)
      #expect(try abs(value(results[0], "ce_loss_score") - 1) < 1e-3)
      #expect(try abs(value(results[0], "explained_variance_unscaled") - 1) < 1e-4)
      #expect(results.map(\.seesUnitRows) == [true, true, false])
      // A reconstruction of zero is the row's mean: Σ (x − μ)² is the error, by arithmetic on the model's rows.
      let rows = try input.rows(for: runs, suite: "core")
      let x = try rows.matrix(0..<rows.count, for: runs[2])
      var centre = [Double](repeating: 0, count: 16)
      var (errors, spread) = (0.0, 0.0)
      for row in 0..<rows.count {
        for column in 0..<16 { centre[column] += Double(x[row, column]) / Double(rows.count) }
      }
      for row in 0..<rows.count {
        let own = (0..<16).map { Double(x[row, $0]) }
        let mean = own.reduce(0, +) / 16
        for column in 0..<16 {
          errors += (own[column] - mean) * (own[column] - mean)
          spread += (own[column] - centre[column]) * (own[column] - centre[column])
        }
      }
      let variance = try value(results[1], "explained_variance_unscaled")
      #expect(abs(variance - (1 - errors / spread)) < 1e-3)
      let error = try value(results[1], "mse_unscaled")
      #expect(abs(error - errors / Double(rows.count)) < 1e-3 * error)
    }
  }

  /// An error that is the same vector for all rows lowers our explained variance, but not
  /// dictionary_learning's.
  @Test func aConstantErrorIsSeen() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/rows.npy"
      try writeNumpy(shifted(300, width: 6), width: 6, to: path)
      var run = try EvaluationFixture.perfect(6, normalize: .none)
      run = try EvaluationFixture.run("off", run.shape, normalize: .none) { parameters in
        for latent in 0..<12 {
          let sign: Float = latent < 6 ? 1 : -1
          parameters.encoderSide[latent, latent % 6] = sign
          parameters.decoderSide[latent, latent % 6] = sign * (latent % 6 == 0 ? 0 : 1)
        }
      }
      let measured = try RowMeasurement(
        run, on: EvaluationRows(try openRows(path: path), limit: 300, isHeldOut: false, name: "x"),
        threads: 1)
      let numbers = measured.numbers(resamples: 100, seed: 0, threads: 1)
      let centred = try #require(numbers.first { $0.key == "explained_variance" }).value
      let others = try #require(
        numbers.first { $0.key == "explained_variance_dictionary_learning" }
      ).value
      // Coordinate 0 is 10 and hardly varies.
      #expect(centred < 0 && others > 0.8, "\(centred) \(others)")
    }
  }

  @Test func bothLevelsOfAPlantedDictionary() throws {
    // Row: parent e_{3j} with one of two children ±e_{3j+1} at half its strength.
    let shape = DictionaryShape(
      width: 12, experts: 4, sublatents: 2, subspace: 1, activeExperts: 1)
    let run = try EvaluationFixture.run("planted", shape, normalize: .none, threshold: 0.01) { p in
      for expert in 0..<4 {
        p.encoderSide[2 * expert, 3 * expert] = 1
        p.decoderSide[2 * expert, 3 * expert] = 1
        p.encoderSide[2 * expert + 1, 3 * expert + 1] = 1
        p.decoderSide[2 * expert + 1, 3 * expert + 1] = 1
        for child in 0..<2 {
          p.subEncoder[2 * expert + child, 0] = child == 0 ? 1 : -1
          p.subDecoder[2 * expert + child, 0] = child == 0 ? 1 : -1
        }
      }
    }
    try withTemporaryFolder { folder in
      var rows = [Float](repeating: 0, count: 80 * 12)
      for row in 0..<80 {
        rows[row * 12 + 3 * (row % 4)] = 1
        rows[row * 12 + 3 * (row % 4) + 1] = row % 8 < 4 ? 0.5 : -0.5
      }
      let path = folder + "/rows.npy"
      try writeNumpy(rows, width: 12, to: path)
      let result = try CoreSuite.evaluate(
        [run], EvaluationFixture.input(try openRows(path: path)))[0]
      #expect(abs(try value(result, "explained_variance") - 1) < 1e-5)
      // Variance: 1 - 1/4 of the parents, 1/4 of the children, which the top level misses.
      #expect(abs(try value(result, "explained_variance_top_level") - 0.75) < 1e-5)
      #expect(abs(try value(result, "mse_top_level") - 0.25) < 1e-5)
      #expect(try value(result, "l0") == 1 && value(result, "l0_sublatents") == 1)
      #expect(try value(result, "dead_latents") == 0 && value(result, "dead_sublatents") == 0)
      #expect(abs(try value(result, "effective_sublatents") - 2) < 1e-9)
      #expect(try value(result, "dense_latents") == 1, "each is active for a quarter")
    }
  }

  @Test func numbersFollowFromTheSeedAlone() throws {
    try withTemporaryFolder { folder in
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let shape = DictionaryShape(
        width: 16, experts: 32, sublatents: 3, subspace: 2, activeExperts: 4)
      let runs = [
        try EvaluationFixture.run("random", shape) {
          $0 = Parameters.initial(shape: shape, seed: 4)
        }
      ]
      func results(_ seed: UInt64, threads: Int) throws -> [SuiteResult] {
        try CoreSuite.evaluate(
          runs,
          EvaluationFixture.input(store, model: model) { options in
            (options.seed, options.threads) = (seed, threads)
            (options.rowLimit, options.lossTokens) = (150, 100)
          })
      }
      let first = try results(1, threads: 1)
      #expect(try results(1, threads: 3) == first)
      #expect(try results(2, threads: 1) != first)
    }
  }

  /// Numbers for SAEBench are of rows at their lengths in the model, and count sublatents as latents.
  @Test func unscaledRowsAsSAEBenchSeesThem() throws {
    try withTemporaryFolder { folder in
      let store = try EvaluationFixture.collect(
        folder + "/store", model: model, documents: EvaluationFixture.documents(40))
      let shape = DictionaryShape(
        width: 16, experts: 12, sublatents: 3, subspace: 2, activeExperts: 3)
      let run = try EvaluationFixture.run("random", shape) { parameters in
        parameters = Parameters.initial(shape: shape, seed: 8)
      }
      let input = EvaluationFixture.input(store)
      let rows = try input.rows(for: [run], suite: "core")
      let x = try rows.matrix(0..<rows.count, for: run)
      let rebuilt = run.dictionary.decode(run.dictionary.encode(x))
      let lengths = rows.norms.map { Double($0) }
      #expect(rows.count > 100 && Set(lengths).count > 100)
      var mean = [Double](repeating: 0, count: 16)
      for row in 0..<rows.count {
        for column in 0..<16 {
          mean[column] += lengths[row] * Double(x[row, column]) / Double(rows.count)
        }
      }
      var (legacy, errors, squares, products, norms) = (0.0, 0.0, 0.0, 0.0, 0.0)
      for row in 0..<rows.count {
        var (error, spread) = (0.0, 0.0)
        for column in 0..<16 {
          let own = lengths[row] * Double(x[row, column])
          let back = lengths[row] * Double(rebuilt[row, column])
          error += (own - back) * (own - back)
          spread += (own - mean[column]) * (own - mean[column])
          squares += own * own
          products += own * back
          norms += back * back
        }
        legacy += 1 - error / spread
        errors += error
      }
      let count = Double(rows.count)
      let q = squares / count / 16
      let result = try CoreSuite.evaluate([run], input)[0]
      let metrics = try #require(result.saeBench?.metrics)
      func expect(_ category: String, _ name: String, _ expected: Double) {
        let value = metrics[category]?[name] ?? .nan
        #expect(abs(value - expected) < 1e-6 * max(1, abs(expected)), "\(name)")
      }
      expect("reconstruction_quality", "explained_variance_legacy", legacy / count)
      expect("reconstruction_quality", "mse", errors / count)
      expect("shrinkage", "relative_reconstruction_bias", norms / products)
      expect("sparsity", "l0", 2 * (try value(result, "l0")))
      // The counted latents are those of the exported dictionary.
      let evaluation = try Evaluation(of: [run], suites: [CoreSuite.self], input: input)
      let text = try #require(evaluation.saeBenchFiles(milliseconds: 5).first?.text)
      let sizes = try JSONValue(parsing: Array(text.utf8), source: "file")["sae_cfg_dict"]
      #expect(sizes?["architecture"]?.string == "hsae" && sizes?["d_sae"]?.integer == 48)
      #expect(sizes?["n_experts"]?.integer == 12 && sizes?["n_sublatents"]?.integer == 3)
      expect(
        "misc_metrics", "frac_alive",
        1 - (try value(result, "dead_latents") + 3 * value(result, "dead_sublatents")) / 4)
      #expect(
        abs(
          try value(result, "explained_variance_saebench")
            - (1 - errors / count / (squares / count - q * q))) < 1e-9)
    }
  }

  /// Rows around (10, 1, 1, …) that vary by ±1, the first coordinate by ±0.1.
  private func shifted(_ count: Int, width: Int) -> [Float] {
    var generator = SeededGenerator(seed: 5)
    return (0..<count * width).map { index in
      let noise = Float(generator.nextSymmetric())
      return index % width == 0 ? 10 + 0.1 * noise : 1 + noise
    }
  }
}
